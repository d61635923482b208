"""attnkit evaluate of the masks of a run, through the real entry point, and every mistake in one line."""

import csv
import json

import numpy as np
import pytest

from attnkit.report import picture_file
from tests.command import attnkit, evaluate, printed, refused, scored
from tests.recipes.scene_runs import scene_recipe, scene_run, striped, write_png, write_stripes


@pytest.fixture
def run(folder):
    """A finished run that finds each pixel's colour, and two images; two of five labelled stripes are wrong."""
    write_stripes(folder / "data/train/a.png", "red", "blue")
    write_png(folder / "data/train_masks/a.png", striped("red", "blue")[1])
    write_stripes(folder / "data/test/a.png", "red", "green", "red", "green")
    write_png(folder / "data/test_masks/a.png", striped("red", "blue", "red", "red")[1])
    write_stripes(folder / "data/test/b.png", "green", "red")
    labels = striped("green", "red")[1].copy()
    labels[:, 4:] = 255
    write_png(folder / "data/test_masks/b.png", labels)
    return scene_run(folder / "runs/coloured", scene_recipe(folder / "data"))


def test_the_newest_run(run):
    """Of red, 144 pixels, 96 are found, of blue's 48 none, of green's all 48, beside 96 that are not green."""
    result = evaluate("--metric", "miou", "--metric", "aacc")
    assert result.exit_code == 0, result.output
    header, miou, aacc = result.stdout.splitlines()
    assert header.split("  ")[0] == "metric"
    assert "95 % interval (bootstrap)" in header
    assert miou.split()[:3] == ["miou", "33.33", "%"]
    assert (aacc.split()[:3], aacc.split()[-1]) == (["aacc", "60.00", "%"], "2")
    assert result.stderr == "using the newest run, runs/coloured\n"


def test_json_of_a_run(run):
    about = printed(evaluate("--run", "runs/coloured", "--precision", "float32", "--json"))
    assert list(about["scores"]) == ["miou", "macc", "aacc", "fwiou"]
    assert {name: score["value"] for name, score in about["scores"].items()} == pytest.approx(
        {"miou": 100 / 3, "macc": 500 / 9, "aacc": 60, "fwiou": 0.6 * 200 / 3 + 0.2 * 100 / 3}
    )
    assert (about["run"], about["split"], about["precision"]) == ("runs/coloured", "test", "float32")
    assert about["inference"]["scales"] == [1.0]
    assert [one["class"] for one in about["per_class"]] == ["blue", "green", "red"]
    assert about["per_class"][1] == {
        "class": "green", "index": 1, "labelled": 48, "predicted": 144, "iou": pytest.approx(100 / 3), "accuracy": 100.0
    }  # fmt: skip


def test_classes_from_the_worst_to_the_best(run):
    result = evaluate("--metric", "miou", "--per-class")
    assert [line.split() for line in result.stdout.splitlines()[3:]] == [
        ["class", "pixels", "IoU", "accuracy"],
        ["blue", "20.00", "%", "0.00", "0.00"],
        ["green", "20.00", "%", "33.33", "100.00"],
        ["red", "60.00", "%", "66.67", "66.67"],
        ["mean", "of", "3", "100.00", "%", "33.33", "55.56"],
    ]
    fewer = evaluate("--metric", "miou", "--per-class", "--rows", "1")
    assert [line.split()[0] for line in fewer.stdout.splitlines()[4:]] == ["blue", "mean"]
    assert fewer.stderr.endswith("2 more classes; all of them by --rows 0\n")


def test_bounds_of_options_are_the_recipe_s(run):
    message = refused(evaluate("--metric", "miou", "--run", "runs/coloured", "--scales", "big"))
    assert message == "--scales big: inference.scales[0]: expected a number, got 'big'\n"


def test_scores_are_kept_beside_others(run):
    run.scores.write_text(json.dumps({"valid": {"miou": 1.5}, "test": {"loss": 2.5}}))
    evaluate("--metric", "miou")
    evaluate("--metric", "miou", "--scales", "0.5,1", "--flip", "--window", "16x12", "--overlap", "0.25")
    kept = json.loads(run.scores.read_text())
    assert kept["valid"] == {"miou": 1.5}
    assert list(kept["test"]) == ["loss", "miou", "miou.window=[16,12].overlap=0.25.scales=[0.5,1.0].flip=true"]
    miou = kept["test"]["miou"]
    assert (miou["images"], miou["weights"]) == (2, "runs/coloured/model.safetensors")
    other = list(kept["test"].values())[2]["inference"]
    assert other == {"window": [16, 12], "overlap": 0.25, "scales": [0.5, 1.0], "flip": True}


def test_saved_masks_score_the_same(run):
    first = evaluate("--per-class", "--run", "runs/coloured", "--save", "out/masks")
    assert first.stderr == "out/masks: masks of 2 images\n"
    (run.path / "classes.txt").write_text("red\ngreen\nblue\n")
    again = evaluate(
        "--per-class",
        "--predictions",
        "out/masks",
        "--labels",
        "data/test_masks",
        "--classes",
        "runs/coloured/classes.txt",
    )
    assert again.stdout == first.stdout
    assert again.stderr == ""


def test_what_segment_writes_is_scored_without_its_overlays(run):
    attnkit("segment", "data/test", "--save", "masks")
    assert (run.path.parent.parent / "masks/a_overlay.png").is_file()
    (run.path.parent.parent / "data/test_masks/c.png").write_bytes(b"")
    message = refused(evaluate("--metric", "miou", "--predictions", "masks", "--labels", "data/test_masks"))
    assert message.startswith("data/test_masks/c.png: no mask of that name in masks; "), "not that of an overlay"
    (run.path.parent.parent / "data/test_masks/c.png").unlink()
    assert scored("--predictions", "masks", "--labels", "data/test_masks")["aacc"] == 60


def test_two_images_of_one_name_are_not_saved_over_each_other(run, folder):
    write_stripes(folder / "data/test/deep/a.png", "red", "green")
    write_png(folder / "data/test_masks/deep/a.png", striped("red", "green")[1])
    message = refused(evaluate("--run", "runs/coloured", "--metric", "miou", "--save", "out"))
    assert message.startswith("--save out: two images are named a, in different folders; expected each name once; leav")


def test_a_split_without_labels(run, folder):
    for name in "ab":
        write_png(folder / f"data/test_masks/{name}.png", np.full((12, 16 if name == "a" else 8), 255, dtype=np.uint8))
    message = refused(evaluate("--run", "runs/coloured", "--metric", "miou"))
    assert message.startswith("runs/coloured/recipe.yaml: data.test: no pixel is of a class; expected labels; see attn")


# Mistakes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "miou"], "runs: no finished segmentation run here; expected one made by attnkit train"),
        (["--metric", "miou", "--run", "runs/text"], "runs/text: a translation run; expected a segmentation run; name"),
        (
            ["--metric", "miou", "--predictions", "guesses"],
            "--predictions: nothing to compare with; expected the true m",
        ),
        (
            ["--metric", "miou", "--labels", "labels"],
            "--labels: nothing to compare with; expected --predictions too; ad",
        ),
        (
            ["--flip", "--predictions", "guesses"],
            "--predictions: scores masks, no run; expected no --run, --checkpoint,",
        ),
        (
            ["--metric", "miou", "--ignore", "3"],
            "--classes, --ignore, --reduce-zero-label: say what masks of --predict",
        ),
        (["--metric", "miou", "--bars", "x.gif"], "--bars x.gif: no known ending; expected .png, .svg, .pdf, .csv; re"),
        (
            ["--metric", "miou", "--save", "labels/a.png"],
            "--save labels/a.png: is a file; expected a folder for masks;",
        ),
        (["--metric", "miou", "--predictions", "no", "--labels", "labels"], "no: no such file; looked in"),
        (["--predictions", "guesses", "--labels", "labels", "--classes", "no"], "no: no such file; looked in"),
    ],
)
def test_mistakes(masks, arguments, message):
    (masks / "runs/text").mkdir(parents=True)
    (masks / "runs/text/recipe.yaml").write_text("task: translation\n")
    assert refused(evaluate(*arguments)).startswith(message)


# Drawings


def test_drawings_as_numbers(masks):
    (masks / "c.txt").write_text("sky\nroad\ncar\nbus\n")
    arguments = ["--predictions", "guesses", "--labels", "labels", "--classes", "c.txt"]
    result = evaluate(*arguments, "--confusion", "out/c.csv", "--bars", "out/b.csv")
    assert result.stderr == "out/c.csv: confusion matrix of 4 classes\nout/b.csv: IoU of 4 classes\n"
    with open("out/c.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == [
            ["sky", "3", "1", "0", "0"], ["road", "0", "4", "0", "0"], ["car", "1", "0", "1", "0"], ["bus", *"0000"]
        ]  # fmt: skip
    with open("out/b.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["class", "labelled pixels", "IoU", "accuracy"],
            ["road", "4", "80.0000", "100.0000"],
            ["sky", "4", "60.0000", "75.0000"],
            ["car", "2", "50.0000", "50.0000"],
            ["bus", "0", "", ""],
        ]


def test_drawings_as_pictures(masks):
    pytest.importorskip("matplotlib")
    result = evaluate("--predictions", "guesses", "--labels", "labels", "--confusion", "c.png", "--bars", "b.png")
    assert result.exit_code == 0, result.output
    for name in ("c.png", "b.png"):
        assert (masks / name).read_bytes().startswith(b"\x89PNG")


def test_bars_without_matplotlib(masks, monkeypatch):
    monkeypatch.setattr(picture_file, "find_spec", lambda name: None)
    message = refused(evaluate("--metric", "miou", "--predictions", "guesses", "--labels", "labels", "--bars", "b.png"))
    assert message == (
        "--bars b.png: drawing needs matplotlib, which is not installed; expected it; "
        "pip install 'attnkit[plot]', or name a .csv file\n"
    )
