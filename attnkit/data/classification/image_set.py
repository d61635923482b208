"""Labelled images by number, wherever they come from.

Small ones of one size are decoded once: into a mapped file of pixels, instead of thousands of image files.

<cache>/images/<key>/
  cache.json          format, count, size, what was broken; written last
  pixels              uint8 (N, 3, H, W)
"""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnkit.data.classification.config import ShapesConfig
from attnkit.data.config import Split
from attnkit.data.file_tree import FileTree
from attnkit.data.files import cache_folder, cached_folder
from attnkit.data.finding import Finding
from attnkit.data.images.decode import decode_image, image_size
from attnkit.data.images.numbered_images import NumberedImages
from attnkit.data.images.shapes import CLASS_NAMES, FIRST_INDEX, generate
from attnkit.errors import DataError
from attnkit.run_dir import write_json
from attnkit.structures.arrays import ByteArray, IntArray

DecodingProgress = Callable[[int, int], None]
"""Called now and then with how many images are done, of how many."""

_FORMAT = 1
_LARGEST_SIDE = 96
_LARGEST_CACHE = 4 << 30
"""Bytes."""
_TOLD_EVERY = 1000


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
        pixels: ByteArray,
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

    def select(self, rows: IntArray) -> "ArrayImages":
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

    def select(self, rows: IntArray) -> "FileImages":
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


def decoded(images: FileImages, *, progress: DecodingProgress | None = None) -> ImageSet:
    """Decode small images into the cache, or open the cache that an earlier run made; other images stay as they are.

    An image that is broken is remembered as such.

    Raises:
        DataError: the disk is full.
    """
    size = _first_size(images)
    if size is None or max(size) > _LARGEST_SIDE or len(images) * 3 * size[0] * size[1] > _LARGEST_CACHE:
        return images
    key = hashlib.sha256(json.dumps([_FORMAT, images.tree.fingerprint(images.numbers.tolist())]).encode())
    key.update(images.numbers.tobytes())
    final = cache_folder() / "images" / key.hexdigest()[:32]
    about = cached_folder(final, read=_read_about, write=lambda folder: _write(images, size, folder, progress))
    if not about["even"]:
        return images
    pixels = np.memmap(final / "pixels", dtype=np.uint8, mode="r", shape=(len(images), 3, *about["size"]))
    broken = {int(row): f"{images.place(int(row))}{what}" for row, what in about["broken"].items()}
    return ArrayImages(
        np.asarray(pixels),
        images.labels,
        images.class_names,
        place=images.place,
        broken=broken,
        left_out=images.left_out(),
    )


def _first_size(images: FileImages) -> tuple[int, int] | None:
    """Height and width of the first image that is not broken, None if there is none among the first few."""
    for index in range(min(len(images), 10)):
        try:
            return image_size(images.read_bytes(index), images.place(index))
        except DataError:
            continue
    return None


def _write(images: FileImages, size: tuple[int, int], folder: Path, progress: DecodingProgress | None) -> None:
    """Decode every image; stop where one has another size."""
    broken: dict[str, str] = {}
    even = True
    with (folder / "pixels").open("wb") as file:
        for index in range(len(images)):
            place = images.place(index)
            try:
                pixels = decode_image(images.read_bytes(index), place).numpy()
            except DataError as error:
                broken[str(index)] = str(error).removeprefix(place)
                pixels = np.zeros((3, *size), dtype=np.uint8)
            if pixels.shape[1:] != size:
                even = False
                file.truncate(0)
                break
            file.write(pixels.tobytes())
            if progress is not None and (index + 1) % _TOLD_EVERY == 0:
                progress(index + 1, len(images))
    bytes_written = (folder / "pixels").stat().st_size
    about = {"format": _FORMAT, "even": even, "size": list(size), "bytes": bytes_written, "broken": broken}
    write_json(folder / "cache.json", about)


def _read_about(folder: Path) -> dict[str, Any]:
    about: dict[str, Any] = json.loads((folder / "cache.json").read_text(encoding="utf-8"))
    if about["format"] != _FORMAT or about["bytes"] != (folder / "pixels").stat().st_size:
        raise ValueError(f"{folder} is not a whole image cache of format {_FORMAT}")
    return about
