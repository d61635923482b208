"""Small segmentation recipes on generated scenes, for tests that go the whole way."""

from attnkit.data.segmentation.config import SegmentationShapesConfig
from tests.recipes.scene_runs import scene_recipe

SHAPES = {"format": "shapes", "size": 16, "train_images": 10, "valid_images": 3, "test_images": 2, "most_shapes": 2}


def tiny_recipe(**sections):
    return scene_recipe(
        data=None,
        **{
            "image": {"crop": [16, 16]},
            "train": {
                "steps": 6,
                "optimizer": {"name": "adamw"},
                "schedule": {"name": "poly", "lr": 1e-3},
                "validate_every": 3,
                "save_every": 2,
                "log_every": 2,
                "keep_last": 1,
                "average_last": 1,
            },
            **sections,
        },
    ).model_copy(update={"data": SegmentationShapesConfig.model_validate(SHAPES)})
