"""What a classification recipe may not say."""

import pytest
from pydantic import ValidationError

from attnkit import recipe_file
from attnkit.errors import RecipeError
from tests.recipes.tiny_images import SWIN, recipe_with


def test_patches_that_do_not_cover_the_image():
    message = r"image\.size: 18 is no multiple of model\.patch_size 4; expected whole patches; change one of the two"
    with pytest.raises(ValidationError, match=message):
        recipe_with(image__size=18)
    assert recipe_with(image__size=20).image.size == 20


def test_a_swin_takes_any_size():
    assert recipe_with(image__size=18, model=SWIN).image.size == 18


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss.teacher={form: hard}", r"loss\.teacher\.from: missing; expected a text; add it$"),
        ("loss.teacher={from: x, weight: 0}", r"loss\.teacher\.weight: expected above 0, got 0$"),
        (
            "loss.teacher={from: x, form: sharp}",
            r"loss\.teacher\.form: expected hard or soft, got 'sharp'; did you mean hard",
        ),
        ("loss.label_smoothing=1", r"loss\.label_smoothing: expected below 1, got 1$"),
    ],
)
def test_values_that_cannot_be(override, message):
    with pytest.raises(RecipeError, match=message):
        recipe_file.load("classification/toy", [override])
