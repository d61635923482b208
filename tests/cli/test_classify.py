"""The contract of `attnkit classify`: an answer per image, in order, while the input still comes."""

import csv
import io
import json
import os
import queue
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from attnkit.predict.decode_ahead import Decoded, decode_ahead
from typer.testing import CliRunner

from attnkit.cli import app
from attnkit.data.formats.class_list import ImageClasses, NamedClass
from attnkit.errors import DataError
from attnkit.predict.classified_images import AnswerTable, classify_groups
from attnkit.predict.image_inputs import ImageInput, image_inputs, in_groups
from tests.recipes.image_runs import colour_run, write_picture


def listed(*names, stdin=b""):
    return [(one.name, one.problem) for one in image_inputs(names, io.BytesIO(stdin))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Pictures at several depths, and files that are none, in the working directory."""
    for name, colour in {
        "a.png": "red",
        "more/c.PNG": "blue",
        "more/b.jpg": "green",
        "more/deep/d.webp": "red",
        "more/a 2.jpeg": "blue",
    }.items():
        write_picture(tmp_path / name, colour)
    for name in ("more/notes.txt", "more/.hidden.png", "more/.cache/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("no picture")
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


# Inputs


def test_folders_are_sorted_at_every_depth_and_hold_images_only(folder):
    inside = ["more/a 2.jpeg", "more/b.jpg", "more/c.PNG", "more/deep/d.webp"]
    assert listed("more") == [(name, None) for name in inside]


def test_names_keep_their_order_and_may_come_twice(folder):
    assert [name for name, _ in listed("more/c.PNG", "a.png", "more/deep", "a.png")] == [
        "more/c.PNG", "a.png", "more/deep/d.webp", "a.png"
    ]  # fmt: skip


def test_a_file_that_is_named_may_have_any_name(folder):
    assert listed("more/notes.txt", "more/.hidden.png") == [("more/notes.txt", None), ("more/.hidden.png", None)]


def test_globs(folder):
    assert [name for name, _ in listed("more/*.[jJ]p*")] == ["more/a 2.jpeg", "more/b.jpg"]
    assert [name for name, _ in listed("**/*.webp", "mor?")] == [
        "more/deep/d.webp", "more/a 2.jpeg", "more/b.jpg", "more/c.PNG", "more/deep/d.webp"
    ]  # fmt: skip


def test_a_file_whose_name_looks_like_a_glob(folder):
    write_picture(folder / "x[1].png", "red")
    assert listed("x[1].png") == [("x[1].png", None)]


def test_dash_is_paths_on_stdin(folder):
    found = listed("a.png", "-", "more/b.jpg", stdin=b"more/c.PNG\r\n\n  \nmore/deep\nempty")
    assert [name for name, _ in found] == ["a.png", "more/c.PNG", "more/deep/d.webp", "empty", "more/b.jpg"]


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("none.jpg", "none.jpg: no such file; expected an image, a folder of images or a glob; check the name"),
        ("empty", "empty: a folder without images; expected files such as .jpg or .png; check the name"),
        ("*.gif", "*.gif: matches no image; expected files such as .jpg or .png; check the name"),
        ("x" * 5000, "x" * 5000 + ": no such file; expected an image, a folder of images or a glob; check the name"),
    ],
)
def test_a_name_that_leads_nowhere(folder, name, problem):
    assert listed(name, "a.png") == [(name, problem), ("a.png", None)]


def test_a_link_that_leads_back_is_not_followed_for_ever(folder):
    (folder / "more/deep/up").symlink_to(folder / "more")
    assert len([name for name, _ in listed("more")]) < 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_cannot_be_listed(folder):
    (folder / "more").chmod(0)
    try:
        ((name, problem),) = listed("more")
    finally:
        (folder / "more").chmod(0o755)
    assert name == "more"
    assert problem.startswith("more: cannot be listed")


def numbered(count):
    return [ImageInput(str(number)) for number in range(count)]


def test_full_groups():
    groups = list(in_groups(iter(numbered(7)), size=3, wait=True))
    assert [[one.name for one in group] for group in groups] == [["0", "1", "2"], ["3", "4", "5"], ["6"]]


def test_groups_that_do_not_wait():
    wrote, inputs = queue.Queue(), queue.Queue()

    def slow():
        while (one := inputs.get()) is not None:
            yield one

    def read():
        for group in in_groups(slow(), size=3, wait=False):
            wrote.put([one.name for one in group])

    threading.Thread(target=read, daemon=True).start()
    for one in numbered(2):
        inputs.put(one)
        assert wrote.get(timeout=60) == [one.name]
    inputs.put(None)


# Decoding


def test_images_are_read_in_order_whoever_is_first():
    held = threading.Event()

    def load(path):
        if path.name == "0":
            assert held.wait(60)
        else:
            held.set()
        return int(path.name) * 10

    groups = [numbered(5)[:2], numbered(5)[2:]]
    decoded = list(decode_ahead(groups, load, threads=2))
    assert [[one.image for one in group] for group in decoded] == [[0, 10], [20, 30, 40]]


def test_the_next_group_is_read_while_one_is_in_use():
    read = queue.Queue()
    groups = decode_ahead([[one] for one in numbered(3)], lambda path: read.put(path.name), threads=1)
    next(groups)
    assert {read.get(timeout=60), read.get(timeout=60)} == {"0", "1"}
    groups.close()


def test_a_bad_image_has_a_problem_and_the_others_go_on():
    def load(path):
        if path.name == "1":
            raise DataError("1: broken")
        if path.name == "2":
            raise PermissionError(13, "Permission denied")
        return path.name

    ((_, *bad, last),) = decode_ahead(
        [[*numbered(3), ImageInput("none", "none: no such file"), *numbered(1)]], load, threads=3
    )
    assert last == Decoded("0", "0", None)
    assert bad == [
        Decoded("1", None, "1: broken"),
        Decoded("2", None, "2: cannot be read (Permission denied); expected a readable image; see its permissions"),
        Decoded("none", None, "none: no such file"),
    ]


def test_a_bug_is_no_bad_image():
    def load(path):
        raise TypeError("bug")

    with pytest.raises(TypeError, match=r"^bug$"):
        list(decode_ahead([numbered(2)], load, threads=1))


# Answers


@dataclass
class Guess:
    index: int
    name: str
    probability: float


class FakeClassifier:
    """Every image is a number, and its class that number."""

    def classify(self, images, *, top):
        return [[Guess(image + k, f"class {image + k}", 1 / (2 + k)) for k in range(top)] for image in images]


GUESSES = (NamedClass("grüner Tee", 7, 0.98765432), NamedClass('a "b", c', 11, 1.23456789e-7))
ANSWERS = [
    ImageClasses("x/ä.jpg", GUESSES),
    ImageClasses("bad.png", (), "bad.png: empty file"),
    ImageClasses("y", GUESSES),
]


def test_answers_stand_where_their_images_stood():
    groups = [
        [Decoded("a", 3, None), Decoded("b", None, "b: bad"), Decoded("c", 5, None)],
        [Decoded("d", None, "d: bad")],
    ]
    first, second = classify_groups(FakeClassifier(), groups, top=2)
    assert [(one.input, one.problem) for one in first] == [("a", None), ("b", "b: bad"), ("c", None)]
    assert [[guess.index for guess in one.classes] for one in first] == [[3, 4], [], [5, 6]]
    assert second == [ImageClasses("d", (), "d: bad")]


def test_table_with_a_line_per_image():
    table = AnswerTable(top=2)
    assert table.write(ANSWERS) == (
        "file     class       prob.   class     prob.\n"
        'x/ä.jpg  grüner Tee  0.9877  a "b", c  0.0000\n'
        'y        grüner Tee  0.9877  a "b", c  0.0000\n'
    )
    wider = table.write([ImageClasses("z" * 9, (NamedClass("茶", 0, 0.5), NamedClass("x", 1, 0.25)))])
    assert wider == "zzzzzzzzz  茶          0.5000  x         0.2500\n", "an ideograph is two columns wide"
    assert table.write(ANSWERS[:1]).startswith("x/ä.jpg    grüner Tee")


def test_table_of_more_classes():
    guesses = [*GUESSES, NamedClass("c", 1, 0.5), NamedClass("d", 2, 0.25)]
    assert AnswerTable(top=4).write([ImageClasses("a.jpg", guesses), ImageClasses("b.jpg", guesses[2:])]) == (
        "file   rank  class       prob.\n"
        "a.jpg  1     grüner Tee  0.9877\n"
        '       2     a "b", c    0.0000\n'
        "       3     c           0.5000\n"
        "       4     d           0.2500\n"
        "b.jpg  1     c           0.5000\n"
        "       2     d           0.2500\n"
    )


def test_names_cannot_break_the_table():
    assert (
        AnswerTable(top=1)
        .write([ImageClasses("a\n\x1b[31m.png", GUESSES[:1])])
        .splitlines()[1]
        .startswith("a\\n\\x1b[31m.png  grüner")
    )


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
        "3 of 7 images could not be read; expected images; mend or remove them, the others are done\n"
    )
    assert result.exit_code == 2


def test_bad_images_in_the_table_are_named_on_stderr(runs):
    result = classify("none.png", "a.png", "--run", "runs/colours")
    assert result.exit_code == 2
    assert "none.png" not in result.stdout
    assert result.stdout.splitlines()[1].split()[:2] == ["a.png", "red"]
    first, last = result.stderr.splitlines()
    assert first.startswith("none.png: no such file;")
    assert last.startswith("1 of 2 images could not be read;")


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
        "1 of 3 images could not be read; expected images; mend or remove them, the others are done\n"
    )
