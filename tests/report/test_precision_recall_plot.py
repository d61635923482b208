"""What the drawn curves of precision over recall show, and their numbers as CSV."""

import csv

import pytest

from attnkit.report import precision_recall_plot
from tests.command import evaluate, printed
from tests.evaluation.lecture_files import FILES, lecture, with_masks, write
from tests.metrics.coco_sets import random_set


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def masks(folder):
    write(folder, *with_masks(*lecture()))
    return folder


class Panel:
    """What is drawn into it."""

    def __init__(self):
        self.lines = {}

    def plot(self, x, y, *, label, **_):
        self.lines[label] = list(zip(x, y, strict=True))

    step = plot

    def __getattr__(self, name):
        return self if name == "spines" else lambda *_, **__: None

    def __getitem__(self, part):
        return self


def test_what_is_drawn_is_the_lectures():
    """The raw curve goes down at 0.4 and up again; the other one is where it will be at best."""
    import numpy as np

    from attnkit.metrics.average_precision import precision_recall

    curve = precision_recall(np.array([True, True, False, False, False, True, True]), 5)
    panel = Panel()
    precision_recall_plot._draw(panel, "apple", {"0.50": precision_recall_plot._corners(curve)})
    raw, interpolated = panel.lines.values()
    assert [(round(x, 2), round(y, 2)) for x, y in raw] == [(0.2, 1), (0.4, 1), (0.4, 0.4), (0.6, 0.5), (0.8, 0.57)]
    assert [(round(x, 2), round(y, 2)) for x, y in interpolated] == [
        (0, 1), (0.2, 1), (0.4, 1), (0.4, 0.57), (0.6, 0.57), (0.8, 0.57)
    ]  # fmt: skip


def test_panels(folder, monkeypatch):
    """The mean of boxes and that of masks, then each class that has objects, the lowest first."""
    pytest.importorskip("matplotlib")
    instances, results = random_set(5, masks=True, detections=15)
    write(folder, instances, results)
    drawn = []
    draw = precision_recall_plot._draw
    monkeypatch.setattr(precision_recall_plot, "_draw", lambda *given: drawn.append(given[1:]) or draw(*given))
    assert evaluate(*FILES, "--curves", "c.svg").exit_code == 0
    titles = [title for title, _ in drawn]
    assert [title.split("  ")[0] for title in titles[:2]] == ["mean of 4 classes, box", "mean of 4 classes, mask"]
    ap = [float(title.split("AP ")[1]) for title in titles[2:]]
    assert (len(ap), ap) == (4, sorted(ap))
    assert all(set(curves) == {"0.50", "0.75"} for _, curves in drawn)
    means = drawn[1][1]["0.50"]
    assert sum(means.interpolated) / 101 * 100 == pytest.approx(
        printed(evaluate(*FILES, "--json"))["scores"]["mask_ap50"]["value"]
    )
    assert all(raw <= smooth + 1e-12 for raw, smooth in zip(means.precision, means.interpolated, strict=True))


def test_curves_as_numbers(masks):
    evaluate(*FILES, "--metric", "ap", "--curves", "curves.csv")
    with (masks / "curves.csv").open() as file:
        header, *rows = csv.reader(file)
    assert header == ["of", "class", "IoU", "recall", "precision", "interpolated"]
    assert len(rows) == 2 * 2 * 101
    assert rows[0] == ["box", "apple", "0.50", "0.00", "1.000000", "1.000000"]
    assert rows[60] == ["box", "apple", "0.50", "0.60", "0.500000", "0.571429"]
    assert rows[-1] == ["mask", "apple", "0.75", "1.00", "0.000000", "0.000000"]
