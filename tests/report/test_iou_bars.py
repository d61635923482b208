"""What the bars of each class's IoU show, and how many stand below each other."""

import math

import numpy as np
import pytest

from attnkit.metrics.mean_iou import SegmentationCounts, iou_scores
from attnkit.report import iou_bars
from tests.recipes.scene_runs import GUESS, TRUTH


def scores_of(truth, guess, num_classes):
    counts = SegmentationCounts(num_classes)
    counts.add(truth, guess)
    counts.add(truth, truth)
    return counts, iou_scores(counts)


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
