"""COCO's json (Lin et al. 2014): which categories there are, and what is annotated on each image.

Instances and stuff have a polygon or a run-length code per annotation, panoptic a PNG per image whose colours are
numbers of segments. Annotations are kept as bytes until their image is read: as Python objects they would take many
times the memory, in every process that reads images.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from attnkit.errors import DataError

Kind = Literal["instances", "stuff", "panoptic"]


@dataclass(frozen=True)
class CocoImage:
    """An image of the json."""

    id: int
    file_name: str
    height: int
    width: int
    annotations: bytes
    """JSON: of instances and stuff [[number of category, segmentation], ...], of panoptic {id: number of category}."""
    panoptic_file: str | None
    """The PNG; None where there is none."""


@dataclass(frozen=True)
class CocoJson:
    """What a json says."""

    kind: Kind
    names: tuple[str, ...]
    """Of the categories, in the order of their ids."""
    colours: tuple[tuple[int, int, int] | None, ...]
    images: list[CocoImage]


def read_coco_json(content: bytes, place: str) -> CocoJson:
    """Take a json apart.

    Args:
        content: its bytes.
        place: its name in errors.

    Raises:
        DataError: it is no JSON, or has not the form that COCO's have.
    """
    try:
        about = json.loads(content)
        return _from_json(about, place)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{place}: not as COCO's json is ({type(error).__name__}: {error}); expected images, annotations and "
            "categories, as in instances_val2017.json; correct the path, or mend the file"
        ) from error


def _from_json(about: dict[str, Any], place: str) -> CocoJson:
    categories = sorted(about["categories"], key=lambda category: int(category["id"]))
    numbers = {int(category["id"]): number for number, category in enumerate(categories)}
    kind = _kind(about, categories)
    annotations: dict[int, list[dict[str, Any]]] = {}
    for annotation in about["annotations"]:
        annotations.setdefault(int(annotation["image_id"]), []).append(annotation)
    images = [
        CocoImage(
            id=int(image["id"]),
            file_name=str(image["file_name"]),
            height=int(image["height"]),
            width=int(image["width"]),
            annotations=_packed(annotations.get(int(image["id"]), []), kind, numbers, place),
            panoptic_file=_panoptic_file(annotations.get(int(image["id"]), [])),
        )
        for image in about["images"]
    ]
    colours = tuple(_colour(category.get("color")) for category in categories)
    return CocoJson(kind, tuple(str(category["name"]) for category in categories), colours, images)


def _kind(about: dict[str, Any], categories: list[dict[str, Any]]) -> Kind:
    """Panoptic annotations list segments; stuff has a category for everything that is a thing."""
    if any("segments_info" in annotation for annotation in about["annotations"][:1]):
        return "panoptic"
    return "stuff" if any(c["name"] == c.get("supercategory") == "other" for c in categories) else "instances"


def _packed(annotations: Iterable[dict[str, Any]], kind: Kind, numbers: dict[int, int], place: str) -> bytes:
    if kind == "panoptic":
        segments = [segment for annotation in annotations for segment in annotation["segments_info"]]
        return json.dumps({int(one["id"]): _number(one, numbers, place) for one in segments}).encode()
    return json.dumps([(_number(one, numbers, place), one["segmentation"]) for one in annotations]).encode()


def _number(annotation: dict[str, Any], numbers: dict[int, int], place: str) -> int:
    category = int(annotation["category_id"])
    if category not in numbers:
        raise DataError(
            f"{place}: annotation {annotation.get('id')} is of category {category}, which is not among the "
            f"{len(numbers)} categories; expected one of them; mend the file"
        )
    return numbers[category]


def _panoptic_file(annotations: list[dict[str, Any]]) -> str | None:
    return next((str(one["file_name"]) for one in annotations if "segments_info" in one), None)


def _colour(colour: Any) -> tuple[int, int, int] | None:
    if colour is None:
        return None
    red, green, blue = (min(255, max(0, int(value))) for value in colour)
    return red, green, blue
