"""attnkit evaluate of the classes of a run, through the real entry point, and every mistake in one line."""

import csv
import json
from importlib.util import find_spec

import pytest
from typer.testing import CliRunner

from attnkit.cli import app
from attnkit.data.formats.class_list import read_classes
from attnkit.metrics.accuracy import wilson_interval
from attnkit.report import picture_file
from tests.command import evaluate, refused, table
from tests.recipes.image_runs import CLASSES, colour_recipe, colour_run, write_picture

TEST_SET = {
    "blue/b.png": "blue", "green/g.png": "green", "red/r.png": "red", "red/s.png": "blue", "red/t.png": "red"
}  # fmt: skip
"""Pictures in the folder of their class, and the colour that they have: one of five is wrong."""


@pytest.fixture
def run(folder):
    """A finished run with a test set, in the working directory."""
    for colour in CLASSES:
        write_picture(folder / "data/train" / colour / "0.png", colour)
    for name, colour in TEST_SET.items():
        write_picture(folder / "data/test" / name, colour)
    return colour_run(folder / "runs/colours", colour_recipe(folder / "data"))


def test_the_newest_run(run):
    result = evaluate("--metric", "top1", "--metric", "top2")
    low, high = wilson_interval(4, 5)
    header, top1, top2 = result.stdout.splitlines()
    assert header.split("  ")[0] == "metric"
    assert "95 % interval (Wilson)" in header
    assert top1.split() == ["top1", "80.00", "%", f"{low:.2f}", "to", f"{high:.2f}", "4", "of", "5"]
    assert top2.startswith("top2    ")
    assert result.stderr == "using the newest run, runs/colours\n"


def test_without_metrics_the_run_says_what_is_usual(run):
    result = evaluate("--run", "runs/colours")
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["metric", "top1", "ece"]
    assert "using the newest run, runs/colours" in evaluate().stderr


def test_scores_are_kept_beside_others(run):
    run.scores.write_text(json.dumps({"valid": {"top1": 1.5}, "test": {"loss": 2.5}}))
    evaluate("--metric", "top1", "--precision", "float32")
    kept = json.loads(run.scores.read_text())
    assert kept["valid"] == {"top1": 1.5}
    assert kept["test"]["loss"] == 2.5
    top1 = kept["test"]["top1"]
    assert (top1["value"], top1["right"], top1["images"]) == (80.0, 4, 5)
    assert (top1["weights"], top1["precision"]) == ("runs/colours/model.safetensors", "float32")


def test_json(run):
    printed = json.loads(evaluate("--json", "--per-class", "--batch-size", "2", "--device", "cpu").stdout)
    assert (printed["run"], printed["split"]) == ("runs/colours", "test")
    assert printed["scores"]["top1"]["value"] == 80.0
    assert 0 < printed["scores"]["ece"]["value"] < 100
    assert [one["class"] for one in printed["per_class"]] == ["red", "green", "blue"]
    red = printed["per_class"][0]
    assert (red["support"], red["predicted"], red["precision"]) == (3, 2, 100.0)
    assert red["recall"] == pytest.approx(200 / 3)


def test_classes_from_the_worst_to_the_best(run):
    lines = evaluate("--metric", "top1", "--per-class").stdout.splitlines()
    assert lines[2] == ""
    assert [line.split() for line in lines[3:]] == [
        ["class", "images", "recall", "precision", "F1"],
        ["red", "3", "66.67", "100.00", "80.00"],
        ["green", "1", "100.00", "100.00", "100.00"],
        ["blue", "1", "100.00", "50.00", "66.67"],
        ["mean", "of", "3", "5", "88.89", "83.33", "82.22"],
    ]


def test_only_so_many_rows(run):
    result = evaluate("--metric", "top1", "--per-class", "--rows", "1")
    assert [line.split()[0] for line in result.stdout.splitlines()[4:]] == ["red", "mean"]
    assert result.stderr.endswith("2 more classes; all of them by --rows 0\n")
    assert evaluate("--per-class", "--rows", "0").stdout.count("\n") == 9


@pytest.mark.parametrize("name", ["out/saved.csv", "out/saved.jsonl"])
def test_saved_predictions_score_the_same(run, name):
    first = evaluate("--metric", "top1", "--metric", "top2", "--metric", "ece", "--save", name)
    assert f"{name}: predictions of 5 images\n" in first.stderr
    again = evaluate(
        "--predictions", name, "--labels", "data/test", "--metric", "top1", "--metric", "top2", "--metric", "ece"
    )
    assert again.stdout == first.stdout
    assert again.stderr == ""


def test_what_classify_prints_is_scored(run):
    answers = CliRunner().invoke(app, ["classify", "data/test", "--json", "--top", "2"])
    (run.path / "answers.jsonl").write_text(answers.stdout)
    result = evaluate("--metric", "top1", "--predictions", str(run.path / "answers.jsonl"), "--labels", "data/test")
    assert table(result)[1][-1].strip() == "4 of 5"


def test_real_labels_of_a_run(run):
    (run.path / "real.json").write_text(
        json.dumps({"b.png": ["blue"], "g.png": [], "r.png": [1, 2], "s.png": [0, "blue"], "t.png": [0]})
    )
    result = evaluate("--real", str(run.path / "real.json"))
    assert [line.split()[0] for line in result.stdout.splitlines()] == ["metric", "top1", "ece", "real"]
    assert result.stdout.splitlines()[-1].endswith("3 of 4")


@pytest.mark.parametrize("wrong", [3, -1, "brown", None])
def test_real_labels_of_classes_that_the_model_lacks(run, wrong):
    (run.path / "real.json").write_text(json.dumps([[wrong], [], [], [], []]))
    result = evaluate("--metric", "real", "--real", str(run.path / "real.json"))
    assert result.exit_code == 2
    assert f"real.json: there is no class {wrong!r}; expected a name, or a number below 3, the num" in result.stderr


def test_no_such_split(folder):
    recipe = colour_recipe(folder / "data")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"test": None})})
    for colour in CLASSES:
        write_picture(folder / "data/train" / colour / "0.png", colour)
    run = colour_run(folder / "runs/colours", recipe)
    assert refused(evaluate("--run", str(run.path))).startswith(
        f"{run.recipe}: data: no test images; expected a test set;"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--metric", "top0"],
            "--metric: there is no 'top0'; expected bleu, chrf, ter, top1, top5, ece, real, miou, ",
        ),
        (["--metric", "top1"], "runs: no finished classification run here; expected one made by attnkit train"),
        (
            ["--metric", "real"],
            "--metric real: needs ImageNet-ReaL's labels; expected their file; add --real real.json",
        ),
        (
            ["--predictions", "p.jsonl"],
            "--predictions: nothing to compare with; expected the true classes too; add --l",
        ),
        (
            ["--predictions", "p.jsonl", "--real", "x", "--per-class"],
            "--predictions: nothing to compare with; expected",
        ),
        (["--predictions", "p.jsonl", "--labels", "x", "--save", "y.csv"], "--predictions: scores a file, no run; exp"),
        (["--predictions", "none", "--labels", "x"], "none: no such file; looked in"),
        (
            ["--predictions", "p.jsonl", "--labels", "runs"],
            "runs: no images in folders; expected a folder of images pe",
        ),
        (["--metric", "top1", "--save", "x.txt"], "--save x.txt: no known ending; expected .csv or .jsonl; rename it"),
        (
            ["--metric", "top1", "--confusion", "x.gif"],
            "--confusion x.gif: no known ending; expected .png, .svg, .pdf,",
        ),
        (
            ["--metric", "top1", "--precision", "half"],
            "--precision: there is no 'half'; expected auto, float32 or bflo",
        ),
        (
            ["--metric", "top1", "--run", "runs/text"],
            "runs/text: a translation run; expected a classification run; nam",
        ),
    ],
)
def test_mistakes(files, arguments, message):
    (files / "runs/text").mkdir(parents=True)
    (files / "runs/text/recipe.yaml").write_text("task: translation\n")
    assert refused(evaluate(*arguments)).startswith(message)


def test_folder_classes_are_numbered_as_sorted(run):
    rows = read_classes("data/test")
    assert [(row.input, row.classes[0].name, row.classes[0].index) for row in rows[:3]] == [
        ("data/test/blue/b.png", "blue", 0), ("data/test/green/g.png", "green", 1), ("data/test/red/r.png", "red", 2)
    ]  # fmt: skip


# The confusion matrix


def test_confusion_as_numbers(run):
    assert "confusion matrix of 3 classes" in evaluate("--metric", "top1", "--confusion", "out/c.csv").stderr
    with open("out/c.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["truth \\ predicted", "red", "green", "blue"],
            ["red", "2", "0", "1"],
            ["green", "0", "1", "0"],
            ["blue", "0", "0", "1"],
        ]


def test_without_matplotlib_one_line_says_what_to_install(run, monkeypatch):
    monkeypatch.setattr(picture_file, "find_spec", lambda name: None if name == "matplotlib" else find_spec(name))
    message = refused(evaluate("--metric", "top1", "--run", "runs/colours", "--confusion", "c.png"))
    assert message == (
        "--confusion c.png: drawing needs matplotlib, which is not installed; expected it; "
        "pip install 'attnkit[plot]', or name a .csv file\n"
    )
    picture_file.check_picture("--confusion", run.path / "c.csv")


def test_confusion_as_a_picture(run):
    pytest.importorskip("matplotlib")
    assert evaluate("--metric", "top1", "--confusion", "c.png").exit_code == 0
    assert (run.path.parent.parent / "c.png").read_bytes().startswith(b"\x89PNG")
