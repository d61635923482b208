"""Which pixel values masks hold, where nobody says which classes there are. Counted once, and kept in the cache."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attnkit.data.cached_folder import cached_folder
from attnkit.data.file_tree import FileTree
from attnkit.data.files import cache_folder
from attnkit.data.images.mask_image import as_numbers, decode_mask
from attnkit.data.segmentation.mask_classes import NamedIds, colours_unknown
from attnkit.errors import DataError
from attnkit.run_dir import write_json
from attnkit.structures.arrays import IntArray

_FORMAT = 1
WHITE = 255
"""Of masks that are black and white, for people to look at."""


class BlackAndWhiteError(DataError):
    """Masks hold 0 and 255 alone, and nobody says what these mean."""


def found_classes(tree: FileTree, numbers: Sequence[int], ignore: Sequence[int]) -> NamedIds:
    """Every number up to the largest pixel value that is not ignored is a class, named by its number.

    Args:
        tree: where the masks are.
        numbers: of the training masks.
        ignore: pixel values of no class.

    Raises:
        DataError: the masks hold colours, or nothing but 0 and 255.
    """
    values = set(_values(tree, numbers))
    if WHITE in values and values <= {0, WHITE}:
        raise black_and_white(str(tree.path), sorted(values))
    largest = max(values.difference(ignore), default=-1)
    return NamedIds({number: f"class {number}" for number in range(largest + 1)})


def black_and_white(place: str, values: list[int]) -> BlackAndWhiteError:
    """What to say of masks that are there to be looked at."""
    return BlackAndWhiteError(
        f"{place}: the pixels of the training masks are {' and '.join(map(str, values))} alone; expected class ids, 0, "
        "1, 2 and so on; say what they mean: data.classes={0: background, 255: object} and data.ignore=[]"
    )


def _values(tree: FileTree, numbers: Sequence[int]) -> list[int]:
    key = json.dumps([_FORMAT, tree.fingerprint(numbers), list(numbers)])
    final = cache_folder() / "mask_values" / hashlib.sha256(key.encode()).hexdigest()[:32]
    return cached_folder(final, read=_read, write=lambda folder: _count(tree, numbers, folder))


def _count(tree: FileTree, numbers: Sequence[int], folder: Path) -> None:
    """A broken mask is left out, for training and the check to tell of, unless all are."""
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
