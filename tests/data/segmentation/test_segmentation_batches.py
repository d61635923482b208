import os

import numpy as np
import pytest
import torch

from attnkit.data.segmentation.config import SegmentationAugmentConfig, SegmentationImageConfig
from attnkit.data.segmentation.segmentation_batches import SegmentationBatch, eval_segmentation, train_segmentation
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.data.segmentation.segmentation_transforms import segmentation_input
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE

IMAGE = SegmentationImageConfig(crop=(11, 13))
AUGMENT = SegmentationAugmentConfig()
SIZES = [(7, 11), (7, 11), (11, 7)]
"""Of the images, in turn."""


class ListedScenes(SegmentationSet):
    """Images of several sizes, drawn by their number; some are broken."""

    class_names = ("a", "b", "c")
    colours = np.eye(3, dtype=np.uint8)

    def __init__(self, count=23, broken=(), sizes=SIZES):
        self._count, self._broken, self._sizes = count, set(broken), sizes

    def __len__(self):
        return self._count

    def place(self, index):
        return f"images/{index}.png"

    def mask_place(self, index):
        return f"masks/{index}.png"

    def name(self, index):
        return str(index)

    def read(self, index):
        if index in self._broken:
            raise DataError(f"images/{index}.png: broken")
        rng = np.random.default_rng(index)
        pixels = torch.from_numpy(rng.integers(0, 256, (3, *self.size(index)), dtype=np.uint8))
        return pixels, torch.from_numpy(self.read_labels(index))

    def read_labels(self, index):
        labels = np.full(self.size(index), index % 3, dtype=np.uint8)
        labels[0] = IGNORE
        return labels

    def size(self, index):
        return self._sizes[index % len(self._sizes)]

    def select(self, rows):
        raise NotImplementedError


def training(data=None, *, augment=AUGMENT, batch_size=5, seed=1, **options):
    return train_segmentation(data or ListedScenes(), IMAGE, augment, batch_size=batch_size, seed=seed, **options)


def content(batches):
    return [(b.images.numpy().tobytes(), b.labels.numpy().tobytes(), b.indices.tolist()) for b in batches]


class TestBatch:
    BATCH = SegmentationBatch(
        torch.arange(5.0)[:, None, None, None], torch.arange(5)[:, None, None], np.array([4, 3, 2, 1, 0])
    )

    def test_halves(self):
        first, second = self.BATCH.halves()
        assert (len(first), len(second)) == (2, 3)
        assert second.images.flatten().tolist() == second.labels.flatten().tolist() == [2, 3, 4]
        assert second.indices.tolist() == [2, 1, 0]
        assert first.labels.flatten().tolist() == [0, 1]

    def test_one_image_has_no_halves(self):
        with pytest.raises(ValueError, match=r"^a batch of one image cannot be halved$"):
            self.BATCH.halves()[0].halves()[0].halves()

    def test_on_a_device(self):
        there = self.BATCH.to("meta")
        assert there.images.device.type == there.labels.device.type == "meta"
        assert there.indices.tolist() == [4, 3, 2, 1, 0]


class TestTraining:
    def test_an_epoch_has_each_image_once_at_most(self):
        batches = training()
        assert batches.batches_per_epoch == 4
        epoch = list(batches.batches(0))
        indices = np.concatenate([batch.indices for batch in epoch]).tolist()
        assert (len(indices), len(set(indices))) == (20, 20)
        for batch in epoch:
            assert (batch.images.shape, batch.images.dtype) == ((5, 3, 11, 13), torch.float32)
            assert (batch.labels.shape, batch.labels.dtype) == ((5, 11, 13), torch.int64)
            for labels, index in zip(batch.labels, batch.indices, strict=True):
                assert set(labels.unique().tolist()) - {IGNORE} == {int(index) % 3}

    def test_few_images_make_one_batch(self):
        batches = training(batch_size=64)
        assert batches.batches_per_epoch == 1
        assert sorted(next(batches.batches(0)).indices.tolist()) == list(range(23))

    def test_images_are_those_of_their_indices(self):
        still = SegmentationAugmentConfig(scale=(1.0, 1.0), flip=0, photometric=False)
        data = ListedScenes()
        (batch,) = training(data, augment=still, batch_size=23).batches(0)
        for image, index in zip(batch.images, batch.indices.tolist(), strict=True):
            pixels, _ = data.read(index)
            torch.testing.assert_close(
                image[:, : pixels.shape[1], : pixels.shape[2]], segmentation_input(pixels, IMAGE)
            )

    def test_seed_and_epoch_decide(self):
        epoch = content(training().batches(2))
        assert content(training().batches(2)) == epoch
        batches = training()
        list(batches.batches(1))
        torch.rand(3)
        assert content(batches.batches(2)) == epoch
        assert content(batches.batches(1)) != epoch
        assert content(training(seed=2).batches(2)) != epoch

    def test_an_epoch_can_be_entered_anywhere(self):
        epoch = content(training().batches(2))
        assert content(training().batches(2, start=3)) == epoch[3:]
        assert content(training().batches(2, start=4)) == []

    def test_the_batch_size_does_not_change_an_image(self):
        pairs = [zip(b.indices.tolist(), b.images, b.labels, strict=True) for b in training().batches(3)]
        small = {index: (image, labels) for batch in pairs for index, image, labels in batch}
        (large,) = training(batch_size=20).batches(3)
        for index, image, labels in zip(large.indices.tolist(), large.images, large.labels, strict=True):
            assert torch.equal(small[index][0], image)
            assert torch.equal(small[index][1], labels)

    def test_an_image_is_varied_anew_in_each_epoch(self):
        images = [next(training(ListedScenes(1)).batches(epoch)).images for epoch in range(3)]
        assert not torch.equal(images[0], images[1])
        assert not torch.equal(images[1], images[2])

    def test_workers_make_the_same(self):
        batches = training(workers=2)
        assert batches.workers == 2
        assert content(batches.batches(1, start=1)) == content(training().batches(1, start=1))

    def test_auto_is_a_worker_for_each_core(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3), raising=False)
        assert training(workers="auto").workers == 3
        assert eval_segmentation(ListedScenes(), IMAGE, batch_size=2, workers="auto").workers == 3


class TestBrokenImages:
    BROKEN = (3, 4, 5, 17)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_others_stand_in_and_each_is_named_once(self, workers):
        said = []
        batches = training(ListedScenes(broken=self.BROKEN), workers=workers, warn=said.append, batch_size=23)
        for epoch in (0, 1):
            (batch,) = batches.batches(epoch)
            assert len(batch) == 23
            assert not set(batch.indices.tolist()) & set(self.BROKEN)
            assert len(set(batch.indices.tolist())) == 19
        expected = [f"images/{index}.png: broken; another image replaces it" for index in self.BROKEN]
        assert sorted(said) == sorted(expected)

    def test_the_next_of_the_order_stands_in(self):
        (whole,) = training(batch_size=23).batches(0)
        (batch,) = training(ListedScenes(broken=self.BROKEN), batch_size=23).batches(0)
        order = whole.indices.tolist()
        for place, (index, stands) in enumerate(zip(order, batch.indices.tolist(), strict=True)):
            following = [*order[place:], *order[:place]]
            assert stands == next(one for one in following if one not in self.BROKEN)
            assert torch.equal(batch.images[place], whole.images[order.index(stands)])
            assert (index == stands) == (index not in self.BROKEN)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_too_many_end_it(self, workers):
        batches = training(ListedScenes(3, broken=range(3)), workers=workers, batch_size=2)
        lines = r"^images/\d.png: broken\nimages/\d.png: broken\nimages/\d.png: broken$"
        with pytest.raises(DataError, match=lines):
            next(batches.batches(0))


class TestEvaluation:
    def test_all_in_their_order_again_and_again(self):
        scenes = eval_segmentation(ListedScenes(), IMAGE, batch_size=5)
        first, second = list(scenes), list(scenes)
        assert content(first) == content(second)
        assert np.concatenate([batch.indices for batch in first]).tolist() == list(range(23))

    def test_batches_end_where_the_size_changes(self):
        """Sizes are A A B in turn; five at most at once."""
        scenes = eval_segmentation(ListedScenes(8), IMAGE, batch_size=5)
        assert [batch.indices.tolist() for batch in scenes] == [[0, 1], [2], [3, 4], [5], [6, 7]]
        same = eval_segmentation(ListedScenes(8, sizes=[(7, 11)]), IMAGE, batch_size=5)
        assert [batch.indices.tolist() for batch in same] == [[0, 1, 2, 3, 4], [5, 6, 7]]

    def test_images_are_resized_and_labels_are_not(self):
        image = SegmentationImageConfig(short_side=14)
        data = ListedScenes(3)
        for batch in eval_segmentation(data, image, batch_size=2):
            for row, index in enumerate(batch.indices.tolist()):
                pixels, labels = data.read(index)
                assert batch.images.shape[2:] == ((14, 22) if index < 2 else (22, 14))
                assert torch.equal(batch.images[row], segmentation_input(pixels, image))
                assert (batch.labels.dtype, batch.labels[row].tolist()) == (torch.int64, labels.tolist())

    def test_workers_make_the_same(self):
        scenes = eval_segmentation(ListedScenes(), IMAGE, batch_size=4, workers=2)
        assert content(scenes) == content(eval_segmentation(ListedScenes(), IMAGE, batch_size=4))

    @pytest.mark.parametrize("workers", [0, 2])
    def test_broken_images_end_it(self, workers):
        scenes = iter(eval_segmentation(ListedScenes(broken=(2, 3)), IMAGE, batch_size=2, workers=workers))
        next(scenes)
        with pytest.raises(DataError, match=r"^images/2.png: broken\nimages/3.png: broken$"):
            list(scenes)

    def test_the_first_ten_are_named(self):
        scenes = eval_segmentation(ListedScenes(broken=range(12)), IMAGE, batch_size=12)
        lines = "\n".join([f"images/{index}.png: broken" for index in range(10)])
        with pytest.raises(DataError, match=f"^{lines}\nand 2 more images of one batch cannot be read$"):
            list(scenes)
