"""Mean IoU and its kin: by hand, and against a histogram that is written differently."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.metrics.mean_iou import SEGMENTATION_METRICS, SegmentationCounts, confusion_matrix, iou_scores

LABELS = np.array([[0, 0, 1], [1, 2, 255]], dtype=np.uint8)
PREDICTIONS = np.array([[0, 1, 1], [1, 0, 2]], dtype=np.uint8)


def counted(images, num_classes, **options):
    counts = SegmentationCounts(num_classes, **options)
    for labels, predictions in images:
        counts.add(labels, predictions)
    return counts


def values(scores):
    return [scores.means[name].value for name in SEGMENTATION_METRICS]


def brute_force(images, num_classes, ignore=255):
    """The four scores, IoUs and accuracies of all pixels put into one row, class by class, in plain Python."""
    labels = np.concatenate([one.ravel() for one, _ in images]).astype(float)
    predictions = np.concatenate([one.ravel() for _, one in images]).astype(float)
    kept = labels != ignore
    edges = np.arange(num_classes + 1) - 0.5
    confusion = np.histogram2d(labels[kept], predictions[kept], bins=[edges, edges])[0]
    ious, accuracies, weighted = [], [], 0.0
    for k in range(num_classes):
        right, true, taken = confusion[k, k], sum(confusion[k]), sum(confusion[:, k])
        ious.append(100 * right / (true + taken - right) if true + taken else math.nan)
        accuracies.append(100 * right / true if true else math.nan)
        weighted += true * ious[-1] if true else 0.0
    mean = [sum(there) / len(there) for there in ([x for x in some if x == x] for some in (ious, accuracies))]
    pixels = confusion.sum()
    return [*mean, 100 * sum(confusion[k, k] for k in range(num_classes)) / pixels, weighted / pixels], ious, accuracies


def random_images(seed, count, num_classes, *, ignore=255, absent=(), dtype=np.uint8):
    random = np.random.default_rng(seed)
    classes = np.setdiff1d(np.arange(num_classes), absent)
    for _ in range(count):
        size = random.integers(2, 12, 2)
        labels = random.choice(np.append(classes, ignore), size).astype(dtype)
        yield (
            labels,
            np.where(random.random(size) < 0.4, labels % num_classes, random.choice(classes, size)).astype(dtype),
        )


def test_by_hand():
    confusion = confusion_matrix(LABELS, PREDICTIONS, 3)
    assert confusion.tolist() == [[1, 1, 0], [0, 2, 0], [1, 0, 0]]
    scores = iou_scores(counted([(LABELS, PREDICTIONS)], 3))
    assert scores.iou == pytest.approx([100 / 3, 200 / 3, 0])
    assert scores.accuracy == pytest.approx([50, 100, 0])
    assert (scores.labelled.tolist(), scores.predicted.tolist()) == ([2, 2, 1], [2, 3, 0])
    assert values(scores) == pytest.approx([100 / 3, 50, 60, (2 * 100 / 3 + 2 * 200 / 3) / 5])


def test_a_class_that_is_only_predicted_counts_and_an_absent_one_does_not():
    labels = np.array([[0, 0, 1, 1, 1]], dtype=np.uint8)
    predictions = np.array([[0, 3, 1, 1, 1]], dtype=np.uint8)
    scores = iou_scores(counted([(labels, predictions)], 5))
    np.testing.assert_equal(scores.iou, [50, 100, math.nan, 0, math.nan])
    np.testing.assert_equal(scores.accuracy, [50, 100, math.nan, math.nan, math.nan])
    assert values(scores) == pytest.approx([50, 75, 80, (2 * 50 + 3 * 100) / 5])


def test_areas_are_summed_before_they_are_divided():
    """One of 1 and 1 of 9 pixels: 2 of 10 in all, which is not the mean of the images' 100 and 11 %."""
    small = np.zeros((1, 1), dtype=np.uint8), np.zeros((1, 1), dtype=np.uint8)
    large = np.zeros((3, 3), dtype=np.uint8), np.array([[0, 1, 1], [1, 1, 1], [1, 1, 1]], dtype=np.uint8)
    scores = iou_scores(counted([small, large], 2))
    assert scores.iou == pytest.approx([20, 0])
    assert scores.means["miou"].images == 2


def test_what_is_predicted_on_ignored_pixels_does_not_matter():
    other = PREDICTIONS.copy()
    other[1, 2] = 77
    assert (confusion_matrix(LABELS, other, 3) == confusion_matrix(LABELS, PREDICTIONS, 3)).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.int16])
@pytest.mark.parametrize(("num_classes", "ignore", "absent"), [(7, 255, (2, 5)), (150, 255, (0,)), (11, 11, ())])
def test_it_is_the_histogram(num_classes, ignore, absent, dtype):
    images = list(random_images(num_classes, 23, num_classes, ignore=ignore, absent=absent, dtype=dtype))
    means, ious, accuracies = brute_force(images, num_classes, ignore)
    scores = iou_scores(counted(images, num_classes, ignore=ignore), resamples=3)
    assert np.isnan(scores.iou).sum() >= len(absent)
    np.testing.assert_allclose(values(scores), means, rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores.iou, ious, rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores.accuracy, accuracies, rtol=0, atol=1e-9)


@pytest.mark.parametrize(("num_classes", "ignore"), [(300, 65535), (254, -100), (255, 255)])
def test_more_classes_than_bytes(num_classes, ignore):
    images = list(random_images(5, 7, num_classes, ignore=ignore, dtype=np.int64))
    means, _, _ = brute_force(images, num_classes, ignore)
    np.testing.assert_allclose(
        values(iou_scores(counted(images, num_classes, ignore=ignore))), means, rtol=0, atol=1e-9
    )


@given(
    st.integers(1, 5).flatmap(
        lambda k: st.tuples(
            st.just(k),
            st.lists(st.tuples(st.sampled_from([*range(k), 255]), st.integers(0, k - 1)), min_size=1, max_size=20),
        )
    ),
    st.integers(0, 20),
)
def test_any_pixels_in_any_images(drawn, cut):
    num_classes, pixels = drawn
    pixels = [(0, 0), *pixels]  # one that counts
    images = [
        tuple(np.array([[pair[side] for pair in part]], dtype=np.uint8) for side in (0, 1))
        for part in (pixels[:cut], pixels[cut:])
        if part
    ]
    means, ious, _ = brute_force(images, num_classes)
    scores = iou_scores(counted(images, num_classes), resamples=2)
    np.testing.assert_allclose(values(scores), means, rtol=0, atol=1e-9)
    np.testing.assert_allclose(scores.iou, ious, rtol=0, atol=1e-9)
    assert values(iou_scores(counted(images[::-1], num_classes))) == values(scores), "the order is no matter"


def test_nothing_is_labelled():
    scores = iou_scores(counted([(np.full((2, 3), 255, dtype=np.uint8), np.zeros((2, 3), dtype=np.uint8))] * 2, 3))
    assert np.isnan(values(scores)).all()
    assert np.isnan(scores.iou).all()
    assert scores.means["miou"].low is None


def test_no_image():
    counts = SegmentationCounts(3)
    assert len(counts) == 0
    assert counts.areas.shape == (0, 3, 3)
    assert np.isnan(values(iou_scores(counts))).all()


def test_areas_of_each_image_add_up():
    images = list(random_images(1, 5, 7))
    counts = counted(images, 7)
    assert counts.areas.shape == (5, 3, 7)
    scores = iou_scores(counts)
    assert counts.areas.sum(axis=0).tolist() == [
        counts.confusion.diagonal().tolist(), scores.predicted.tolist(), scores.labelled.tolist()
    ]  # fmt: skip


def test_confusions_that_were_counted_elsewhere():
    elsewhere = SegmentationCounts(3)
    elsewhere.add_confusion(np.array([[1, 1, 0], [0, 2, 0], [1, 0, 0]], dtype=np.int32))
    assert values(iou_scores(elsewhere)) == values(iou_scores(counted([(LABELS, PREDICTIONS)], 3)))


def test_only_the_first_classes():
    counts = counted([(LABELS, PREDICTIONS), (LABELS, LABELS)], 7)
    fewer = counts.first(3)
    assert values(iou_scores(fewer)) == values(iou_scores(counts))
    assert iou_scores(fewer).means["miou"].low == iou_scores(counts).means["miou"].low
    assert (len(fewer), fewer.confusion.shape) == (2, (3, 3))
    with pytest.raises(ValueError, match=r"^a class from 2 on occurs; expected none"):
        counts.first(2)


# The interval


def test_the_interval_is_that_of_images_drawn_again():
    images = list(random_images(2, 13, 5, absent=(3,)))
    random = np.random.default_rng(12345)
    drawn = [brute_force([images[i] for i in random.integers(13, size=13)], 5)[0] for _ in range(250)]
    scores = iou_scores(counted(images, 5), resamples=250)
    for column, name in enumerate(SEGMENTATION_METRICS):
        low, high = np.quantile([one[column] for one in drawn], [0.025, 0.975])
        assert (scores.means[name].low, scores.means[name].high) == pytest.approx((low, high), abs=1e-9)
        assert low < scores.means[name].value < high


def test_the_interval_by_hand():
    """Of two images one is right: drawn again, none, one or both of the two are."""
    zeros, ones = np.zeros((2, 2), dtype=np.uint8), np.ones((2, 2), dtype=np.uint8)
    score = iou_scores(counted([(zeros, zeros), (zeros, ones)], 2)).means["aacc"]
    assert (score.low, score.value, score.high) == (0, 50, 100)


def test_the_interval_is_the_same_each_time_and_narrows_with_more_images():
    images = list(random_images(3, 12, 5))
    first, again = (iou_scores(counted(images, 5)).means["miou"] for _ in range(2))
    assert first == again
    more = iou_scores(counted(images * 9, 5)).means["miou"]
    assert more.value == pytest.approx(first.value)
    assert 2 < (first.high - first.low) / (more.high - more.low) < 4, "a third, by the root of nine"


def test_images_without_labels_do_not_widen_it():
    images = list(random_images(3, 12, 5))
    nothing = np.full((2, 3), 255, dtype=np.uint8), np.zeros((2, 3), dtype=np.uint8)
    with_them, without = (iou_scores(counted(some, 5)).means["miou"] for some in ([*images, nothing], images))
    assert (with_them.low, with_them.high, with_them.images) == (without.low, without.high, 13)


@pytest.mark.parametrize(("images", "resamples"), [(1, 1000), (3, 0)])
def test_no_interval(images, resamples):
    score = iou_scores(counted([(LABELS, PREDICTIONS)] * images, 3), resamples=resamples).means["fwiou"]
    assert (score.low, score.high) == (None, None)
    assert json.loads(json.dumps(score.as_dict())) == {
        "name": "fwiou",
        "value": pytest.approx(40),
        "low": None,
        "high": None,
        "images": images,
        "right": None,
    }


# Mistakes


@pytest.mark.parametrize("dtype", [np.uint8, np.int64])
def test_a_number_of_no_class(dtype):
    labels, predictions = LABELS.astype(dtype), PREDICTIONS.astype(dtype)
    with pytest.raises(ValueError, match=r"^labels: 1 pixels of no class \(2\); expected 0 to 1$"):
        confusion_matrix(labels, predictions, 2)
    predictions[0] = 7, 5, 7
    with pytest.raises(ValueError, match=r"^predictions: 3 pixels of no class \(5, 7\); expected 0 to 2$"):
        confusion_matrix(labels, predictions, 3)


def test_a_negative_number():
    with pytest.raises(ValueError, match=r"^predictions: 2 pixels of no class \(-2, -1\); expected 0 to 2$"):
        confusion_matrix(np.array([0, 1, 255]), np.array([-1, -2, -3]), 3)


def test_two_shapes():
    with pytest.raises(ValueError, match=r"^labels \(2, 3\), predictions \(3, 2\); expected one shape"):
        confusion_matrix(LABELS, PREDICTIONS.T, 3)


def test_a_class_cannot_be_ignored():
    with pytest.raises(ValueError, match=r"^ignore 2: is one of the 3 classes; expected a number that is none"):
        confusion_matrix(LABELS, PREDICTIONS, 3, 2)
