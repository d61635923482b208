"""COCO's json (Lin et al. 2014): which categories there are, what is annotated on each image, and the images' files.

Instances and stuff have a polygon or a run-length code per annotation, panoptic a PNG per image whose colours are
numbers of segments. Annotations become bytes as soon as each is read, and stay so until their image is: as Python
objects they would take many times the memory, in every process that reads images.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

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
    for annotation in annotations:
        if annotation.segments is None:
            objects.append(b"[%d,%b" % (_number(annotation.id, annotation.category, ids, place), annotation.rest))
        else:
            parts |= {key: _number(str(key), category, ids, place) for key, category in annotation.segments.items()}
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
