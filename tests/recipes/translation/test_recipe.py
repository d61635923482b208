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


def test_learned_positions_that_just_reach():
    recipe = recipe_with(filter__max_length=9, model__positions="learned", model__max_positions=10)
    assert recipe.model.max_positions == 10
    assert recipe_with(filter__max_length=9, model__max_positions=9).model.positions != "learned"


@pytest.mark.parametrize("tied", ["all", "decoder", "none"])
def test_only_one_vocabulary_can_be_tied_everywhere(tied):
    tokenizer = {"name": "characters", "joint": False}
    assert recipe_with(model__tied_embeddings=tied).model.tied_embeddings == tied
    if tied != "all":
        assert recipe_with(tokenizer=tokenizer, model__tied_embeddings=tied).model.tied_embeddings == tied
        return
    with pytest.raises(ValidationError, match=r"model\.tied_embeddings: 'all' shares one embedding between two voc"):
        recipe_with(tokenizer=tokenizer, model__tied_embeddings=tied)
