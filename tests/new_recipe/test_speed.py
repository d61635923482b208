"""How fast networks train here: measured for each task, in no time at all."""

import pytest

from attnkit.new_recipe.networks import CLASSIFIER_NANO, DETECTOR_NANO, SEGMENTER_FLAT
from attnkit.new_recipe.speed import classifier_speed, detector_speed, segmenter_speed


def test_a_classifier_is_measured():
    assert classifier_speed(CLASSIFIER_NANO.config(16), 16, seconds=0.0) > 0


def test_a_segmenter_is_measured():
    assert segmenter_speed(SEGMENTER_FLAT.config(32), 32, 3, seconds=0.0) > 0


@pytest.mark.parametrize("masks", [True, False])
def test_a_detector_is_measured(masks):
    model = DETECTOR_NANO.config(anchor_scale=4, proposals=20, samples=8)
    small = {"embed_dim": 4, "depths": (1, 1, 1, 1), "num_heads": (1, 1, 1, 1)}
    model = model.model_copy(update={"backbone": model.backbone.model_copy(update=small)})
    assert detector_speed(model, (64, 96), num_classes=3, masks=masks, seconds=0.0) > 0
