"""What a Pascal VOC data set consists of: the images of each split with their xml.

    JPEGImages/1.jpg   Annotations/1.xml   ImageSets/Main/train.txt (val, test)   as VOC has them, or
    train/1.jpg        train/1.xml         valid/..., test/...                    beside each other, or
    1.jpg              1.xml                                                      one set, of which parts are held back

All may lie in more folders, such as VOCdevkit/VOC2012.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, Files, listed
from attnkit.data.detection.config import VocConfig
from attnkit.data.detection.split_folders import SPLIT_NAMES, named_folder, read_list, usual_folder
from attnkit.data.files import BYTE_ORDER_MARK
from attnkit.data.finding import Finding, and_more
from attnkit.errors import DataError

_FORMS = ("{}",)
_ANNOTATIONS, _IMAGES, _LISTS = "Annotations", "JPEGImages", "ImageSets/Main"
_LIST_NAMES: dict[Split, tuple[str, ...]] = {**SPLIT_NAMES, "train": (*SPLIT_NAMES["train"], "trainval")}


@dataclass
class VocPairs:
    """Images with their xml, by their numbers in one tree."""

    rows: list[tuple[int, int]] = field(default_factory=list)
    left_out: list[Finding] = field(default_factory=list)


def find_pairs(root: DataRoot, config: VocConfig, split: Split) -> VocPairs | None:
    """The images of a split with their xml; None if there is no list and no folder for it.

    Raises:
        DataError: what the recipe names is not there, or no image has an xml.
    """
    given: str | None = getattr(config, split)
    if given is not None:
        return _given(root, given, f"data.{split}")
    base = _base(root)
    if base is None:
        if (folder := usual_folder(root, split, _FORMS)) is not None:
            return _beside(root, folder)
        alone = split == "train" and not any(usual_folder(root, other, _FORMS) for other in ("valid", "test"))
        return _beside(root, root.below(root.top)) if alone else None
    lists = root.below(_join(base, _LISTS))
    found = (lists.find(f"{name}.txt") for name in _LIST_NAMES[split])
    numbers = [number for number in found if number is not None and not _is_empty(root, number, split)]
    if numbers:
        number, place = numbers[0], root.tree.place(numbers[0])
        pairs = _by_list(root, root.below(base), read_list(root.tree.read(number), place), place)
        return pairs if pairs.rows else None  # of its own test images VOC has told no objects
    if split != "train" or len(lists.numbers):
        return None
    return _paired(root, root.below(_join(base, _IMAGES)), root.below(_join(base, _ANNOTATIONS)))


def _is_empty(root: DataRoot, number: int, split: Split) -> bool:
    """Of validation or test images: a file may be there for the form alone. One of training is to name some."""
    return split != "train" and not root.tree.read(number).removeprefix(BYTE_ORDER_MARK).strip()


def _given(root: DataRoot, name: str, option: str) -> VocPairs:
    """Of a folder or a list that the recipe names."""
    if (folder := named_folder(root, name)) is not None:
        return _beside(root, folder)
    if not name.endswith(".txt"):
        root.folder(name, option)  # which says what is there instead
    content, place = root.read(name, option)
    base = _base(root)
    files = root.below(root.top if base is None else base)
    return _some(_by_list(root, files, read_list(content, place), place), place)


def _base(root: DataRoot) -> str | None:
    """The folder that has Annotations; None if there is none, or one for each split.

    Raises:
        DataError: there are several, as where a VOCdevkit has two years.
    """
    folders = root.tree.folders
    bases = [name[: -len(_ANNOTATIONS)].rstrip("/") for name in folders if f"/{name}".endswith(f"/{_ANNOTATIONS}")]
    if len(bases) > 1 and usual_folder(root, "train", _FORMS) is None:
        raise DataError(
            f"{root.path}: {listed(bases)} each have a folder {_ANNOTATIONS}; expected one; name one of them as "
            "data.path, or each as data.train, data.valid and data.test"
        )
    return bases[0] if len(bases) == 1 else None


def _by_list(root: DataRoot, files: Files, lines: list[str], place: str) -> VocPairs:
    """Of the images that a list names by their ids, or by their paths."""
    images, notes = _by_stem(files, _image_numbers(files)), _by_stem(files, _xml_numbers(files))
    found = VocPairs()
    without_image: list[int] = []
    without_xml: list[str] = []
    for line, name in enumerate(lines, start=1):
        first, *more = name.split() or [""]
        if not name or more == ["-1"]:  # a list of one class says so of an image without it
            continue
        stem = next((stem for one in (name, first) for stem in (_last(one), _stem(one)) if stem in notes), None)
        if stem is None:
            without_xml.append(f"{place}:{line}")
        elif stem in images:
            found.rows.append((images[stem], notes[stem]))
        else:
            without_image.append(notes[stem])
    found.left_out = [*_without_image(root, without_image), *_without_xml(without_xml)]
    return found


def _beside(root: DataRoot, files: Files) -> VocPairs:
    return _paired(root, files, files)


def _paired(root: DataRoot, images: Files, notes: Files) -> VocPairs:
    """All that have an image and an xml."""
    by_stem = _by_stem(images, _image_numbers(images))
    of_notes = _by_stem(notes, _xml_numbers(notes))
    both = sorted(by_stem.keys() & of_notes.keys(), key=by_stem.__getitem__)
    found = VocPairs([(by_stem[stem], of_notes[stem]) for stem in both])
    alone = sorted(by_stem[stem] for stem in by_stem.keys() - of_notes.keys())
    found.left_out = [
        *_without_image(root, sorted(of_notes[stem] for stem in of_notes.keys() - by_stem.keys())),
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


def _without_image(root: DataRoot, notes: list[int]) -> list[Finding]:
    if not notes:
        return []
    what = f"its image is missing{and_more(len(notes))}"
    return [Finding("warning", root.tree.place(notes[0]), what, "it is left out", "copy the images again")]


def _without_xml(places: list[str]) -> list[Finding]:
    if not places:
        return []
    what, fix = f"an image without xml{and_more(len(places))}", "add it, without objects if there are none"
    return [Finding("warning", places[0], what, "it is left out", fix)]


def _by_stem(files: Files, numbers: Iterable[int]) -> dict[str, int]:
    """Files by their names without folder and ending.

    Raises:
        DataError: two have one name.
    """
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
    """Of VOC's own images alone where it has that folder, and not of its masks, which have the same names."""
    numbers = [number for number in files.numbers if files.is_image(number)]
    own = [number for number in numbers if f"{_IMAGES}/" in files.below(number)]
    return own or numbers


def _xml_numbers(files: Files) -> list[int]:
    return [number for number in files.numbers if files.tree.names[number].lower().endswith(".xml")]


def _stem(name: str) -> str:
    return os.path.splitext(_last(name))[0]


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
