"""Which pixel values and colours stand for which classes: by the recipe, by a file, or else by what the masks hold.

What masks hold is counted once, and kept in the cache.
"""

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from attnkit.data.file_tree import FileTree
from attnkit.data.files import cache_folder, cached_folder
from attnkit.data.images.decode import as_numbers, decode_mask
from attnkit.errors import DataError
from attnkit.run_dir import write_json
from attnkit.structures.arrays import IntArray

_FORMAT = 1
WHITE = 255
"""The value of objects in masks that are black and white, for people to see."""
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class NamedIds:
    """Classes by pixel value."""

    names: dict[int, str]
    colours: dict[int, Colour] = field(default_factory=dict)
    ignored: frozenset[int] = frozenset()
    ignored_colours: tuple[Colour, ...] = ()


class BlackAndWhiteError(DataError):
    """Masks hold 0 and 255 alone, and nothing says what these mean."""


def given_classes(classes: Sequence[str] | Mapping[int, str], *, first: int) -> NamedIds:
    """Names of the recipe: by pixel value, or counted from `first`."""
    if isinstance(classes, Mapping):
        return NamedIds(dict(classes))
    return NamedIds(dict(enumerate(classes, start=first)))


def read_classes(content: bytes, place: str, *, first: int) -> NamedIds:
    """A file of classes: .json, or a name per line, or the table that comes with ADE20K.

    Args:
        first: pixel value of the first name, where the file gives none.

    Raises:
        DataError: it has another form.
    """
    try:
        text = content.decode("utf-8-sig")
        if not place.lower().endswith(".json"):
            return _from_lines(text.splitlines(), first)
        return _from_json(json.loads(text), first)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{place}: no list of classes ({type(error).__name__}: {error}); expected a JSON list of names, or of "
            '{"id": 0, "name": "sky", "colour": [128, 128, 128]}, or a .txt with a name per line; fix the file'
        ) from error


def found_classes(tree: FileTree, numbers: Sequence[int], ignore: Sequence[int]) -> NamedIds:
    """Every number up to the largest pixel value that is not ignored is a class, named by its number.

    Raises:
        DataError: the masks hold colours, or nothing but 0 and 255.
    """
    values = set(_values(tree, numbers))
    if WHITE in values and values <= {0, WHITE}:
        raise black_and_white(str(tree.path), sorted(values))
    largest = max(values.difference(ignore), default=-1)
    return NamedIds({number: f"class {number}" for number in range(largest + 1)})


def black_and_white(place: str, values: list[int]) -> BlackAndWhiteError:
    """The error where masks are black and white, and no one says what that means."""
    return BlackAndWhiteError(
        f"{place}: the pixels of the training masks are {' and '.join(map(str, values))} alone; expected class ids, 0, "
        "1, 2 and so on; say what they mean: data.classes={0: background, 255: object} and data.ignore=[]"
    )


def colours_unknown(place: str) -> DataError:
    """The error of a colour mask where no colours are given."""
    return DataError(
        f"{place}: pixels are colours, and what they mean is not known; expected class ids, grey or palette; name a "
        "file of ids, names and colours as data.classes, or convert the masks"
    )


def _from_lines(lines: list[str], first: int) -> NamedIds:
    if lines and lines[0].startswith("Idx"):  # objectInfo150.txt: number, some figures, names; the first name is taken
        mark = "\t" if "\t" in lines[0] else ","
        rows = [line.split(mark, lines[0].count(mark)) for line in lines[1:] if line.strip()]
        return NamedIds({int(row[0]): re.split("[,;]", row[-1])[0].strip() for row in rows})
    names = [line.strip() for line in lines if line.strip()]
    return NamedIds(dict(enumerate(names, start=first)))


def _from_json(about: Any, first: int) -> NamedIds:
    """A list, or an object with a list as `classes` and what is ignored as `ignore`; or names by id."""
    rows = about.get("classes", about.get("categories")) if isinstance(about, dict) else about
    if rows is None:
        return NamedIds({int(number): str(name) for number, name in about.items()})
    ignored = about.get("ignore", []) if isinstance(about, dict) else []
    ignored = [ignored] if isinstance(ignored, dict | int) else ignored
    names, colours = {}, {}
    for number, row in enumerate(rows, start=first):
        row = {"name": row} if isinstance(row, str) else row
        number = int(row.get("id", number))
        if number in names:
            raise ValueError(f"id {number} is there twice")
        names[number] = str(row["name"])
        if colour := _colour(row):
            colours[number] = colour
    return NamedIds(
        names,
        colours,
        frozenset(int(one["id"] if isinstance(one, dict) else one) for one in ignored),
        tuple(colour for one in ignored if isinstance(one, dict) and (colour := _colour(one))),
    )


def _colour(row: dict[str, Any]) -> Colour | None:
    colour = row.get("colour", row.get("color"))
    if colour is None:
        return None
    red, green, blue = (int(value) for value in colour)
    if not all(0 <= value <= 255 for value in (red, green, blue)):
        raise ValueError(f"colour {colour} is not within 0..255")
    return red, green, blue


def _values(tree: FileTree, numbers: Sequence[int]) -> list[int]:
    key = json.dumps([_FORMAT, tree.fingerprint(numbers), list(numbers)])
    final = cache_folder() / "mask_values" / hashlib.sha256(key.encode()).hexdigest()[:32]
    return cached_folder(final, read=_read, write=lambda folder: _count(tree, numbers, folder))


def _count(tree: FileTree, numbers: Sequence[int], folder: Path) -> None:
    """A broken mask is left out here, and is an error in training and in the check, unless all are broken."""
    errors = []
    pixels: IntArray = np.zeros(1 << 16, dtype=np.int64)
    for number in numbers:
        try:
            values = as_numbers(decode_mask(tree.read(number), tree.place(number)))
        except DataError as error:
            errors.append(error)
            continue
        if values.ndim == 3:
            raise colours_unknown(tree.place(number))
        pixels += np.bincount(values.ravel(), minlength=len(pixels))
    if len(errors) == len(numbers):
        raise errors[0]
    write_json(folder / "values.json", {"format": _FORMAT, "values": np.flatnonzero(pixels).tolist()})


def _read(folder: Path) -> list[int]:
    about = json.loads((folder / "values.json").read_text(encoding="utf-8"))
    if about["format"] != _FORMAT:
        raise ValueError(f"{folder} is not of format {_FORMAT}")
    return [int(value) for value in about["values"]]
