"""Predicted and true classes of images as numbers, and how they are read from two files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from attnkit.data.formats.class_list import ImageClasses, NamedClass, is_number, match_inputs, read_classes
from attnkit.errors import DataError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attnkit.structures.arrays import IntArray


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """N images, K classes, the k most probable ones of each image."""

    name: str
    """Of what predicted them, for messages."""
    inputs: Sequence[str]
    labels: IntArray | None
    """(N,); none where the truth is unknown."""
    top: IntArray
    """(N, k), best first; NO_CLASS where an image has none."""
    probs: NDArray[np.float32] | None
    """(N, k); none where they are unknown."""
    class_names: tuple[str, ...]
    own_numbers: Mapping[int, int] | None = None
    """The number here of each class that a file numbers otherwise; none where the numbers are the model's own."""
    unread: int = 0
    """Images that could not be read: they count as wrong."""


def predicted_by_file(predictions: str, labels: str | None) -> Predicted:
    """Read a file of predictions and a file of labels of the same images.

    Raises:
        DataError: one of them cannot be read, they are not of the same images, or not of the same classes.
    """
    import numpy as np

    from attnkit.metrics.accuracy import NO_CLASS

    rows = read_classes(predictions)
    truth = None if labels is None else _in_the_order_of(rows, read_classes(labels), predictions, labels)
    classes = _Classes(rows, truth or [], predictions=predictions, labels=labels)
    depth = min((len(row.classes) for row in rows if row.classes), default=0)
    if depth == 0:
        raise DataError(f"{predictions}: no image in it could be read; expected classes; see the file")
    top = np.full((len(rows), depth), NO_CLASS, dtype=np.int64)
    probs = np.zeros((len(rows), depth), dtype=np.float32)
    known = True
    for i, row in enumerate(rows):
        for k, one in enumerate(row.classes[:depth]):
            top[i, k] = classes.number(one)
            probs[i, k] = one.probability or 0.0
            known &= one.probability is not None
    return Predicted(
        name=predictions,
        inputs=[row.input or row.place for row in rows],
        labels=None if truth is None else np.array([classes.number(one.classes[0]) for one in truth], dtype=np.int64),
        top=top,
        probs=probs if known else None,
        class_names=tuple(classes.names),
        own_numbers=classes.own_numbers,
        unread=sum(not row.classes for row in rows),
    )


def _in_the_order_of(
    rows: Sequence[ImageClasses], truth: Sequence[ImageClasses], predictions: str, labels: str
) -> list[ImageClasses]:
    """The labels in the order of the predictions; by name, or by line where one of the files has no names."""
    if len(rows) != len(truth):
        raise DataError(
            f"{predictions}: classes of {len(rows)} images, but {labels} has {len(truth)}; "
            f"expected one prediction for each; {_first_missing(rows, truth)}"
        )
    wanted, known = [row.input for row in rows if row.input], [row.input for row in truth if row.input]
    if not wanted or not known:
        return list(truth)
    places = match_inputs(wanted, known)
    for row, place in zip(rows, places, strict=True):
        if place is None:
            raise DataError(
                f"{row.place}: '{row.input}' has no label in {labels}; expected a label for each image; "
                f"add it, or compare the paths with those of {truth[0].place}, '{truth[0].input}'"
            )
    return [truth[place] for place in places if place is not None]


def _first_missing(rows: Sequence[ImageClasses], truth: Sequence[ImageClasses]) -> str:
    """What to check where two files are of different images."""
    wanted, known = [row.input for row in rows if row.input], [row.input for row in truth if row.input]
    more, fewer = (known, wanted) if len(known) > len(wanted) else (wanted, known)
    if not fewer:
        return "see both files"
    places = match_inputs(more, fewer)
    missing = next((name for name, place in zip(more, places, strict=True) if place is None), more[0])
    return f"'{missing}' stands in one of them only"


class _Classes:
    """Gives every class that two files name a number: by their names, or by the numbers that they have already."""

    def __init__(
        self, rows: Sequence[ImageClasses], truth: Sequence[ImageClasses], *, predictions: str, labels: str | None
    ) -> None:
        guessed = [one for row in rows for one in row.classes]
        true = [one for row in truth for one in row.classes]
        self._by_number = _compare_numbers(guessed, true, predictions, labels)
        every = [*true, *guessed]
        if self._by_number:
            names = {one.index: one.name for one in every if one.index is not None and one.name is not None}
            last = max((one.index for one in every if one.index is not None), default=-1)
            self.names = [names.get(i) or str(i) for i in range(last + 1)]
        else:
            numbers = {one.name: one.index for one in guessed if one.name is not None and one.index is not None}
            found = {one.name for one in every if one.name is not None}
            self.names = sorted(found, key=lambda name: (numbers.get(name, len(found)), name))
            self._numbers = {name: i for i, name in enumerate(self.names)}
        self.own_numbers = {one.index: self.number(one) for one in guessed if one.index is not None}

    def number(self, one: NamedClass) -> int:
        """The number of a class."""
        if self._by_number:
            assert one.index is not None, "both files have numbers"
            return one.index
        assert one.name is not None, "both files have names"
        return self._numbers[one.name]


def _compare_numbers(
    guessed: Sequence[NamedClass], true: Sequence[NamedClass], predictions: str, labels: str | None
) -> bool:
    """Whether the two files agree on classes by number; otherwise they do by name."""
    both = [*guessed, *true]
    if all(one.name is not None for one in both) and (not true or _are_numbers(guessed) == _are_numbers(true)):
        return False
    if all(one.index is not None for one in both):
        return True
    if not true:
        raise DataError(
            f"{predictions}: some classes have a name only, and some a number only; expected one of the two for all; "
            "add the column class or index"
        )
    raise DataError(
        f"{labels}: classes such as '{_said(true[0])}', but those of {predictions} are such as '{_said(guessed[0])}'; "
        "expected names in both, or numbers in both; give the predictions the column class or index"
    )


def _are_numbers(classes: Sequence[NamedClass]) -> bool:
    return all(one.name is not None and is_number(one.name) for one in classes)


def _said(one: NamedClass) -> str:
    return str(one.index) if one.name is None else one.name
