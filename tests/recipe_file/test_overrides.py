"""--set and other options: values over those of the file, and every mistake named as it was typed."""

import pytest

from attnkit.recipe_file import Override
from attnkit.recipes.base import BaseRecipe
from tests.recipe_file.test_load import MINIMAL


def test_set_changes_nested_keys_that_the_file_has_and_has_not(my):
    recipe = my(MINIMAL, "train.steps=9", "decode.length_penalty.alpha=1e-1", "train.patience=5")
    assert (recipe.train.steps, recipe.decode.length_penalty.alpha, recipe.train.patience) == (9, 0.1, 5)


def test_set_to_null(my):
    assert my(MINIMAL.replace("7", "7\n  patience: 3"), "train.patience=null").train.patience is None


def test_set_takes_whole_sections_and_lists(my):
    recipe = my(MINIMAL, "train.schedule={name: multi_step, lr: 0.5, milestones: [3, 5]}")
    assert recipe.train.schedule.milestones == (3, 5)


def test_set_of_a_text_may_look_like_a_number(my):
    assert my(MINIMAL, "name=2024").name == "2024"
    assert my(MINIMAL, "name=1e5").name == "1e5"


def test_set_of_what_is_not_yaml_is_text(mistakes):
    assert mistakes(MINIMAL, "name=[x") == [
        "--set name=[x: name: expected a text like ^[A-Za-z0-9][A-Za-z0-9._-]*$, got '[x'"
    ]


def test_set_switches_a_choice_and_drops_what_only_the_old_one_has(my):
    text = MINIMAL + "tokenizer: {name: sentencepiece, vocab_size: 99, lowercase: true}\n"
    recipe = my(text, "tokenizer.name=characters")
    assert recipe.tokenizer.model_dump() == {"name": "characters", "joint": True, "lowercase": True}


def test_set_of_a_key_that_the_new_choice_lacks_is_a_mistake(mistakes):
    lines = mistakes(MINIMAL, "tokenizer.vocab_size=99", "tokenizer.name=characters")
    assert lines == [
        "--set tokenizer.vocab_size=99: tokenizer.vocab_size: unknown key; expected name, joint or lowercase"
    ]


def test_the_last_set_wins(my):
    assert my(MINIMAL, "train.steps=3", "train.steps=5").train.steps == 5


@pytest.mark.parametrize("override", ["train.steps", "=3", "train..steps=3"])
def test_set_without_key_or_value(mistakes, override):
    assert mistakes(MINIMAL, override) == [
        f"--set {override}: not an assignment; expected KEY=VALUE, such as --set train.steps=100"
    ]


def test_mistakes_of_set_stand_behind_those_of_the_file(mistakes):
    assert mistakes(MINIMAL + "zzzzz: 1\n", "train.lr=x", "train.schedule.name=cosine")[1:] == [
        "--set train.lr=x: train.lr: unknown key; expected steps, seed, accumulate, optimizer, schedule, clip_norm, "
        + _keys_of_train_after_clip_norm(),
        "--set train.schedule.name=cosine: train.schedule.lr: missing; expected a number; add it",
    ]


def _keys_of_train_after_clip_norm():
    keys = list(BaseRecipe.model_fields["train"].annotation.model_fields)
    rest = keys[keys.index("clip_norm") + 1 :]
    return f"{', '.join(rest[:-1])} or {rest[-1]}"


def test_rule_broken_by_set_is_shown_at_set(mistakes):
    assert mistakes(MINIMAL + "model: {num_heads: 4}\n", "model.embed_dim=10")[0].startswith(
        "--set model.embed_dim=10: model: embed_dim 10 does not divide into num_heads 4"
    )
    assert mistakes(MINIMAL, "tokenizer.joint=false")[0].startswith(
        "--set tokenizer.joint=false: model.tied_embeddings: 'all' shares"
    )


def test_other_options_are_named_as_the_user_typed_them(mistakes):
    option = Override("--beam-size 0", "decode.beam_size", "0")
    assert mistakes(MINIMAL, options=[option]) == ["--beam-size 0: decode.beam_size: expected at least 1, got 0"]


def test_duplicate_key_in_set(mistakes):
    override = "loss={label_smoothing: 0, label_smoothing: 1}"
    assert mistakes(MINIMAL, override) == [
        f"--set {override}: loss.label_smoothing: stands here twice; remove one of them"
    ]
