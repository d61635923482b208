"""COCO's compressed run-length codes, to and from the pixels around an instance: no whole image is filled for them.

A code holds the lengths of runs outside and inside of the instance by turns, down the columns of the image.

Letters: H W pixels of the image, h w pixels of the crop.
"""

from typing import Any

import numpy as np
from pycocotools import mask as rle

from attnkit.structures.arrays import ByteArray, IntArray

Code = dict[str, Any]
"""Its size [H, W], and its counts as bytes or as text; pycocotools' form."""


def decode_crop(code: Code) -> tuple[ByteArray, int, int]:
    """The pixels of the instance, 0 and 1 (h, w) in the rows and columns where it has any, and x and y of the first.

    Raises:
        ValueError: the runs do not cover the image.
    """
    height, width = code["size"]
    runs = decode_counts(code["counts"])
    if runs.min(initial=0) < 0 or runs.sum() != height * width:
        raise ValueError(f"run-length code: its runs cover {runs.sum()} pixels; expected {height} x {width}")
    ends = runs.cumsum()
    inside = 1 + 2 * np.flatnonzero(runs[1::2])
    if not len(inside):
        return np.zeros((0, 0), dtype=np.uint8), 0, 0
    left, right = int(ends[inside[0] - 1] // height), int(-(-ends[inside[-1]] // height))  # columns
    edges = ends.clip(left * height, right * height)
    strip = np.repeat(np.arange(len(runs), dtype=np.uint8) & 1, np.diff(edges, prepend=left * height))
    pixels = strip.reshape(right - left, height).T
    rows = np.flatnonzero(pixels.any(axis=1))
    return np.ascontiguousarray(pixels[rows[0] : rows[-1] + 1]), left, int(rows[0])


def encode_crop(crop: ByteArray, x: int, y: int, size: tuple[int, int]) -> Code:
    """The code of an instance, its counts as bytes.

    Args:
        crop: (h, w), 0 and 1.
        x: of its first column.
        y: of its first row.
        size: H, W.
    """
    pixels = size[0] * size[1]
    if crop.shape[0] < size[0]:  # no run goes on from one column into the next
        crop = np.pad(crop, ((0, 1), (0, 0)))
    flat = np.pad(crop.T.flatten(), 1)
    column, row = np.divmod(np.flatnonzero(flat[1:] != flat[:-1]), crop.shape[0])
    changes = (x + column) * size[0] + y + row
    last = [] if len(changes) and changes[-1] == pixels else [pixels]
    counts = np.diff(np.concatenate([changes, last]), prepend=0).astype(np.uint32)
    code: Code = rle.frPyObjects({"size": list(size), "counts": counts}, *size)
    return code


def decode_counts(counts: bytes | str) -> IntArray:
    """The lengths of the runs.

    Six bits a character, of which one says that the number goes on; the lowest come first. From the fourth on a number
    is what its run is longer than the one two before.
    """
    given = counts.encode() if isinstance(counts, str) else counts
    characters = np.frombuffer(given, dtype=np.uint8).astype(np.int64) - ord("0")
    last = np.flatnonzero(characters & 32 == 0)
    if not len(last):
        return np.zeros(0, dtype=np.int64)
    first = np.concatenate([[0], last[:-1] + 1])
    lengths = last - first + 1
    place = np.arange(lengths.sum()) - np.repeat(first, lengths)
    values = np.add.reduceat((characters[: len(place)] & 31) << 5 * place, first)
    values -= np.where(characters[last] & 16, 1 << 5 * lengths, 0)
    values[1::2], values[2::2] = values[1::2].cumsum(), values[2::2].cumsum()
    return values
