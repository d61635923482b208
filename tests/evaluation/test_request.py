"""Which task an evaluation is about, and options that do not go together, through the real entry point."""

import pytest

from tests.command import evaluate, refused

FILES = ("--predictions", "results.json", "--ground-truth", "truth.json")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--metric", "bleu", "--metric", "top1"],
            "--metric top1: is for classification, but --metric bleu for transl",
        ),
        (
            ["--metric", "top1", "--hyp", "x"],
            "--hyp: is for translation, but --metric top1 for classification; expected",
        ),
        (
            ["--real", "x", "--beam-size", "2"],
            "--real: is for classification, but --beam-size for translation; expected",
        ),
        (["--rows", "3"], "--rows: says how long --per-class is; expected that too; add it"),
        (["--labels", "x"], "--labels: nothing to compare with; expected --predictions too; add it"),
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
        (
            ["--metric", "blue"],
            "--metric: there is no 'blue'; expected bleu, chrf, ter, top1, top5, ece, real, miou, macc, aacc, "
            "fwiou, ap; did you mean bleu?",
        ),
        (
            ["--metric", "xyz"],
            "--metric: there is no 'xyz'; expected bleu, chrf, ter, top1, top5, ece, real, miou, macc, aacc, "
            "fwiou, ap; choose one",
        ),
        (["--split", "train"], "--split: there is no 'train' to score; expected test or valid; choose one of them"),
        ([], "runs: no finished run here; expected one made by attnkit train"),
        (
            ["--metric", "ap", *FILES, "--confusion", "x.csv"],
            "--confusion: is for classification and segmentation, but --metric ap for ",
        ),
        (
            ["--metric", "ap", *FILES, "--labels", "x"],
            "--labels: is for classification and segmentation, but --metric ap for detection;",
        ),
        (
            ["--metric", "ap", *FILES, "--window", "9"],
            "--window: is for segmentation, but --metric ap for detection; expected one task",
        ),
    ],
)
def test_mistakes(folder, arguments, message):
    if "runs/text" in arguments:
        (folder / "runs/text").mkdir(parents=True)
        (folder / "runs/text/recipe.yaml").write_text("task: translation\n")
    assert refused(evaluate(*arguments)).startswith(message)
