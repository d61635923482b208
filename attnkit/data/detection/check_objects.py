"""The part of the data check that looks at each object: its box, its area, its outline."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.object_files import box_of
from attnkit.data.finding import Finding, and_more
from attnkit.data.formats.annotations import Annotation
from attnkit.data.formats.outlines import LEAST_COORDINATES, is_outline, short_polygon
from attnkit.structures.arrays import BoolArray, FloatArray, IntArray
from attnkit.structures.objects import Objects

_BEYOND = 1.0
"""Pixels that a box may reach over the edge: annotations are rounded."""
_MUCH = 0.2
"""Share of an area by which another may differ from it, beside half a pixel all around."""
_LEAST_OVERLAP = 0.5
"""IoU of a box and the box around its outline, where they are not near."""
_NEAR = 5.0
"""Pixels that the edges of two boxes may be apart to be alike."""
_MISSED = "it cannot be learned, and counts as missed in scores"

_Bools = BoolArray


@dataclass(frozen=True)
class ObjectTable:
    """R objects in the order of their images."""

    images: IntArray
    """(R,) which image each is on."""
    numbers: IntArray
    """(R,) which object of that image."""
    labels: IntArray
    boxes: FloatArray
    """(R, 4) x1 y1 x2 y2, as annotated."""
    image_sizes: FloatArray
    """(R, 2) height and width of its image."""
    areas: FloatArray
    """(R,) as annotated; NaN where the file gives none."""
    crowd: _Bools
    outlined: _Bools
    short_polygons: IntArray
    """(R,) numbers of its longest polygon, where each has too few to be an outline; else 0."""
    mask_areas: FloatArray
    """(R,) NaN where no mask was drawn."""
    overlaps: FloatArray
    """(R,) IoU of the box and the one around the mask; NaN where the two are alike, or one is empty."""

    def clipped(self) -> FloatArray:
        """(R, 4) the boxes inside of their images."""
        limits = self.image_sizes[:, [1, 0, 1, 0]]
        return np.clip(self.boxes, 0, limits)

    def box_areas(self) -> FloatArray:
        """(R,) of the boxes inside of their images."""
        return _areas_of(self.clipped())

    def sizes(self) -> FloatArray:
        """(R,) the areas by which scores divide small from large."""
        drawn = np.where(self.mask_areas > 0, self.mask_areas, self.box_areas())
        return np.where(np.isnan(self.areas), drawn, self.areas)


class ObjectsCheck:
    """Gathers the objects of a split image by image, then says what is wrong with them."""

    def __init__(self, images: DetectionSet, *, with_areas: bool) -> None:
        self._images, self._with_areas = images, with_areas
        none = np.zeros(0)
        self._parts = [_table_of(0, [], none.reshape(0, 4), (0, 0), None)]
        self._all: ObjectTable | None = None

    def add(self, index: int, annotations: Sequence[Annotation], size: tuple[int, int], drawn: Objects | None) -> None:
        """Take the objects of an image as they are written, and with masks where these were drawn.

        Raises:
            DataError: a box is none.
        """
        place = self._images.annotation_place(index)
        boxes = np.array([box_of(one, size, place) for one in annotations], dtype=np.float64).reshape(-1, 4)
        self._parts.append(_table_of(index, annotations, boxes, size, drawn))

    def table(self) -> ObjectTable:
        """All objects that were taken."""
        if self._all is None:
            names = ObjectTable.__dataclass_fields__
            columns = {name: np.concatenate([getattr(part, name) for part in self._parts]) for name in names}
            self._all, self._parts = ObjectTable(**columns), []
        return self._all

    def findings(self) -> list[Finding]:
        """What is wrong, after all were taken."""
        return [*self._boxes(), *self._areas(), *self._outlines(), *self._repeated()]

    def _boxes(self) -> list[Finding]:
        table = self.table()
        sides = table.boxes[:, 2:] - table.boxes[:, :2]
        empty = (sides[:, 0] <= 0) | (sides[:, 1] <= 0)
        outside = ~empty & (table.box_areas() <= 0)
        reach = abs(table.boxes - table.clipped()).max(1, initial=0)
        beyond = ~empty & ~outside & (reach > _BEYOND)

        def where(row: int) -> str:
            (x1, y1, x2, y2), (height, width) = table.boxes[row], table.image_sizes[row]
            return f"x {x1:g} to {x2:g}, y {y1:g} to {y2:g} in {width:g} x {height:g} pixels"

        fix = "fix or remove it"
        return [
            *self._warnings(
                empty,
                lambda row: f"the box of object {self._id(row)} is empty, {sides[row, 0]:g} x {sides[row, 1]:g} pixels",
                _MISSED,
                fix,
            ),
            *self._warnings(
                outside,
                lambda row: f"the box of object {self._id(row)} is outside of the image, {where(row)}",
                _MISSED,
                fix,
            ),
            *self._warnings(
                beyond,
                lambda row: f"the box of object {self._id(row)} is partly outside of the image, {where(row)}",
                "that part is cut off",
                "fix it; if there are many, they may be for another size of the images",
            ),
        ]

    def _areas(self) -> list[Finding]:
        table = self.table()
        given, box, drawn = table.areas, _areas_of(table.boxes), table.mask_areas
        margin = (table.boxes[:, 2:] - table.boxes[:, :2]).sum(1)
        with np.errstate(invalid="ignore"):
            off_mask = abs(given - drawn) > _MUCH * drawn + margin
            off_box = (given <= 0) | (given > (1 + _MUCH) * box + margin)
        known = ~np.isnan(given) & ~table.crowd & (table.box_areas() > 0)
        wrong = known & np.where(drawn > 0, off_mask, off_box)

        def instead(row: int) -> str:
            return f"its mask has {drawn[row]:g}" if drawn[row] > 0 else f"its box has {box[row]:g}"

        missing = np.isnan(given) & self._with_areas
        return [
            *self._warnings(
                missing,
                lambda row: f"the area of object {self._id(row)} is not given",
                f"that of the {'mask' if self._images.has_masks else 'box'} stands in for it, and tools that expect it "
                "cannot score the file",
                "write it",
            ),
            *self._warnings(
                wrong,
                lambda row: f"the area of object {self._id(row)} is wrong, {given[row]:g} pixels where {instead(row)}",
                "the scores of small, medium and large objects go by it",
                "compute it again, or leave it out",
            ),
        ]

    def _outlines(self) -> list[Finding]:
        if not self._images.masks_wanted:
            return []
        if not self._images.has_masks:
            return [*self._short_polygons(), *self._boxes_alone()]
        table = self.table()
        inside = table.box_areas() > 0
        return [
            *self._short_polygons(),
            *self._some_without(),
            *self._warnings(
                table.outlined & (table.mask_areas == 0) & inside,
                lambda row: f"the outline of object {self._id(row)} is empty",
                "it is left out of training, and its mask counts as missed in scores",
                "fix or remove it",
            ),
            *self._warnings(
                table.overlaps < _LEAST_OVERLAP,
                lambda row: (
                    f"the outline of object {self._id(row)} is not where its box is, they overlap by "
                    f"{table.overlaps[row]:.0%}"
                ),
                "box and mask are learned from different places",
                "fix one of the two; if there are many, x and y may be exchanged in one",
            ),
        ]

    def _short_polygons(self) -> list[Finding]:
        short = self.table().short_polygons
        return self._warnings(
            short > 0,
            lambda row: f"the outline of object {self._id(row)} is a polygon of {short[row]} numbers",
            f"expected {LEAST_COORDINATES} or more: it counts as none",
            "fix or remove it",
        )

    def _boxes_alone(self) -> list[Finding]:
        """Some have outlines, too few for masks."""
        if not self.table().outlined[~self.table().crowd].any():
            return []
        why = "masks are learned where nine in ten have one, so here boxes alone are learned and scored"
        return self._without(why, "outline them; or set data.masks=false, which silences this")

    def _some_without(self) -> list[Finding]:
        why = "they are left out of training, and their masks count as missed in scores"
        return self._without(why, "outline them; or set data.masks=false, for boxes alone")

    def _without(self, why: str, fix: str) -> list[Finding]:
        """How many of how many objects have no outline; crowds are none of them."""
        table = self.table()
        without = np.flatnonzero(~table.outlined & ~table.crowd).tolist()
        if not without:
            return []
        place = self._images.annotation_place(int(table.images[without[0]]))
        what = f"{len(without)} of {(~table.crowd).sum()} objects have no outline, object {self._id(without[0])} first"
        return [Finding("warning", place, what, why, fix)]

    def _repeated(self) -> list[Finding]:
        """Of one class and at the same place of one image."""
        table = self.table()
        keys = np.column_stack([table.images, table.labels, table.crowd, table.boxes])
        order = np.lexsort(keys.T[::-1])
        ordered = keys[order]
        again = np.zeros(len(keys), dtype=np.bool_)
        again[order[1:]] = (ordered[1:] == ordered[:-1]).all(1)
        return self._warnings(
            again & (table.box_areas() > 0),
            lambda row: f"object {self._id(row)} is there twice, with the same class and box",
            "one of the two counts as missed in scores",
            "remove it",
        )

    def _warnings(self, rows: _Bools, what: Callable[[int], str], why: str, fix: str) -> list[Finding]:
        """One warning for all of a kind, at the first."""
        found = np.flatnonzero(rows).tolist()
        if not found:
            return []
        place = self._images.annotation_place(int(self.table().images[found[0]]))
        return [Finding("warning", place, f"{what(found[0])}{and_more(len(found))}", why, fix)]

    def _id(self, row: int) -> str:
        table = self.table()
        return self._images.annotations(int(table.images[row]))[int(table.numbers[row])].id


def _table_of(
    index: int, annotations: Sequence[Annotation], boxes: FloatArray, size: tuple[int, int], drawn: Objects | None
) -> ObjectTable:
    """The R objects of one image; boxes (R, 4) as they are written."""
    count = len(annotations)
    masks = None if drawn is None else drawn.masks
    table = ObjectTable(
        images=np.full(count, index, dtype=np.int64),
        numbers=np.arange(count),
        labels=np.array([one.label for one in annotations], dtype=np.int64),
        boxes=boxes,
        image_sizes=np.tile(np.array(size, dtype=np.float64), (count, 1)),
        areas=np.array([np.nan if one.area is None else one.area for one in annotations], dtype=np.float64),
        crowd=np.array([one.crowd for one in annotations], dtype=np.bool_),
        outlined=np.array([is_outline(one.outline) for one in annotations], dtype=np.bool_),
        short_polygons=np.array([short_polygon(one.outline) for one in annotations], dtype=np.int64),
        mask_areas=np.full(count, np.nan) if masks is None else masks.areas().numpy().astype(np.float64),
        overlaps=np.full(count, np.nan),
    )
    if masks is not None:
        table.overlaps[:] = _overlaps(table.clipped(), masks.boxes().numpy().astype(np.float64))
    return table


def _overlaps(boxes: FloatArray, others: FloatArray) -> FloatArray:
    """IoU of pairs of boxes; NaN where one of them is empty, or their edges are near."""
    both = np.concatenate([np.maximum(boxes[:, :2], others[:, :2]), np.minimum(boxes[:, 2:], others[:, 2:])], axis=1)
    shared, first, second = _areas_of(both), _areas_of(boxes), _areas_of(others)
    known = (first > 0) & (second > 0) & (abs(boxes - others).max(1, initial=0) > _NEAR)
    return np.where(known, shared / np.where(known, first + second - shared, 1.0), np.nan)


def _areas_of(boxes: FloatArray) -> FloatArray:
    """(R,) of boxes (R, 4); nothing where corners are exchanged."""
    areas: FloatArray = np.maximum(boxes[:, 2:] - boxes[:, :2], 0).prod(1)
    return areas
