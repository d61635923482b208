import pytest
from pydantic import ValidationError

from attnkit.data.detection.config import DetectionAugmentConfig


@pytest.mark.parametrize(
    ("augment", "message"),
    [
        ({"short_sides": []}, r"^short_sides\n.* at least 1 item"),
        ({"short_sides": [480, 15]}, r"^short_sides\.1\n.* greater than or equal to 16 .*input_value=15"),
        ({"crop_branch": {"short_sides": [0]}}, r"^crop_branch\.short_sides\.0\n.* greater than or equal to 16 "),
        (
            {"crop_branch": {"crop": [600, 384]}},
            r"crop: \[600, 384\]; expected the smallest side first, then the largest; swap them",
        ),
        (
            {"crop_branch": {"crop": [0, 384]}},
            r"^crop_branch\.crop\.0\n.* greater than or equal to 1 ",
        ),
        (
            {"jitter": {"scale": [2.0, 0.1]}},
            r"\[2.0, 0.1\]: expected the smallest first, then the largest",
        ),
        (
            {"jitter": {"scale": [0.0, 0.1]}},
            r"^jitter\.scale\.0\n.* greater than 0 ",
        ),
        (
            {"jitter": {}, "short_sides": [480]},
            "jitter: it takes the place of short_sides and crop_branch; expected",
        ),
        ({"jitter": {}, "crop_branch": {}}, "jitter: it takes the place of short_sides and crop_branch; expected one;"),
    ],
)
def test_sizes_that_no_image_can_have(augment, message):
    with pytest.raises(ValidationError, match=f"(?m){message}"):
        DetectionAugmentConfig.model_validate(augment)


@pytest.mark.parametrize(
    "augment", [{}, {"short_sides": [480], "crop_branch": {"crop": [384, 384]}}, {"jitter": {"scale": [1.0, 1.0]}}]
)
def test_those_that_one_can(augment):
    assert DetectionAugmentConfig.model_validate(augment)
