"""Recipes from YAML: what is read, versions, and back to YAML."""

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter
from ruamel.yaml import YAML

from attnkit import __version__, recipe_file
from attnkit.recipes.base import BaseRecipe
from attnkit.recipes.translation.recipe import TranslationRecipe

MINIMAL = """\
name: mine
train:
  steps: 7
data:
  format: reverse_digits
"""


# What is read


def test_minimal_recipe_gets_the_schema_s_defaults(my):
    recipe = my(MINIMAL)
    assert (recipe.name, recipe.task, recipe.train.steps) == ("mine", "translation", 7)
    assert recipe.model.embed_dim == 512
    assert recipe.tokenizer.name == "sentencepiece"


def test_yaml_1_2(my):
    recipe = my(MINIMAL + "loss: {label_smoothing: 1e-4}\nmodel: {max_positions: 1_000}\n")
    assert recipe.loss.label_smoothing == 0.0001
    assert recipe.model.max_positions == 1000


def test_no_is_a_text_and_not_false(mistakes):
    assert mistakes(MINIMAL + "bleu: {lowercase: no}\n") == [
        "my.yaml:6: bleu.lowercase: expected true or false, got 'no'"
    ]


# Versions


def test_schema_default_is_the_version_of_the_package():
    assert BaseRecipe.model_fields["attnkit"].default == ".".join(__version__.split(".")[:2])


@pytest.mark.parametrize(
    ("version", "message"),
    [
        ("99.0", "the recipe is for version 99.0, newer than this attnkit {v}; expected '{s}'; "
                 "upgrade by pip install -U attnkit"),
        ("0.0", "the recipe is for version 0.0, older than this attnkit {v}; expected '{s}'; "
                "fix what CHANGELOG.md lists under Breaking, then write that"),
        ("new", "not a version, 'new'; expected '{s}'; write that"),
    ],
)  # fmt: skip
def test_recipe_of_another_version_is_one_line(mistakes, version, message):
    short = ".".join(__version__.split(".")[:2])
    lines = mistakes(f'name: a\nattnkit: "{version}"\nunknown: 1\n')
    assert lines == [f"my.yaml:2: attnkit: {message.format(v=__version__, s=short)}"]


def test_patch_level_does_not_matter(my):
    assert my(MINIMAL + f'attnkit: "{__version__}"\n').attnkit == __version__


# And back


def test_dump_opens_with_the_task_and_holds_every_value(my):
    recipe = my(MINIMAL)
    text = recipe_file.dump(recipe)
    assert text.startswith("task: translation\nname: mine\nattnkit: ")
    assert "clip_norm: null\n" in text
    assert YAML(typ="safe", pure=True).load(text) == recipe.model_dump(mode="json")


@given(st.text(alphabet="noytrue0123456789.e-", min_size=1), st.floats(0, 0.99), st.integers(1, 10**12))
def test_dump_round_trip(tmp_path_factory, word, number, steps):
    recipe = TypeAdapter(TranslationRecipe).validate_python(
        {
            "name": "x" + word,
            "train": {"steps": steps, "schedule": {"name": "multi_step", "lr": 1e-9, "milestones": [3, 5]}},
            "loss": {"label_smoothing": number},
            "data": {"format": "tsv", "train": word, "test": "a: b #c"},
        }
    )
    path = tmp_path_factory.mktemp("dump") / "recipe.yaml"
    path.write_text(recipe_file.dump(recipe), encoding="utf-8")
    assert recipe_file.load(path) == recipe


def test_schema_is_json():
    assert '"TranslationRecipe"' in io.StringIO(recipe_file.schema_text()).read()
