"""What a translation recipe may not say."""

import pytest
from pydantic import ValidationError

from tests.recipes.tiny import recipe_with


def test_a_table_of_positions_that_is_too_short():
    with pytest.raises(
        ValidationError,
        match=r"model\.max_positions: 9 is too short for filter\.max_length 9 and an end of sentence; expected at "
        r"least 10; change one of the two",
    ):
        recipe_with(filter__max_length=9, model__positions="learned", model__max_positions=9)
