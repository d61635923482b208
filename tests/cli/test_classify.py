"""The contract of `attnkit classify`: an answer per image, in order, while the input still comes."""

import csv
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attnkit.cli import app
from tests.predict.picture_tree import write_picture_tree
from tests.recipes.image_runs import colour_run


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pictures at several depths, and files that are none, in the working directory."""
    write_picture_tree(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


# The command


@pytest.fixture
def runs(folder):
    colour_run(folder / "runs/colours")
    return folder


def classify(*arguments, stdin=None):
    return CliRunner().invoke(app, ["classify", *arguments], input=stdin)


def test_the_newest_run(runs):
    result = classify("a.png", "more", "--top", "1")
    assert result.exit_code == 0, result.output
    assert result.stderr == "using the newest run, runs/colours\n"
    header, *rows = [line.rsplit(None, 2) for line in result.stdout.splitlines()]
    assert header == ["file", "class", "prob."]
    found = {row[0]: row[1] for row in rows}
    assert list(found) == ["a.png", "more/a 2.jpeg", "more/b.jpg", "more/c.PNG", "more/deep/d.webp"]
    assert list(found.values()) == ["red", "blue", "green", "blue", "red"]
    assert all(0.5 < float(row[-1]) <= 1 for row in rows)


def test_json_and_bad_images(runs):
    (runs / "more/b.jpg").write_bytes((runs / "more/b.jpg").read_bytes()[:60])
    (runs / "zero.png").write_bytes(b"")
    result = classify("--json", "more", "none.png", "zero.png", "a.png", "--run", "runs/colours", "--batch-size", "2")
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    names = ["more/a 2.jpeg", "more/b.jpg", "more/c.PNG", "more/deep/d.webp", "none.png", "zero.png", "a.png"]
    assert [answer["input"] for answer in answers] == names
    assert [answer["input"] for answer in answers if "error" in answer] == ["more/b.jpg", "none.png", "zero.png"]
    assert all(answer["error"].startswith(answer["input"] + ": ") for answer in answers if "error" in answer)
    first = answers[0]["predictions"]
    assert first[0]["class"] == "blue"
    assert sorted(guess["index"] for guess in first) == [0, 1, 2]
    assert sum(guess["probability"] for guess in first) == pytest.approx(1, abs=1e-5)
    assert result.stderr == (
        "3 of 7 images could not be processed; expected images; fix or remove them, the others are done\n"
    )
    assert result.exit_code == 2


def test_bad_images_in_the_table_are_named_on_stderr(runs):
    result = classify("none.png", "a.png", "--run", "runs/colours")
    assert result.exit_code == 2
    assert "none.png" not in result.stdout
    assert result.stdout.splitlines()[1].split()[:2] == ["a.png", "red"]
    first, last = result.stderr.splitlines()
    assert first.startswith("none.png: no such file;")
    assert last.startswith("1 of 2 images could not be processed;")


def test_csv_has_a_header_and_errors(runs):
    result = classify("none.png", "a.png", "--run", "runs/colours", "--csv", "--top", "2")
    header, error, *rows = csv.reader(io.StringIO(result.stdout))
    assert header == ["input", "rank", "class", "index", "probability", "error"]
    assert (error[0], error[-1][:23]) == ("none.png", "none.png: no such file;")
    assert [row[:4] for row in rows] == [["a.png", "1", "red", "0"], ["a.png", "2", *rows[1][2:4]]]
    assert result.exit_code == 2


def test_batches_do_not_change_the_answers(runs):
    arguments = ["--run", "runs/colours", "--json", "--precision", "float32", "more", "a.png"]
    one, many = (classify(*arguments, "--batch-size", size).stdout for size in ("1", "4"))
    assert one == many
    assert one.count("\n") == 5


def test_paths_on_stdin(runs):
    result = classify("-", "--run", "runs/colours", "--top", "1", stdin="more/c.PNG\na.png\n")
    assert [line.split()[:2] for line in result.stdout.splitlines()[1:]] == [["more/c.PNG", "blue"], ["a.png", "red"]]


def test_another_checkpoint(runs):
    shutil.copy(runs / "runs/colours/model.safetensors", runs / "other.safetensors")
    assert classify("a.png", "--checkpoint", "other.safetensors").exit_code == 0
    gone = classify("a.png", "--checkpoint", "gone.safetensors")
    assert gone.stderr.splitlines()[-1].startswith("gone.safetensors: no such file; expected weights of the run, such")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a.png", "--json", "--csv"], "--csv: given beside --json; expected one of the two; leave one out"),
        (["a.png", "--precision", "half"], "--precision: there is no 'half'; expected auto, float32 or bfloat16;"),
        (["a.png", "--run", "nowhere"], "nowhere: no such folder; expected a folder made by attnkit train"),
        (["a.png", "--run", "runs/text"], "runs/text: a translation run; expected a classification run; name one with"),
        (["a.png"], "runs: no finished classification run here; expected one made by attnkit train"),
    ],
)
def test_mistakes(folder, arguments, message):
    (folder / "runs/text").mkdir(parents=True)
    (folder / "runs/text/recipe.yaml").write_text("task: translation\n")
    (folder / "runs/text/model.safetensors").write_bytes(b"")
    result = classify(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith(message)
    assert result.stderr.count("\n") == 1


def test_no_inputs(folder):
    result = classify()
    assert result.exit_code == 2
    assert "INPUT" in result.stderr


STREAM = """
import sys
from attnkit.cli import main
sys.argv[1:] = ["classify", "-", "--run", "runs/colours", "--json", "--top", "1"]
main()
"""


def test_output_streams_while_the_input_still_comes(runs):
    root = Path(__file__).parents[2]
    with subprocess.Popen(
        [sys.executable, "-c", STREAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=runs,
        env={**os.environ, "PYTHONPATH": str(root), "OMP_NUM_THREADS": "1"},
        text=True,
        bufsize=1,
    ) as process:
        for name, colour in {"a.png": "red", "none.png": None, "more/c.PNG": "blue"}.items():
            process.stdin.write(name + "\n")
            process.stdin.flush()
            answer = json.loads(process.stdout.readline())  # before the next name is written
            assert answer["input"] == name
            assert ("error" in answer) if colour is None else answer["predictions"][0]["class"] == colour
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert errors.endswith(
        "1 of 3 images could not be processed; expected images; fix or remove them, the others are done\n"
    )
