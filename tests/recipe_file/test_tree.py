"""YAML as others may write it: odd, endless or broken, it becomes one line."""

import contextlib
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attnkit.errors import RecipeError
from attnkit.recipe_file import load
from attnkit.recipe_file.tree import OPTION_LINE, Node, Place, parse_value
from tests.recipe_file.test_load import MINIMAL

BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)
)


def refused(folder, text):
    """What is said of a recipe."""
    file = folder / "my.yaml"
    file.write_text(text, encoding="utf-8")
    started = time.monotonic()
    with pytest.raises(RecipeError) as caught:
        load(file)
    assert time.monotonic() - started < 10
    return str(caught.value).replace(str(file), "my.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (BOMB, "my.yaml: more than 100,000 values; expected a recipe; write fewer aliases (*name)"),
        ("task: &t [*t]\n", "my.yaml: sections or lists inside each other without end; expected a recipe; fix it"),
        ("a: " + "[" * 5000, "my.yaml: sections or lists inside each other without end; expected a recipe; fix it"),
        ("a: 1\nsteps: !!float abc\n", "my.yaml:2: expected a number, got 'abc'; fix it"),
        ("steps: !!int abc\n", "my.yaml:1: expected an integer, got 'abc'; fix it"),
        ("steps: !!bool maybe\n", "my.yaml:1: expected true or false, got 'maybe'; fix it"),
        ("steps: " + "7" * 5000, f"my.yaml:1: expected an integer, got '{'7' * 60}...'; fix it"),
        ("? [a, b]\n: 1\n", "my.yaml:1: a list or a section as a key; expected a name; fix this line"),
    ],
)
def test_endless_and_wrong_values(tmp_path, text, message):
    assert refused(tmp_path, text) == message


def test_an_escape_that_is_no_character(tmp_path):
    assert refused(tmp_path, 'task: "\\UFFFFFFFF"\n').startswith("my.yaml: not YAML, a number, an escape or a tag")


def test_a_foreign_tag_is_text(tmp_path):
    assert "train.steps: expected an integer, got '3'" in refused(
        tmp_path, MINIMAL.replace("steps: 7", "steps: !foo:int 3")
    )


def test_a_file_that_is_no_recipe(tmp_path):
    assert refused(tmp_path, "#" * 10_000_001).startswith("my.yaml: more than 10,000,000 bytes; expected a recipe;")


def test_a_number_beyond_all_bounds(tmp_path):
    text = MINIMAL.replace("steps: 7", f"steps: 1{'0' * 400}")
    assert refused(tmp_path, text) == f"my.yaml:3: train.steps: expected at most 1000000000000, got {'1' + '0' * 59}..."


def test_brackets_on_the_command_line():
    with pytest.raises(RecipeError, match=r"^--set a=\[+: sections or lists inside each other without end;"):
        parse_value("[" * 500, Place(OPTION_LINE, f"--set a={'[' * 500}"))


ODD = st.text(alphabet=st.sampled_from("[]{}:,&*!?|>'\"%@` \n-#ab0.eE\\x\x00\t~<=\U0001f600"), max_size=60)


@settings(max_examples=300)
@given(before=ODD, after=ODD, at=st.integers(0, len(MINIMAL)))
@example(before="", after="", at=0)
def test_anything_becomes_a_recipe_or_a_line(tmp_path_factory, before, after, at):
    file = tmp_path_factory.getbasetemp() / "odd.yaml"
    file.write_text(MINIMAL[:at] + before + MINIMAL[at:] + after, encoding="utf-8")
    with contextlib.suppress(RecipeError):
        load(file, [f"name={before}", f"train.steps={after}"])


def test_equal_keys(mistakes):
    text = MINIMAL + "name: other\nloss:\n  label_smoothing: 0.1\n  label_smoothing: 0.2\n"
    assert mistakes(text) == [
        "my.yaml:6: name: stands here twice, first at my.yaml:1; remove one of them",
        "my.yaml:9: loss.label_smoothing: stands here twice, first at my.yaml:8; remove one of them",
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


def test_plain_values():
    tree = parse_value("{a: [1, {b: null}], c: 2020-01-01}", Place(1, "x"))
    assert tree.plain() == {"a": [1, {"b": None}], "c": "2020-01-01"}
    assert Node(Place(1, "x")).plain() is None


def test_byte_order_mark_and_crlf(my):
    assert my(b"\xef\xbb\xbf" + MINIMAL.replace("\n", "\r\n").encode()).name == "mine"
