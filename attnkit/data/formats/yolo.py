"""YOLO's labels: a text file per image, a line per object, in shares of the image's sides.

    class  x  y  width  height              centre and sides of a box
    class  x1 y1  x2 y2  x3 y3  ...         corners of a polygon

They are for the image as people see it, turned as its EXIF data says. An image without labels has no object.
"""

from __future__ import annotations

import math

import numpy as np

from attnkit.data.config import SPLITS, Split
from attnkit.data.data_root import DataRoot
from attnkit.data.detection.annotation import Annotation
from attnkit.data.detection.config import YoloConfig
from attnkit.data.detection.detection_set import check_names
from attnkit.data.detection.object_files import Notes, ObjectFiles
from attnkit.data.finding import Finding, and_more
from attnkit.data.formats.outlines import are_masks
from attnkit.data.formats.yolo_files import NAME_FILES, YoloAbout, find_images, find_label, find_names
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

_BOX = 5
_LEAST_POLYGON = 7
_LARGEST = 2.0
"""Of a share; what is larger are pixels."""
_ASKED = 200
"""Files of labels that are read, evenly chosen, to see whether their objects have polygons."""
_NONE = -1


class YoloNotes(Notes):
    """The labels of images, which may be missing."""

    def __init__(
        self, root: DataRoot, images: IntArray, labels: IntArray, class_names: tuple[str, ...], *, masks: bool
    ) -> None:
        """Take files.

        Args:
            root: where they are.
            images: (N,) their numbers in its tree.
            labels: (N,) those of their labels; -1 where there are none.
            class_names: by number.
            masks: False takes polygons as the boxes around them.
        """
        self._tree, self._top = root.tree, root.top
        self._images, self._labels, self.class_names = images, labels, class_names
        self.category_ids = tuple(range(1, len(class_names) + 1))
        self.masks_wanted, self.has_masks = masks, masks and self._has_polygons()

    def place(self, row: int) -> str:
        """The file of the labels; of the image, where there are none."""
        return self._tree.place(int(self._images[row] if self._labels[row] == _NONE else self._labels[row]))

    def image_name(self, row: int) -> str:
        """Its path below the one folder that an archive may have."""
        return self._tree.names[int(self._images[row])][len(self._top) :].lstrip("/")

    def image_id(self, row: int) -> int:
        """Its place in the order of the paths, counted from 1."""
        return row + 1

    def size(self, row: int) -> tuple[int, int] | None:
        """None: labels say no size."""
        return None

    def annotations(self, row: int, size: tuple[int, int]) -> list[Annotation]:
        """One per line."""
        place = self.place(row)
        return [self._annotation(values, line, size, f"{place}:{line}") for line, values in self._rows(row)]

    def _rows(self, row: int) -> list[tuple[int, list[float]]]:
        """The numbers of each line that is not empty, and which it is."""
        if self._labels[row] == _NONE:
            return []
        place = self.place(row)
        text = self._tree.read(int(self._labels[row])).decode("utf-8-sig", errors="replace")
        lines = enumerate(map(str.split, text.splitlines()), start=1)
        return [(line, _values(words, f"{place}:{line}")) for line, words in lines if words]

    def _annotation(self, values: list[float], line: int, size: tuple[int, int], place: str) -> Annotation:
        label, shares = values[0], np.array(values[1:])
        if label not in range(len(self.class_names)):
            raise DataError(
                f"{place}: class {label:g} of {len(self.class_names)}; expected 0 to {len(self.class_names) - 1}; "
                "correct it, or the names in data.yaml or data.classes"
            )
        if abs(shares).max() > _LARGEST:
            raise DataError(
                f"{place}: the number {shares[abs(shares).argmax()]:g}; expected shares of the image's width and "
                "height, from 0 to 1; divide pixels by them"
            )
        height, width = size
        outline = None
        if len(shares) == _BOX - 1:
            x, y, wide, high = (shares * (width, height, width, height)).tolist()
            box = x - wide / 2, y - high / 2, x + wide / 2, y + high / 2
        else:
            corners = shares.reshape(-1, 2) * (width, height)
            outline = [corners.ravel().tolist()]
            box = tuple(np.concatenate([corners.min(0), corners.max(0)]).tolist())
        return Annotation(int(label), str(line), box, outline)

    def _has_polygons(self) -> bool:
        rows = np.flatnonzero(self._labels != _NONE)
        asked = rows[np.linspace(0, len(rows) - 1, min(len(rows), _ASKED)).astype(int)]
        polygons = [polygon for row in asked.tolist() for polygon in self._polygons(row)]
        return are_masks(sum(polygons), len(polygons))

    def _polygons(self, row: int) -> list[bool]:
        """Whether each object is one."""
        try:
            return [len(values) > _BOX for _, values in self._rows(row)]
        except DataError:  # it is told when its image is read
            return []


def _may_be_labels(name: str, folder: str) -> bool:
    """Whether it is a text in a folder, and not the one with the names of the classes."""
    where, _, last = name.rpartition("/")
    return where == folder and last.endswith(".txt") and last not in NAME_FILES


def _values(words: list[str], place: str) -> list[float]:
    """The numbers of a line."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        values = [math.nan]
    if not all(map(math.isfinite, values)):
        what = "what is no number"
    elif len(values) == _BOX or (len(values) >= _LEAST_POLYGON and len(values) % 2):
        return values
    else:
        what = f"{len(values)} numbers"
    raise DataError(
        f"{place}: {what}; expected a class, and centre, width and height of a box, or three corners or more; fix it"
    )


def open_yolo(config: YoloConfig, split: Split) -> ObjectFiles | None:
    """Open one split; None if there is none and nothing is held back for it.

    Raises:
        DataError: the data is not found, has no names, no images or no labels.
    """
    root = DataRoot(config.path)
    about = YoloAbout(root)
    names, names_place = find_names(root, config, about)
    check_names(names, names_place)
    images = {other: find_images(root, config, about, other) for other in SPLITS}
    if images["train"] is None:
        raise DataError(
            f"{root.path}: no folder of training images by its usual names; expected such as images/train and "
            "labels/train, or train/images and train/labels; name it as data.train"
        )
    own = images[split]
    found = _open_split(root, images["train"] if own is None else own, names, masks=config.masks)
    if own is not None and split != "train":
        return found
    return found.part(
        split, config.hold_back, has_valid=images["valid"] is not None, has_test=images["test"] is not None
    )


def _open_split(root: DataRoot, images: list[int], names: tuple[str, ...], *, masks: bool) -> ObjectFiles:
    labels = [find_label(root, number) for number in images]
    if all(number is None for number in labels):
        raise DataError(
            f"{root.tree.place(images[0])}: no labels, nor has any of {len(images)} images; expected a .txt beside it, "
            "or with images in its path replaced by labels; add them"
        )
    numbers = np.array(images, dtype=np.int64)
    of_images = np.array([_NONE if number is None else number for number in labels], dtype=np.int64)
    notes = YoloNotes(root, numbers, of_images, names, masks=masks)
    left_out = [*_without_labels(root, images, labels), *_labels_alone(root, labels)]
    return ObjectFiles(notes, root.tree, numbers, np.arange(len(numbers)), left_out=left_out)


def _without_labels(root: DataRoot, images: list[int], labels: list[int | None]) -> list[Finding]:
    """Images whose labels may have been forgotten: there is no other sign that nothing is on them."""
    bare = [image for image, label in zip(images, labels, strict=True) if label is None]
    if not bare:
        return []
    what = f"{len(bare)} of {len(images)} images are without labels, this one first"
    why, fix = "they count as images without objects", "add their .txt, an empty one where there is no object"
    return [Finding("warning", root.tree.place(bare[0]), what, why, fix)]


def _labels_alone(root: DataRoot, labels: list[int | None]) -> list[Finding]:
    """Labels in the same folders that no image has."""
    names = root.tree.names
    taken = {number for number in labels if number is not None}
    folders = {names[number].rpartition("/")[0] for number in taken}
    alone = [
        number
        for folder in sorted(folders)
        for number in root.below(folder).numbers
        if number not in taken and _may_be_labels(names[number], folder)
    ]
    if not alone:
        return []
    what = f"labels without an image{and_more(len(alone))}"
    return [Finding("warning", root.tree.place(alone[0]), what, "they are left out", "add the image, or remove them")]
