"""What an import gives: how many classes its head has, and for which size of images it is."""

import pytest
import torch

from attnkit.data.classification.config import ImageConfig
from attnkit.data.detection.config import DetectionImageConfig
from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.interop.imported_weights import DetectedParts, ImportedWeights, size_note
from attnkit.models.config import ViTConfig

VIT = ViTConfig(name="vit", embed_dim=12, depth=1, num_heads=3, patch_size=4)


IMAGE = ImageConfig(size=20)


def imported(weights, image=IMAGE, **more):
    return ImportedWeights("somebody", VIT, image, weights, **more)


def test_rows_of_the_first_head_are_classes():
    weights = {"head.weight": torch.zeros(7, 12), "other.weight": torch.zeros(5, 12)}
    assert imported(weights).num_classes == 7
    assert imported(weights, heads=("other", "head")).num_classes == 5
    assert imported(weights, heads=("none",)).num_classes is None


def test_the_background_of_a_detector_is_no_class():
    weights = {"box.weight": torch.zeros(81, 12)}
    assert imported(weights, heads=("box",), parts=DetectedParts(masks=True)).num_classes == 80


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (ImageConfig(size=20), 20),
        (SegmentationImageConfig(crop=(48, 64)), 48),
        (DetectionImageConfig(short_side=96, long_side=160), 96),
    ],
)
def test_the_size_of_a_side(image, size):
    assert imported({}, image).image_size == size


def test_a_size_that_was_assumed_is_said():
    assert size_note("7 apples") == (
        "size of the images: no weight shows it; taken to be 7 apples; where it was another, import with --image-size, "
        "or fix image in recipe.yaml"
    )
