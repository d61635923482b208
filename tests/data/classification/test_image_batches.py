import os

import numpy as np
import pytest
import torch

from attnkit.data.classification.config import AugmentConfig, ImageConfig
from attnkit.data.classification.image_batches import ImageBatch, eval_images, mix, train_images
from attnkit.data.classification.image_set import ArrayImages, ImageSet
from attnkit.data.classification.image_transforms import EvalTransform
from attnkit.errors import DataError

IMAGE = ImageConfig(size=8, crop_fraction=1.0)
PIXELS = np.random.default_rng(0).integers(0, 256, (23, 3, 8, 8), dtype=np.uint8)
LABELS = np.arange(23) % 3
MIXED = AugmentConfig(crop="shift", auto="trivial", erase=0.3, mixup=0.8, cutmix=1.0)


class ListedImages(ImageSet):
    """Images that are read one by one; some are broken."""

    class_names = ("a", "b", "c")

    def __init__(self, broken=()):
        self.labels, self._broken = LABELS, set(broken)

    def place(self, index):
        return f"image{index}"

    def read(self, index):
        if index in self._broken:
            raise DataError(f"image{index}: broken")
        return torch.from_numpy(PIXELS[index])

    def select(self, rows):
        raise NotImplementedError


def arrays(broken=()):
    messages = {row: f"image{row}: broken" for row in broken}
    return ArrayImages(PIXELS, LABELS, "abc", place=lambda row: f"image{row}", broken=messages)


def training(images=None, augment=None, *, batch_size=5, seed=1, **options):
    augment = augment or AugmentConfig(crop="shift")
    images = arrays() if images is None else images
    return train_images(images, IMAGE, augment, batch_size=batch_size, seed=seed, num_classes=3, **options)


def content(batches):
    return [
        (
            b.images.numpy().tobytes(),
            b.labels.tolist(),
            None if b.targets is None else b.targets.tolist(),
            b.indices.tolist(),
        )
        for b in batches
    ]


class TestBatch:
    BATCH = ImageBatch(torch.arange(5.0)[:, None, None, None], torch.arange(5), torch.eye(5), np.arange(5))

    def test_halves(self):
        first, second = self.BATCH.halves()
        assert (len(first), len(second)) == (2, 3)
        assert second.images.flatten().tolist() == [2, 3, 4]
        assert second.labels.tolist() == second.indices.tolist() == [2, 3, 4]
        assert torch.equal(first.targets, torch.eye(5)[:2])
        assert ImageBatch(self.BATCH.images, self.BATCH.labels, None, np.arange(5)).halves()[0].targets is None

    def test_one_image_has_no_halves(self):
        with pytest.raises(ValueError, match=r"^a batch of one image cannot be halved$"):
            self.BATCH.halves()[0].halves()[0].halves()

    def test_on_a_device(self):
        there = self.BATCH.to("meta")
        assert there.images.device.type == there.labels.device.type == there.targets.device.type == "meta"
        assert there.indices.tolist() == [0, 1, 2, 3, 4]


class TestTraining:
    def test_an_epoch_has_each_image_once_at_most(self):
        batches = training()
        assert batches.batches_per_epoch == 4
        epoch = list(batches.batches(0))
        assert [len(batch) for batch in epoch] == [5] * 4
        indices = np.concatenate([batch.indices for batch in epoch])
        assert len(set(indices.tolist())) == 20
        for batch in epoch:
            assert batch.labels.tolist() == LABELS[batch.indices].tolist()
            assert (batch.images.shape, batch.images.dtype) == ((5, 3, 8, 8), torch.float32)
            assert batch.targets is None

    def test_few_images_make_one_batch(self):
        batches = training(batch_size=64)
        assert batches.batches_per_epoch == 1
        assert sorted(next(batches.batches(0)).indices.tolist()) == list(range(23))

    def test_images_are_those_of_their_indices(self):
        for images in (arrays(), ListedImages()):
            (batch,) = training(images, AugmentConfig(crop="none", flip=0), batch_size=23).batches(0)
            expected = EvalTransform(IMAGE)(torch.from_numpy(PIXELS[batch.indices]))
            assert torch.equal(batch.images, expected)

    @pytest.mark.parametrize("augment", [AugmentConfig(), AugmentConfig(crop="shift"), MIXED])
    def test_seed_and_epoch_decide(self, augment):
        epoch = content(training(augment=augment).batches(2))
        assert content(training(augment=augment).batches(2)) == epoch
        assert content(training(ListedImages(), augment).batches(2)) == epoch
        batches = training(augment=augment)
        list(batches.batches(1))
        torch.rand(3)
        assert content(batches.batches(2)) == epoch
        assert content(batches.batches(2, start=3)) == epoch[3:]
        assert content(batches.batches(1)) != epoch
        assert content(training(augment=augment, seed=2).batches(2)) != epoch

    def test_torchs_generator_is_left_alone(self):
        before = torch.get_rng_state()
        list(training(augment=MIXED).batches(0))
        assert torch.equal(torch.get_rng_state(), before)

    def test_the_batch_size_does_not_change_an_image(self):
        small = {
            i: image for batch in training().batches(0) for i, image in zip(batch.indices, batch.images, strict=True)
        }
        (large,) = training(batch_size=20).batches(0)
        assert len(small) == 20
        assert all(torch.equal(small[i], image) for i, image in zip(large.indices, large.images, strict=True))

    def test_repeated_images_are_varied_anew(self):
        batches = training(augment=AugmentConfig(crop="shift", repeats=3), batch_size=6)
        assert batches.batches_per_epoch == 3
        for batch in batches.batches(0):
            assert batch.indices[::3].tolist() == batch.indices[1::3].tolist() == batch.indices[2::3].tolist()
            assert not torch.equal(batch.images[0], batch.images[1])
        order = np.concatenate([batch.indices for batch in batches.batches(0)])
        assert len(set(order.tolist())) == 6
        assert len({int(i) for epoch in range(24) for batch in batches.batches(epoch) for i in batch.indices}) == 23

    def test_mixed_batches_have_targets(self):
        batches = list(training(augment=AugmentConfig(crop="none", flip=0, mixup=1.0)).batches(0))
        for batch in batches:
            torch.testing.assert_close(batch.targets.sum(1), torch.ones(5))
            plain = EvalTransform(IMAGE)(torch.from_numpy(PIXELS[batch.indices]))
            first, last = batch.labels[0], batch.labels[-1]
            if first != last:
                share = batch.targets[0, first]
                torch.testing.assert_close(batch.images[0], plain[0] * share + plain[-1] * (1 - share))
        assert len({tuple(batch.targets.flatten().tolist()) for batch in batches}) == 4

    @pytest.mark.parametrize("make", [arrays, ListedImages])
    def test_another_image_stands_in_for_a_broken_one(self, make):
        whole = np.concatenate([batch.indices for batch in training(make()).batches(0)]).tolist()
        broken = [whole[3], whole[4], whole[10]]
        warnings = []
        batches = training(make(broken), warn=warnings.append)
        for _ in range(2):
            indices = np.concatenate([batch.indices for batch in batches.batches(0)]).tolist()
            expected = [*whole[:3], whole[5], whole[5], *whole[5:10], whole[11], *whole[11:]]
            assert indices == expected
        assert warnings == [f"image{index}: broken; another image replaces it" for index in broken]
        batch = next(batches.batches(0))
        assert batch.labels.tolist() == LABELS[batch.indices].tolist()

    def test_a_set_that_is_all_broken(self):
        with pytest.raises(DataError) as caught:
            next(training(ListedImages(range(23)), batch_size=20).batches(0))
        lines = str(caught.value).splitlines()
        assert len(lines) == 11
        assert all(line.endswith(": broken") for line in lines[:10])
        assert lines[10] == "and 13 more images of one batch cannot be read"


class TestEvaluation:
    @pytest.mark.parametrize("images", [arrays(), ListedImages()])
    def test_all_images_in_their_order_again_and_again(self, images):
        batches = eval_images(images, IMAGE, batch_size=7)
        assert len(list(batches)) == 4
        for _ in range(2):
            seen = list(batches)
            assert [len(batch) for batch in seen] == [7, 7, 7, 2]
            assert np.concatenate([batch.indices for batch in seen]).tolist() == list(range(23))
            assert torch.cat([batch.labels for batch in seen]).tolist() == LABELS.tolist()
            assert torch.equal(torch.cat([b.images for b in seen]), EvalTransform(IMAGE)(torch.from_numpy(PIXELS)))
            assert all(batch.targets is None for batch in seen)

    @pytest.mark.parametrize("make", [arrays, ListedImages])
    def test_broken_images_are_named(self, make):
        batches = iter(eval_images(make([3, 5, 9]), IMAGE, batch_size=7))
        with pytest.raises(DataError, match=r"^image3: broken\nimage5: broken$"):
            next(batches)

    def test_no_images(self):
        assert list(eval_images(arrays().select(np.arange(0)), IMAGE, batch_size=7)) == []


def test_auto_workers_are_for_images_that_take_long(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(5), raising=False)
    assert training(workers="auto").workers == eval_images(arrays(), IMAGE, batch_size=7, workers="auto").workers == 0
    assert eval_images(ListedImages(), IMAGE, batch_size=7, workers="auto").workers == 5
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert training(augment=MIXED, workers="auto").workers == 5
    assert training(workers="auto").workers == 0


@pytest.mark.slow
def test_workers_make_the_same_batches():
    images = ListedImages([4, 9])
    warned: list[str] = []
    expected = content(training(images, MIXED, warn=warned.append).batches(1, start=1))
    warnings: list[str] = []
    before = torch.get_rng_state()
    batches = training(images, MIXED, workers=2, warn=warnings.append)
    assert content(batches.batches(1, start=1)) == expected
    assert torch.equal(torch.get_rng_state(), before)
    assert warnings == warned != []
    with pytest.raises(DataError, match=r"^image4: broken$"):
        list(eval_images(images, IMAGE, batch_size=7, workers=1))
    # an epoch that is left early leaves no process behind
    started = batches.batches(0)
    next(started)
    started.close()
    assert not torch.multiprocessing.active_children()


def mixed(rng=0, *, batch=5, height=7, width=11, images=None, labels=None, **options):
    """A batch whose image i is i everywhere, so that a pixel says where it came from."""
    images = torch.arange(batch).float()[:, None, None, None].repeat(1, 3, height, width) if images is None else images
    labels = torch.arange(batch) % 3 if labels is None else labels
    rng = np.random.default_rng(rng) if isinstance(rng, int) else rng
    return mix(images, labels, AugmentConfig(**options), num_classes=3, rng=rng)


def test_nothing_is_mixed_where_nothing_is_asked():
    assert mixed() is None
    assert mixed(mixup=1.0, mix_probability=0.0) is None


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_targets_are_the_shares_of_the_pixels(options):
    for seed in range(30):
        images, targets = mixed(seed, **options)
        assert images.shape == (5, 3, 7, 11)
        assert targets.shape == (5, 3)
        torch.testing.assert_close(targets.sum(1), torch.ones(5))
        # image 0 is 0 and its partner 4: the mean pixel says how much is of which; labels are 0 and 1
        share_of_partner = images[0].mean() / 4
        torch.testing.assert_close(
            targets[0], torch.tensor([1 - share_of_partner, share_of_partner, 0]), atol=1e-6, rtol=0
        )
        # the middle one of five meets itself
        assert torch.equal(images[2], torch.full((3, 7, 11), 2.0))
        torch.testing.assert_close(targets[2], torch.tensor([0.0, 0.0, 1.0]))


def test_cutmix_pastes_a_rectangle_of_the_partner():
    for seed in range(20):
        images, _ = mixed(seed, cutmix=1.0)
        assert set(images.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
        pasted = images[0, 0] == 4
        assert torch.equal(pasted, pasted.any(1)[:, None] & pasted.any(0))
        assert torch.equal(images[1, 2] == 3, pasted)


def test_rectangles_are_anywhere_and_of_their_size():
    rng = np.random.default_rng(2)
    pasted = sum((mixed(rng, cutmix=1.0, height=32, width=40)[0][0, 0] == 4).float() for _ in range(1500)) / 1500
    assert abs(pasted - pasted.flip(0)).max() < 0.08
    assert abs(pasted - pasted.flip(1)).max() < 0.08
    assert pasted[16, 20] > 2 * pasted[0, 0]  # what is cut off at the border is lost


def test_by_chance_one_or_the_other_or_none():
    rng = np.random.default_rng(0)
    kinds = []
    for _ in range(600):
        result = mixed(rng, mixup=1.0, cutmix=1.0, mix_probability=0.5)
        cut = result is not None and bool((result[0] == result[0].round()).all())
        kinds.append("none" if result is None else "cut" if cut else "up")
    assert 250 < kinds.count("none") < 350
    assert 100 < kinds.count("cut") < 200
    assert 100 < kinds.count("up") < 200


def test_shares_are_of_the_beta_distribution():
    """The quantiles of Beta(1, 1) are uniform; Beta(0.2, 0.2) is mostly near 0 or 1."""
    rng = np.random.default_rng(1)
    shares = {a: np.sort([float(mixed(rng, mixup=a)[1][0, 0]) for _ in range(1000)]) for a in (1.0, 0.2)}
    assert abs(shares[1.0] - np.linspace(0, 1, 1000)).max() < 0.05
    assert 0.3 < np.mean(abs(shares[0.2] - 0.5) > 0.49) < 0.65


@pytest.mark.peers
@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_shares_are_distributed_as_timms(options):
    """Two samples of 4000 shares each: Kolmogorov-Smirnov, at 1 in a thousand."""
    mixup = pytest.importorskip("timm.data.mixup")
    theirs = mixup.Mixup(
        mixup_alpha=options.get("mixup", 0.0),
        cutmix_alpha=options.get("cutmix", 0.0),
        label_smoothing=0.0,
        num_classes=3,
    )
    np.random.seed(3)  # timm draws from it
    rng, labels = np.random.default_rng(3), torch.tensor([0, 1])
    images = torch.zeros(2, 3, 32, 32)
    ours = np.sort([float(mixed(rng, images=images, labels=labels, **options)[1][0, 0]) for _ in range(4000)])
    others = np.sort([float(theirs(images, labels)[1][0, 0]) for _ in range(4000)])
    grid = np.concatenate([ours, others])
    distance = abs(np.searchsorted(ours, grid, side="right") - np.searchsorted(others, grid, side="right")).max() / 4000
    assert distance < 1.95 * (2 / 4000) ** 0.5
