"""Scores as tables: which class comes first, what stands where there is nothing, and how text scores are laid out."""

import sys

import numpy as np

from attnkit.metrics.accuracy import ClassScore, Score
from attnkit.metrics.mean_iou import SegmentationCounts, iou_scores
from attnkit.metrics.text import BaselineScore, TextScore
from attnkit.report.score_tables import (
    lowest_first,
    print_class_ious,
    print_class_scores,
    print_image_scores,
    print_text_scores,
    worst_first,
)

CLASSES = [
    ClassScore(index=0, support=4, predicted=3, precision=100.0, recall=75.0, f1=85.714),
    ClassScore(index=1, support=0, predicted=1, precision=0.0, recall=None, f1=None),
    ClassScore(index=2, support=2, predicted=2, precision=50.0, recall=50.0, f1=50.0),
]
BLEU = TextScore("BLEU", 35.5, 31.25, 39.75, "nrefs:1", True, BaselineScore(36.0, 32.0, 40.0, 0.0125))
TER = TextScore("TER", 50.0, None, None, "case:lc", False, BaselineScore(52.5, None, None, None))


def rows(printed):
    return [line.split() for line in printed.splitlines()]


def test_scores_of_images_without_an_interval_or_a_count(capsys):
    print_image_scores([Score("top1", 75.0, 30.064, 95.441, 4, 3), Score("ece", 5.0, None, None, 4)], interval="Wilson")
    assert capsys.readouterr().out == (
        "metric  score    95 % interval (Wilson)  images\n"
        "top1    75.00 %  30.06 to 95.44          3 of 4\n"
        "ece     5.00 %   -                       4\n"
    )


def test_classes_without_images_come_last_and_say_nothing(capsys):
    assert [one.index for one in worst_first(CLASSES)] == [2, 0, 1]
    print_class_scores(CLASSES, ["ant", "two\nlines", "cat"], rows=None)
    assert rows(capsys.readouterr().out) == [
        ["class", "images", "recall", "precision", "F1"],
        ["cat", "2", "50.00", "50.00", "50.00"],
        ["ant", "4", "75.00", "100.00", "85.71"],
        [r"two\nlines", "0", "-", "0.00", "-"],
        ["mean", "of", "3", "6", "62.50", "50.00", "67.86"],
    ]


def test_the_worst_alone(capsys):
    print_class_scores(CLASSES, ["ant", "bee", "cat"], rows=2)
    printed = capsys.readouterr()
    assert [row[0] for row in rows(printed.out)] == ["class", "cat", "ant", "mean"]
    assert printed.err == "1 more classes; all of them by --rows 0\n"


def test_absent_classes_are_not_in_the_mean(capsys):
    """Of five pixels of class 0 four are found, of class 2 its three, and one more that is none."""
    counts = SegmentationCounts(3)
    counts.add(np.array([[0, 0, 0, 0, 0, 2, 2, 2]]), np.array([[0, 0, 0, 0, 2, 2, 2, 2]]))
    scores = iou_scores(counts, resamples=0)
    assert lowest_first(scores) == [2, 0, 1]
    print_class_ious(scores, ["sky", "sea", "sand"], rows=0)
    assert rows(capsys.readouterr().out)[1:] == [
        ["sand", "37.50", "%", "75.00", "100.00"],
        ["sky", "62.50", "%", "80.00", "80.00"],
        ["sea", "0.00", "%", "-", "-"],
        ["mean", "of", "2", "100.00", "%", "77.50", "90.00"],
    ]


def test_text_scores_beside_a_baseline(capsys):
    """Lower is better of TER alone."""
    print_text_scores([BLEU, TER])
    assert capsys.readouterr().out == (
        "metric  score  95 % interval   baseline  difference    p      signature\n"
        "BLEU    35.50  31.25 to 39.75  36.00     -0.50 worse   0.013  nrefs:1\n"
        "  reading: 30-40: understandable to good translations\n"
        "TER     50.00  -               52.50     -2.50 better  -      case:lc\n"
    )


def test_on_a_terminal_signatures_stand_below(capsys, monkeypatch):
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("TERM", "dumb")
    print_text_scores([BLEU])
    lines = capsys.readouterr().out.splitlines()
    assert "signature" not in "".join(lines)
    assert lines[-2:] == ["BLEU reading: 30-40: understandable to good translations", "BLEU|nrefs:1"]
