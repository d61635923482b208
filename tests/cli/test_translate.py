"""The contract of `attnkit translate`: N lines in, N lines out, in order, while the input still comes."""

import io
import json
import os
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from attnkit import recipe_file
from attnkit.cli import app
from attnkit.decoding.config import DecodeConfig
from attnkit.errors import DataError
from attnkit.predict.line_stream import available, decode_lines, lines_of
from attnkit.predict.translated_lines import Search, as_json_line, as_text, translate_groups

FAKE = """
import sys
from types import ModuleType
from tests.cli.test_translate import FakeTranslator
fake = ModuleType("attnkit.recipes.translation.translator")
fake.open_translator = lambda recipe, run, *, device, checkpoint: FakeTranslator()
sys.modules[fake.__name__] = fake
from attnkit.cli import main
sys.argv[1:] = ["translate", "--run", "run"]
main()
"""


@dataclass
class FakeTranslation:
    """What a search would give."""

    text: str
    score: float = -0.25
    log_prob: float = -1.5
    pieces: tuple[str, ...] = ("▁a", "b")
    token_log_probs: tuple[float, ...] = (-0.5, -0.75, -0.25)


@dataclass
class FakeTranslator:
    """Writes lines in capitals, the nth best with n exclamation marks; remembers what it was asked."""

    asked: list = field(default_factory=list)

    def translate(self, lines, *, decode, n_best=1, prefixes=None, batch_size=None, lines_before=0):
        self.asked.append((list(lines), decode, n_best, prefixes, batch_size))
        starts = prefixes or [""] * len(lines)
        return [
            [FakeTranslation(start + line.upper() + "!" * n, -0.25 - n) for n in range(n_best)]
            for line, start in zip(lines, starts, strict=True)
        ]


def lines_of_blocks(blocks):
    """The lines of input that arrives in these blocks."""
    waiting = [*blocks, b""]
    return list(decode_lines(lambda size: waiting.pop(0), "stdin"))


# Lines


def test_only_line_feeds_end_lines():
    assert lines_of_blocks([b"a\x0bb\x0cc\xc2\x85d\xe2\x80\xa8e\rf\n"]) == ["a\x0bb\x0cc\x85d\u2028e\rf"]


def test_crlf_blank_lines_and_no_final_newline():
    assert lines_of_blocks([b"a\r\n\r\n\n \tb\nlast"]) == ["a", "", "", " \tb", "last"]


def test_byte_order_mark_is_dropped_from_the_first_line_only():
    assert lines_of_blocks([b"\xef\xbb\xbfa\n\xef\xbb\xbfb\n"]) == ["a", "\ufeffb"]


def test_empty_input_has_no_lines():
    assert lines_of_blocks([]) == []


@given(st.lists(st.text(st.characters(exclude_characters="\n\r\ufeff", codec="utf-8"))), st.integers(1, 7))
def test_lines_do_not_depend_on_the_blocks(lines, size):
    content = io.BytesIO("".join(f"{line}\n" for line in lines).encode())
    assert list(decode_lines(lambda _: content.read(size), "stdin")) == lines


def test_bad_bytes_are_named_after_the_lines_before_them():
    waiting = [b"a\nb\nc\xff\nd\n", b""]
    lines = decode_lines(lambda size: waiting.pop(0), "in.txt")
    assert [next(lines), next(lines)] == ["a", "b"]
    with pytest.raises(DataError) as caught:
        next(lines)
    assert str(caught.value) == (
        "in.txt:3: not UTF-8, byte 0xff at byte 2 of the line; expected UTF-8; "
        "the lines before it are done; convert the input, by iconv for example"
    )


def test_files_follow_each_other_and_dash_is_stdin(tmp_path):
    (tmp_path / "a").write_bytes(b"1\n2")
    (tmp_path / "b").write_bytes(b"\n3\n")
    paths = [tmp_path / "a", tmp_path.__class__("-"), tmp_path / "b"]
    assert list(lines_of(paths, io.BytesIO(b"in\n"))) == ["1", "2", "in", "", "3"]


# Groups


def test_groups_hold_everything_in_order_and_at_most_the_limit():
    groups = list(available(iter(map(str, range(50))), limit=7))
    assert [line for group in groups for line in group] == [str(n) for n in range(50)]
    assert all(1 <= len(group) <= 7 for group in groups)


def test_a_group_does_not_wait_for_more_lines():
    answered = []

    def slow_writer():
        yield "first"
        while not answered:  # the second line is written when the first has been answered
            pass
        yield "second"

    for group in available(slow_writer(), limit=7):
        answered += group
    assert answered == ["first", "second"]


def test_an_error_of_the_input_comes_after_the_lines_before_it():
    def breaks():
        yield "a"
        yield "b"
        raise DataError("in:3: broken")

    groups = available(breaks(), limit=1)
    assert [next(groups), next(groups)] == [["a"], ["b"]]
    with pytest.raises(DataError, match="in:3: broken"):
        next(groups)


# Translating


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


# The command


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder whose model is a fake; what the command says to an input and options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    recipe = recipe_file.load("translation/toy", ["decode.method=beam"])
    (tmp_path / "run/recipe.yaml").write_text(recipe_file.dump(recipe), encoding="utf-8")
    translator, fake = FakeTranslator(), ModuleType("attnkit.recipes.translation.translator")
    fake.open_translator = lambda recipe, run, *, device, checkpoint: translator
    monkeypatch.setitem(sys.modules, fake.__name__, fake)

    def invoke(*arguments, stdin=b""):
        result = CliRunner().invoke(app, ["translate", "--run", "run", *arguments], input=stdin)
        result.asked = translator.asked
        return result

    return invoke


def test_stdin_to_stdout(run):
    result = run(stdin="grüß\r\n\n\t😀 x\nlast".encode())
    assert result.stdout_bytes == "GRÜSS\n\n\t😀 X\nLAST\n".encode()
    assert (result.exit_code, result.stderr) == (0, "")


def test_empty_input(run):
    result = run()
    assert (result.exit_code, result.stdout_bytes) == (0, b"")


def test_files(run, tmp_path):
    (tmp_path / "a").write_text("a\n")
    (tmp_path / "b").write_text("b\n")
    assert run("b", "a", "-", stdin=b"c\n").stdout == "B\nA\nC\n"


def test_bad_bytes_end_it_after_what_came_before(run):
    result = run(stdin=b"a\nb\n\xff\nc\n")
    assert (result.exit_code, result.stdout) == (2, "A\nB\n")
    assert result.stderr.startswith("stdin:3: not UTF-8, byte 0xff")


def test_options_change_the_recipe_s_search(run):
    result = run(
        "--beam-size", "7", "--length-penalty", "power:0.5", "--min-length", "3", "--batch-size", "5", stdin=b"a\n"
    )
    assert result.exit_code == 0
    lines, decode, n_best, prefixes, batch_size = result.asked[0]
    assert (lines, n_best, prefixes, batch_size) == (["a"], 1, None, 5)
    assert (decode.method, decode.beam_size, decode.min_length) == ("beam", 7, 3)
    assert (decode.length_penalty.form, decode.length_penalty.alpha) == ("power", 0.5)


@pytest.mark.parametrize(
    ("arguments", "method"),
    [
        ([], "beam"),
        (["--method", "greedy"], "greedy"),
        (["--method", "greedy", "--beam-size", "3"], "greedy"),
        (["--top-p", "0.5"], "sampling"),
        (["--top-k", "0"], "sampling"),
        (["--temperature", "2"], "sampling"),
    ],
)
def test_options_imply_a_method(run, arguments, method):
    assert run(*arguments, stdin=b"a\n").asked[0][1].method == method


def test_n_best(run):
    assert run("--n-best", "2", stdin=b"a\nb\n").stdout == (
        "1\t-0.2500\tA\n1\t-1.2500\tA!\n2\t-0.2500\tB\n2\t-1.2500\tB!\n"
    )
    objects = [json.loads(line) for line in run("--n-best", "2", "--json", stdin=b"a\nb\n").stdout.splitlines()]
    assert [[one["text"] for one in line["translations"]] for line in objects] == [["A", "A!"], ["B", "B!"]]


def test_prefix_options(run, tmp_path):
    (tmp_path / "starts").write_text("x\n\n")
    assert run("--prefix", "ab ", stdin=b"a\nb\n").stdout == "ab A\nab B\n"
    assert run("--prefix-file", "starts", stdin=b"a\nb\n").stdout == "xA\nB\n"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipes_are_read_like_files(run, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_text("a\nb\n"))
    writer.start()
    assert run("pipe").stdout == "A\nB\n"
    writer.join()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run"], "run: a folder; expected a text file, or - for stdin; check the name"),
        (["none.txt"], "none.txt: no such file; expected a text file, or - for stdin; check the name"),
        (["--prefix-file", "none"], "none: no such file; expected a text file, or - for stdin; check the name"),
        (
            ["--prefix", "a", "--prefix-file", "b"],
            "--prefix-file: given beside --prefix; expected one of the two; leave one out",
        ),
        (["--beam-size", "0"], "--beam-size 0: decode.beam_size: expected at least 1, got 0"),
        (
            ["--method", "x"],
            "--method x: decode.method: expected beam, greedy or sampling, got 'x'",
        ),
        (["--top-p", "2"], "--top-p 2.0: decode.top_p: expected at most 1, got 2.0"),
        (
            ["--length-penalty", "power:x"],
            "--length-penalty power:x: decode.length_penalty.alpha: expected a number, got 'x'",
        ),
        (
            ["--n-best", "5"],
            "--n-best 5: beam search keeps 4; expected at most that; raise it by --beam-size 5",
        ),
        (
            ["--run", "elsewhere"],
            "elsewhere: no such folder; expected a folder made by attnkit train; see what is under runs/",
        ),
    ],
)  # fmt: skip
def test_mistakes_are_one_line(run, arguments, message):
    result = run(*arguments, stdin=b"a\n")
    assert (result.exit_code, result.stdout, result.stderr) == (2, "", message + "\n")


def test_without_a_run_the_newest_is_taken_and_named(run, tmp_path):
    (tmp_path / "runs").mkdir()
    (tmp_path / "run").rename(tmp_path / "runs/mine")
    (tmp_path / "runs/mine/model.safetensors").write_bytes(b"")
    result = CliRunner().invoke(app, ["translate"], input="a\n")
    assert (result.stdout, result.stderr) == ("A\n", "using the newest run, runs/mine\n")


def test_first_output_before_the_input_ends(run, tmp_path):
    root = str(Path(__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.path.insert(0, {root!r})\n{FAKE}"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        cwd=tmp_path,
    )
    for line, answer in ((b"one\n", b"ONE\n"), (b"two\n", b"TWO\n")):
        process.stdin.write(line)
        process.stdin.flush()
        assert process.stdout.readline() == answer  # hangs if the command waits for more
    assert process.communicate(b"end") == (b"END\n", None)
    assert process.returncode == 0
