"""What a detection recipe may not say."""

import pytest

from attnkit import recipe_file
from attnkit.errors import RecipeError


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inference.short_sides=[]", r"inference\.short_sides: expected 1 value or more, got a list$"),
        ("inference.short_sides=[0]", r"inference\.short_sides\[0\]: expected at least 16, got 0$"),
        ("inference.short_sides=[640,9000]", r"inference\.short_sides\[1\]: expected at most 8192, got 9000$"),
    ],
)
def test_sizes_that_cannot_be(override, message):
    with pytest.raises(RecipeError, match=message):
        recipe_file.load("detection/toy", [override])
