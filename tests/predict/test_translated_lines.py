"""N lines in, N translations out, in order, as text and as JSON."""

import json
from itertools import repeat

import pytest

from attnkit.decoding.config import DecodeConfig
from attnkit.errors import DataError
from attnkit.predict.translated_lines import Search, as_json_line, as_text, translate_groups
from tests.predict.fake_translator import FakeTranslation, FakeTranslator


def translated(groups, *, prefixes=None, n_best=1, write=as_text):
    search = Search(decode=DecodeConfig(), n_best=n_best)
    return list(translate_groups(FakeTranslator(), groups, search, prefixes=prefixes, write=write))


def test_one_output_per_group():
    assert translated([["a", "", "b"], ["c"]]) == ["A\n\nB\n", "C\n"]


def test_lines_are_numbered_through():
    def write(number, line, translations):
        return f"{number}{line} "

    assert translated([["a", "b"], ["c"]], write=write) == ["1a 2b ", "3c "]


def test_prefixes():
    assert translated([["a", "b"], ["c"]], prefixes=iter(["x", "", "z"])) == ["xA\nB\n", "zC\n"]
    assert translated([["a"], ["b"]], prefixes=repeat("x")) == ["xA\n", "xB\n"]


def test_too_few_prefixes():
    search = Search(decode=DecodeConfig())
    outputs = translate_groups(FakeTranslator(), [["a", "b"]], search, prefixes=iter(["x"]), write=as_text)
    assert next(outputs) == "xA\n"
    with pytest.raises(DataError, match=r"^--prefix-file: 1 lines, but the input has more; expected a line for each$"):
        next(outputs)


def test_too_many_prefixes():
    with pytest.raises(
        DataError, match=r"^--prefix-file: more lines than the 1 of the input; expected a line for each$"
    ):
        translated([["a"]], prefixes=iter(["x", "y"]))


def test_plain_output():
    two = [FakeTranslation("A", -0.5), FakeTranslation("B", -1.25)]
    assert as_text(7, "a", two[:1]) == "A\n"
    assert as_text(7, "a", two[:1], scores=True) == "-0.5000\tA\n"
    assert as_text(7, "a", two, scores=True, numbers=True) == "7\t-0.5000\tA\n7\t-1.2500\tB\n"


def test_json_output():
    line = as_json_line(7, "ä\u2028", [FakeTranslation('"Ü"')])
    assert line.count("\n") == 1
    assert json.loads(line) == {
        "line": 7,
        "src": "ä\u2028",
        "translations": [
            {
                "text": '"Ü"',
                "score": -0.25,
                "log_prob": -1.5,
                "pieces": ["▁a", "b"],
                "token_log_probs": [-0.5, -0.75, -0.25],
            }
        ],
    }
