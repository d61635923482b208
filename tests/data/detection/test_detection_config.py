import pytest
from pydantic import ValidationError

from attnkit.data.detection.config import DetectionAugmentConfig


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"short_sides": []}, r"short_sides: \[\]; expected sides of 16 pixels or more, one at least; fix them"),
        ({"short_sides": [480, 15]}, r"short_sides: \[480, 15\]; expected sides of 16 pixels or more, one at least"),
        ({"crop_branch": {"short_sides": [0]}}, r"short_sides: \[0\]; expected sides of 16 pixels or more"),
        (
            {"crop_branch": {"crop": [600, 384]}},
            r"crop: \[600, 384\]; expected the least side and the most, from 1 on",
        ),
        (
            {"crop_branch": {"crop": [0, 384]}},
            r"crop: \[0, 384\]; expected the least side and the most, from 1 on",
        ),
        (
            {"jitter": {"scale": [2.0, 0.1]}},
            r"\[2.0, 0.1\]: expected the least and the largest",
        ),
        (
            {"jitter": {"scale": [0.0, 0.1]}},
            r"\[0.0, 0.1\]: expected the least and the largest",
        ),
        (
            {"jitter": {}, "short_sides": [480]},
            "jitter: it takes the place of short_sides and crop_branch; expected",
        ),
        ({"jitter": {}, "crop_branch": {}}, "jitter: it takes the place of short_sides and crop_branch; expected one;"),
    ],
)
def test_sizes_that_no_image_can_have(augment, message):
    with pytest.raises(ValidationError, match=message):
        DetectionAugmentConfig.model_validate(augment)


@pytest.mark.parametrize(
    "augment", [{}, {"short_sides": [480], "crop_branch": {"crop": [384, 384]}}, {"jitter": {"scale": [1.0, 1.0]}}]
)
def test_those_that_one_can(augment):
    assert DetectionAugmentConfig.model_validate(augment)
