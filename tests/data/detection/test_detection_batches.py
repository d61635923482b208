import os

import numpy as np
import pytest
import torch

from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.detection_batches import DetectionBatch, eval_detection, train_detection, trained_images
from attnkit.data.detection.detection_transforms import detection_input
from attnkit.data.detection.object_files import draw_classes
from attnkit.data.formats.annotations import Annotation
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE
from tests.data.detection.listed_objects import SIZES, ListedObjects, rectangle, rectangles

IMAGE = DetectionImageConfig(short_side=40, long_side=70)
STILL = {"flip": 0}
VARIED = {"short_sides": (24, 40, 48), "flip_vertical": 0.5, "photometric": True}
EVERYTHING = {**VARIED, "crop_branch": {"short_sides": (40, 60), "crop": (24, 50)}, "copy_paste": 0.5}


def training(data=None, augment=VARIED, *, batch_size=5, seed=1, **options):
    augment = DetectionAugmentConfig.model_validate(augment)
    return train_detection(data or ListedObjects(), IMAGE, augment, batch_size=batch_size, seed=seed, **options)


def content(batches):
    """Everything that is in batches, to be compared."""
    return [
        (
            batch.images.numpy().tobytes(),
            batch.sizes,
            [[one.boxes.tolist(), one.labels.tolist(), one.areas.tolist()] for one in batch.objects],
            [None if one.masks is None else one.masks.bitmaps().numpy().tobytes() for one in batch.objects],
            batch.originals,
            batch.indices.tolist(),
            None if batch.semantic is None else batch.semantic.numpy().tobytes(),
        )
        for batch in batches
    ]


def by_image(batches):
    """What is shown of each image, without what is added."""
    shown = {}
    for batch in batches:
        for row, index in enumerate(batch.indices.tolist()):
            high, wide = batch.sizes[row]
            shown[index] = batch.images[row, :, :high, :wide], batch.objects[row].boxes
    return shown


def all_indices(batches):
    return [index for batch in batches for index in batch.indices.tolist()]


class TestBatch:
    BATCH = DetectionBatch(
        torch.arange(5.0)[:, None, None, None],
        [(1, row) for row in range(5)],
        [rectangles(*[(0, 0, 3, 3)] * row) for row in range(5)],
        [(2, row) for row in range(5)],
        np.array([4, 3, 2, 1, 0]),
        torch.arange(5, dtype=torch.uint8)[:, None, None],
    )

    def test_halves(self):
        first, second = self.BATCH.halves()
        assert (len(first), len(second)) == (2, 3)
        assert second.images.flatten().tolist() == second.semantic.flatten().tolist() == [2, 3, 4]
        assert list(map(len, second.objects)) == [2, 3, 4]
        assert (second.sizes, second.originals) == ([(1, 2), (1, 3), (1, 4)], [(2, 2), (2, 3), (2, 4)])
        assert second.indices.tolist() == [2, 1, 0]
        assert list(map(len, first.objects)) == [0, 1]

    def test_without_maps(self):
        batch = DetectionBatch(
            *[value for name, value in vars(self.BATCH).items() if name != "semantic"], semantic=None
        )
        assert [half.semantic for half in batch.halves()] == [None, None]
        assert batch.to("meta").semantic is None

    def test_one_image_has_no_halves(self):
        with pytest.raises(ValueError, match=r"^a batch of one image cannot be halved$"):
            self.BATCH.halves()[0].halves()[0].halves()

    def test_on_a_device(self):
        there = self.BATCH.to("meta")
        assert there.images.device.type == there.semantic.device.type == "meta"
        assert there.objects[2].boxes.device.type == there.objects[2].masks.pixels.device.type == "meta"
        assert (there.sizes, there.indices.tolist()) == (self.BATCH.sizes, [4, 3, 2, 1, 0])


class TestTraining:
    def test_an_epoch_has_each_image_once_at_most(self):
        batches = training()
        assert batches.batches_per_epoch == 4
        epoch = list(batches.batches(0))
        assert (len(all_indices(epoch)), len(set(all_indices(epoch)))) == (20, 20)
        for batch in epoch:
            high, wide = np.array(batch.sizes).max(0).tolist()
            assert batch.images.shape == (5, 3, -(-high // 32) * 32, -(-wide // 32) * 32)
            assert batch.images.dtype == torch.float32
            assert batch.originals == [SIZES[index % 3] for index in batch.indices.tolist()]
            assert batch.semantic is None

    def test_images_and_objects_are_those_of_their_indices(self):
        """Where nothing is varied: those that evaluation would show, at the top left of zeros."""
        data = ListedObjects(12)
        for batch in training(data, STILL, batch_size=4).batches(0):
            for row, index in enumerate(batch.indices.tolist()):
                pixels, objects = data.read(index)
                (high, wide), shown = batch.sizes[row], batch.images[row]
                assert (high, wide) == pixels.shape[1:]
                torch.testing.assert_close(shown[:, :high, :wide], detection_input(pixels, IMAGE))
                assert (shown[:, high:] == 0).all()
                assert (shown[:, :, wide:] == 0).all()
                assert torch.equal(batch.objects[row].boxes, objects.boxes)
                assert batch.objects[row].labels.tolist() == [index % 2, index % 2 + 1]
                assert torch.equal(batch.objects[row].masks.bitmaps(), objects.masks.bitmaps())

    def test_upright_images_stand_together(self):
        """Where they are padded to other shapes: 24 x 36 to 32 x 64."""
        batches = training(augment=STILL | {"short_sides": (24,)}).batches(0)
        kinds = [{size[0] > size[1] for size in batch.sizes} for batch in batches]
        assert sum(len(kind) == 2 for kind in kinds) <= 1

    def test_all_of_a_square(self):
        jitter = {"jitter": {"scale": (0.2, 1.5), "size": 50}}
        batches = list(training(augment=jitter).batches(0))
        assert {batch.images.shape for batch in batches} == {(5, 3, 64, 64)}
        assert len({size for batch in batches for size in batch.sizes}) > 5
        assert max(max(size) for batch in batches for size in batch.sizes) == 50

    def test_maps_go_with_their_images(self):
        data = ListedObjects(6, semantic=True)
        (batch,) = training(data, {"flip": 1}, batch_size=6, semantic="maps").batches(0)
        assert (batch.semantic.shape, batch.semantic.dtype) == ((6, 64, 64), torch.uint8)
        for row, index in enumerate(batch.indices.tolist()):
            (high, wide), drawn = batch.sizes[row], batch.semantic[row]
            assert torch.equal(drawn[:high, :wide], data.read_semantic(index).flip(-1))
            assert (drawn[high:] == IGNORE).all()
            assert (drawn[:, wide:] == IGNORE).all()
        (batch,) = training(data, {"flip": 1}, batch_size=6).batches(0)
        assert batch.semantic is None  # they are there, but nobody asked

    def test_maps_of_the_masks(self):
        """They go with their images through everything, as maps of the data do."""
        data = ListedObjects(6)
        (batch,) = training(data, {"flip": 1}, batch_size=6, semantic="instances").batches(0)
        for row, index in enumerate(batch.indices.tolist()):
            (high, wide), drawn = batch.sizes[row], batch.semantic[row]
            expected = draw_classes(data.read_objects(index), background=len(data.class_names))
            assert torch.equal(drawn[:high, :wide], expected.flip(-1))
            assert (drawn[high:] == IGNORE).all()
            assert (drawn[:, wide:] == IGNORE).all()

    def test_images_without_objects_are_left_out(self):
        batches = training(ListedObjects(11, empty=[0, 3], crowds=[4, 7]), batch_size=3)
        assert batches.batches_per_epoch == 2
        seen = {index for epoch in range(5) for index in all_indices(batches.batches(epoch))}
        assert seen == {1, 2, 5, 6, 8, 9, 10}

    def test_without_masks(self):
        batch = next(training(ListedObjects(masks=False)).batches(0))
        assert {one.masks for one in batch.objects} == {None}

    @pytest.mark.parametrize("augment", [VARIED, EVERYTHING], ids=["varied", "everything"])
    def test_seed_and_epoch_decide(self, augment):
        epoch = content(training(ListedObjects(11), augment).batches(2))
        batches = training(ListedObjects(11), augment)
        first = content(batches.batches(1))
        before = torch.get_rng_state()
        assert content(batches.batches(2)) == epoch
        assert torch.equal(torch.get_rng_state(), before)
        assert first != epoch
        assert content(training(ListedObjects(11), augment, seed=2).batches(2)) != epoch

    def test_an_epoch_can_be_entered_anywhere(self):
        epoch = content(training().batches(2))
        assert content(training().batches(2, start=3)) == epoch[3:]
        assert content(training().batches(2, start=4)) == []
        assert content(training().batches(2, start=1, every=2)) == epoch[1::2]
        assert training().num_batches(2) == len(epoch) == 4

    def test_the_batch_size_does_not_change_an_image(self):
        small = by_image(training(augment=EVERYTHING).batches(3))
        large = by_image(training(augment=EVERYTHING, batch_size=20).batches(3))
        assert len(small.keys() & large.keys()) >= 17
        for index in small.keys() & large.keys():
            assert all(map(torch.equal, small[index], large[index]))

    def test_an_image_is_varied_anew_in_each_epoch(self):
        images = [by_image(training(ListedObjects(1), batch_size=1).batches(epoch))[0][0] for epoch in range(3)]
        assert images[0].shape != images[1].shape or not torch.equal(images[0], images[1])
        assert images[1].shape != images[2].shape or not torch.equal(images[1], images[2])

    def test_workers_make_the_same(self):
        batches = training(ListedObjects(semantic=True), EVERYTHING, semantic="maps", workers=2)
        assert batches.workers == 2
        expected = content(training(ListedObjects(semantic=True), EVERYTHING, semantic="maps").batches(1, start=1))
        assert content(batches.batches(1, start=1)) == expected

    def test_auto_is_a_worker_for_each_core(self, monkeypatch):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(3), raising=False)
        assert training(workers="auto").workers == 3
        assert eval_detection(ListedObjects(), IMAGE, batch_size=2, workers="auto").workers == 3


class TestPixels:
    BOUND = 3 * 64 * 64
    ROOMY = ((40, 60), (60, 40), (12, 60), (30, 31))

    def bounded(self, **options):
        return training(ListedObjects(40, sizes=self.ROOMY), pixels=self.BOUND, **options)

    def test_no_batch_has_more(self):
        batches = self.bounded(batch_size=8)
        assert batches.batches_per_epoch > 40 // 8
        for epoch in range(2):
            made = list(batches.batches(epoch))
            assert len(made) == batches.batches_per_epoch
            assert max(len(batch) * batch.images.shape[2] * batch.images.shape[3] for batch in made) <= self.BOUND
            assert len(set(all_indices(made))) == len(all_indices(made)) > 25
            assert len({len(batch) for batch in made}) > 1

    def test_nor_has_it_with_what_stands_in(self):
        data = ListedObjects(40, sizes=self.ROOMY, broken=range(0, 40, 3))
        for batch in training(data, pixels=self.BOUND, batch_size=8).batches(0):
            assert len(batch) * batch.images.shape[2] * batch.images.shape[3] <= self.BOUND

    def test_one_image_must_fit(self):
        message = (
            r"^batch.pixels: 6143, but images/3.png may have 6144, with padding, as it is shown; expected as many as "
            r"one image needs; raise it, or lower the sides in image and augment$"
        )
        data = ListedObjects(9, sizes=[(30, 31), (40, 40), (20, 20), (40, 70)], masks=False)
        with pytest.raises(DataError, match=message):
            training(data, STILL, pixels=6143)
        assert training(data, STILL, pixels=6144).batches_per_epoch > 2

    def test_the_largest_that_may_be_drawn_must_fit(self):
        with pytest.raises(DataError, match=r"^batch.pixels: 4096, but images/0.png may have 6144, with padding"):
            training(augment={"short_sides": (24, 46)}, pixels=4096)


class TestCopyPaste:
    def test_objects_of_others_are_added(self):
        """Of 11 images the third class is on every second one: with others' objects on nearly all."""
        data = ListedObjects(11)
        (alone,) = training(data, STILL, batch_size=11).batches(0)
        (pasted,) = training(data, STILL | {"copy_paste": 1.0}, batch_size=11).batches(0)
        assert alone.indices.tolist() == pasted.indices.tolist()
        assert pasted.sizes == alone.sizes
        assert sum(map(len, alone.objects)) == 22 < sum(map(len, pasted.objects)) < 44
        changed = [not torch.equal(one, other) for one, other in zip(alone.images, pasted.images, strict=True)]
        assert sum(changed) > 6
        for batch in (alone, pasted):
            for objects, image, (high, wide) in zip(batch.objects, batch.images, batch.sizes, strict=True):
                bright = image[0, :high, :wide] > 0
                drawn = objects.masks.bitmaps()
                assert (drawn.sum(0) <= 1).all()
                assert not (drawn.any(0) & ~bright).any()

    def test_as_often_as_it_should_be(self):
        data = ListedObjects(40)
        (batch,) = training(data, STILL | {"copy_paste": 0.3}, batch_size=40).batches(0)
        (alone,) = training(data, STILL, batch_size=40).batches(0)
        boxes = [
            (one.boxes.tolist(), other.boxes.tolist()) for one, other in zip(batch.objects, alone.objects, strict=True)
        ]
        assert 5 < sum(one != other for one, other in boxes) < 19

    def test_never_its_own_objects(self):
        (batch,) = training(ListedObjects(1), STILL | {"copy_paste": 1.0}, batch_size=1).batches(0)
        assert len(batch.objects[0]) == 2

    def test_from_a_broken_image_nothing_is_taken_and_no_one_is_told(self):
        """Not of the image that is pasted; of it as an image of the epoch once."""
        said = []
        batches = training(ListedObjects(2, broken=[1]), STILL | {"copy_paste": 1.0}, batch_size=2, warn=said.append)
        (batch,) = batches.batches(0)
        assert batch.indices.tolist() == [0, 0]
        assert list(map(len, batch.objects)) == [2, 2]
        assert said == ["images/1.png: broken; another image replaces it"]

    def test_masks_are_needed(self):
        message = (
            r"^augment.copy_paste: 0.5, but the objects of the data have no masks; expected masks, by which to cut "
            r"them out; set it to 0$"
        )
        with pytest.raises(DataError, match=message):
            training(ListedObjects(masks=False), {"copy_paste": 0.5})


class TestBrokenImages:
    BROKEN = (3, 4, 5, 17)

    @pytest.mark.parametrize("workers", [0, 2])
    def test_others_stand_in_and_each_is_named_once(self, workers):
        said = []
        batches = training(ListedObjects(broken=self.BROKEN), workers=workers, warn=said.append, batch_size=23)
        for epoch in (0, 1):
            (batch,) = batches.batches(epoch)
            assert len(batch) == 23
            assert not set(batch.indices.tolist()) & set(self.BROKEN)
            assert len(set(batch.indices.tolist())) == 19
        expected = [f"images/{index}.png: broken; another image replaces it" for index in self.BROKEN]
        assert sorted(said) == sorted(expected)

    def test_what_stands_in_is_shown_as_itself(self):
        whole = by_image(training(batch_size=23).batches(0))
        broken = by_image(training(ListedObjects(broken=self.BROKEN), batch_size=23).batches(0))
        for index, shown in broken.items():
            assert all(map(torch.equal, shown, whole[index]))

    def test_those_without_annotations_are_left_out_from_the_start(self):
        said = []
        batches = training(ListedObjects(7, unread=[2]), warn=said.append, batch_size=3)
        assert said == ["notes/2.txt: broken; it is left out"]
        assert 2 not in all_indices(batches.batches(0))

    @pytest.mark.parametrize("workers", [0, 2])
    def test_too_many_end_it(self, workers):
        batches = training(ListedObjects(3, broken=range(3)), workers=workers, batch_size=2)
        lines = r"^images/\d.png: broken\nimages/\d.png: broken\nimages/\d.png: broken$"
        with pytest.raises(DataError, match=lines):
            next(batches.batches(0))


class TestEvaluation:
    def test_all_in_their_order_again_and_again(self):
        batches = eval_detection(ListedObjects(empty=[4]), IMAGE, batch_size=5)
        first, second = list(batches), list(batches)
        assert content(first) == content(second)
        assert all_indices(first) == list(range(23))
        assert [len(batch) for batch in first] == [5, 5, 5, 5, 3]

    def test_images_are_resized_and_objects_are_not(self):
        """Crowds are there, and what is under a pixel in the resized image; sides are multiples of 32."""
        image = DetectionImageConfig(short_side=20, long_side=70)
        data = ListedObjects(4, crowds=[1], empty=[2], semantic=True)
        (batch,) = eval_detection(data, image, batch_size=4)
        assert (batch.images.shape, batch.images.dtype, batch.semantic) == ((4, 3, 32, 32), torch.float32, None)
        assert batch.sizes == [(20, 30), (30, 20), (20, 30), (20, 30)]
        assert batch.originals == [(40, 60), (60, 40), (40, 60), (40, 60)]
        for row, (high, wide) in enumerate(batch.sizes):
            pixels, objects = data.read(row)
            assert torch.equal(batch.images[row, :, :high, :wide], detection_input(pixels, image))
            assert (batch.images[row, :, high:] == 0).all()
            assert (batch.images[row, :, :, wide:] == 0).all()
            assert torch.equal(batch.objects[row].boxes, objects.boxes)
            assert batch.objects[row].masks.size == batch.originals[row]
        assert [one.crowd.tolist() for one in batch.objects] == [[False] * 2, [True] * 2, [], [False] * 2]

    def test_workers_make_the_same(self):
        batches = eval_detection(ListedObjects(), IMAGE, batch_size=4, workers=2)
        assert content(batches) == content(eval_detection(ListedObjects(), IMAGE, batch_size=4))

    @pytest.mark.parametrize("workers", [0, 2])
    def test_broken_images_end_it(self, workers):
        batches = iter(eval_detection(ListedObjects(broken=(2, 3)), IMAGE, batch_size=2, workers=workers))
        next(batches)
        with pytest.raises(DataError, match=r"^images/2.png: broken\nimages/3.png: broken$"):
            list(batches)


# Which images are trained on


class Written(ListedObjects):
    """One image per list of annotations."""

    def __init__(self, *annotations, masks=False):
        super().__init__(len(annotations), sizes=[(30, 50)], masks=masks)
        self._annotations = annotations

    def annotations(self, index):
        return self._annotations[index]


def test_numbers_and_sizes_of_trained_images():
    indices, sizes = trained_images(ListedObjects(7, empty=[0, 4], crowds=[5]), None)
    assert indices.tolist() == [1, 2, 3, 6]
    assert sizes.tolist() == [[60, 40], [40, 60], [40, 60], [40, 60]]


def test_what_makes_an_object():
    data = Written(
        [Annotation(0, "1", (49, 29, 70, 31))],
        [Annotation(0, "1", (49.1, 0, 70, 30))],
        [Annotation(0, "1", (0, 29.1, 50, 31))],
        [Annotation(0, "1", (-9, -9, 0.9, 30))],
        [Annotation(0, "1", (-9, -9, 50, 1))],
        [Annotation(0, "1", (60, 0, 70, 30))],
        [Annotation(0, "1", (0, 0, 50, 30), crowd=True)],
        [Annotation(0, "1", None, [rectangle(1, 2, 5, 9)])],
        [Annotation(0, "1", (0, 0, 50, 30), crowd=True), Annotation(0, "2", (0, 0, 50, 30))],
    )
    assert trained_images(data, None)[0].tolist() == [0, 4, 7, 8]


def test_with_masks_an_object_has_an_outline():
    box, outline = (0, 0, 50, 30), [rectangle(1, 2, 5, 9)]
    bare = [Annotation(0, "1", box), Annotation(0, "2", box, []), Annotation(0, "3", box, [[1, 2, 5, 9]])]
    images = bare, [*bare, Annotation(0, "4", box, outline)]
    assert trained_images(Written(*images), None)[0].tolist() == [0, 1]
    assert trained_images(Written(*images, masks=True), None)[0].tolist() == [1]


def test_what_cannot_be_read_is_left_out_and_told():
    said = []
    indices, _ = trained_images(ListedObjects(5, unread=[1, 3]), said.append)
    assert indices.tolist() == [0, 2, 4]
    assert said == [f"notes/{index}.txt: broken; it is left out" for index in (1, 3)]
    assert trained_images(ListedObjects(5, unread=[1, 3]), None)[0].tolist() == [0, 2, 4]


def test_if_none_can_be_read_the_first_are_named():
    lines = "\n".join([f"notes/{index}.txt: broken" for index in range(10)])
    with pytest.raises(DataError, match=f"^{lines}$"):
        trained_images(ListedObjects(12, unread=range(12)), None)


@pytest.mark.parametrize("about", [{"empty": range(5)}, {"crowds": range(5)}, {"unread": [1, 2], "empty": range(5)}])
def test_none_has_an_object(about):
    message = (
        r"^notes/0.txt: no object to be learned, nor in any of the 5 training images; expected boxes of a pixel or "
        r"more that are no crowds; correct the annotations$"
    )
    with pytest.raises(DataError, match=message):
        trained_images(ListedObjects(5, **about), None)
