"""The score while a detector is trained: objects and findings of a batch, as COCO compares them."""

import numpy as np
import pytest
import torch

from attnkit.data.detection.detection_batches import DetectionBatch
from attnkit.recipes.detection.average_precision import (
    AveragePrecision,
    by_image_id,
    found_of,
    mask_codes,
    truth_of,
    xywh,
)
from attnkit.structures.detections import Detections
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

SIZE = (40, 60)


def objects(*boxes, labels, crowd=(), filled=True, difficult=None):
    """Each box filled, or its left three fifths alone."""
    bitmaps = torch.zeros(len(boxes), *SIZE, dtype=torch.bool)
    for bitmap, (x1, y1, x2, y2) in zip(bitmaps, boxes, strict=True):
        bitmap[y1:y2, x1 : x2 if filled else (2 * x1 + 3 * x2) // 5] = True
    masks = Masks.from_bitmaps(bitmaps)
    return Objects(
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        labels=torch.tensor(labels, dtype=torch.int64),
        areas=masks.areas(),
        crowd=torch.tensor([row in crowd for row in range(len(boxes))], dtype=torch.bool),
        masks=masks,
        difficult=difficult,
    )


def found(*boxes, labels, scores, probs=1.0):
    return Detections(
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        scores=torch.tensor(scores),
        labels=torch.tensor(labels, dtype=torch.int64),
        mask_probs=torch.full((len(boxes), 4, 4), probs),
    )


def batch_of(*of_images, indices=None):
    count = len(of_images)
    return DetectionBatch(
        images=torch.zeros(count, 3, 32, 64),
        sizes=[(32, 48)] * count,
        objects=list(of_images),
        originals=[SIZE] * count,
        indices=np.arange(count) if indices is None else np.array(indices),
        semantic=None,
    )


def score(*images, masks=True, max_detections=100, **given):
    metric = AveragePrecision(3, masks=masks, max_detections=max_detections, mask_threshold=0.5)
    for there, seen in images:  # a batch each
        metric.update(batch_of(there), [seen])
    return metric.compute()


A, B = (5, 5, 25, 25), (30, 10, 50, 30)


def test_everything_found():
    there = objects(A, B, labels=[0, 2])
    seen = found(B, A, labels=[2, 0], scores=[0.9, 0.8])
    names = [f"{kind}_{name}" for kind in ("box", "mask") for name in ("ap", "ap50", "ap75")]
    assert score((there, seen)) == pytest.approx(dict.fromkeys(names, 100.0))


def test_half_of_it_found_by_one_of_two_classes():
    there = objects(A, B, labels=[0, 2])
    result = score((there, found(A, labels=[0], scores=[0.9])), masks=False)
    assert result == pytest.approx({"box_ap": 50.0, "box_ap50": 50.0, "box_ap75": 50.0})


def test_masks_are_compared_as_masks_and_boxes_as_boxes():
    """A mask of which not quite three fifths are right: enough for overlaps of 0.5 and 0.55."""
    there = objects(A, labels=[1], filled=False)
    result = score((there, found(A, labels=[1], scores=[0.9])))
    assert result["box_ap"] == pytest.approx(100.0)
    assert (result["mask_ap50"], result["mask_ap75"]) == (pytest.approx(100.0), 0.0)
    assert result["mask_ap"] == pytest.approx(20.0)


def test_several_images_are_ranked_together():
    """A surer wrong finding on another image comes first: precision is a half."""
    first = objects(A, labels=[0]), found(A, labels=[0], scores=[0.5])
    second = objects(labels=[]), found(B, labels=[0], scores=[0.9])
    assert score(first, second)["box_ap50"] == pytest.approx(50.0)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_equal_scores_that_on_the_first_image_of_the_data_comes_first(order):
    """Whatever batch it is in: of two objects the second image's is found, 51 of 101 points at a precision of 1/2."""
    seen = found(B, labels=[0], scores=[0.5]), found(A, labels=[0], scores=[0.5])
    metric = AveragePrecision(3, masks=True, max_detections=100, mask_threshold=0.5)
    for index in order:
        metric.update(batch_of(objects(A, labels=[0]), indices=[index]), [seen[index]])
    assert metric.compute()["mask_ap50"] == pytest.approx(100 * 51 / 101 / 2)


class Numbered:
    """Images by their ids."""

    def __init__(self, *ids):
        self.ids = ids

    def __len__(self):
        return len(self.ids)

    def image_id(self, index):
        return self.ids[index]

    def select(self, rows):
        return Numbered(*(self.ids[row] for row in rows))


def test_images_in_the_order_of_their_ids():
    assert by_image_id(Numbered(7, 2, 11, 5, 3)).ids == (2, 3, 5, 7, 11)


def test_crowds_and_difficult_objects_need_not_be_found():
    there = objects(A, B, labels=[0, 0], crowd=[1])
    seen = found((31, 11, 40, 20), A, labels=[0, 0], scores=[0.9, 0.8])
    assert score((there, seen))["box_ap"] == pytest.approx(100.0), "inside the crowd is not wrong"
    there = objects(A, B, labels=[0, 0], difficult=torch.tensor([False, True]))
    assert score((there, found(A, labels=[0], scores=[0.8])))["mask_ap"] == pytest.approx(100.0)


def test_no_more_than_the_most_detections_of_a_class_count():
    there = objects(A, B, labels=[0, 0])
    seen = found(A, B, labels=[0, 0], scores=[0.9, 0.8])
    assert score((there, seen), max_detections=1)["box_ap50"] == pytest.approx(100 * 51 / 101)


def test_nothing_to_find_is_a_score_to_compare():
    assert set(score((objects(labels=[]), found(A, labels=[0], scores=[0.9]))).values()) == {0.0}


# What is scored


def test_what_is_there():
    there = objects((5, 7, 16, 20), (1, 2, 4, 7), labels=[2, 0], crowd=[1], difficult=torch.tensor([True, False]))
    truth = truth_of(there, masks=True)
    assert truth.xywh.dtype == np.float64
    assert truth.xywh.tolist() == [[5, 7, 11, 13], [1, 2, 3, 5]]
    assert (truth.labels.tolist(), truth.areas.tolist()) == ([2, 0], [143, 15])
    assert (truth.crowd.tolist(), truth.difficult.tolist()) == ([False, True], [True, False])
    assert torch.equal(Masks.from_rle(truth.rles, SIZE).bitmaps(), there.masks.bitmaps())
    alone = truth_of(objects(A, labels=[1]), masks=False)
    assert alone.rles is alone.difficult is None


def test_masks_that_are_not_there():
    boxes_alone = Objects.none(SIZE, masks=False)
    assert len(truth_of(boxes_alone, masks=False)) == 0
    with pytest.raises(ValueError, match=r"^objects: they have boxes alone; expected masks$"):
        truth_of(boxes_alone, masks=True)


def test_what_was_found():
    seen = found((5, 7, 16, 20), (1, 2, 4, 7), labels=[2, 0], scores=[0.75, 0.5], probs=0.4)
    as_scored = found_of(seen, SIZE, mask_threshold=0.3)
    assert as_scored.xywh.tolist() == [[5, 7, 11, 13], [1, 2, 3, 5]]
    assert (as_scored.labels.tolist(), as_scored.scores.tolist()) == ([2, 0], [0.75, 0.5])
    assert as_scored.scores.dtype == as_scored.xywh.dtype == np.float64
    bitmap = Masks.from_rle(as_scored.rles, SIZE).bitmap(0)
    assert bitmap[9:18, 7:14].all()
    assert not bitmap[:7].any()
    assert not bitmap[:, 16:].any()
    assert Masks.from_rle(found_of(seen, SIZE, mask_threshold=0.5).rles, SIZE).areas().tolist() == [0, 0]
    assert found_of(seen, SIZE, mask_threshold=None).rles is None


def test_masks_are_drawn_one_by_one_as_all_together():
    torch.manual_seed(3)
    seen = Detections(torch.tensor([[2.5, 3, 30.2, 31], [10, 0, 60, 40.0]]), torch.ones(2), torch.zeros(2).long(),
                      torch.rand(2, 5, 5))  # fmt: skip
    assert mask_codes(seen, SIZE, 0.5) == seen.masks(SIZE, 0.5).rle()
    assert mask_codes(seen[:0], SIZE, 0.5) == []


def test_boxes_as_in_coco_s_files():
    assert xywh(torch.tensor([[0.5, 2, 3, 7]])).tolist() == [[0.5, 2, 2.5, 5]]
    assert xywh(torch.zeros(0, 4)).shape == (0, 4)
