"""The interval of average precision is that of images drawn again."""

import numpy as np
import pytest

from attnkit.metrics.ap_interval import _levels, usual_resamples
from attnkit.metrics.average_precision import RECALLS
from tests.metrics.coco_sets import ap_of, pycocotools_eval, random_set


def drawn_again(instances, results, which):
    """A set whose images are some of another's, each as often as it was drawn."""
    images, annotations, found = [], [], []
    for number, i in enumerate(which, start=1):
        old = instances["images"][i]["id"]
        images.append(instances["images"][i] | {"id": number})
        for one in instances["annotations"]:
            if one["image_id"] == old:
                annotations.append(one | {"id": len(annotations) + 1, "image_id": number})
        found += [one | {"image_id": number} for one in results if one["image_id"] == old]
    return {**instances, "images": images, "annotations": annotations}, found


def no_equal_scores(results):
    return [one | {"score": one["score"] + 1e-6 * n} for n, one in enumerate(results)]


def test_it_is_that_of_pycocotools_on_images_drawn_again():
    instances, results = random_set(8, images=6, classes=3, detections=25)
    results = no_equal_scores(results)
    scores = ap_of(instances, results).compute(resamples=15)
    random, images = np.random.default_rng(12345), len(instances["images"])
    draws = [drawn_again(instances, results, random.integers(images, size=images)) for _ in range(15)]
    drawn = np.array([100 * pycocotools_eval(*one).stats for one in draws])
    drawn[drawn < 0] = np.nan
    for column, (name, score) in enumerate(scores.means.items()):
        there = drawn[~np.isnan(drawn[:, column]), column]
        low, high = np.quantile(there, [0.025, 0.975]) - there.mean() + score.value
        assert (score.low, score.high) == pytest.approx((max(low, 0), min(high, 100)), abs=2e-4), name


def test_it_is_the_same_each_time_and_narrows_with_more_images():
    instances, results = random_set(1, images=16, classes=2, detections=15)
    first, again = (ap_of(instances, results).compute().means["AP50"] for _ in range(2))
    assert first == again
    assert first.low < first.value < first.high
    more = ap_of(*drawn_again(instances, no_equal_scores(results), list(range(len(instances["images"]))) * 9)).compute()
    few = ap_of(instances, no_equal_scores(results)).compute().means["AP50"]
    assert 2.4 < (few.high - few.low) / (more.means["AP50"].high - more.means["AP50"].low) < 3.8, "a third"


def test_a_detector_without_a_mistake():
    instances, _ = random_set(1, images=9)
    found = [one | {"score": 0.5} for one in instances["annotations"] if not one["iscrowd"]]
    means = ap_of(instances, found).compute(resamples=50).means
    assert (means["AP"].low, means["AP"].value, means["AP"].high) == pytest.approx((100, 100, 100), abs=1e-4)


def test_nothing_was_found():
    instances, _ = random_set(1, images=9)
    means = ap_of(instances, []).compute(resamples=50).means
    assert (means["AP"].low, means["AP"].value, means["AP"].high) == (0, 0, 0)


def test_how_many_recalls_are_reached_by_so_many_found_ones():
    """As the curve is read: 0.35 in binary is a little more than 7 of 20."""
    positives = np.arange(1, 301, dtype=np.float32)
    levels = _levels(positives)
    for row, there in zip(levels, positives.astype(int).tolist(), strict=True):
        shares = np.arange(there + 1) / there
        assert row[: there + 1].tolist() == [int((share >= RECALLS).sum()) for share in shares]
    assert levels[19][7] == 35 < 1 + 100 * 7 / 20


def test_of_many_images_fewer_resamples():
    assert [usual_resamples(n) for n in (0, 7, 1000, 2000, 4000, 118000)] == [1000, 1000, 1000, 500, 250, 250]


@pytest.mark.parametrize(("images", "resamples"), [(1, 1000), (5, 0)])
def test_no_interval(images, resamples):
    means = ap_of(*random_set(5, images=images)).compute(resamples=resamples).means
    assert {(one.low, one.high) for one in means.values()} == {(None, None)}
    assert len(means) == 12
