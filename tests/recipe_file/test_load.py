"""Recipes from YAML and --set: what is read, and every mistake in one line at its place."""

import io
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError
from ruamel.yaml import YAML

from attnkit import __version__, recipe_file
from attnkit.config import Config
from attnkit.errors import RecipeError
from attnkit.recipe_file import Override
from attnkit.recipe_file.form import Slot, expected, fill_in, root_slot
from attnkit.recipe_file.mistakes import mistakes_of
from attnkit.recipe_file.tree import Node, Place, parse_value
from attnkit.recipes.base import BaseRecipe
from attnkit.recipes.translation.recipe import TranslationRecipe

MINIMAL = """\
name: mine
train:
  steps: 7
data:
  format: reverse_digits
"""


@pytest.fixture
def my(tmp_path, monkeypatch):
    """Writes my.yaml into the working directory and loads it."""
    monkeypatch.chdir(tmp_path)

    def load(text, *overrides, options=()):
        (tmp_path / "my.yaml").write_bytes(text.encode() if isinstance(text, str) else text)
        return recipe_file.load("my.yaml", overrides, options=options)

    return load


@pytest.fixture
def mistakes(my):
    """The lines that a recipe is refused with."""

    def load(text, *overrides, options=()):
        with pytest.raises(RecipeError) as caught:
            my(text, *overrides, options=options)
        return str(caught.value).splitlines()

    return load


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


def test_exponent_is_an_integer_where_one_is_expected(my, mistakes):
    assert my(MINIMAL.replace("7", "3e5")).train.steps == 300_000
    assert mistakes(MINIMAL.replace("7", "3.5")) == ["my.yaml:3: train.steps: expected an integer, got 3.5"]


def test_section_without_its_name_is_the_default_one(my):
    recipe = my(MINIMAL + "tokenizer: {vocab_size: 321}\n", "train.optimizer.beta2=0.997")
    assert (recipe.tokenizer.name, recipe.tokenizer.vocab_size) == ("sentencepiece", 321)
    assert (recipe.train.optimizer.name, recipe.train.optimizer.beta2) == ("adam", 0.997)


def test_byte_order_mark_and_crlf(my):
    assert my(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode()).name == "mine"


# Mistakes of the file


def test_every_mistake_at_once_in_the_order_of_the_file(mistakes):
    text = """\
name: a b
train:
  steps: many
  optimizer:
    name: adamw
    beta3: 1
    eps: small
  schedule:
    name: cosin
data:
  format: text
  train:
    src: 1
model:
  num_head: 4
  norm: posd
  dropout: 1.0
  embed_dim: 1
"""
    assert mistakes(text) == [
        "my.yaml:1: name: expected a text like ^[A-Za-z0-9][A-Za-z0-9._-]*$, got 'a b'",
        "my.yaml:3: train.steps: expected an integer, got 'many'",
        "my.yaml:6: train.optimizer.beta3: unknown key; did you mean beta2?",
        "my.yaml:7: train.optimizer.eps: expected a number, got 'small'",
        "my.yaml:9: train.schedule.name: expected inverse_sqrt, cosine, poly or multi_step, got 'cosin'; "
        "did you mean cosine?",
        "my.yaml:12: data.train.tgt: missing; expected a text; add it",
        "my.yaml:13: data.train.src: expected a text, got 1",
        "my.yaml:15: model.num_head: unknown key; did you mean num_heads?",
        "my.yaml:16: model.norm: expected post or pre, got 'posd'; did you mean post?",
        "my.yaml:17: model.dropout: expected below 1, got 1.0",
        "my.yaml:18: model.embed_dim: expected at least 2, got 1",
    ]


def test_unknown_key_without_a_neighbour_lists_the_keys(mistakes):
    assert mistakes(MINIMAL + "loss: {zzz: 1}\n") == [
        "my.yaml:6: loss.zzz: unknown key; expected label_smoothing or smoothing_form"
    ]


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("train: 3", "train: expected a section of keys, got 3"),
        ("train: [1]", "train: expected a section of keys, got a list"),
        ("train:", "train: expected a section of keys, got null"),
        ("train: {steps: true}", "train.steps: expected an integer, got true"),
        ("train: {steps: '12'}", "train.steps: expected an integer, got '12'"),
        ("train: {steps: {a: 1}}", "train.steps: expected an integer, got a section of keys"),
        ("train: {steps: 1, patience: x}", "train.patience: expected an integer or null, got 'x'"),
        ("train: {steps: 1, clip_norm: 0}", "train.clip_norm: expected above 0, got 0"),
        (
            "train: {steps: 1, optimizer: adam}",
            "train.optimizer: expected a section with name: adam, adamw or sgd, got 'adam'",
        ),
        (
            "train: {steps: 1, schedule: {name: multi_step, lr: 1, milestones: [1, x]}}",
            "train.schedule.milestones[1]: expected an integer, got 'x'",
        ),
        (
            "train: {steps: 1, schedule: {name: multi_step, lr: 1, milestones: 5}}",
            "train.schedule.milestones: expected a list, got 5",
        ),
        ("train: {steps: 1, schedule: {name: poly}}", "train.schedule.lr: missing; expected a number; add it"),
    ],
)
def test_wrong_values(mistakes, written, message):
    assert mistakes(f"name: a\n{written}\ndata: {{format: reverse_digits}}\n") == [f"my.yaml:2: {message}"]


def test_missing_choice(mistakes):
    assert mistakes("name: a\ntrain: {steps: 1}\ndata:\n  train: a.tsv\n") == [
        "my.yaml:4: data.train: expected a section of keys, got 'a.tsv'"
    ]
    assert mistakes("name: a\ntrain: {steps: 1}\n") == [
        "my.yaml:1: data: missing; expected a section with format: text, tsv, jsonl, reverse_digits or tatoeba_en_de; "
        "add it"
    ]


def test_equal_keys(mistakes):
    text = MINIMAL + "name: other\nloss:\n  label_smoothing: 0.1\n  label_smoothing: 0.2\n"
    assert mistakes(text) == [
        "my.yaml:6: name: stands here twice, first at my.yaml:1; remove one of them",
        "my.yaml:9: loss.label_smoothing: stands here twice, first at my.yaml:8; remove one of them",
    ]


def test_rule_about_two_keys_is_shown_at_their_section(mistakes):
    assert mistakes(MINIMAL + "model:\n  embed_dim: 10\n  num_heads: 4\n") == [
        "my.yaml:6: model: embed_dim 10 does not divide into num_heads 4; expected a multiple; change one of the two"
    ]


def test_rule_about_two_sections_is_shown_at_what_the_file_says_of_it(mistakes):
    assert mistakes(MINIMAL + "tokenizer:\n  joint: false\n") == [
        "my.yaml:7: model.tied_embeddings: 'all' shares one embedding between two vocabularies; "
        "expected 'decoder' or 'none' with tokenizer.joint: false; set one of the two"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "my.yaml:1: empty; expected a recipe; start from one: attnkit recipe copy translation/toy"),
        ("- 1\n", "my.yaml:1: not a section of keys; expected a recipe; "
                  "start from one: attnkit recipe copy translation/toy"),
        ("a: [1\nb: 2\n", "my.yaml:2: not YAML, while parsing a flow sequence, expected ',' or ']', but got ':'; "
                          "expected key: value; fix this line"),
        ("a: b: c\n", "my.yaml:1: not YAML, mapping values are not allowed here; expected key: value; fix this line"),
        (b"name: x\ntrain: \xfc\n", "my.yaml:2: not UTF-8, byte 0xfc; expected a text file; save it as UTF-8"),
    ],
)  # fmt: skip
def test_not_a_recipe_at_all(mistakes, text, message):
    assert mistakes(text) == [message]


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


# --set


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


# Where recipes lie


def test_shipped_recipe_by_name_with_and_without_ending(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipe_file.find_recipe("translation/toy") == recipe_file.shipped_folder() / "translation/toy.yaml"
    assert recipe_file.find_recipe("translation/toy.yaml") == recipe_file.find_recipe("translation/toy")


def test_file_before_shipped_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "translation").mkdir()
    (tmp_path / "translation/toy.yaml").write_text(MINIMAL)
    assert recipe_file.load("translation/toy.yaml").name == "mine"


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("translation/toi", "did you mean translation/toy?"),
        (
            "toy.yaml",
            "did you mean classification/toy or detection/toy or segmentation/toy or translation/toy?",
        ),
        ("multi30k-en-de", "did you mean translation/multi30k_en_de?"),
        ("zzzzzzzzz", "see them by attnkit recipe list"),
    ],
)
def test_no_such_recipe(tmp_path, monkeypatch, name, hint):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecipeError) as caught:
        recipe_file.load(name)
    folder = recipe_file.shipped_folder()
    assert str(caught.value) == (
        f"{name}: no such recipe; looked in {tmp_path} and among the shipped recipes in {folder}; {hint}"
    )


def test_folder_is_no_recipe(tmp_path):
    with pytest.raises(RecipeError, match=f"^{tmp_path}: a folder; expected a recipe file; name one in it$"):
        recipe_file.load(tmp_path)
    (tmp_path / "recipe.yaml").write_text(MINIMAL)
    with pytest.raises(RecipeError, match=f"expected a recipe file; name {tmp_path}/recipe.yaml$"):
        recipe_file.load(tmp_path)


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


# Several tasks, as there will be


class Apples(Config):
    """One task."""

    task: Literal["apples"] = "apples"
    count: int


class Pears(Config):
    """Another."""

    task: Literal["pears"]
    weight: float


Fruit = Annotated[Apples | Pears, Field(discriminator="task")]


def fruit_mistakes(text):
    tree, root = parse_value(text, Place(1, "my.yaml:1")), root_slot(Fruit)
    fill_in(tree, root)
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Fruit).validate_python(tree.plain())
    return [str(mistake) for mistake in mistakes_of(caught.value, tree, root)]


def test_choice_of_task():
    assert fruit_mistakes("{task: plums}") == ["my.yaml:1: task: expected apples or pears, got 'plums'"]
    assert fruit_mistakes("{task: pears, count: 1}") == [
        "my.yaml:1: weight: missing; expected a number; add it",
        "my.yaml:1: count: unknown key; expected task or weight",
    ]
    assert fruit_mistakes("{count: x}") == ["my.yaml:1: count: expected an integer, got 'x'"]


def test_two_choices_without_default_must_be_named():
    slot = Slot(Pears | Apples, "task")
    assert slot.default_tag() == "apples"
    assert Slot(Pears, "task").default_tag() is None
    assert expected(slot) == "a section with task: pears or apples"


def test_plain_values():
    tree = parse_value("{a: [1, {b: null}], c: 2020-01-01}", Place(1, "x"))
    assert tree.plain() == {"a": [1, {"b": None}], "c": "2020-01-01"}
    assert Node(Place(1, "x")).plain() is None


def test_schema_is_json():
    assert '"TranslationRecipe"' in io.StringIO(recipe_file.schema_text()).read()
