"""How much memory whole images need, about."""

import pytest

from attnkit.models.build import build_model
from attnkit.models.config import UperNetConfig
from attnkit.recipes.segmentation.tta import bytes_of_whole_images, pixels_per_cell, values_per_cell

SWIN = {"name": "swin", "embed_dim": 12, "depths": [1, 1], "num_heads": [2, 3], "window_size": 2}


def model(**changes):
    config = UperNetConfig.model_validate({"backbone": SWIN | changes, "channels": 5, "pool_scales": [1]})
    return build_model(config, num_classes=3, image_size=16)


def test_values_of_a_cell():
    assert values_per_cell(model()) == 6 * 5 + 12 * 12
    assert pixels_per_cell(model()) == 4
    assert pixels_per_cell(model(patch_size=2)) == 2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([(8, 12)], 4 * (6 * 100 + 6 * 7)), ([(8, 12), (8, 12), (4, 8)], 4 * (6 * 100 + (6 + 6 + 2) * 7))],
)
def test_the_largest_image_and_the_logits_of_all(sizes, expected):
    assert bytes_of_whole_images(sizes, values_per_cell=100, pixels_per_cell=4, num_classes=7) == expected
