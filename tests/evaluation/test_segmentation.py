"""attnkit evaluate of masks, through the real entry point: runs, folders alone, and every mistake in one line."""

import csv
import json
import math

import numpy as np
import pytest

from attnkit.evaluation.request import METRICS
from attnkit.metrics.mean_iou import SEGMENTATION_METRICS, SegmentationCounts, iou_scores
from attnkit.report import confusion_plot, iou_bars, picture_file
from tests.command import attnkit, evaluate, printed, refused
from tests.recipes.scene_runs import scene_recipe, scene_run, striped, write_png, write_stripes

TRUTH = np.array([[0, 0, 1], [1, 2, 255]], dtype=np.uint8)
GUESS = np.array([[0, 1, 1], [1, 0, 2]], dtype=np.uint8)
"""mIoU 33.33, mAcc 50, aAcc 60, frequency-weighted IoU 40."""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


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


@pytest.fixture
def masks(folder):
    """Two folders of masks: one pair as above, one pair that is equal."""
    for name, truth, guess in (("a", TRUTH, GUESS), ("deep/b", TRUTH, TRUTH)):
        write_png(folder / f"labels/{name}.png", truth)
        write_png(folder / f"guesses/{name}.png", guess)
    return folder


def scored(*arguments):
    return {name: score["value"] for name, score in printed(evaluate(*arguments, "--json"))["scores"].items()}


# Runs


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


# Folders alone


def test_folders(masks):
    """Three of five and five of five pixels."""
    result = evaluate("--predictions", "guesses", "--labels", "labels", "--metric", "aacc", "--per-class")
    assert result.exit_code == 0, result.output
    rows = [line.split() for line in result.stdout.splitlines()]
    assert (rows[1][:3], rows[1][-1]) == (["aacc", "80.00", "%"], "2")
    assert [row[0] for row in rows[4:]] == ["2", "0", "1", "mean"]
    assert rows[4] == ["2", "20.00", "%", "50.00", "50.00"]
    assert result.stderr == ""


def test_black_and_white_labels_beside_what_segment_writes(folder):
    """Classes counted from 0; where labels could be meant, by their values."""
    (folder / "c.json").write_text('{"0": "background", "255": "object"}')
    truth = np.array([[0, 255, 255, 0]], dtype=np.uint8)
    write_png(folder / "labels/a.png", truth)
    write_png(folder / "counted/a.png", np.array([[0, 1, 0, 0]], dtype=np.uint8))
    write_png(folder / "valued/a.png", np.array([[0, 255, 0, 0]], dtype=np.uint8))
    for guesses in ("counted", "valued"):
        assert scored("--predictions", guesses, "--labels", "labels", "--classes", "c.json")["aacc"] == 75
    write_png(folder / "counted/a.png", np.array([[0, 1, 2, 0]], dtype=np.uint8))
    message = refused(
        evaluate("--metric", "miou", "--predictions", "counted", "--labels", "labels", "--classes", "c.json")
    )
    assert message.startswith("counted/a.png: pixel values 1, 2 of no class; expected 0, 255")


def test_folders_are_told_from_files_by_what_is_there(masks):
    assert list(scored("--predictions", "guesses", "--labels", "labels")) == ["miou", "macc", "aacc", "fwiou"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("c.txt", "sky\nroad\ncar\nbus\n"), ("c.json", '["sky", "road", "car", "bus"]')],
)
def test_names_of_classes(masks, name, content):
    (masks / name).write_text(content)
    about = printed(evaluate("--predictions", "guesses", "--labels", "labels", "--classes", name, "--json"))
    assert [one["class"] for one in about["per_class"]] == ["car", "sky", "road", "bus"]
    assert (about["per_class"][-1]["iou"], about["per_class"][-1]["accuracy"]) == (None, None)


def test_other_values_are_ignored(masks):
    """Without class 2 and its one pixel in each pair; 255 is not ignored then, so that it may not occur."""
    for name in ("a", "deep/b"):
        write_png(masks / f"labels/{name}.png", np.where(TRUTH == 255, 2, TRUTH))
        write_png(masks / f"guesses/{name}.png", np.where(TRUTH == 1, 1, 0).astype(np.uint8))
    assert scored("--predictions", "guesses", "--labels", "labels", "--ignore", "2")["miou"] == 100
    assert scored("--predictions", "guesses", "--labels", "labels")["aacc"] == pytest.approx(100 * 4 / 6)


def test_zero_is_reduced_in_labels_alone(masks):
    for name, guess in (("a", GUESS), ("deep/b", TRUTH)):
        write_png(masks / f"labels/{name}.png", np.where(TRUTH == 255, 0, TRUTH + 1).astype(np.uint8))
        write_png(masks / f"guesses/{name}.png", np.where(guess == 255, 0, guess).astype(np.uint8))
    about = printed(evaluate("--predictions", "guesses", "--labels", "labels", "--reduce-zero-label", "--json"))
    assert about["scores"]["aacc"]["value"] == 80
    assert [one["class"] for one in about["per_class"]] == ["2", "0", "1"]
    (masks / "c.txt").write_text("sky\nroad\ncar\n")
    named = printed(
        evaluate(
            "--predictions", "guesses", "--labels", "labels", "--reduce-zero-label", "--classes", "c.txt", "--json"
        )
    )
    assert named["scores"] == about["scores"]
    assert [one["class"] for one in named["per_class"]] == ["car", "sky", "road"]


def test_black_and_white_masks_need_their_meaning(masks):
    for side, values in (("labels", TRUTH), ("guesses", GUESS)):
        for name in ("a", "deep/b"):
            write_png(masks / f"{side}/{name}.png", np.where(values == 1, 255, 0).astype(np.uint8))
    arguments = ["--metric", "miou", "--predictions", "guesses", "--labels", "labels"]
    write_png(masks / "guesses/deep/b.png", np.zeros((2, 3), dtype=np.uint8))
    write_png(masks / "guesses/a.png", np.zeros((2, 3), dtype=np.uint8))
    assert refused(evaluate(*arguments)).startswith(
        "labels: all pixels are of one class, or ignored; expected several classes, s"
    )
    (masks / "c.json").write_text('{"0": "background", "255": "object"}')
    assert scored(*arguments, "--classes", "c.json")["miou"] == pytest.approx(100 * 4 / 6 / 2)


def test_names_that_data_sets_give_to_masks(masks):
    (masks / "labels/a.png").rename(masks / "labels/a_gtFine_labelTrainIds.png")
    (masks / "guesses/a.png").rename(masks / "guesses/a_leftImg8bit.png")
    assert scored("--predictions", "guesses", "--labels", "labels", "--metric", "aacc") == {"aacc": 80}


# Mistakes


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            {"labels/c.png": TRUTH},
            "labels/c.png: no mask of that name in guesses; expected masks of the same names in both; add or remove it",
        ),
        (
            {"guesses/c.png": TRUTH, "guesses/d.png": TRUTH},
            "guesses/c.png: no mask of that name in labels, as 1 more; expected masks of the same names in both; add",
        ),
        (
            {"guesses/a.png": GUESS.T},
            "guesses/a.png: 2 x 3 pixels, but labels/a.png has 3 x 2; expected one size; resize the prediction, near",
        ),
        (
            {"guesses/a.png": np.full((2, 3), 255, dtype=np.uint8)},
            "guesses/a.png: 5 pixels are of no class where labels/a.png has one; expected a class for each; predict",
        ),
    ],
)
def test_masks_that_do_not_belong_together(masks, write, message):
    for name, values in write.items():
        write_png(masks / name, values)
    assert refused(evaluate("--metric", "miou", "--predictions", "guesses", "--labels", "labels")).startswith(message)


def test_values_outside_the_classes(masks):
    (masks / "c.txt").write_text("sky\nroad\n")
    message = refused(
        evaluate("--metric", "miou", "--predictions", "guesses", "--labels", "labels", "--classes", "c.txt")
    )
    assert message.startswith("labels/a.png: pixel value 2 of no class; expected 0..1, or 255 to be ignored; fix the m")
    assert message.endswith("add to --classes or --ignore\n")


def test_folders_of_other_names(masks):
    write_png(masks / "others/x.png", TRUTH)
    assert refused(evaluate("--metric", "miou", "--predictions", "others", "--labels", "labels")).startswith(
        "others: no mask has the name of one in labels (1 files, such as x.png; there 2 files, such as a.png); expect"
    )


def test_nothing_is_labelled(masks):
    for name in ("a", "deep/b"):
        write_png(masks / f"labels/{name}.png", np.full((2, 3), 255, dtype=np.uint8))
    message = refused(evaluate("--metric", "miou", "--predictions", "guesses", "--labels", "labels"))
    assert message.startswith("labels: no pixel is of a class; expected several classes, such as 0, 1 and 2; if the va")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--metric", "miou"], "runs: no finished segmentation run here; expected one made by attnkit train"),
        (
            ["--metric", "moiu"],
            "--metric: there is no 'moiu'; expected bleu, chrf, ter, top1, top5, ece, real, miou, m",
        ),
        (
            ["--metric", "miou", "--metric", "top1"],
            "--metric top1: is for classification, but --metric miou for segmen",
        ),
        (["--bars", "x.png", "--batch-size", "2"], "--bars: is for segmentation, but --batch-size for classification;"),
        (
            ["--metric", "bleu", "--per-class"],
            "--per-class: is for classification, detection and segmentation, but --metric bleu",
        ),
        (["--per-class", "--run", "runs/text"], "runs/text: is for translation, but --per-class for classification, d"),
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


def test_the_metrics_that_are_listed_are_those_of_the_package():
    assert METRICS["segmentation"] == SEGMENTATION_METRICS


# Drawings


def scores_of(truth, guess, num_classes):
    counts = SegmentationCounts(num_classes)
    counts.add(truth, guess)
    counts.add(truth, truth)
    return counts, iou_scores(counts)


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


def test_what_the_bars_are():
    pytest.importorskip("matplotlib")
    _, scores = scores_of(TRUTH, GUESS, 4)
    axes = iou_bars.draw_bars(scores, ["a", "$b_1$", "a very long name of a class, indeed", "d"]).axes[0]
    widths = {round(bar.get_y() + bar.get_height() / 2): bar.get_width() for bar in axes.containers[1]}
    assert widths == pytest.approx({0: 80, 1: 60, 2: 50, 3: 0})
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["$b_1$", "a", "a very long …lass, indeed", "d"]
    assert [text.get_text() for text in axes.texts] == ["80.0", "60.0", "50.0", "absent"]
    dots, mean = axes.lines
    np.testing.assert_allclose(dots.get_xdata(), [100, 75, 50, math.nan])
    assert mean.get_xdata() == pytest.approx([190 / 3] * 2)


@pytest.mark.parametrize(("count", "columns", "rows"), [(50, 1, 50), (51, 2, 26), (101, 3, 34)])
def test_many_bars_stand_in_columns(count, columns, rows):
    pytest.importorskip("matplotlib")
    truth = np.arange(count, dtype=np.uint8).reshape(1, -1)
    _, scores = scores_of(truth, truth, count)
    figure = iou_bars.draw_bars(scores, [f"class {k}" for k in range(count)])
    assert [len(axes.get_yticks()) for axes in figure.axes] == [rows] * (columns - 1) + [count - rows * (columns - 1)]
    assert figure.axes[-1].get_yticklabels()[-1].get_text() == f"class {count - 1}"
    assert len({axes.get_ylim() for axes in figure.axes}) == 1, "bars of one height"


def test_pixels_are_drawn_as_shares():
    pytest.importorskip("matplotlib")
    confusion = np.array([[2997, 3, 0], [1, 4999, 0], [0, 0, 0]])
    axes = confusion_plot.draw_confusion(confusion, ["a", "b", "c"], unit="pixels").axes[0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "99.9"), ((1, 0), "0.1"), ((1, 1), "100.0")
    }  # fmt: skip
    assert axes.get_title() == "99.95 % of the pixels right"


def test_bars_without_matplotlib(masks, monkeypatch):
    monkeypatch.setattr(picture_file, "find_spec", lambda name: None)
    message = refused(evaluate("--metric", "miou", "--predictions", "guesses", "--labels", "labels", "--bars", "b.png"))
    assert message == (
        "--bars b.png: drawing needs matplotlib, which is not installed; expected it; "
        "pip install 'attnkit[plot]', or name a .csv file\n"
    )
