"""attnkit evaluate of two folders of masks, through the real entry point."""

import numpy as np
import pytest

from tests.command import evaluate, printed, refused, scored
from tests.recipes.scene_runs import GUESS, TRUTH, write_png


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
