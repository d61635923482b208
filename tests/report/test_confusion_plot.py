"""What a drawn confusion matrix shows: shares by colour, numbers and names as there is room for them."""

import numpy as np
import pytest

from attnkit.report import confusion_plot


def test_what_is_drawn():
    pytest.importorskip("matplotlib")
    confusion = np.array([[3, 1, 0], [0, 0, 0], [2, 0, 2]])
    axes = confusion_plot.draw_confusion(confusion, ["a", "$b_1$", "a very long name of a class, indeed"]).axes[0]
    (image,) = axes.images
    np.testing.assert_allclose(image.get_array(), [[75, 25, 0], [0, 0, 0], [50, 0, 50]])
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "3"), ((1, 0), "1"), ((0, 2), "2"), ((2, 2), "2")
    }  # fmt: skip
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["a", "$b_1$", "a very long …lass, indeed"]
    assert (axes.get_ylabel(), axes.get_xlabel()) == ("true class", "predicted class")
    assert axes.get_title() == "5 of 8 images right (62.50 %)"


@pytest.mark.parametrize(("count", "numbers", "names"), [(20, 20, 20), (21, 0, 21), (150, 0, 150), (151, 0, 76)])
def test_many_classes_stay_readable(count, numbers, names):
    pytest.importorskip("matplotlib")
    axes = confusion_plot.draw_confusion(np.eye(count, dtype=np.int64), [f"class {k}" for k in range(count)]).axes[0]
    assert len(axes.texts) == numbers
    assert len(axes.get_yticks()) == names
    assert axes.get_yticklabels()[-1].get_text() == f"class {count - 1}"


def test_letters_that_the_font_lacks_are_no_warning(tmp_path):
    pytest.importorskip("matplotlib")
    confusion_plot.write_confusion(tmp_path / "c.svg", np.eye(2, dtype=np.int64), ["名前", "b"])
    assert (tmp_path / "c.svg").read_text().startswith("<?xml")


def test_pixels_are_drawn_as_shares():
    pytest.importorskip("matplotlib")
    confusion = np.array([[2997, 3, 0], [1, 4999, 0], [0, 0, 0]])
    axes = confusion_plot.draw_confusion(confusion, ["a", "b", "c"], unit="pixels").axes[0]
    assert {(text.get_position(), text.get_text()) for text in axes.texts} == {
        ((0, 0), "99.9"), ((1, 0), "0.1"), ((1, 1), "100.0")
    }  # fmt: skip
    assert axes.get_title() == "99.95 % of the pixels right"
