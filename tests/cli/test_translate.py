"""The contract of `attnkit translate`: N lines in, N lines out, in order, while the input still comes."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from types import ModuleType

import pytest
from typer.testing import CliRunner

from attnkit import recipe_file
from attnkit.cli import app
from tests.predict.fake_translator import FakeTranslator

FAKE = """
import sys
from types import ModuleType
from tests.predict.fake_translator import FakeTranslator
fake = ModuleType("attnkit.recipes.translation.translator")
fake.load_translator = lambda recipe, run, *, device, weights: FakeTranslator()
sys.modules[fake.__name__] = fake
from attnkit.cli import main
sys.argv[1:] = ["translate", "--run", "run"]
main()
"""


# The command


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run folder whose model is a fake; what the command says to an input and options."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").mkdir()
    recipe = recipe_file.load("translation/toy", ["decode.method=beam"])
    (tmp_path / "run/recipe.yaml").write_text(recipe_file.dump(recipe), encoding="utf-8")
    translator, fake = FakeTranslator(), ModuleType("attnkit.recipes.translation.translator")
    fake.load_translator = lambda recipe, run, *, device, weights: translator
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
        (["--top-p", "2"], "--top-p 2: decode.top_p: expected at most 1, got 2"),
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
