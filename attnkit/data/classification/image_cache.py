"""Small images of one size, decoded once: a mapped file of pixels instead of thousands of image files.

<cache>/images/<key>/
  cache.json          format, count, size, what was broken; written last
  pixels              uint8 (N, 3, H, W)
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from attnkit.data.classification.image_set import ArrayImages, FileImages, ImageSet
from attnkit.data.files import cache_folder, cached_folder
from attnkit.data.images.decode import decode_image, image_size
from attnkit.errors import DataError
from attnkit.run_dir import write_json

DecodingProgress = Callable[[int, int], None]
"""Called now and then with how many images are done, of how many."""

_FORMAT = 1
_LARGEST_SIDE = 96
_LARGEST_CACHE = 4 << 30
"""Bytes."""
_TOLD_EVERY = 1000


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
