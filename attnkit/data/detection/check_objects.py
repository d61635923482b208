"""The part of the data check that looks at each object: its box, its area, its outline."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.object_files import box_of
from attnkit.data.detection.seen_objects import SeenObjects, areas_of, seen_on
from attnkit.data.finding import Finding, and_more
from attnkit.data.formats.annotations import Annotation
from attnkit.data.formats.outlines import LEAST_COORDINATES
from attnkit.structures.objects import Objects

_BEYOND = 1.0
"""Pixels that a box may reach over the edge: annotations are rounded."""
_MUCH = 0.2
"""Share of an area that another may differ from it, and half a pixel all around."""
_LEAST_OVERLAP = 0.5
"""IoU of a box and the box around its outline, where they are not near."""
_MISSED = "it cannot be learned, and counts as missed in scores"

_Bools = NDArray[np.bool_]


class ObjectsCheck:
    """Gathers the objects of a split image by image, then says what is wrong with them."""

    def __init__(self, images: DetectionSet, *, with_areas: bool) -> None:
        """Take the images.

        Args:
            images: of the split.
            with_areas: whether their annotations are of a kind that says areas.
        """
        self._images, self._with_areas = images, with_areas
        none = np.zeros(0)
        self._parts = [seen_on(0, [], none.reshape(0, 4), (0, 0), None)]
        self._all: SeenObjects | None = None

    def add(self, index: int, annotations: Sequence[Annotation], size: tuple[int, int], drawn: Objects | None) -> None:
        """Take the objects of an image.

        Args:
            index: of the image.
            annotations: as they are written.
            size: H, W of the image.
            drawn: the same with masks; None where they were not drawn.

        Raises:
            DataError: a box is none.
        """
        place = self._images.annotation_place(index)
        boxes = np.array([box_of(one, size, place) for one in annotations], dtype=np.float64).reshape(-1, 4)
        self._parts.append(seen_on(index, annotations, boxes, size, drawn))

    def seen(self) -> SeenObjects:
        """All objects that were taken."""
        if self._all is None:
            names = SeenObjects.__dataclass_fields__
            columns = {name: np.concatenate([getattr(part, name) for part in self._parts]) for name in names}
            self._all, self._parts = SeenObjects(**columns), []
        return self._all

    def findings(self) -> list[Finding]:
        """What is wrong, after all were taken."""
        return [*self._boxes(), *self._areas(), *self._outlines(), *self._repeated()]

    def _boxes(self) -> list[Finding]:
        seen = self.seen()
        sides = seen.boxes[:, 2:] - seen.boxes[:, :2]
        empty = (sides[:, 0] <= 0) | (sides[:, 1] <= 0)
        outside = ~empty & (seen.box_areas() <= 0)
        reach = abs(seen.boxes - seen.clipped()).max(1, initial=0)
        beyond = ~empty & ~outside & (reach > _BEYOND)

        def where(row: int) -> str:
            (x1, y1, x2, y2), (height, width) = seen.boxes[row], seen.image_sizes[row]
            return f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g} in {width:g} x {height:g} pixels"

        fix = "fix or remove it"
        return [
            *self._say(
                empty,
                lambda row: f"the box of object {self._id(row)} is empty, {sides[row, 0]:g} x {sides[row, 1]:g} pixels",
                _MISSED,
                fix,
            ),
            *self._say(
                outside,
                lambda row: f"the box of object {self._id(row)} is outside of the image, {where(row)}",
                _MISSED,
                fix,
            ),
            *self._say(
                beyond,
                lambda row: f"the box of object {self._id(row)} is partly outside of the image, {where(row)}",
                "that part is cut off",
                "fix it; if there are many, they may be for another size of the images",
            ),
        ]

    def _areas(self) -> list[Finding]:
        seen = self.seen()
        said, box, drawn = seen.areas, areas_of(seen.boxes), seen.mask_areas
        margin = (seen.boxes[:, 2:] - seen.boxes[:, :2]).sum(1)
        with np.errstate(invalid="ignore"):
            off_mask = abs(said - drawn) > _MUCH * drawn + margin
            off_box = (said <= 0) | (said > (1 + _MUCH) * box + margin)
        known = ~np.isnan(said) & ~seen.crowd & (seen.box_areas() > 0)
        wrong = known & np.where(drawn > 0, off_mask, off_box)

        def instead(row: int) -> str:
            return f"its mask has {drawn[row]:g}" if drawn[row] > 0 else f"its box has {box[row]:g}"

        unsaid = np.isnan(said) & self._with_areas
        return [
            *self._say(
                unsaid,
                lambda row: f"the area of object {self._id(row)} is not given",
                f"that of the {'mask' if self._images.has_masks else 'box'} stands in for it, and tools that expect it "
                "cannot score the file",
                "write it",
            ),
            *self._say(
                wrong,
                lambda row: f"the area of object {self._id(row)} is wrong, {said[row]:g} pixels where {instead(row)}",
                "the scores of small, medium and large objects go by it",
                "compute it anew, or leave it out",
            ),
        ]

    def _outlines(self) -> list[Finding]:
        if not self._images.masks_wanted:
            return []
        if not self._images.has_masks:
            return [*self._short_polygons(), *self._boxes_alone()]
        seen = self.seen()
        inside = seen.box_areas() > 0
        return [
            *self._short_polygons(),
            *self._some_without(),
            *self._say(
                seen.outlined & (seen.mask_areas == 0) & inside,
                lambda row: f"the outline of object {self._id(row)} is empty",
                "it is left out of training, and its mask counts as missed in scores",
                "fix or remove it",
            ),
            *self._say(
                seen.overlaps < _LEAST_OVERLAP,
                lambda row: (
                    f"the outline of object {self._id(row)} is not where its box is, they overlap by "
                    f"{seen.overlaps[row]:.0%}"
                ),
                "box and mask are learned from different places",
                "fix one of the two; if there are many, x and y may be exchanged in one",
            ),
        ]

    def _short_polygons(self) -> list[Finding]:
        short = self.seen().short_polygons
        return self._say(
            short > 0,
            lambda row: f"the outline of object {self._id(row)} is a polygon of {short[row]} numbers",
            f"expected {LEAST_COORDINATES} or more: it counts as none",
            "fix or remove it",
        )

    def _boxes_alone(self) -> list[Finding]:
        """Some have outlines, too few for masks."""
        if not self.seen().outlined[~self.seen().crowd].any():
            return []
        why = "masks are learned where nine in ten have one, so here boxes alone are learned and scored"
        return self._without(why, "outline them; or set data.masks=false, and this is not said")

    def _some_without(self) -> list[Finding]:
        why = "they are left out of training, and their masks count as missed in scores"
        return self._without(why, "outline them; or set data.masks=false, for boxes alone")

    def _without(self, why: str, fix: str) -> list[Finding]:
        """How many of how many objects have no outline; crowds are none of them."""
        seen = self.seen()
        without = np.flatnonzero(~seen.outlined & ~seen.crowd).tolist()
        if not without:
            return []
        place = self._images.annotation_place(int(seen.images[without[0]]))
        what = f"{len(without)} of {(~seen.crowd).sum()} objects have no outline, object {self._id(without[0])} first"
        return [Finding("warning", place, what, why, fix)]

    def _repeated(self) -> list[Finding]:
        """Of one class and at the same place of one image."""
        seen = self.seen()
        keys = np.column_stack([seen.images, seen.labels, seen.crowd, seen.boxes])
        order = np.lexsort(keys.T[::-1])
        ordered = keys[order]
        again = np.zeros(len(keys), dtype=np.bool_)
        again[order[1:]] = (ordered[1:] == ordered[:-1]).all(1)
        return self._say(
            again & (seen.box_areas() > 0),
            lambda row: f"object {self._id(row)} is there twice, with the same class and box",
            "one of the two counts as missed in scores",
            "remove it",
        )

    def _say(self, rows: _Bools, what: Callable[[int], str], why: str, fix: str) -> list[Finding]:
        """One warning for all of a kind, at the first."""
        found = np.flatnonzero(rows).tolist()
        if not found:
            return []
        place = self._images.annotation_place(int(self.seen().images[found[0]]))
        return [Finding("warning", place, f"{what(found[0])}{and_more(len(found))}", why, fix)]

    def _id(self, row: int) -> str:
        seen = self.seen()
        return self._images.annotations(int(seen.images[row]))[int(seen.numbers[row])].id
