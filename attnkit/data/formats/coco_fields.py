"""The fields of COCO's json: what each may hold, and what is wrong with an object that holds something else; and the
categories that are made of them.
"""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, TypeVar

from attnkit.data.finding import MOST_NAMED
from attnkit.errors import DataError

LARGEST_SIDE = 1_000_000
"""Largest width or height that annotations may give; no file has as many pixels."""
NOT_AS_EXPECTED = (ValueError, TypeError, KeyError, AttributeError, OverflowError)
"""Errors that reading a field of another form raises."""
NOT_DRAWN = (*NOT_AS_EXPECTED, IndexError)
"""Errors that drawing an outline raises where it cannot be drawn."""

_LONGEST = 60
"""Characters of a value in a message that has little else."""
_BITS = 63
_OTHER = "other"

Read = TypeVar("Read")


class Field(NamedTuple):
    """What a field may hold."""

    read: Callable[[Any], Any]
    expected: str
    needed: bool = True


Fields = Mapping[str, Field]


def whole(value: Any) -> int:
    """A whole number, which may be written as text."""
    number = int(value)
    if (number != value and not isinstance(value, str)) or abs(number) >= 1 << _BITS:
        raise ValueError("no whole number")
    return number


def pixels(value: Any) -> int:
    """A side of an image."""
    number = whole(value)
    if not 1 <= number <= LARGEST_SIDE:
        raise ValueError("no side")
    return number


def numbers(value: Any) -> list[float] | None:
    """A box of any count of numbers; None where there is none."""
    return [float(one) for one in value] if value else None


def number(value: Any) -> float | None:
    """An area; None where there is none."""
    return None if value is None else float(value)


def crowd(value: Any) -> bool:
    """Whether an object is a crowd; by default it is not."""
    return bool(whole(value or 0))


def text(value: Any) -> str:
    """A name, which may be a number."""
    if not isinstance(value, str | int | float):
        raise TypeError("no text")
    return str(value)


def segments(value: Any) -> dict[int, int]:
    """Categories of a panoptic PNG's segments, by the ids of these."""
    return {whole(one["id"]): whole(one["category_id"]) for one in value}


_ID = Field(whole, "a whole number")
_OF_IMAGE = Field(whole, "the id of an image, a whole number")
IMAGE: Fields = {
    "id": _ID,
    "file_name": Field(text, "the name of its file"),
    "height": Field(pixels, f"pixels, from 1 to {LARGEST_SIDE}"),
    "width": Field(pixels, f"pixels, from 1 to {LARGEST_SIDE}"),
}
CATEGORY: Fields = {"id": _ID, "name": Field(text, "the name of a class")}
ANNOTATION: Fields = {
    "image_id": _OF_IMAGE,
    "category_id": Field(whole, "the id of a category, a whole number"),
    "bbox": Field(numbers, "four numbers: left, top, width and height", needed=False),
    "area": Field(number, "a number of pixels", needed=False),
    "iscrowd": Field(crowd, "0 or 1", needed=False),
    "segmentation": Field(json.dumps, "polygons, or a run-length code", needed=False),
}
PANOPTIC: Fields = {
    "image_id": _OF_IMAGE,
    "file_name": Field(text, "the name of its PNG"),
    "segments_info": Field(segments, "a list of segments, each with its id and its category_id"),
}


def read_each(
    found: Iterable[Any], what: str, read: Callable[[Any], Read], fields: Callable[[Any], Fields], place: str
) -> list[Read]:
    """Read all objects of a kind.

    Args:
        what: to call one in errors.
        read: one of them; it raises one of `NOT_AS_EXPECTED`.
        fields: those of one object, to find out what is wrong.

    Raises:
        DataError: something is wrong with some; a line for each of the first.
    """
    good, wrong = list[Read](), list[tuple[int, Any]]()
    for place_in_list, one in enumerate(found, start=1):
        try:
            good.append(read(one))
        except NOT_AS_EXPECTED:
            wrong.append((place_in_list, one))
    if not wrong:
        return good
    named = wrong[:MOST_NAMED]
    lines = [f"{place}: {_what_is_wrong(one, f'{what} number {n}', what, fields)}; fix the file" for n, one in named]
    if more := len(wrong) - len(named):
        lines.append(f"{place}: fields of {more} more are wrong; expected the same as above; fix them too")
    raise DataError("\n".join(lines))


def _what_is_wrong(found: Any, numbered: str, what: str, fields: Callable[[Any], Fields]) -> str:
    """The first field that is wrong, what it holds, and what was expected."""
    if not isinstance(found, dict):
        return f"{numbered} is {brief(found, _LONGEST)}; expected an object with fields"
    name = numbered if found.get("id") is None else f"{what} {brief(found['id'], _LONGEST)}"
    for key, field in fields(found).items():
        if key not in found and field.needed:
            return f"{name} has no {key}; expected {field.expected}"
        try:
            field.read(found.get(key))
        except NOT_AS_EXPECTED:
            return f"{name} has the {key} {brief(found[key], _LONGEST)}; expected {field.expected}"
    raise AssertionError("a field that cannot be read is among those of its kind")


def brief(value: Any, longest: int = 40) -> str:
    """A value as the json has it, shortened to fit into a message."""
    try:
        written = json.dumps(value, ensure_ascii=False, default=str)
    except RecursionError:  # what could just be read
        return "that is nested deeply"
    return written if len(written) <= longest else f"{written[: longest - 1]}…"


class CocoCategory(NamedTuple):
    """A category of the json."""

    id: int
    name: str
    colour: tuple[int, int, int] | None
    is_other: bool
    """Whether it stands for all things, as in stuff annotations."""


def read_categories(found: Sequence[Any], place: str) -> list[CocoCategory]:
    """The categories of a json, by their ids.

    Raises:
        DataError: one has no whole id, or no name.
    """
    return sorted(read_each(found, "category", _category, lambda _: CATEGORY, place), key=lambda one: one.id)


def without_repeated(categories: Sequence[CocoCategory], used: AbstractSet[int | None]) -> list[CocoCategory]:
    """The categories that are classes: of several with one name those whose ids are used, or else the last.

    Exports of Roboflow have a root category that no annotation is of, at times with the name of a class.
    """
    last = {category.name: category.id for category in categories}
    named = {category.name for category in categories if category.id in used}
    return [one for one in categories if one.id in used or (one.name not in named and one.id == last[one.name])]


def _category(found: dict[str, Any]) -> CocoCategory:
    name = text(found["name"])
    is_other = name == found.get("supercategory") == _OTHER
    return CocoCategory(whole(found["id"]), name, _colour(found.get("color")), is_other)


def _colour(value: Any) -> tuple[int, int, int] | None:
    """None where it is written in another form: nothing depends on it."""
    try:
        red, green, blue = (min(255, max(0, int(part))) for part in value)
    except NOT_AS_EXPECTED:
        return None
    return red, green, blue
