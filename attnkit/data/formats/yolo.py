"""YOLO's labels: a text file per image, a line per object, in shares of the image's sides.

    class  x  y  width  height              centre and sides of a box
    class  x1 y1  x2 y2  x3 y3  ...         corners of a polygon

They are for the image as people see it, turned as its EXIF data says. An image without labels has no object.
Classes and folders are named in data.yaml; images lie in images/train or train/images, their labels in labels/train or
train/labels, or beside them.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, find_listed, named_folder, read_list, usual_folder
from attnkit.data.finding import Finding, listed, warning_at_first
from attnkit.data.formats.annotations import AnnotatedImages, Annotation, Annotations
from attnkit.data.formats.outlines import are_masks
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray, Size

_BOX = 5
_LEAST_POLYGON = 7
_LARGEST = 2.0
"""Largest share that is believed: larger numbers are pixels."""
_ASKED = 200
"""Files of labels that are read, evenly chosen, to see whether their objects have polygons."""
_NONE = -1
_KEYS: dict[Split, tuple[str, ...]] = {"train": ("train",), "valid": ("val", "valid"), "test": ("test",)}
_FORMS = ("images/{}", "{}/images", "{}")
_YAML_SUFFIXES = (".yaml", ".yml")
_NAME_FILES = ("classes.txt", "obj.names")
"""Files with a name per line, where there is no data.yaml."""
_IMAGES, _LABELS = "images", "labels"


class YoloAnnotations(Annotations):
    """The labels of images, which may be missing."""

    def __init__(
        self, root: DataRoot, images: IntArray, labels: IntArray, class_names: tuple[str, ...], *, masks: bool
    ) -> None:
        """Take files.

        Args:
            images: (N,) their numbers in its tree.
            labels: (N,) those of their labels; -1 where there are none.
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
        """Its number in the order of the paths, counted from 1."""
        return row + 1

    def size(self, row: int) -> Size | None:
        """None: labels give no size."""
        return None

    def read(self, row: int, size: Size) -> list[Annotation]:
        """An object per line."""
        place = self.place(row)
        return [self._annotation(values, line, size, f"{place}:{line}") for line, values in self._rows(row)]

    def _rows(self, row: int) -> list[tuple[int, list[float]]]:
        """The number of each line that is not empty, and the values on it."""
        if self._labels[row] == _NONE:
            return []
        place = self.place(row)
        text = self._tree.read(int(self._labels[row])).decode("utf-8-sig", errors="replace")
        lines = enumerate(map(str.split, text.splitlines()), start=1)
        return [(line, _values(words, f"{place}:{line}")) for line, words in lines if words]

    def _annotation(self, values: list[float], line: int, size: Size, place: str) -> Annotation:
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
        """Whether each object on an image is a polygon."""
        try:
            return [len(values) > _BOX for _, values in self._rows(row)]
        except DataError:  # the error comes when its image is read
            return []


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


def find_labels(root: DataRoot, images: Sequence[int], names: tuple[str, ...], *, masks: bool) -> AnnotatedImages:
    """Images with their labels.

    Raises:
        DataError: no image has labels.
    """
    labels = [_find_label(root, number) for number in images]
    if all(number is None for number in labels):
        raise DataError(
            f"{root.tree.place(images[0])}: no labels, nor has any of {len(images)} images; expected a .txt beside it, "
            "or with images in its path replaced by labels; add them"
        )
    numbers = np.array(images, dtype=np.int64)
    of_images = np.array([_NONE if number is None else number for number in labels], dtype=np.int64)
    annotations = YoloAnnotations(root, numbers, of_images, names, masks=masks)
    left_out = [*_without_labels(root, images, labels), *_labels_alone(root, labels)]
    return AnnotatedImages(annotations, root.tree, numbers, np.arange(len(numbers)), left_out)


def _without_labels(root: DataRoot, images: Sequence[int], labels: list[int | None]) -> list[Finding]:
    """Images whose labels may have been forgotten: nothing else tells them from images without objects."""
    bare = [image for image, label in zip(images, labels, strict=True) if label is None]
    if not bare:
        return []
    what = f"{len(bare)} of {len(images)} images are without labels, this one first"
    why, fix = "they count as images without objects", "add their .txt, an empty one where there is no object"
    return [Finding("warning", root.tree.place(bare[0]), what, why, fix)]


def _labels_alone(root: DataRoot, labels: list[int | None]) -> list[Finding]:
    """Labels in the same folders that belong to no image."""
    names = root.tree.names
    taken = {number for number in labels if number is not None}
    folders = {names[number].rpartition("/")[0] for number in taken}
    alone = [
        number
        for folder in sorted(folders)
        for number in root.below(folder).numbers
        if number not in taken and names[number].endswith(".txt")
        if names[number].rpartition("/")[0] == folder and names[number].rpartition("/")[2] not in _NAME_FILES
    ]
    places = [root.tree.place(number) for number in alone]
    return warning_at_first(places, "labels without an image", "they are left out", "add the image, or remove them")


def _find_label(root: DataRoot, image: int) -> int | None:
    """The number of the labels of an image: .txt where the last `images` of its path is `labels`, or beside it."""
    path = root.tree.names[image].rpartition(".")[0]
    parts = path.split("/")
    everything = root.below("")
    if _IMAGES in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index(_IMAGES)
        return everything.find("/".join([*parts[:last], _LABELS, *parts[last + 1 :]]) + ".txt")
    return everything.find(f"{path}.txt")


class YoloYaml:
    """The content of data.yaml; empty where there is none."""

    def __init__(self, root: DataRoot) -> None:
        """Find and read it: the first file of yaml, nearest to the root, that has names.

        Raises:
            DataError: one called data.yaml is no yaml.
        """
        self.place, self.content = str(root.path), dict[str, Any]()
        tree = root.tree
        ends = [number for number, name in enumerate(tree.names) if name.lower().endswith(_YAML_SUFFIXES)]
        for number in sorted(ends, key=lambda number: tree.names[number].count("/")):
            content = _read_yaml(tree.read(number), tree.place(number), named=tree.names[number].endswith("data.yaml"))
            if "names" in content:
                self.place, self.content = tree.place(number), content
                return

    def folders(self, split: Split) -> list[str]:
        """Where the images of a split are: folders, or lists of images."""
        value: Any = next((self.content[key] for key in _KEYS[split] if self.content.get(key)), [])
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def find_names(root: DataRoot, given: tuple[str, ...] | None, yaml: YoloYaml) -> tuple[tuple[str, ...], str]:
    """Names by number, and the place that gives them: the recipe, data.yaml, or classes.txt.

    Raises:
        DataError: they are nowhere, or their numbers have gaps.
    """
    if given is not None:
        return given, "data.classes"
    if yaml.content:
        return _names_of(yaml.content, yaml.place), yaml.place
    for number, name in enumerate(root.tree.names):
        if name.rpartition("/")[2].lower() in _NAME_FILES:
            place = root.tree.place(number)
            return tuple(filter(None, read_list(root.tree.read(number), place, of="name"))), place
    raise DataError(
        f"{root.path}: no data.yaml with names; expected one, or classes.txt; add it, or name the classes as "
        "data.classes"
    )


def find_images(root: DataRoot, given: str | None, yaml: YoloYaml, split: Split) -> list[int] | None:
    """The numbers of the images of a split in the tree, ascending; None if there is none.

    Raises:
        DataError: what the recipe names is not there, or the split has no image.
    """
    if given is not None:
        return _images_of(root, given, f"data.{split}")
    found = [files for name in yaml.folders(split) if (files := _images_of_yaml(root, name)) is not None]
    if found:
        return sorted({number for numbers in found for number in numbers})
    if (folder := usual_folder(root, split, _FORMS)) is not None:
        return folder.images() or None
    if split == "train" and not any(usual_folder(root, other, _FORMS) for other in ("valid", "test")):
        return (named_folder(root, _IMAGES) or root.below(root.top)).images() or None
    return None


def _read_yaml(content: bytes, place: str, *, named: bool) -> dict[str, Any]:
    """Its values; none of a file that is not `named` data.yaml and is of another kind."""
    try:
        values = YAML(typ="safe", pure=True).load(content.decode("utf-8-sig"))
    except (YAMLError, ValueError, RecursionError) as error:  # of text or dates; and of thousands of brackets
        if not named:
            return {}
        reason = " ".join(str(error).split())
        raise DataError(f"{place}: no yaml ({reason}); expected names and folders, as YOLO has them; fix it") from error
    return values if isinstance(values, dict) else {}


def _names_of(content: dict[str, Any], place: str) -> tuple[str, ...]:
    names = content["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise DataError(f"{place}: names is {names!r}; expected a list of names, or names by number; fix it")
    by_number = {int(number) if str(number).isdecimal() else -1: str(name) for number, name in names.items()}
    if sorted(by_number) != list(range(len(names))):
        raise DataError(
            f"{place}: names have the numbers {listed(list(names))}; expected 0 to {len(names) - 1}; fix it"
        )
    count = content.get("nc", len(names))
    if count != len(names):
        raise DataError(f"{place}: nc is {count}, but there are {len(names)} names; expected as many; fix one of them")
    return tuple(by_number[number] for number in range(len(names)))


def _images_of(root: DataRoot, name: str, option: str) -> list[int]:
    """The images of a folder or of a list that the recipe names."""
    if (folder := named_folder(root, name)) is not None:
        if images := folder.images():
            return images
        raise DataError(f"{folder.place}: has no image; expected JPEG, PNG or the like; correct {option}")
    if not name.endswith(".txt"):
        return root.folder(name, option).images()  # whose error lists what is there instead
    content, place = root.read(name, option)
    return sorted(set(find_listed(root.below(root.top), read_list(content, place), place)))


def _images_of_yaml(root: DataRoot, name: str) -> list[int] | None:
    """The images of a folder or of a list that data.yaml names from a folder of its own: leading folders are dropped.

    Not all of it: `../valid/images` is not the folder images.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(max(1, len(parts) - 1)):
        path = "/".join(parts[start:])
        if (folder := named_folder(root, path)) is not None:
            return folder.images() or None
        number = root.below("").find(path) or root.below(root.top).find(path)
        if number is not None and path.endswith(".txt"):
            place = root.tree.place(number)
            return find_listed(root.below(root.top), read_list(root.tree.read(number), place), place)
    return None
