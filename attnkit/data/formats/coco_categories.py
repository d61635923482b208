"""The categories of COCO's json: their ids, names and colours."""

from __future__ import annotations

from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple

from attnkit.data.formats.coco_fields import CATEGORY, NOT_AS_EXPECTED, read_each, text, whole

_OTHER = "other"


class CocoCategory(NamedTuple):
    """One of the json."""

    id: int
    name: str
    colour: tuple[int, int, int] | None
    is_other: bool
    """As stuff has it for everything that is a thing."""


def read_categories(found: Sequence[Any], place: str) -> list[CocoCategory]:
    """All of a json, by their ids.

    Args:
        found: its list.
        place: its name in errors.

    Raises:
        DataError: one has no whole id, or no name.
    """
    return sorted(read_each(found, "category", _category, lambda _: CATEGORY, place), key=lambda one: one.id)


def without_repeated(categories: Sequence[CocoCategory], used: AbstractSet[int | None]) -> list[CocoCategory]:
    """Those that are classes: of several with one name the ones that are used, or else the last.

    Exports of Roboflow have a root category that no annotation is of, at times with the name of a class.

    Args:
        categories: by their ids.
        used: ids of which there is an annotation.
    """
    last = {category.name: category.id for category in categories}
    named = {category.name for category in categories if category.id in used}
    return [one for one in categories if one.id in used or (one.name not in named and one.id == last[one.name])]


def _category(found: dict[str, Any]) -> CocoCategory:
    name = text(found["name"])
    is_other = name == found.get("supercategory") == _OTHER
    return CocoCategory(whole(found["id"]), name, _colour(found.get("color")), is_other)


def _colour(said: Any) -> tuple[int, int, int] | None:
    """None where it is written in another way, for it decides nothing."""
    try:
        red, green, blue = (min(255, max(0, int(value))) for value in said)
    except NOT_AS_EXPECTED:
        return None
    return red, green, blue
