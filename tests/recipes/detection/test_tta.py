"""Test-time augmentation of images with objects."""

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.recipes.detection.recipe import DetectionInferenceConfig
from attnkit.recipes.detection.tta import augmentations


def test_the_bound_of_the_longer_side_goes_with_the_size():
    image = DetectionImageConfig(short_side=60, long_side=100)
    several = augmentations(image, DetectionInferenceConfig(short_sides=(30, 90)))
    assert [(one.image.short_side, one.image.long_side) for one in several] == [(30, 50), (90, 150)]
    (alone,) = augmentations(image, DetectionInferenceConfig())
    assert alone.image == image
