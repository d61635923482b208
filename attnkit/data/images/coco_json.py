"""COCO's json (Lin et al. 2014): which categories there are, and what is annotated on each image.

Instances and stuff have a polygon or a run-length code per annotation, panoptic a PNG per image whose colours are
numbers of segments. Annotations become bytes as soon as each is read, and stay so until their image is: as Python
objects they would take many times the memory, in every process that reads images.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from attnkit.data.images.coco_codes import is_outline
from attnkit.errors import DataError

Kind = Literal["instances", "stuff", "panoptic"]

_JSON = json.JSONEncoder(separators=(",", ":"))


class CocoObject(NamedTuple):
    """An annotation of instances or stuff."""

    category: int
    """Its number, in the order of their ids."""
    id: str
    segmentation: Any
    """Polygons, or a run-length code; None where it is not said."""
    box: list[float] | None
    """Left, top, width and height."""
    area: float | None
    """None where it is not said."""
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
        """What instances and stuff have on it, in the order of the json."""
        return [CocoObject(*one) for one in json.loads(self.annotations)]

    def segments(self) -> dict[int, int]:
        """The numbers of the categories of a panoptic PNG's segments, by their ids."""
        return {int(segment): number for segment, number in json.loads(self.annotations).items()}


@dataclass(frozen=True)
class CocoJson:
    """What a json says."""

    kind: Kind
    names: tuple[str, ...]
    """Of the categories, in the order of their ids."""
    ids: tuple[int, ...]
    colours: tuple[tuple[int, int, int] | None, ...]
    images: list[CocoImage]
    has_outlines: bool = False
    """Whether any object that is no crowd has a segmentation."""
    images_unknown: tuple[int, ...] = ()
    """For each annotation of an image that is not there, the id of that image."""


class _Annotation(NamedTuple):
    """One of the json, of which only what says where it belongs is still Python."""

    id: str
    image: int
    category: int | None
    rest: bytes
    """All fields of a CocoObject but the category, without the bracket in front."""
    outlined: bool
    """Whether it has a segmentation, and is no crowd."""
    panoptic_file: str | None
    segments: dict[int, int] | None
    """Categories by id, of panoptic ones."""


def read_coco_json(content: bytes, place: str) -> CocoJson:
    """Take a json apart.

    Args:
        content: its bytes.
        place: its name in errors.

    Raises:
        DataError: it is no JSON, or has not the form that COCO's have.
    """
    try:
        return _from_json(json.loads(content, object_hook=_packed), place)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{place}: not as COCO's json is ({type(error).__name__}: {error}); expected images, annotations and "
            "categories, as in instances_val2017.json; correct the path, or mend the file"
        ) from error


def _packed(found: dict[str, Any]) -> dict[str, Any] | _Annotation:
    """Every object of the json comes here once it is whole; annotations are packed, the others stay."""
    if "image_id" not in found:
        return found
    own_id, image = str(found.get("id")), int(found["image_id"])
    if "segments_info" in found:
        segments = {int(one["id"]): int(one["category_id"]) for one in found["segments_info"]}
        return _Annotation(own_id, image, None, b"", False, str(found["file_name"]), segments)
    outline, box, area = found.get("segmentation"), found.get("bbox"), found.get("area")
    crowd = bool(int(found.get("iscrowd") or 0))
    box, area = None if not box else [float(value) for value in box], None if area is None else float(area)
    rest = _JSON.encode((own_id, outline, box, area, crowd))[1:].encode()
    return _Annotation(own_id, image, int(found["category_id"]), rest, is_outline(outline) and not crowd, None, None)


def _from_json(about: dict[str, Any], place: str) -> CocoJson:
    categories = sorted(about["categories"], key=lambda category: int(category["id"]))
    numbers = {int(category["id"]): number for number, category in enumerate(categories)}
    by_image: dict[int, list[_Annotation]] = {int(image["id"]): [] for image in about["images"]}
    _check_ids(len(categories), len(numbers), "categories", place)
    _check_ids(len(about["images"]), len(by_image), "images", place)
    unknown = []
    for annotation in about["annotations"]:
        if not isinstance(annotation, _Annotation):
            raise KeyError("image_id")
        if annotation.image in by_image:
            by_image[annotation.image].append(annotation)
        else:
            unknown.append(annotation.image)
    return CocoJson(
        kind=_kind(about["annotations"], categories),
        names=tuple(str(category["name"]) for category in categories),
        ids=tuple(numbers),
        colours=tuple(_colour(category.get("color")) for category in categories),
        images=[_image(image, by_image.pop(int(image["id"])), numbers, place) for image in about["images"]],
        has_outlines=any(annotation.outlined for annotation in about["annotations"]),
        images_unknown=tuple(unknown),
    )


def _check_ids(count: int, different: int, what: str, place: str) -> None:
    if different < count:
        raise DataError(
            f"{place}: {count} {what} have but {different} different ids; expected an id for each; mend the file"
        )


def _kind(annotations: Sequence[_Annotation], categories: list[dict[str, Any]]) -> Kind:
    """Panoptic annotations list segments; stuff has a category for everything that is a thing."""
    if any(annotation.segments is not None for annotation in annotations[:1]):
        return "panoptic"
    return "stuff" if any(c["name"] == c.get("supercategory") == "other" for c in categories) else "instances"


def _image(image: dict[str, Any], annotations: list[_Annotation], numbers: dict[int, int], place: str) -> CocoImage:
    segments: dict[int, int] = {}
    objects: list[bytes] = []
    for one in annotations:
        if one.segments is None:
            objects.append(b"[%d,%b" % (_number(one.id, one.category, numbers, place), one.rest))
        else:
            segments |= {key: _number(str(key), category, numbers, place) for key, category in one.segments.items()}
    panoptic_file = next((one.panoptic_file for one in annotations if one.panoptic_file is not None), None)
    return CocoImage(
        id=int(image["id"]),
        file_name=str(image["file_name"]),
        height=int(image["height"]),
        width=int(image["width"]),
        annotations=b"[%b]" % b",".join(objects) if panoptic_file is None else _JSON.encode(segments).encode(),
        panoptic_file=panoptic_file,
    )


def _number(annotation: str, category: int | None, numbers: dict[int, int], place: str) -> int:
    if category is None or category not in numbers:
        raise DataError(
            f"{place}: annotation {annotation} is of category {category}, which is not among the "
            f"{len(numbers)} categories; expected one of them; mend the file"
        )
    return numbers[category]


def _colour(colour: Any) -> tuple[int, int, int] | None:
    if colour is None:
        return None
    red, green, blue = (min(255, max(0, int(value))) for value in colour)
    return red, green, blue
