"""Average precision is pycocotools', to the last digits."""

import numpy as np
import pytest

from tests.metrics.coco_sets import SIDE, ap_of, coco_set, pycocotools_eval, random_set


def assert_equal(instances, results, kind="box", max_detections=100):
    theirs = pycocotools_eval(instances, results, kind, max_detections)
    ours = ap_of(instances, results, kind, max_detections).compute(resamples=0)
    precision, recall = theirs.eval["precision"][..., -1], theirs.eval["recall"]
    np.testing.assert_allclose(ours.precision, np.where(precision < 0, np.nan, precision), rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours.recall, np.where(recall < 0, np.nan, recall), rtol=0, atol=1e-12)
    assert list(ours.means) == [
        "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", f"AR{max_detections}", "ARs", "ARm", "ARl"
    ]  # fmt: skip
    values = [one.value / 100 for one in ours.means.values()]
    expected = theirs.stats
    if max_detections != 100:  # pycocotools says -1 for this one then
        every = precision[..., 0][precision[..., 0] >= 0]
        assert expected[0] == -1
        expected[0] = every.mean() if len(every) else -1
    np.testing.assert_allclose(values, np.where(expected < 0, np.nan, expected), rtol=0, atol=1e-12)
    return ours


@pytest.mark.parametrize("seed", range(12))
def test_boxes(seed):
    """Of whole pixels, tenths, or anything, so that overlaps lie on the thresholds or do not."""
    instances, results = random_set(seed, classes=1 + seed % 5, decimals=(0, 1, 9)[seed % 3])
    assert any(one["iscrowd"] for one in instances["annotations"])
    assert len({one["score"] for one in results}) < len(results)
    ours = assert_equal(instances, results)
    assert ours.means["AP"].value > 0


@pytest.mark.parametrize("seed", range(20, 25))
def test_masks(seed):
    instances, results = random_set(seed, masks=True, detections=20)
    assert_equal(instances, results, "mask")


@pytest.mark.parametrize("kind", ["box", "mask"])
@pytest.mark.parametrize("seed", range(30, 33))
def test_images_in_any_order(seed, kind):
    """Ids that do not ascend, and scores of which there are eleven."""
    instances, results = random_set(seed, images=11, classes=2, masks=kind == "mask")
    order = np.random.default_rng(seed).permutation(len(instances["images"]))
    straight = ap_of(instances, results, kind).compute()
    instances["images"] = [instances["images"][place] for place in order]
    shuffled = assert_equal(instances, results, kind)
    np.testing.assert_equal(shuffled.precision, straight.precision)
    means = ap_of(instances, results, kind).compute().means
    assert means == straight.means, "intervals too"


@pytest.mark.parametrize("max_detections", [11, 25, 100, 500])
def test_more_detections_of_a_class_than_count(max_detections):
    instances, results = random_set(2, images=3, classes=2, objects=20, detections=220)
    most = max(np.bincount([one["image_id"] for one in results if one["category_id"] == 2]))
    assert most > 100
    assert_equal(instances, results, max_detections=max_detections)


def test_very_many_small_objects_as_in_nuclei():
    random = np.random.default_rng(0)
    corners = np.stack(np.meshgrid(np.arange(0, SIDE, 11), np.arange(0, SIDE, 11)), -1).reshape(-1, 2)
    boxes = np.concatenate([corners, random.integers(5, 13, corners.shape)], axis=1).astype(float)
    truth = [(0, 0, box.tolist(), float(box[2] * box[3]), 0) for box in boxes]
    found = [(0, 0, (box + random.normal(0, 1, 4)).clip(1).tolist(), float(random.random())) for box in boxes]
    instances, results = coco_set(truth, found, 1)
    assert len(truth) == 144
    hidden, all_of_them = (assert_equal(instances, results, max_detections=n).means["AP50"].value for n in (100, 200))
    assert hidden < 70 < all_of_them


@pytest.mark.parametrize(
    ("truth", "found"),
    [
        ([(0, 0, [1, 2, 3, 4], 12.0, 0)], [(1, 1, [1, 2, 3, 4], 0.5)]),
        ([(0, 0, [1, 2, 3, 4], 12.0, 1)], [(0, 0, [1, 2, 3, 4], 0.5)]),
        ([(0, 1, [1, 2, 3, 4], 12.0, 0), (2, 1, [5, 5, 5, 5], 25.0, 0)], [(0, 1, [1, 2, 3, 4], 0.5)] * 3),
        (
            [(0, 1, [1, 2, 3, 0], 0.0, 0), (0, 1, [5, 5, 7, 5], 35.0, 0)],
            [(0, 1, [1, 2, 3, 0], 0.5), (0, 1, [5, 5, 7, 5], 0.5)],
        ),
    ],
    ids=["another class", "a crowd alone", "duplicates", "no area"],
)
def test_corners(truth, found):
    assert_equal(*coco_set(truth, found, 3))


def test_an_object_with_the_id_0_is_found_here_and_not_there():
    instances, results = coco_set([(0, 0, [1, 2, 3, 4], 12.0, 0)], [(0, 0, [1, 2, 3, 4], 0.5)], 1)
    instances["annotations"][0]["id"] = 0
    assert pycocotools_eval(instances, results).stats[0] == 0
    assert ap_of(instances, results).compute().means["AP"].value == 100
