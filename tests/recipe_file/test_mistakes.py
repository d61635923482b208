"""Every mistake of a recipe in one line, at its place."""

import pytest
from pydantic import TypeAdapter, ValidationError

from attnkit.recipe_file.form import fill_in, root_slot
from attnkit.recipe_file.mistakes import mistakes_of
from attnkit.recipe_file.tree import Place, parse_value
from tests.recipe_file.fruit import Fruit
from tests.recipe_file.test_load import MINIMAL


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


def test_rule_about_two_keys_is_shown_at_their_section(mistakes):
    assert mistakes(MINIMAL + "model:\n  embed_dim: 10\n  num_heads: 4\n") == [
        "my.yaml:6: model: embed_dim 10 does not divide into num_heads 4; expected a multiple; change one of the two"
    ]


def test_rule_about_two_sections_is_shown_at_what_the_file_says_of_it(mistakes):
    assert mistakes(MINIMAL + "tokenizer:\n  joint: false\n") == [
        "my.yaml:7: model.tied_embeddings: 'all' shares one embedding between two vocabularies; "
        "expected 'decoder' or 'none' with tokenizer.joint: false; set one of the two"
    ]


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
