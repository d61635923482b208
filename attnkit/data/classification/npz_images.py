"""Images and labels as arrays in one .npz, under Keras's names or MedMNIST's. Read without pickle."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from attnkit.data.classification.config import NpzImagesConfig
from attnkit.data.classification.image_set import ArrayImages, ImageSet
from attnkit.data.config import HoldBackConfig, Split
from attnkit.data.files import find_file
from attnkit.data.images.hold_back import ImageSplits, hold_back
from attnkit.errors import DataError
from attnkit.structures.arrays import ByteArray, IntArray

_NAMES: dict[Split, tuple[tuple[str, str], ...]] = {
    "train": (("x_train", "y_train"), ("train_images", "train_labels")),
    "valid": (("x_valid", "y_valid"), ("x_val", "y_val"), ("val_images", "val_labels")),
    "test": (("x_test", "y_test"), ("test_images", "test_labels")),
}


class NpzSplits(ImageSplits[ImageSet]):
    """The splits of a file of arrays, each read into memory."""

    def __init__(self, config: NpzImagesConfig) -> None:
        """See which arrays there are.

        Raises:
            DataError: the file is not found or broken, or an array is missing or of the wrong shape or type.
        """
        super().__init__(config.hold_back)
        self._path = find_file(config.path)
        with _Arrays(self._path) as arrays:
            self._names = {split: _find(arrays, split) for split in _NAMES}
            if (train := self._names["train"]) is None:
                raise DataError(
                    f"{self._path}: has the arrays {', '.join(arrays.names) or '(none)'}; expected x_train and "
                    "y_train, or train_images and train_labels; rename them"
                )
            labels = _labels(arrays, train[1])
            self._class_names = config.class_names or tuple(map(str, range(int(labels.max(initial=-1)) + 1)))
            _check_train(labels, self._class_names, f"{self._path}:{train[1]}")

    def has(self, split: Split) -> bool:
        """Whether there are such arrays."""
        return self._names[split] is not None

    def read(self, split: Split) -> ImageSet:
        """Read two arrays."""
        names = self._names[split]
        assert names is not None, "the split has images"
        with _Arrays(self._path) as arrays:
            return _open(arrays, names, self._class_names)

    def share_out(self, images: ImageSet, config: HoldBackConfig, *, valid: bool, test: bool) -> dict[Split, IntArray]:
        """By the class and the number."""
        return hold_back(images.labels, str, config, valid=valid, test=test)


class _Arrays:
    """The arrays of a file, read when they are asked for."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __enter__(self) -> "_Arrays":
        try:
            self._file = np.load(self.path, allow_pickle=False)
            self.names: list[str] = list(self._file.files)
        except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
            raise self._broken(str(self.path), error) from error
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()

    def read(self, name: str) -> NDArray[Any]:
        """One array."""
        try:
            array: NDArray[Any] = self._file[name]
        except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise self._broken(f"{self.path}:{name}", error) from error
        return array

    def _broken(self, place: str, error: Exception) -> DataError:
        return DataError(
            f"{place}: cannot be read ({error}); expected an .npz of plain arrays, as numpy.savez writes it; "
            "write or fetch it again"
        )


def _find(arrays: _Arrays, split: Split) -> tuple[str, str] | None:
    """The names of a split's two arrays."""
    for images, labels in _NAMES[split]:
        if images in arrays.names:
            if labels not in arrays.names:
                raise DataError(
                    f"{arrays.path}: has {images} but no {labels}; expected the label of each image; add the array"
                )
            return images, labels
    return None


def _open(arrays: _Arrays, names: tuple[str, str], class_names: tuple[str, ...]) -> ArrayImages:
    place = f"{arrays.path}:{names[0]}"
    pixels, labels = _pixels(arrays.read(names[0]), place), _labels(arrays, names[1])
    if len(pixels) != len(labels):
        raise DataError(
            f"{place}: {len(pixels)} images for {len(labels)} labels in {names[1]}; expected as many; fix the arrays"
        )
    if len(labels) and not (labels.min() >= 0 and labels.max() < len(class_names)):
        raise DataError(
            f"{arrays.path}:{names[1]}: labels from {labels.min()} to {labels.max()}; expected 0 to "
            f"{len(class_names) - 1}; fix the labels or data.class_names"
        )
    return ArrayImages(pixels, labels, class_names, place=lambda row: f"{place}[{row}]")


def _labels(arrays: _Arrays, name: str) -> IntArray:
    labels = arrays.read(name)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim != 1 or labels.dtype.kind not in "iu":
        raise DataError(
            f"{arrays.path}:{name}: {labels.dtype} {labels.shape}; expected whole numbers (N,), one class per image; "
            "fix the array"
        )
    return labels.astype(np.int64)


def _pixels(images: NDArray[Any], place: str) -> ByteArray:
    """(N, 3, H, W); grey images keep one channel in memory, which is shown as three."""
    channels = 1 if images.ndim == 3 else images.shape[-1] if images.ndim == 4 else 0
    if images.dtype != np.uint8 or channels not in (1, 3):
        raise DataError(
            f"{place}: {images.dtype} {images.shape}; expected uint8 (N, H, W) or (N, H, W, 3); fix the array"
        )
    count, height, width = images.shape[:3]
    channels_first = np.ascontiguousarray(images.reshape(count, height, width, channels).transpose(0, 3, 1, 2))
    return np.broadcast_to(channels_first, (count, 3, height, width))


def _check_train(labels: IntArray, names: tuple[str, ...], place: str) -> None:
    if len(names) and (missing := np.setdiff1d(np.arange(len(names)), labels)).size:
        raise DataError(
            f"{place}: no training image of class {names[missing[0]]!r}; expected one of each class at least; "
            "number the classes without gaps, or fix data.class_names"
        )
    if not len(labels):
        raise DataError(f"{place}: no training image; expected one at least; fix the array")
