"""Two folders of masks, predictions and labels, compared pixel by pixel."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from attnkit.data.data_root import Files, open_tree
from attnkit.data.file_tree import FileTree
from attnkit.data.files import find_file, find_file_or_folder
from attnkit.data.images.decode import as_numbers, decode_mask
from attnkit.data.segmentation.mask_classes import MaskClasses
from attnkit.data.segmentation.mask_pairs import Pairs, pair
from attnkit.data.segmentation.named_ids import NamedIds, read_classes
from attnkit.data.segmentation.segmentation_set import LabelMap
from attnkit.errors import DataError
from attnkit.metrics.mean_iou import SegmentationCounts
from attnkit.structures.arrays import IGNORE

_LAST = 254
"""The largest class where no list says which there are."""
_OVERLAY = "_overlay"
"""Ends the names of what attnkit segment --save writes beside the masks."""


def count_files(
    predictions: str, labels: str, *, classes: str | None, ignore: Sequence[int] | None, reduce_zero_label: bool
) -> tuple[SegmentationCounts, tuple[str, ...]]:
    """Count the pixels of all pairs, and name the classes.

    Args:
        predictions: a folder of masks.
        labels: a folder of masks of the same names.
        classes: a file of the classes that values of pixels stand for; none: the numbers that occur.
        ignore: values of no class; none: 255, unless that is a class.
        reduce_zero_label: labels are one more than predictions, and their 0 is of no class.

    Raises:
        DataError: a folder is missing, a mask has no partner or another size, or a pixel's value is of no class.
    """
    pairs = _pairs(predictions, labels)
    true, predicted = _classes(classes, ignore, reduce_zero_label=reduce_zero_label)
    if classes is not None and true is predicted:
        predicted = _as_written(pairs, true)
    counts = SegmentationCounts(len(true.names))
    for guess, truth in pairs.rows:
        label_map = _read(pairs.masks, truth, true)
        prediction = _read(pairs.images, guess, predicted)
        _check_pair(prediction, label_map, pairs.images.place(guess), pairs.masks.place(truth))
        counts.add(label_map, prediction)
    _check_labels(counts, labels, listed=classes is not None)
    if classes is not None:
        return counts, true.names
    last = int(max(one.max() for one in counts.confusion.nonzero()))
    return counts.first(last + 1), true.names[: last + 1]


def _pairs(predictions: str, labels: str) -> Pairs:
    guesses, truths = _masks(predictions), _masks(labels)
    expected = "expected masks of the same names in both"
    try:
        pairs = pair(guesses, truths, option="--predictions")
    except DataError as error:
        names = [f"{len(one.numbers)} files{f', such as {one.below(one.numbers[0])}' if one.numbers else ''}"
                 for one in (guesses, truths)]  # fmt: skip
        raise DataError(
            f"{predictions}: no mask has the name of one in {labels} ({names[0]}; there {names[1]}); {expected}; "
            "see the folders"
        ) from error
    for alone, tree, other in (
        (pairs.images_alone, pairs.images, labels),
        (pairs.masks_alone, pairs.masks, predictions),
    ):
        if alone:
            more = f", as {len(alone) - 1} more" if len(alone) > 1 else ""
            raise DataError(
                f"{tree.place(alone[0])}: no mask of that name in {other}{more}; {expected}; add or remove it"
            )
    return pairs


def _masks(name: str) -> Files:
    """The files of a folder, without the overlays that lie beside the masks that attnkit segment writes."""
    path = Path(name).expanduser()
    tree = open_tree(path if path.exists() else find_file_or_folder(name))
    there = set(tree.names)
    has_overlays = any(f"{one.removesuffix('.png')}{_OVERLAY}.png" in there for one in there if one.endswith(".png"))
    kept = [number for number, one in enumerate(tree.names) if not (has_overlays and one.endswith(f"{_OVERLAY}.png"))]
    return Files(tree, "", kept)


def _classes(
    classes: str | None, ignore: Sequence[int] | None, *, reduce_zero_label: bool
) -> tuple[MaskClasses, MaskClasses]:
    """Those of labels and of predictions: the same values mean the same, unless 0 is reduced."""
    first = int(reduce_zero_label)
    named = _named(classes, first)
    usual = [] if IGNORE in named.names else [IGNORE]
    place = classes or "--ignore"
    true = MaskClasses(named, ignore=[*(usual if ignore is None else ignore), *([0] if first else [])], place=place)
    if not first:
        return true, true
    return true, _counted(true, place)


def _as_written(pairs: Pairs, true: MaskClasses) -> MaskClasses:
    """How predictions are written: by the values of labels, or as attnkit segment does, the classes counted from 0.

    They are taken for the latter where they hold a value that labels cannot have, and none from K on.
    """
    counted = list(range(len(true.names)))
    if true.ids == counted:
        return true
    found: set[int] = set()
    for guess, _ in pairs.rows:
        values = as_numbers(decode_mask(pairs.images.read(guess), pairs.images.place(guess)))
        if values.ndim == 3:
            return true
        found.update(np.unique(values).tolist())
    if found <= {*true.ids, *true.ignored} or not found <= {*counted, IGNORE}:
        return true
    return _counted(true, "--classes")


def _counted(true: MaskClasses, place: str) -> MaskClasses:
    """The same classes, counted from 0."""
    return MaskClasses(NamedIds(dict(enumerate(true.names))), ignore=[IGNORE], place=place)


def _named(classes: str | None, first: int) -> NamedIds:
    if classes is None:
        return NamedIds({value: str(value - first) for value in range(first, _LAST + 1)})
    return read_classes(find_file(classes).read_bytes(), classes, first=first)


def _read(tree: FileTree, number: int, classes: MaskClasses) -> LabelMap:
    place = tree.place(number)
    values = decode_mask(tree.read(number), place)
    try:
        return classes.labels(values, place)
    except DataError as error:  # which speaks of a recipe
        raise DataError(str(error).replace("data.classes", "--classes").replace("data.ignore", "--ignore")) from error


def _check_pair(prediction: LabelMap, labels: LabelMap, place: str, label_place: str) -> None:
    """Refuse masks of two sizes, and predictions of no class where there is one to find."""
    if prediction.shape != labels.shape:
        sizes = [f"{one.shape[1]} x {one.shape[0]}" for one in (prediction, labels)]
        raise DataError(
            f"{place}: {sizes[0]} pixels, but {label_place} has {sizes[1]}; expected one size; resize the prediction, "
            "nearest neighbour, or segment the image anew"
        )
    if missing := int(((prediction == IGNORE) & (labels != IGNORE)).sum()):
        raise DataError(
            f"{place}: {missing} pixels are of no class where {label_place} has one; expected a class for each; "
            "predict again without the class that is ignored"
        )


def _check_labels(counts: SegmentationCounts, labels: str, *, listed: bool) -> None:
    """Refuse labels that were given another meaning than they have: those of 0 and 255 first of all."""
    labelled = int(counts.confusion.any(axis=1).sum())
    if labelled < 2 - listed:
        found = "all pixels are of one class, or ignored" if labelled else "no pixel is of a class"
        raise DataError(
            f"{labels}: {found}; expected several classes, such as 0, 1 and 2; if the values mean something else, say "
            'it by --classes FILE, a .json such as {"0": "background", "255": "object"}'
        )
