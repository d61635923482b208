"""CIFAR-10 and CIFAR-100 as their authors give them (Krizhevsky 2009), the binary version or the Python one.

An image is 3072 bytes: 1024 of red, row by row, then green, then blue.
"""

import io
import pickle
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from attnkit.data.classification.config import CifarConfig
from attnkit.data.classification.image_set import ArrayImages, ImageSet
from attnkit.data.config import HoldBackConfig, Split
from attnkit.data.data_root import open_tree_once
from attnkit.data.file_tree import FileTree
from attnkit.data.files import find_file_or_folder
from attnkit.data.images.hold_back import ImageSplits, hold_back
from attnkit.errors import DataError
from attnkit.structures.arrays import ByteArray, IntArray

_IMAGE_BYTES = 3 * 32 * 32


class _Layout(NamedTuple):
    """The files of one version."""

    train: tuple[str, ...]
    test: str
    names: str
    label_bytes: int
    """Of a record, in the binary version; the last of them is the label."""
    key_of_names: str
    """In the Python version."""
    key_of_labels: str


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))
_BINARY = {
    10: _Layout(tuple(f"{name}.bin" for name in _BATCHES), "test_batch.bin", "batches.meta.txt", 1, "", ""),
    100: _Layout(("train.bin",), "test.bin", "fine_label_names.txt", 2, "", ""),
}
_PYTHON = {
    10: _Layout(_BATCHES, "test_batch", "batches.meta", 0, "label_names", "labels"),
    100: _Layout(("train",), "test", "meta", 0, "fine_label_names", "fine_labels"),
}


class CifarSplits(ImageSplits[ImageSet]):
    """The splits of CIFAR, each read into memory."""

    def __init__(self, config: CifarConfig) -> None:
        """Find the files.

        Raises:
            DataError: they are not there.
        """
        super().__init__(config.hold_back)
        self._classes = config.classes
        self._tree = tree = open_tree_once(find_file_or_folder(config.path))
        self._numbers = {name.rpartition("/")[2]: number for number, name in enumerate(tree.names)}
        versions = ((_BINARY[config.classes], _read_binary), (_PYTHON[config.classes], _read_python))
        found = next((version for version in versions if version[0].train[0] in self._numbers), None)
        if found is None:
            raise DataError(
                f"{tree.path}: has no file {_PYTHON[config.classes].train[0]} or {_BINARY[config.classes].train[0]}; "
                f"expected CIFAR-{config.classes} as its authors give it; correct data.path or data.classes"
            )
        self._layout, self._read_file = found

    def has(self, split: Split) -> bool:
        """There is no validation set."""
        return split != "valid"

    def share_out(self, images: ImageSet, config: HoldBackConfig, *, valid: bool, test: bool) -> dict[Split, IntArray]:
        """By the class and the number."""
        return hold_back(images.labels, str, config, valid=valid, test=test)

    def read(self, split: Split) -> ImageSet:
        """Read the files."""
        tree, numbers, layout = self._tree, self._numbers, self._layout
        files = (layout.test,) if split == "test" else layout.train
        if missing := [name for name in (*files, layout.names) if name not in numbers]:
            raise DataError(
                f"{tree.path}: has no file {', '.join(missing)}; expected all files of CIFAR-{self._classes}; "
                "fetch the archive again"
            )
        parts = [self._read_file(tree, numbers[name], layout, self._classes) for name in files]
        names = _class_names(tree, numbers[layout.names], layout, self._classes)
        starts = np.cumsum([0, *(len(labels) for _, labels in parts)])

        def place(row: int) -> str:
            part = int(np.searchsorted(starts, row, side="right")) - 1
            return f"{tree.place(numbers[files[part]])}:{row - starts[part] + 1}"

        pixels, labels = np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])
        return ArrayImages(pixels, labels, names, place=place)


def _read_binary(tree: FileTree, number: int, layout: _Layout, classes: int) -> tuple[ByteArray, IntArray]:
    content, width = tree.read(number), layout.label_bytes + _IMAGE_BYTES
    if not content or len(content) % width:
        raise DataError(
            f"{tree.place(number)}: {len(content)} bytes; expected records of {width} bytes; fetch the file again"
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, width)
    labels = records[:, layout.label_bytes - 1].astype(np.int64)
    return _checked(tree.place(number), records[:, layout.label_bytes :], labels, classes)


def _read_python(tree: FileTree, number: int, layout: _Layout, classes: int) -> tuple[ByteArray, IntArray]:
    place = tree.place(number)
    content = _unpickle(tree.read(number), place)
    pixels, labels = content.get("data"), content.get(layout.key_of_labels)
    if not isinstance(pixels, np.ndarray) or not isinstance(labels, list):
        raise DataError(
            f"{place}: has no array 'data' or no list {layout.key_of_labels!r}; expected CIFAR-{classes}'s Python "
            "version; correct data.classes, or fetch the file again"
        )
    return _checked(place, pixels, np.array(labels), classes)


def _checked(place: str, pixels: NDArray[Any], labels: NDArray[Any], classes: int) -> tuple[ByteArray, IntArray]:
    if pixels.dtype != np.uint8 or pixels.shape != (len(labels), _IMAGE_BYTES) or labels.dtype.kind not in "iu":
        raise DataError(
            f"{place}: {pixels.dtype} {pixels.shape} for {len(labels)} labels; expected uint8 "
            f"({len(labels)}, {_IMAGE_BYTES}); fetch the file again"
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < classes):
        raise DataError(
            f"{place}: labels from {labels.min()} to {labels.max()}; expected 0 to {classes - 1}; "
            "correct data.classes, or fetch the file again"
        )
    return pixels.reshape(-1, 3, 32, 32), labels.astype(np.int64)


def _class_names(tree: FileTree, number: int, layout: _Layout, classes: int) -> list[str]:
    place = tree.place(number)
    if layout.key_of_names:
        names = _unpickle(tree.read(number), place).get(layout.key_of_names)
    else:
        names = tree.read(number).decode("utf-8", "replace").split()
    if not isinstance(names, list) or len(names) != classes or not all(isinstance(name, str) for name in names):
        raise DataError(f"{place}: no list of class names; expected {classes} of them; fetch the file again")
    return names


_ARRAY = object()
"""Stands for the type of arrays, so that a file cannot call it."""


class _PlainUnpickler(pickle.Unpickler):
    """Builds numbers, text, lists, dicts and arrays of numbers, and nothing else: no code of the file is run."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module in ("numpy.core.multiarray", "numpy._core.multiarray"):
            return _empty_array
        if (module, name) == ("numpy", "ndarray"):
            return _ARRAY
        if (module, name) == ("numpy", "dtype"):
            return _plain_dtype
        if (module, name) == ("_codecs", "encode"):
            return _latin1
        raise pickle.UnpicklingError(f"asks for {module}.{name}")


def _empty_array(kind: Any, shape: Any, code: Any) -> NDArray[Any]:
    """What pickled arrays begin with; their content follows."""
    if kind is not _ARRAY or tuple(shape) != (0,):
        raise pickle.UnpicklingError("asks for an unusual array")
    return np.ndarray((0,), dtype=np.int8)


def _plain_dtype(name: Any, *more: Any) -> np.dtype[Any]:
    dtype = np.dtype(str(name))
    if dtype.kind not in "iuf":
        raise pickle.UnpicklingError(f"asks for an array of {dtype}")
    return dtype


def _latin1(text: str, encoding: str) -> bytes:
    """What Python 3 stores bytes as in old pickles."""
    if encoding != "latin1":
        raise pickle.UnpicklingError("asks for an unusual text")
    return text.encode("latin1")


def _unpickle(content: bytes, place: str) -> dict[str, Any]:
    """Read a dict of plain values; Python 2 wrote most of these files, whose text is bytes."""
    try:
        value = _PlainUnpickler(io.BytesIO(content), encoding="latin1").load()
    except Exception as error:  # a broken pickle raises whatever it runs into
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"{place}: cannot be read ({reason}); expected a pickle of plain arrays, as CIFAR's authors give it; "
            "fetch the file again, or take the binary version"
        ) from error
    if not isinstance(value, dict):
        raise DataError(f"{place}: holds a {type(value).__name__}; expected a dict; fetch the file again")
    return value
