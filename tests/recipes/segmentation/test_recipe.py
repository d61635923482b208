"""What a segmentation recipe may not say."""

import pytest

from attnkit import recipe_file
from attnkit.errors import RecipeError
from tests.recipes.scene_runs import scene_recipe


@pytest.mark.parametrize(
    ("override", "message"),
    [
        (
            "augment.scale=[2,0.5]",
            r"augment\.scale: \[2\.0, 0\.5\]: expected the smallest first, then the largest; swap",
        ),
        ("augment.scale=[0,1]", r"augment\.scale\[0\]: expected above 0, got 0$"),
        ("image.crop=[0,96]", r"image\.crop\[0\]: expected at least 1, got 0$"),
        ("image.std=[1,0,1]", r"image\.std\[1\]: expected above 0, got 0$"),
        ("inference.scales=[]", r"inference\.scales: expected 1 value or more, got a list$"),
        ("inference.scales=[-1]", r"=\[-1\]: inference\.scales\[0\]: expected above 0, got -1$"),
        ("inference.scales=[900]", r"=\[900\]: inference\.scales\[0\]: expected at most 8, got 900$"),
        ("inference.window=[9,0]", r"inference\.window\[1\]: expected at least 1, got 0$"),
        ("model.pool_scales=[]", r"model\.pool_scales: expected 1 value or more, got a list$"),
        ("model.pool_scales=[0]", r"=\[0\]: model\.pool_scales\[0\]: expected at least 1, got 0$"),
    ],
)
def test_numbers_that_cannot_be(override, message):
    with pytest.raises(RecipeError, match=message):
        recipe_file.load("segmentation/toy", [override])


def test_a_resnet_refuses_a_crop_of_one_cell():
    model = {"name": "upernet", "backbone": {"name": "resnet", "depth": 18}}
    message = "image.crop: 64x63 is but a cell of a ResNet's last map, of 32 pixels each; expected 64 or more; enlarge"
    with pytest.raises(ValueError, match=message):
        scene_recipe(model=model, image={"crop": [64, 63]})
    assert scene_recipe(model=model, image={"crop": [64, 64]}).image.crop == (64, 64)
