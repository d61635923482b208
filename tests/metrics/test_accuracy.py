"""Scores of classifiers: by hand, against published values, and against timm's ImageNet-ReaL."""

import json
import math

import numpy as np
import pytest

from attnkit.metrics.accuracy import (
    NO_CLASS,
    calibration_error,
    class_scores,
    confusion_matrix,
    mean_over_classes,
    real_accuracy,
    share,
    top_classes,
    top_k,
    wilson_interval,
)

PROBS = np.array([[0.2, 0.5, 0.3], [0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.4, 0.4, 0.2], [0.0, 0.1, 0.9]])
LABELS = np.array([2, 0, 0, 1, 2])


def test_top_classes_are_in_order_and_equal_ones_by_number():
    assert top_classes(PROBS, 2).tolist() == [[1, 2], [0, 1], [2, 1], [0, 1], [2, 1]]
    assert top_classes(PROBS, 3).shape == (5, 3)


@pytest.mark.parametrize(("k", "right"), [(1, 2), (2, 4), (3, 5)])
def test_top_k(k, right):
    score = top_k(top_classes(PROBS, 3), LABELS, k)
    assert (score.name, score.value, score.right, score.images) == (f"top{k}", 20.0 * right, right, 5)
    assert (score.low, score.high) == wilson_interval(right, 5)


def test_a_class_that_is_not_named_is_never_right():
    assert top_k(np.array([[1, NO_CLASS], [0, 1]]), np.array([0, 1]), 2).right == 1


@pytest.mark.parametrize("k", [0, 4])
def test_top_k_of_too_few_predictions(k):
    with pytest.raises(ValueError, match=rf"^top{k} of 3 predictions of an image; expected k from 1 to that"):
        top_k(top_classes(PROBS, 3), LABELS, k)


@pytest.mark.parametrize(
    ("right", "images", "low", "high"),
    # Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3
    [(81, 263, 25.53, 36.62), (15, 148, 6.24, 16.05), (0, 20, 0.0, 16.11), (1, 29, 0.61, 17.18)],
)
def test_wilson_interval_as_published(right, images, low, high):
    assert wilson_interval(right, images) == pytest.approx((low, high), abs=0.005)
    mirrored = wilson_interval(images - right, images)
    assert mirrored == pytest.approx((100 - high, 100 - low), abs=0.005)


@pytest.mark.parametrize(("right", "images"), [(0, 0), (3, 2), (-1, 2)])
def test_no_interval_of_nothing(right, images):
    with pytest.raises(ValueError, match=f"^{right} right of {images} images; expected one image at least, and no"):
        wilson_interval(right, images)


def test_a_share_is_plain_numbers_for_json():
    score = share("top1", np.array([True, False, True, True]))
    assert json.loads(json.dumps(score.as_dict())) == {
        "name": "top1",
        "value": 75.0,
        "low": pytest.approx(30.06, abs=0.005),
        "high": pytest.approx(95.44, abs=0.005),
        "images": 4,
        "right": 3,
    }


def test_real_accuracy_leaves_out_images_without_a_class():
    score = real_accuracy(np.array([3, 5, 2, 7]), [[3], [], [1, 2], [6]])
    assert (score.name, score.right, score.images) == ("real", 2, 3)
    assert score.value == pytest.approx(200 / 3)


def test_real_accuracy_of_nothing():
    with pytest.raises(ValueError, match=r"^0 right of 0 images"):
        real_accuracy(np.array([3]), [[]])


@pytest.mark.peers
def test_real_accuracy_is_timms(tmp_path):
    real_labels = pytest.importorskip("timm.data.real_labels")
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(7)
    sets = [sorted({int(one) for one in random.integers(0, 11, random.integers(0, 4))}) for _ in range(301)]
    (tmp_path / "real.json").write_text(json.dumps(sets))
    probs = random.random((301, 11))
    names = [f"val/ILSVRC2012_val_{number:08d}.JPEG" for number in range(1, 302)]
    theirs = real_labels.RealLabelsImagenet(names, str(tmp_path / "real.json"))
    theirs.add_result(torch.from_numpy(probs))
    assert real_accuracy(top_classes(probs, 1)[:, 0], sets).value == pytest.approx(theirs.get_accuracy(1), abs=1e-9)


def test_calibration_error_by_hand():
    # Two bins: 0.5 and 0.3 in the lower (0.5 is its upper edge), 0.9, 0.8 and 1.0 in the upper.
    confidence = np.array([0.5, 0.9, 0.3, 0.8, 1.0], dtype=np.float32)
    right = np.array([True, True, False, False, True])
    lower, upper = abs(0.8 - 1), abs(2.7 - 2)
    score = calibration_error(confidence, right, bins=2)
    assert score.value == pytest.approx(100 * (lower + upper) / 5, abs=1e-5)
    assert (score.name, score.low, score.high, score.images, score.right) == ("ece", None, None, 5, None)


@pytest.mark.parametrize("bins", [15, 10, 3])
def test_calibration_error_is_the_formula(bins):
    random = np.random.default_rng(3)
    confidence = random.random(701)
    confidence[:3] = 0.0, 1.0, 1 / bins
    right = random.random(701) < confidence**2
    total = 0.0
    for m in range(1, bins + 1):
        inside = (confidence > (m - 1) / bins) & (confidence <= m / bins)
        inside |= (m == 1) & (confidence == 0)
        if inside.any():
            total += inside.sum() / 701 * abs(confidence[inside].mean() - right[inside].mean())
    assert calibration_error(confidence, right, bins=bins).value == pytest.approx(100 * total, abs=1e-9)


def test_calibration_of_an_oracle_and_of_a_fraud():
    sure = np.ones(7)
    assert calibration_error(sure, np.ones(7, dtype=bool)).value == 0.0
    assert calibration_error(sure, np.zeros(7, dtype=bool)).value == 100.0


@pytest.mark.parametrize("confidence", [[], [0.5, math.nan], [0.5, 1.1], [-0.1]])
def test_confidence_must_be_a_probability(confidence):
    with pytest.raises(ValueError, match=r"^confidence: none, or not all of them from 0 to 1; expected probabilities"):
        calibration_error(np.array(confidence), np.ones(len(confidence), dtype=bool))


def test_confusion_has_the_truth_in_rows():
    confusion = confusion_matrix(np.array([0, 0, 1, 3, 0]), np.array([0, 1, 1, 1, 1]), num_classes=4)
    assert confusion.tolist() == [[1, 2, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]]


def test_class_scores_by_hand():
    scores = class_scores(np.array([0, 0, 1, 3, 0]), np.array([0, 1, 1, 1, 1]), num_classes=4)
    assert [one.index for one in scores] == [0, 1, 2, 3]
    assert [one.support for one in scores] == [3, 1, 0, 1]
    assert [one.predicted for one in scores] == [1, 4, 0, 0]
    assert [one.recall for one in scores] == [pytest.approx(100 / 3), 100.0, None, 0.0]
    assert [one.precision for one in scores] == [100.0, 25.0, None, None]
    assert [one.f1 for one in scores] == [50.0, 40.0, None, 0.0]
    assert mean_over_classes([one.recall for one in scores]) == pytest.approx((100 / 3 + 100 + 0) / 3)
    assert mean_over_classes([None, None]) is None
