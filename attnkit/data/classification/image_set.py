"""Labelled images by number, wherever they come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.config import CifarConfig, ImageFolderConfig, ImagesConfig, NpzImagesConfig, Split
from attnkit.errors import DataError

IntArray = NDArray[np.int64]
Progress = Callable[[int, int], None]
"""Called now and then with how many images are done, of how many."""


class ImageSet(ABC):
    """N images, each of one class."""

    class_names: tuple[str, ...]
    labels: IntArray
    """(N,) int64, numbers of classes."""

    def __len__(self) -> int:
        return len(self.labels)

    @abstractmethod
    def place(self, index: int) -> str:
        """What to call an image in messages: its file, or archive and member."""

    @abstractmethod
    def read(self, index: int) -> Tensor:
        """One image: uint8 (3, H, W), red, green and blue.

        Raises:
            DataError: it is broken; the message names its file.
        """

    @abstractmethod
    def select(self, rows: IntArray) -> ImageSet:
        """Some of the images, in the order of `rows`."""


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
    ) -> None:
        """Take the array; nothing is copied.

        Args:
            pixels: (N, 3, H, W).
            labels: (N,), numbers of classes.
            class_names: their names.
            place: what to call the image of a row of `pixels`.
            broken: rows of `pixels` that hold nothing, and why: what read() raises.
            rows: the rows of `pixels` that belong to this set; None is all of them.
        """
        self._pixels, self._place, self._broken = pixels, place, broken or {}
        self._all_labels = labels
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
        )


def open_images(config: ImagesConfig, split: Split, *, progress: Progress | None = None) -> ImageSet | None:
    """Open one split of a recipe's data; None if there is no such split and nothing is held back for it.

    Folders of small images of one size are decoded once, into the cache.

    Args:
        config: the data of the recipe.
        split: which one.
        progress: called while images are decoded into the cache.

    Raises:
        DataError: it is not found, or does not have the form that the recipe says.
    """
    if isinstance(config, ImageFolderConfig):
        from attnkit.data.classification.image_cache import decoded
        from attnkit.data.classification.image_folder import open_image_folder

        return open_image_folder(config, split, prepare=lambda images: decoded(images, progress=progress))
    if isinstance(config, CifarConfig):
        from attnkit.data.classification.cifar import open_cifar

        return open_cifar(config, split)
    if isinstance(config, NpzImagesConfig):
        from attnkit.data.classification.npz_images import open_npz_images

        return open_npz_images(config, split)
    from attnkit.data.images.shapes import open_shapes

    return open_shapes(config, split)
