"""Pascal VOC's xml: an object's name, its box, and whether it is difficult (Everingham et al. 2010).

    JPEGImages/1.jpg   Annotations/1.xml   ImageSets/Main/train.txt (val, test)   as VOC has them, or
    train/1.jpg        train/1.xml         valid/..., test/...                    beside each other, or
    1.jpg              1.xml                                                      one set, of which parts are held back

All may lie in more folders, such as VOCdevkit/VOC2012. Pixels are counted from 1, and a box holds both of its corners:
x1 is xmin - 1, x2 is xmax.
"""

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from xml.etree import ElementTree

from attnkit.data.config import Split
from attnkit.data.data_root import SPLIT_NAMES, DataRoot, Files, join, named_folder, read_list, usual_folder
from attnkit.data.file_tree import FileTree
from attnkit.data.files import BYTE_ORDER_MARK
from attnkit.data.finding import Finding, listed, warning_at_first
from attnkit.data.formats.annotations import Annotation, Annotations, Box
from attnkit.data.formats.coco_fields import LARGEST_SIDE
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray, Size

_ROOT = "annotation"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FORMS = ("{}",)
_ANNOTATIONS, _IMAGES, _LISTS = "Annotations", "JPEGImages", "ImageSets/Main"
_LIST_NAMES: dict[Split, tuple[str, ...]] = {**SPLIT_NAMES, "train": (*SPLIT_NAMES["train"], "trainval")}


class VocAnnotations(Annotations):
    """Files of xml, which are read when they are asked for."""

    has_masks = False
    has_difficult = True

    def __init__(self, tree: FileTree, rows: IntArray, class_names: tuple[str, ...], *, difficult: bool) -> None:
        """Take images and their xml, (N, 2) their numbers in a tree; `difficult` False leaves out what is marked so."""
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
        """Its number in the order of the list, counted from 1."""
        return row + 1

    def size(self, row: int) -> Size | None:
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

    def read(self, row: int, size: Size) -> list[Annotation]:
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


def found_names(tree: FileTree, xmls: Iterable[int]) -> tuple[str, ...]:
    """The classes of all objects, sorted. A broken xml is an error when its image is read, unless all are broken.

    Raises:
        DataError: none can be read.
    """
    found: set[str] = set()
    broken: list[DataError] = []
    xmls = list(xmls)
    for number in xmls:
        try:
            found.update(map(_name, _read_xml(tree, number).iter("object")))
        except DataError as error:
            broken.append(error)
    if broken and len(broken) == len(xmls):
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
    """The value of a field: 0 where there is none, NaN where it is no number."""
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


@dataclass
class VocPairs:
    """Images with their xml, by their numbers in one tree."""

    rows: list[tuple[int, int]] = field(default_factory=list)
    left_out: list[Finding] = field(default_factory=list)


def find_pairs(root: DataRoot, given: str | None, split: Split) -> VocPairs | None:
    """The images of a split with their xml; None if there is no list and no folder for it.

    Raises:
        DataError: what the recipe names is not there, or no image has an xml.
    """
    if given is not None:
        return _given(root, given, f"data.{split}")
    base = _base(root)
    if base is None:
        if (folder := usual_folder(root, split, _FORMS)) is not None:
            return _paired(root, folder, folder)
        alone = split == "train" and not any(usual_folder(root, other, _FORMS) for other in ("valid", "test"))
        everything = root.below(root.top)
        return _paired(root, everything, everything) if alone else None
    lists = root.below(join(base, _LISTS))
    found = (lists.find(f"{name}.txt") for name in _LIST_NAMES[split])
    numbers = [number for number in found if number is not None and not _is_empty(root, number, split)]
    if numbers:
        number, place = numbers[0], root.tree.place(numbers[0])
        pairs = _by_list(root, root.below(base), read_list(root.tree.read(number), place), place)
        return pairs if pairs.rows else None  # the objects of its own test images VOC keeps secret
    if split != "train" or len(lists.numbers):
        return None
    return _paired(root, root.below(join(base, _IMAGES)), root.below(join(base, _ANNOTATIONS)))


def _is_empty(root: DataRoot, number: int, split: Split) -> bool:
    """Whether a list of validation or test images is there for the form alone; one of training must name images."""
    return split != "train" and not root.tree.read(number).removeprefix(BYTE_ORDER_MARK).strip()


def _given(root: DataRoot, name: str, option: str) -> VocPairs:
    """The pairs of a folder or of a list that the recipe names."""
    if (folder := named_folder(root, name)) is not None:
        return _paired(root, folder, folder)
    if not name.endswith(".txt"):
        root.folder(name, option)  # whose error lists what is there instead
    content, place = root.read(name, option)
    base = _base(root)
    files = root.below(root.top if base is None else base)
    return _some(_by_list(root, files, read_list(content, place), place), place)


def _base(root: DataRoot) -> str | None:
    """The folder that has Annotations; None if there is none, or one for each split."""
    folders = root.tree.folders
    bases = [name[: -len(_ANNOTATIONS)].rstrip("/") for name in folders if f"/{name}".endswith(f"/{_ANNOTATIONS}")]
    if len(bases) > 1 and usual_folder(root, "train", _FORMS) is None:
        raise DataError(
            f"{root.path}: {listed(bases)} each have a folder {_ANNOTATIONS}; expected one; name one of them as "
            "data.path, or each as data.train, data.valid and data.test"
        )
    return bases[0] if len(bases) == 1 else None


def _by_list(root: DataRoot, files: Files, lines: list[str], place: str) -> VocPairs:
    """The pairs of images that a list names by their ids, or by their paths."""
    images, xmls = _by_stem(files, _image_numbers(files)), _by_stem(files, _xml_numbers(files))
    found = VocPairs()
    without_image: list[int] = []
    without_xml: list[str] = []
    for line, name in enumerate(lines, start=1):
        first, *more = name.split() or [""]
        if not name or more == ["-1"]:  # in the list of one class, an image without it
            continue
        stem = next((stem for one in (name, first) for stem in (_last(one), _stem(one)) if stem in xmls), None)
        if stem is None:
            without_xml.append(f"{place}:{line}")
        elif stem in images:
            found.rows.append((images[stem], xmls[stem]))
        else:
            without_image.append(xmls[stem])
    found.left_out = [*_without_image(root, without_image), *_without_xml(without_xml)]
    return found


def _paired(root: DataRoot, images: Files, xmls: Files) -> VocPairs:
    """All pairs of an image and an xml of one name."""
    by_stem = _by_stem(images, _image_numbers(images))
    of_xmls = _by_stem(xmls, _xml_numbers(xmls))
    both = sorted(by_stem.keys() & of_xmls.keys(), key=by_stem.__getitem__)
    found = VocPairs([(by_stem[stem], of_xmls[stem]) for stem in both])
    alone = sorted(by_stem[stem] for stem in by_stem.keys() - of_xmls.keys())
    found.left_out = [
        *_without_image(root, sorted(of_xmls[stem] for stem in of_xmls.keys() - by_stem.keys())),
        *_without_xml([root.tree.place(number) for number in alone]),
    ]
    return _some(found, images.place)


def _some(found: VocPairs, place: str) -> VocPairs:
    if not found.rows:
        raise DataError(
            f"{place}: no image has an xml; expected 1.xml for 1.jpg, beside it or in {_ANNOTATIONS}; correct "
            "data.path, or name folders or lists as data.train, data.valid and data.test"
        )
    return found


def _without_image(root: DataRoot, xmls: list[int]) -> list[Finding]:
    places = [root.tree.place(number) for number in xmls]
    return warning_at_first(places, "its image is missing", "it is left out", "copy the images again")


def _without_xml(places: list[str]) -> list[Finding]:
    fix = "add it, without objects if there are none"
    return warning_at_first(places, "an image without xml", "it is left out", fix)


def _by_stem(files: Files, numbers: Iterable[int]) -> dict[str, int]:
    """Files by their names without folder and ending."""
    found: dict[str, int] = {}
    for number in numbers:
        stem = _stem(files.tree.names[number])
        if stem in found:
            raise DataError(
                f"{files.tree.place(number)}: {files.tree.place(found[stem])} has its name too; expected a name for "
                "each; rename one of them, or name folders or lists as data.train, data.valid and data.test"
            )
        found[stem] = number
    return found


def _image_numbers(files: Files) -> list[int]:
    """VOC's own images alone where it has their folder, without its masks, which have the same names."""
    numbers = files.images()
    own = [number for number in numbers if f"{_IMAGES}/" in files.below(number)]
    return own or numbers


def _xml_numbers(files: Files) -> list[int]:
    return [number for number in files.numbers if files.tree.names[number].lower().endswith(".xml")]


def _stem(name: str) -> str:
    return os.path.splitext(_last(name))[0]


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]
