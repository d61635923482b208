"""Generated images with objects: what is drawn, and what the set says of it."""

import pickle

import numpy as np
import pytest
import torch

from attnkit.data.detection.config import DetectionShapesConfig
from attnkit.data.images.shapes import CLASS_NAMES
from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import SegmentationShapesConfig
from attnkit.errors import DataError


class TestObjects:
    CONFIG = DetectionShapesConfig(
        format="shapes", train_images=20, valid_images=7, test_images=11, size=29, most_shapes=3, seed=2
    )

    def test_they_are_those_of_the_scenes(self):
        found = OpenedData(self.CONFIG)["train"]
        assert (len(found), found.class_names, found.category_ids) == (20, CLASS_NAMES, (1, 2, 3))
        assert (found.has_masks, found.semantic_classes, found.read_semantic(0)) == (True, None, None)
        scenes = OpenedData(SegmentationShapesConfig(**self.CONFIG.model_dump()))["train"]
        for index in range(20):
            image, objects = found.read(index)
            scene, labels = scenes.read(index)
            assert torch.equal(image, scene)
            drawn = (objects.masks.bitmaps() * (objects.labels + 1)[:, None, None]).sum(0)
            assert torch.equal(drawn, labels.long())
            assert torch.equal(objects.masks.boxes(), objects.boxes)
            assert torch.equal(objects.masks.areas(), objects.areas)
            assert not objects.crowd.any()
            assert torch.equal(found.read_objects(index).boxes, objects.boxes)
            assert [one.label for one in found.annotations(index)] == objects.labels.tolist()
            assert [list(one.box) for one in found.annotations(index)] == objects.boxes.tolist()
            assert [one.area for one in found.annotations(index)] == objects.areas.tolist()

    def test_names_and_parts(self):
        part = pickle.loads(pickle.dumps(OpenedData(self.CONFIG)["test"].select(np.array([4, 2]))))
        assert [part.place(i) for i in range(len(part))] == ["shapes test:5", "shapes test:3"]
        assert (part.annotation_place(0), part.name(1), part.image_id(1)) == ("shapes test:5", "test_00003", 3)
        assert part.size(0) == part.header_size(0) == (29, 29)
        assert part.left_out() == []

    def test_shapes_without_room(self):
        data = OpenedData(DetectionShapesConfig(format="shapes", size=16, most_shapes=300))["train"]
        message = (
            r"^data.most_shapes: \d+ shapes do not fit into 16x16 pixels; expected room for each; lower it, or rais"
        )
        crowded = next(i for i in range(100) if np.random.default_rng([1, i, 1]).integers(1, 301) > 200)
        with pytest.raises(DataError, match=message):
            data.read(crowded)
