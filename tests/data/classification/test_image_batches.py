import os

import numpy as np
import pytest
import torch

from attnkit.data.classification.config import AugmentConfig, ImageConfig
from attnkit.data.classification.image_batches import EvalImages, ImageBatch, TrainImages
from attnkit.data.classification.image_set import ArrayImages, ImageSet
from attnkit.data.classification.image_transforms import eval_transform
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
    return TrainImages(images, IMAGE, augment, batch_size=batch_size, seed=seed, num_classes=3, **options)


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
            expected = eval_transform(IMAGE)(torch.from_numpy(PIXELS[batch.indices]))
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
            plain = eval_transform(IMAGE)(torch.from_numpy(PIXELS[batch.indices]))
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
        assert warnings == [f"image{index}: broken; another image stands in for it" for index in broken]
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
        batches = EvalImages(images, IMAGE, batch_size=7)
        assert len(batches) == 4
        for _ in range(2):
            seen = list(batches)
            assert [len(batch) for batch in seen] == [7, 7, 7, 2]
            assert np.concatenate([batch.indices for batch in seen]).tolist() == list(range(23))
            assert torch.cat([batch.labels for batch in seen]).tolist() == LABELS.tolist()
            assert torch.equal(torch.cat([b.images for b in seen]), eval_transform(IMAGE)(torch.from_numpy(PIXELS)))
            assert all(batch.targets is None for batch in seen)

    @pytest.mark.parametrize("make", [arrays, ListedImages])
    def test_broken_images_are_named(self, make):
        batches = iter(EvalImages(make([3, 5, 9]), IMAGE, batch_size=7))
        with pytest.raises(DataError, match=r"^image3: broken\nimage5: broken$"):
            next(batches)

    def test_no_images(self):
        assert list(EvalImages(arrays().select(np.arange(0)), IMAGE, batch_size=7)) == []


def test_auto_workers_are_for_images_that_take_long(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(5), raising=False)
    assert training(workers="auto").workers == EvalImages(arrays(), IMAGE, batch_size=7, workers="auto").workers == 0
    assert EvalImages(ListedImages(), IMAGE, batch_size=7, workers="auto").workers == 5
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
        list(EvalImages(images, IMAGE, batch_size=7, workers=1))
    # an epoch that is left early leaves no process behind
    started = batches.batches(0)
    next(started)
    started.close()
    assert not torch.multiprocessing.active_children()
