"""The score of a detector while it is trained: COCO's average precision of boxes and masks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from attnkit.data.detection.detection_batch import DetectionBatch
from attnkit.metrics.coco_ap import CocoAp
from attnkit.recipes.detection.scored_objects import found_of, truth_of
from attnkit.structures.detections import Detections
from attnkit.structures.image_objects import Kind

_KEPT = ("AP", "AP50", "AP75")
"""Of COCO's numbers; `attnkit evaluate` has them all."""


class AveragePrecision:
    """Average precision over ten overlaps, at 0.5 and at 0.75, in percent; of all objects in the pixels of the files.

    It is COCO's, but for `max_detections`: as many as the detector gives.
    """

    def __init__(self, num_classes: int, *, masks: bool, max_detections: int, mask_threshold: float) -> None:
        """Begin with no image.

        Args:
            num_classes: K.
            masks: whether masks are scored beside boxes.
            max_detections: most of a class on an image that count.
            mask_threshold: a pixel belongs to an object from this probability on.
        """
        kinds: tuple[Kind, ...] = ("box", "mask") if masks else ("box",)
        self._scores = {kind: CocoAp(num_classes, kind, max_detections) for kind in kinds}
        self._mask_threshold = mask_threshold if masks else None

    def update(self, batch: DetectionBatch, predictions: Sequence[Detections]) -> None:
        """Take what was found on the images of a batch, in the pixels of their files. Of equal scores that on the image
        comes first that does so in the data: see `by_image_id`.
        """
        rows = zip(batch.indices.tolist(), batch.objects, batch.originals, predictions, strict=True)
        for index, objects, size, found in rows:
            truth = truth_of(objects, masks=self._mask_threshold is not None)
            seen = found_of(found, size, mask_threshold=self._mask_threshold)
            for score in self._scores.values():
                score.add(truth, seen, image_id=index)

    def compute(self) -> dict[str, float]:
        """The scores by name: box_ap, box_ap50, box_ap75, and the same of masks. All are 0 where nothing is there to
        be found, for the loop to compare.
        """
        scores: dict[str, float] = {}
        for kind, score in self._scores.items():
            means = score.compute(resamples=0).means
            for name in _KEPT:
                value = means[name].value
                scores[f"{kind}_{name.lower()}"] = 0.0 if math.isnan(value) else value
        return scores
