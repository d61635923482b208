"""COCO's json (Lin et al. 2014): which categories there are, what is annotated on each image, and the images' files.

Instances and stuff have a polygon or a run-length code per annotation, panoptic a PNG per image whose colours are
numbers of segments. Annotations become bytes as soon as each is read, and stay so until their image is: as Python
objects they would take many times the memory, in every process that reads images.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

import numpy as np

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, Files, find_image
from attnkit.data.finding import Finding, and_more
from attnkit.data.formats.coco_fields import (
    ANNOTATION,
    IMAGE,
    NOT_AS_EXPECTED,
    PANOPTIC,
    CocoCategory,
    Fields,
    crowd,
    number,
    numbers,
    pixels,
    read_categories,
    read_each,
    segments,
    text,
    whole,
    without_repeated,
)
from attnkit.data.formats.outlines import are_masks, is_outline
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

Kind = Literal["instances", "stuff", "panoptic"]

_JSON = json.JSONEncoder(separators=(",", ":"))


class CocoObject(NamedTuple):
    """An annotation of instances or stuff."""

    category: int
    """The number of its category, in the order of the ids."""
    id: str
    segmentation: Any
    """Polygons or a run-length code; None where there is no outline."""
    box: list[float] | None
    """Left, top, width and height."""
    area: float | None
    """In pixels; None where the json does not give it."""
    crowd: bool


@dataclass(frozen=True)
class CocoImage:
    """An image of the json."""

    id: int
    file_name: str
    height: int
    width: int
    annotations: bytes
    """JSON: of instances and stuff a list of what `objects` gives, of panoptic {id: number of category}."""
    panoptic_file: str | None
    """The PNG; None where there is none."""

    def objects(self) -> list[CocoObject]:
        """The annotations of instances or stuff on it, in the order of the json."""
        return [CocoObject(*one) for one in json.loads(self.annotations)]

    def segments(self) -> dict[int, int]:
        """The numbers of the categories of a panoptic PNG's segments, by their ids."""
        return {int(segment): number for segment, number in json.loads(self.annotations).items()}


@dataclass(frozen=True)
class CocoJson:
    """The content of a json."""

    kind: Kind
    names: tuple[str, ...]
    """The names of the categories, in the order of their ids."""
    ids: tuple[int, ...]
    colours: tuple[tuple[int, int, int] | None, ...]
    images: list[CocoImage]
    has_outlines: bool = False
    """Whether objects have masks: nine tenths or more of those that are no crowds have an outline."""
    images_unknown: tuple[int, ...] = ()
    """The id of the image, for each annotation of an image that the json does not list."""
    repeated: tuple[tuple[str, int], ...] = ()
    """Name and id of each category that is left out, because another has its name and it has no annotation."""


class _Image(NamedTuple):
    """An image of the json, before its annotations are known."""

    id: int
    file_name: str
    height: int
    width: int


class _Annotation(NamedTuple):
    """An annotation of the json; all of it is bytes but what is needed to assign it to its image."""

    id: str
    image: int
    category: int | None
    rest: bytes
    """All fields of a CocoObject but the category, without the bracket in front."""
    crowd: bool
    outlined: bool
    panoptic_file: str | None
    segments: dict[int, int] | None
    """Categories by id, of panoptic ones."""


def read_coco_json(content: bytes, place: str) -> CocoJson:
    """Read a json.

    Raises:
        DataError: it is no JSON, or has not the form that COCO's have.
    """
    try:
        return _from_json(json.loads(content, object_hook=_packed), place)
    except (*NOT_AS_EXPECTED, RecursionError) as error:
        raise DataError(
            f"{place}: not as COCO's json is ({type(error).__name__}: {error}); expected images, annotations and "
            "categories, as in instances_val2017.json; correct the path, or fix the file"
        ) from error


def _packed(found: dict[str, Any]) -> dict[str, Any] | _Annotation:
    """Called with every object of the json once it is parsed; annotations are packed, the others stay as they are."""
    if "image_id" not in found:
        return found
    try:
        return _panoptic(found) if "segments_info" in found else _annotation(found)
    except NOT_AS_EXPECTED:
        return found  # read_each names what is wrong, when it knows the number of the annotation


def _annotation(found: dict[str, Any]) -> _Annotation:
    own_id, image, category = str(found.get("id")), whole(found["image_id"]), whole(found["category_id"])
    outline, is_crowd = found.get("segmentation"), crowd(found.get("iscrowd"))
    rest = _JSON.encode((own_id, outline, numbers(found.get("bbox")), number(found.get("area")), is_crowd))[1:].encode()
    return _Annotation(own_id, image, category, rest, is_crowd, is_outline(outline), None, None)


def _panoptic(found: dict[str, Any]) -> _Annotation:
    file, parts = text(found["file_name"]), segments(found["segments_info"])
    return _Annotation(str(found.get("id")), whole(found["image_id"]), None, b"", False, False, file, parts)


def _from_json(about: dict[str, Any], place: str) -> CocoJson:
    categories = read_categories(about["categories"], place)
    images = read_each(about["images"], "image", _image, lambda _: IMAGE, place)
    annotations = read_each(about["annotations"], "annotation", _read_before, _fields_of, place)
    by_image: dict[int, list[_Annotation]] = {image.id: [] for image in images}
    _check_ids(len(categories), len({category.id for category in categories}), "categories", place)
    _check_ids(len(images), len(by_image), "images", place)
    unknown = []
    for annotation in annotations:
        if annotation.image in by_image:
            by_image[annotation.image].append(annotation)
        else:
            unknown.append(annotation.image)
    kept = without_repeated(categories, _used(annotations))
    ids = {category.id: row for row, category in enumerate(kept)}
    objects = [annotation for annotation in annotations if not annotation.crowd]
    return CocoJson(
        kind=_kind(annotations, categories),
        names=tuple(category.name for category in kept),
        ids=tuple(ids),
        colours=tuple(category.colour for category in kept),
        images=[_with_annotations(image, by_image.pop(image.id), ids, place) for image in images],
        has_outlines=are_masks(sum(one.outlined for one in objects), len(objects)),
        images_unknown=tuple(unknown),
        repeated=tuple((category.name, category.id) for category in categories if category.id not in ids),
    )


def _image(found: dict[str, Any]) -> _Image:
    return _Image(whole(found["id"]), text(found["file_name"]), pixels(found["height"]), pixels(found["width"]))


def _read_before(found: Any) -> _Annotation:
    if not isinstance(found, _Annotation):
        raise TypeError("it could not be packed")
    return found


def _fields_of(annotation: dict[str, Any]) -> Fields:
    return PANOPTIC if "segments_info" in annotation else ANNOTATION


def _used(annotations: Sequence[_Annotation]) -> set[int | None]:
    """The ids of categories that have an annotation."""
    of_segments = (one.segments.values() for one in annotations if one.segments is not None)
    return {one.category for one in annotations}.union(*of_segments)


def _check_ids(count: int, different: int, what: str, place: str) -> None:
    if different < count:
        raise DataError(
            f"{place}: {count} {what} have only {different} different ids; expected an id for each; fix the file"
        )


def _kind(annotations: Sequence[_Annotation], categories: Sequence[CocoCategory]) -> Kind:
    """Panoptic annotations list segments; stuff has a category for everything that is a thing."""
    if any(annotation.segments is not None for annotation in annotations[:1]):
        return "panoptic"
    return "stuff" if any(category.is_other for category in categories) else "instances"


def _with_annotations(image: _Image, annotations: Sequence[_Annotation], ids: dict[int, int], place: str) -> CocoImage:
    parts: dict[int, int] = {}
    objects: list[bytes] = []
    for one in annotations:
        if one.segments is None:
            objects.append(b"[%d,%b" % (_number(one.id, one.category, ids, place), one.rest))
        else:
            parts |= {key: _number(str(key), category, ids, place) for key, category in one.segments.items()}
    panoptic_file = next((one.panoptic_file for one in annotations if one.panoptic_file is not None), None)
    packed = b"[%b]" % b",".join(objects) if panoptic_file is None else _JSON.encode(parts).encode()
    return CocoImage(*image, annotations=packed, panoptic_file=panoptic_file)


def _number(annotation: str, category: int | None, ids: dict[int, int], place: str) -> int:
    if category is None or category not in ids:
        raise DataError(
            f"{place}: annotation {annotation} is of category {category}, which is not among the {len(ids)} "
            "categories; expected one of them; fix the file"
        )
    return ids[category]


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
    """The files of a split, as a recipe names them."""

    @property
    def annotations(self) -> str:
        """The json, below the root of the data."""

    @property
    def images(self) -> str:
        """The folder of the images, below the root of the data."""


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
    if alone and not shared:
        what = f"an image that {place} does not name{and_more(len(alone))}"
        findings.append(Finding("warning", alone[0], what, "it is left out", "remove it, or annotate it"))
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
