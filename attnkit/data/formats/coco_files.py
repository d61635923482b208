"""COCO's jsons of a data set with the images that they are about, split by split."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, Files, find_image
from attnkit.data.finding import Finding, and_more, warning_at_first
from attnkit.data.formats.coco import CocoJson, read_coco_json
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray


@dataclass(frozen=True)
class CocoFiles:
    """A json and the images that it is about: N of them are there."""

    about: CocoJson
    place: str
    """The name of the json in messages."""
    option: str
    """The key of the recipe that names both."""
    files: Files
    """The files below the folder of the images."""
    numbers: IntArray
    """(N,) of each image in their tree."""
    rows: IntArray
    """(N,) of each image in the json."""
    left_out: Sequence[Finding]
    """What is not used, or may be missing."""


class CocoPaths(Protocol):
    """The files of a split below the root of the data, as a recipe names them."""

    annotations: str
    images: str


class CocoSplitFiles:
    """The json and the images of each split. A json is read once, however many splits it is of."""

    def __init__(self, root: DataRoot, given: Mapping[Split, CocoPaths | None]) -> None:
        """Take where the data is, and the files of each split as the recipe names them; nothing is read yet."""
        self._root, self._given = root, given
        self._read: dict[str, tuple[CocoJson, str]] = {}
        """By the path of a json, its content and what to call it in messages."""

    def has(self, split: Split) -> bool:
        """Whether the recipe names files for a split."""
        return self._given[split] is not None

    def find(self, split: Split) -> CocoFiles:
        """Read the json of a split, and find its images.

        Raises:
            DataError: the folder or the json is not found, or has not COCO's form; or no image of the json is there.
        """
        own, option = self._given[split], f"data.{split}"
        assert own is not None, "the split has a json"
        shared = sum(other is not None and other.images == own.images for other in self._given.values()) > 1
        if own.annotations not in self._read:
            content, place = self._root.read(own.annotations, f"{option}.annotations")
            self._read[own.annotations] = read_coco_json(content, place), place
        about, place = self._read[own.annotations]
        files = self._root.folder(own.images, f"{option}.images")
        found = [find_image(files, image.file_name) for image in about.images]
        rows = [row for row, file in enumerate(found) if file is not None]
        if not rows:
            example = about.images[0].file_name if about.images else "none"
            raise DataError(
                f"{place}: none of its {len(about.images)} images is in {files.place}, such as {example}; expected "
                f"the images there; correct {option}.images"
            )
        numbers = np.array([found[row] for row in rows], dtype=np.int64)
        left_out = _left_out(about, place, files, found, shared=shared)
        return CocoFiles(about, place, option, files, numbers, np.array(rows, dtype=np.int64), left_out)


def _left_out(about: CocoJson, place: str, files: Files, found: Sequence[int | None], *, shared: bool) -> list[Finding]:
    """Images that are missing, listed twice, or not in the json; categories without annotations."""
    missing = [image.file_name for image, file in zip(about.images, found, strict=True) if file is None]
    findings = []
    if missing:
        what = f"{missing[0]} is not in {files.place}{and_more(len(missing))}"
        findings.append(Finding("warning", place, what, "its annotations are left out", "copy the images again"))
    if about.images_unknown:
        what = f"an annotation is of image {about.images_unknown[0]}, which it does not list"
        what += and_more(len(about.images_unknown))
        fix = "add the image to its images, or remove the annotation"
        findings.append(Finding("warning", place, what, "the annotation is left out", fix))
    findings += [*_repeated_categories(about, place), *_twice(about, place, files, found)]
    taken = set(found)
    alone = [files.tree.place(file) for file in files.numbers if file not in taken and files.is_image(file)]
    if not shared:
        what = f"an image that {place} does not name"
        findings += warning_at_first(alone, what, "it is left out", "remove it, or annotate it")
    return findings


def _twice(about: CocoJson, place: str, files: Files, found: Sequence[int | None]) -> list[Finding]:
    first: dict[int, int] = {}
    again = []
    for image, file in zip(about.images, found, strict=True):
        if file is not None and first.setdefault(file, image.id) != image.id:
            again.append((image.id, file))
    if not again:
        return []
    second, file = again[0]
    what = f"images {first[file]} and {second} are of one file, {files.below(file)}{and_more(len(again))}"
    fix = "name a file for each; the folders in front of their names may be missing"
    return [Finding("error", place, what, "the objects of one are not on the other", fix)]


def _repeated_categories(about: CocoJson, place: str) -> list[Finding]:
    """The warning of categories that were left out; see `CocoJson.repeated`."""
    if not about.repeated:
        return []
    name, own = about.repeated[0]
    other = about.ids[about.names.index(name)]
    what = f"category {own} has the name of category {other}, {name}, and no annotation{and_more(len(about.repeated))}"
    return [Finding("warning", place, what, "it is left out", "remove it, or rename it if it is another class")]
