"""Labelled images by number, wherever they come from."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.classification.config import ShapesConfig
from attnkit.data.config import Split
from attnkit.data.file_tree import FileTree
from attnkit.data.finding import Finding
from attnkit.data.images.decode import decode_image
from attnkit.data.images.numbered_images import NumberedImages
from attnkit.data.images.shapes import CLASS_NAMES, FIRST_INDEX, generate
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray


class ImageSet(NumberedImages):
    """N images, each of one class."""

    class_names: tuple[str, ...]
    labels: IntArray
    """(N,) int64, numbers of classes."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def read(self, index: int) -> Tensor:
        """One image: uint8 (3, H, W), red, green and blue.

        Raises:
            DataError: it is broken; the message names its file.
        """


class ArrayImages(ImageSet):
    """Images of one size, decoded, in an array that may be a mapped file."""

    def __init__(
        self,
        pixels: NDArray[np.uint8],
        labels: IntArray,
        class_names: Sequence[str],
        *,
        place: Callable[[int], str],
        broken: Mapping[int, str] | None = None,
        rows: IntArray | None = None,
        left_out: Sequence[Finding] = (),
    ) -> None:
        """Take the array; nothing is copied.

        Args:
            pixels: (N, 3, H, W).
            labels: (N,), numbers of classes.
            place: what to call the image of a row of `pixels`.
            broken: rows of `pixels` that hold nothing, and why: what read() raises.
            rows: the rows of `pixels` that belong to this set; None is all of them.
        """
        self._pixels, self._place, self._broken = pixels, place, broken or {}
        self._all_labels, self._left_out = labels, tuple(left_out)
        self._rows = np.arange(len(pixels)) if rows is None else rows
        self.labels = labels[self._rows]
        self.class_names = tuple(class_names)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of every image."""
        return self._pixels.shape[2], self._pixels.shape[3]

    def place(self, index: int) -> str:
        """What the maker of this set calls the image."""
        return self._place(int(self._rows[index]))

    def read(self, index: int) -> Tensor:
        """A copy of one image."""
        if message := self.broken(index):
            raise DataError(message)
        return torch.from_numpy(self._pixels[self._rows[index]].copy())

    def broken(self, index: int) -> str | None:
        """Why an image cannot be read; None where it can."""
        return self._broken.get(int(self._rows[index]))

    def read_many(self, indices: IntArray) -> Tensor:
        """A copy of several images, none of them broken: uint8 (B, 3, H, W)."""
        return torch.from_numpy(self._pixels[self._rows[indices]])

    def select(self, rows: IntArray) -> ArrayImages:
        """Some of the images; the pixels are shared."""
        return ArrayImages(
            self._pixels,
            self._all_labels,
            self.class_names,
            place=self._place,
            broken=self._broken,
            rows=self._rows[rows],
            left_out=self._left_out,
        )


class FileImages(ImageSet):
    """Images that are decoded when they are read."""

    def __init__(
        self,
        tree: FileTree,
        numbers: IntArray,
        labels: IntArray,
        class_names: Sequence[str],
        *,
        left_out: Sequence[Finding] = (),
    ) -> None:
        """Take files by their numbers in the tree, the class of each, and what lies beside them and is not used."""
        self._left_out = tuple(left_out)
        self.tree, self.numbers, self.labels, self.class_names = tree, numbers, labels, tuple(class_names)

    def place(self, index: int) -> str:
        """Its file, or archive and member."""
        return self.tree.place(int(self.numbers[index]))

    def read(self, index: int) -> Tensor:
        """Decode one image."""
        return decode_image(self.read_bytes(index), self.place(index))

    def read_bytes(self, index: int) -> bytes:
        """The file of one image.

        Raises:
            DataError: it cannot be read.
        """
        return self.tree.read(int(self.numbers[index]))

    def select(self, rows: IntArray) -> FileImages:
        """Some of the images."""
        return FileImages(self.tree, self.numbers[rows], self.labels[rows], self.class_names, left_out=self._left_out)


def open_shapes(config: ShapesConfig, split: Split) -> ArrayImages:
    """Draw all images of a split, one shape each, into memory."""
    count: int = getattr(config, f"{split}_images")
    pixels = np.empty((count, 3, config.size, config.size), dtype=np.uint8)
    labels = np.empty(count, dtype=np.int64)
    for row in range(count):
        drawn = generate(config.seed, FIRST_INDEX[split] + row, size=config.size)
        pixels[row], labels[row] = drawn.image, drawn.labels[0]
    return ArrayImages(pixels, labels, CLASS_NAMES, place=lambda row: f"shapes {split}:{row + 1}")
