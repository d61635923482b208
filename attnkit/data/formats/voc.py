"""Pascal VOC's xml: an object's name, its box, and whether it is difficult (Everingham et al. 2010).

Its pixels are counted from 1, and a box holds both of its corners: x1 is xmin - 1, x2 is xmax.
"""

from __future__ import annotations

import math
from xml.etree import ElementTree

import numpy as np

from attnkit.data.config import SPLITS, Split
from attnkit.data.data_root import DataRoot, listed
from attnkit.data.detection.annotation import Annotation, Box
from attnkit.data.detection.config import VocConfig
from attnkit.data.detection.detection_set import check_names
from attnkit.data.detection.object_files import Notes, ObjectFiles
from attnkit.data.file_tree import FileTree
from attnkit.data.formats.coco_fields import LARGEST_SIDE
from attnkit.data.formats.voc_files import VocPairs, find_pairs
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

_ROOT = "annotation"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


class VocNotes(Notes):
    """Files of xml, which are read when they are asked for."""

    has_masks = False
    has_difficult = True

    def __init__(self, tree: FileTree, rows: IntArray, class_names: tuple[str, ...], *, difficult: bool) -> None:
        """Take files.

        Args:
            tree: where they are.
            rows: (N, 2) numbers of images and of their xml there.
            class_names: the others are refused.
            difficult: False leaves out what is marked so.
        """
        self._tree, self._rows, self.class_names, self._difficult = tree, rows, class_names, difficult
        self.category_ids = tuple(range(1, len(class_names) + 1))
        self._labels = {name: label for label, name in enumerate(class_names)}

    def place(self, row: int) -> str:
        """The xml."""
        return self._tree.place(int(self._rows[row, 1]))

    def image_name(self, row: int) -> str:
        """Without its folders, for names are of one file each."""
        return self._tree.names[int(self._rows[row, 0])].rpartition("/")[2]

    def image_id(self, row: int) -> int:
        """Its place in the order of the list, counted from 1."""
        return row + 1

    def size(self, row: int) -> tuple[int, int] | None:
        """As the xml has it; None where it has none, or nothing."""
        size = self._xml(row).find("size")
        if size is None:
            return None
        height, width = _number(size, "height"), _number(size, "width")
        if max(height, width) > LARGEST_SIDE:
            raise DataError(
                f"{self.place(row)}: a size of {width:g} x {height:g} pixels; expected {LARGEST_SIDE} a side at most; "
                "fix the file"
            )
        return (int(height), int(width)) if height >= 1 and width >= 1 else None

    def annotations(self, row: int, size: tuple[int, int]) -> list[Annotation]:
        """One per object."""
        place = self.place(row)
        objects = enumerate(self._xml(row).iter("object"), start=1)
        found = [self._annotation(one, str(number), place) for number, one in objects]
        return [one for one in found if self._difficult or not one.difficult]

    def _xml(self, row: int) -> ElementTree.Element:
        return _read_xml(self._tree, int(self._rows[row, 1]))

    def _annotation(self, one: ElementTree.Element, number: str, place: str) -> Annotation:
        name = _name(one)
        if name not in self._labels:
            raise DataError(
                f"{place}: object {number} is of class {name or 'none'}, which is not among the "
                f"{len(self._labels)} of training, {listed(self.class_names)}; expected one of them; correct it, or "
                "name all as data.classes"
            )
        return Annotation(self._labels[name], number, _box(one, number, place), difficult=_number(one, "difficult") > 0)


def open_voc(config: VocConfig, split: Split) -> ObjectFiles | None:
    """Open one split; None if there is none and nothing is held back for it.

    Raises:
        DataError: the data is not found, or has no images with xml.
    """
    root = DataRoot(config.path)
    pairs = {other: find_pairs(root, config, other) for other in SPLITS}
    train, own = pairs["train"], pairs[split]
    if train is None:
        raise DataError(
            f"{root.path}: no list or folder of training images by its usual name; expected ImageSets/Main/train.txt, "
            "or a folder train; name it as data.train"
        )
    names = config.classes or _found_names(root.tree, tuple(note for _, note in train.rows))
    check_names(names, str(root.path) if config.classes is None else "data.classes")
    found = _files(root.tree, train if own is None else own, names, difficult=config.difficult or split != "train")
    if own is not None and split != "train":
        return found
    return found.part(split, config.hold_back, has_valid=pairs["valid"] is not None, has_test=pairs["test"] is not None)


def _files(tree: FileTree, pairs: VocPairs, names: tuple[str, ...], *, difficult: bool) -> ObjectFiles:
    rows = np.array(pairs.rows, dtype=np.int64)
    notes = VocNotes(tree, rows, names, difficult=difficult)
    return ObjectFiles(notes, tree, rows[:, 0], np.arange(len(rows)), left_out=pairs.left_out)


def _found_names(tree: FileTree, notes: tuple[int, ...]) -> tuple[str, ...]:
    """Of all objects, sorted; a broken xml is told when its image is read, unless all are.

    Raises:
        DataError: none can be read.
    """
    found: set[str] = set()
    broken: list[DataError] = []
    for number in notes:
        try:
            found.update(map(_name, _read_xml(tree, number).iter("object")))
        except DataError as error:
            broken.append(error)
    if broken and len(broken) == len(notes):
        raise broken[0]
    return tuple(sorted(found - {""}))


def _read_xml(tree: FileTree, number: int) -> ElementTree.Element:
    expected = "expected VOC's, with an annotation of an image; fix it, or remove it and the image"
    try:
        root = ElementTree.fromstring(tree.read(number))
    except (ElementTree.ParseError, ValueError, LookupError) as error:  # the latter two of its encoding
        raise DataError(f"{tree.place(number)}: no xml ({error}); {expected}") from error
    if root.tag != _ROOT:
        raise DataError(f"{tree.place(number)}: xml of <{root.tag}>; {expected}")
    return root


def _name(one: ElementTree.Element) -> str:
    return (one.findtext("name") or "").strip()


def _number(within: ElementTree.Element, name: str) -> float:
    """0 where there is none; NaN where it is no number."""
    text = (within.findtext(name) or "").strip()
    try:
        return float(text) if text else 0.0
    except ValueError:
        return math.nan


def _box(one: ElementTree.Element, number: str, place: str) -> Box:
    """Corners from 0, the far ones exclusive."""
    box = one.find("bndbox")
    if box is None or any(not (box.findtext(name) or "").strip() for name in _CORNERS):
        raise DataError(
            f"{place}: object {number} has no bndbox with {', '.join(_CORNERS)}; expected its corners in pixels; fix "
            "the file"
        )
    x1, y1, x2, y2 = (_number(box, name) for name in _CORNERS)
    return x1 - 1, y1 - 1, x2, y2
