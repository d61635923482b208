import pickle

import numpy as np
import pytest
import torch

from attnkit.data.classification.config import ShapesConfig
from attnkit.data.images.shapes import CLASS_NAMES, generate
from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import SegmentationShapesConfig


def test_the_same_for_the_same_numbers():
    first, again = (generate(3, 5, size=40, num_shapes=4) for _ in range(2))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.masks, again.masks)
    for other in (generate(4, 5, size=40, num_shapes=4), generate(3, 6, size=40, num_shapes=4)):
        assert not np.array_equal(first.image, other.image)


@pytest.mark.parametrize(("size", "num_shapes"), [(16, 1), (32, 1), (53, 3), (96, 11), (40, 0)])
def test_boxes_and_masks_are_exact(size, num_shapes):
    for index in range(20):
        drawn = generate(1, index, size=size, num_shapes=num_shapes)
        assert drawn.image.shape == (3, size, size)
        assert drawn.image.dtype == np.uint8
        assert drawn.labels.shape == (num_shapes,)
        assert drawn.boxes.shape == (num_shapes, 4)
        assert drawn.masks.shape == (num_shapes, size, size)
        assert drawn.masks.sum(0).max(initial=0) <= (num_shapes > 0)  # visible parts do not overlap
        for mask, (x0, y0, x1, y1) in zip(drawn.masks, drawn.boxes.astype(int), strict=True):
            assert mask[y0:y1, x0:x1].sum() == mask.sum() > 0
            assert mask[y0].any()
            assert mask[y1 - 1].any()
            assert mask[:, x0].any()
            assert mask[:, x1 - 1].any()


def test_labels_say_what_is_seen():
    """The share of its box that a shape fills tells which it is."""
    seen = set()
    for index in range(100):
        drawn = generate(2, index, size=64)
        x0, y0, x1, y1 = drawn.boxes[0]
        filled = drawn.masks[0].sum() / ((x1 - x0) * (y1 - y0))
        name = CLASS_NAMES[drawn.labels[0]]
        seen.add(name)
        low, high = {"circle": (0.74, 0.84), "square": (1.0, 1.0), "triangle": (0.42, 0.58)}[name]
        assert low <= filled <= high, (name, filled)
    assert seen == set(CLASS_NAMES)


def test_shapes_stand_out():
    for index in range(50):
        drawn = generate(1, index, size=32)
        inside, outside = drawn.image[:, drawn.masks[0]].mean(1), drawn.image[:, ~drawn.masks[0]].mean(1)
        assert abs(inside - outside).max() > 80


def test_too_many_shapes_are_refused():
    with pytest.raises(ValueError, match=r"^500 shapes do not fit into 16x16 pixels; draw fewer, or a larger image$"):
        generate(1, 0, size=16, num_shapes=500)


def test_splits_share_no_image():
    config = ShapesConfig(format="shapes", train_images=60, valid_images=30, test_images=11, size=17)
    sets = [OpenedData(config)[split] for split in ("train", "valid", "test")]
    assert [len(images) for images in sets] == [60, 30, 11]
    contents = {images.read(i).numpy().tobytes() for images in sets for i in range(len(images))}
    assert len(contents) == 101
    assert sets[0].class_names == ("circle", "square", "triangle")
    assert sets[0].size == (17, 17)
    assert np.bincount(sets[0].labels, minlength=3).min() > 8
    assert sets[2].place(4) == "shapes test:5"
    drawn = generate(1, 7, size=17)
    assert np.array_equal(sets[0].read(7).numpy(), drawn.image)
    assert sets[0].labels[7] == drawn.labels[0]


class TestScenes:
    CONFIG = SegmentationShapesConfig(
        format="shapes", train_images=40, valid_images=7, test_images=11, size=29, most_shapes=3, seed=2
    )

    def test_each_pixel_is_of_what_is_drawn_there(self):
        scenes = OpenedData(self.CONFIG)["train"]
        assert len(scenes) == 40
        assert scenes.class_names == ("background", "circle", "square", "triangle")
        counts = set()
        for index in range(40):
            image, labels = scenes.read(index)
            assert image.shape == (3, 29, 29)
            assert (labels.dtype, labels.shape) == (torch.uint8, (29, 29))
            assert np.array_equal(scenes.read_labels(index), labels.numpy())
            matching = [
                drawn
                for count in (1, 2, 3)
                if np.array_equal((drawn := generate(2, index, size=29, num_shapes=count)).image, image.numpy())
            ]
            (drawn,) = matching
            counts.add(len(drawn.labels))
            for label, visible in zip(drawn.labels, drawn.masks, strict=True):
                assert (labels.numpy()[visible] == label + 1).all()
            assert (labels.numpy()[~drawn.masks.any(0)] == 0).all()
        assert counts == {1, 2, 3}

    def test_splits_share_no_scene(self):
        sets = [OpenedData(self.CONFIG)[split] for split in ("train", "valid", "test")]
        contents = {scenes.read(i)[0].numpy().tobytes() for scenes in sets for i in range(len(scenes))}
        assert [len(scenes) for scenes in sets] == [40, 7, 11]
        assert len(contents) == 58

    def test_names_and_parts(self):
        scenes = pickle.loads(pickle.dumps(OpenedData(self.CONFIG)["test"].select(np.array([4, 2]))))
        assert [scenes.place(i) for i in range(len(scenes))] == ["shapes test:5", "shapes test:3"]
        assert (scenes.mask_place(0), scenes.name(1), scenes.size(0)) == ("shapes test:5", "test_00003", (29, 29))
        assert scenes.left_out() == []
        assert np.array_equal(scenes.read_labels(1), OpenedData(self.CONFIG)["test"].read_labels(2))
