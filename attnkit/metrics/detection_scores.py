"""The scores of detections: of boxes, and of masks where there are any."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from attnkit.metrics.coco_ap import CocoAp, CocoScores
    from attnkit.metrics.detection_errors import ErrorType
    from attnkit.structures.arrays import IntArray
    from attnkit.structures.image_objects import ImageFound, ImageTruth, Kind


class DetectionScoring:
    """Takes images in, for all kinds of scores."""

    def __init__(self, class_names: Sequence[str], *, masks: bool, max_detections: int) -> None:
        """Begin with no image.

        Args:
            class_names: of the K classes.
            masks: whether masks are scored beside boxes.
            max_detections: most of a class on an image that count.
        """
        from attnkit.metrics.coco_ap import CocoAp

        kinds: tuple[Kind, ...] = ("box", "mask") if masks else ("box",)
        self.class_names = tuple(class_names)
        self.max_detections = max_detections
        self._scores: dict[Kind, CocoAp] = {kind: CocoAp(len(class_names), kind, max_detections) for kind in kinds}
        self._objects = self._hidden = self._full_images = self._most = 0

    def add(self, truth: ImageTruth, found: ImageFound, *, image_id: int) -> None:
        """Add an image; its id tells what comes first of equal scores."""
        import numpy as np

        for scores in self._scores.values():
            scores.add(truth, found, image_id=image_id)
        counts = np.bincount(truth.labels[~truth.crowd], minlength=1)
        hidden = int((counts - self.max_detections).clip(min=0).sum())
        self._objects += int(counts.sum())
        self._hidden += hidden
        self._full_images += hidden > 0
        self._most = max(self._most, int(counts.max()))

    @property
    def has_objects(self) -> bool:
        """Whether there is anything to find."""
        return self._objects > 0

    def compute(self, *, errors: bool) -> Scored:
        """All scores.

        Args:
            errors: whether to look at the kinds of errors, too.
        """
        return Scored(
            self.class_names,
            self.max_detections,
            {kind: scores.compute() for kind, scores in self._scores.items()},
            {kind: scores.errors() for kind, scores in self._scores.items()} if errors else None,
        )

    def note_hidden(self) -> None:
        """Say so where some objects cannot be found however good the detector is."""
        if self._hidden:
            typer.echo(
                f"{self._full_images} images have more than {self.max_detections} objects of a class (up to "
                f"{self._most}), but no more detections count: {self._hidden} of {self._objects} objects cannot be "
                f"found; --max-detections {self._most} counts them all",
                err=True,
            )


@dataclass(frozen=True)
class Scored:
    """What came out."""

    class_names: tuple[str, ...]
    max_detections: int
    scores: Mapping[Kind, CocoScores]
    errors: Mapping[Kind, Sequence[ErrorType]] | None

    def plain(self) -> dict[str, Any]:
        """All as plain values, for JSON."""
        errors = {} if self.errors is None else {
            "errors": {kind: [_no_nan(one.as_dict()) for one in types] for kind, types in self.errors.items()}
        }  # fmt: skip
        return {"scores": self.plain_scores(), "per_class": self._per_class(), **errors}

    def plain_scores(self) -> dict[str, dict[str, Any]]:
        """By names such as box_ap50."""
        return {
            f"{kind}_{name.lower()}": _no_nan(score.as_dict())
            for kind, scores in self.scores.items()
            for name, score in scores.means.items()
        }

    @property
    def objects(self) -> IntArray:
        """(K,) how many of each class are to be found."""
        return next(iter(self.scores.values())).objects

    def lowest_first(self) -> list[int]:
        """The classes by AP, of masks if there are any; those without objects at the end."""
        ap = list(self.scores.values())[-1].class_ap
        return sorted(range(len(ap)), key=lambda k: (math.isnan(ap[k]), ap[k], k))

    def _per_class(self) -> list[dict[str, Any]]:
        return [
            _no_nan(
                {
                    "class": self.class_names[k],
                    "index": k,
                    "objects": int(self.objects[k]),
                    **{
                        f"{kind}_{name}": float(values[k])
                        for kind, scores in self.scores.items()
                        for name, values in (("ap", scores.class_ap), ("ap50", scores.class_ap50))
                    },
                }
            )
            for k in self.lowest_first()
        ]


def _no_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {name: None if isinstance(value, float) and math.isnan(value) else value for name, value in values.items()}
