"""COCO's compressed run-length codes, looked at by the thousand: whether they cover their images.

pycocotools believes what it is given, and reads memory that is not its own where a code is broken.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_AT_ONCE = 1_000
_LONGEST = 7
"""Characters of a number: more bits than any image has pixels for."""


def first_broken(codes: Sequence[bytes], pixels: NDArray[np.int64]) -> int | None:
    """Which code is the first whose runs do not add up to its image, or are negative; None if all are whole.

    Args:
        codes: as COCO writes them; see structures/run_lengths.py.
        pixels: of the image of each.
    """
    for start in range(0, len(codes), _AT_ONCE):
        broken = _broken(codes[start : start + _AT_ONCE], pixels[start : start + _AT_ONCE])
        if broken.any():
            return start + int(broken.argmax())
    return None


def _broken(codes: Sequence[bytes], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    lengths = np.array([len(code) for code in codes])
    if not lengths.all():
        return lengths == 0
    ends = lengths.cumsum()
    characters = np.frombuffer(b"".join(codes), dtype=np.uint8).astype(np.int64) - ord("0")
    of_code = np.arange(len(codes)).repeat(lengths)
    strange = (characters < 0) | (characters > 63)
    strange[ends - 1] |= characters[ends - 1] & 32 != 0  # a number that does not end
    last = np.flatnonzero(characters & 32 == 0)
    length = np.diff(last, prepend=-1)
    if strange.any() or length.max() > _LONGEST:
        strange[last] |= length > _LONGEST
        return np.bincount(of_code[strange], minlength=len(codes)) > 0
    runs, of_run = _runs(characters, last, length, of_code[last])
    covered = np.bincount(of_run, weights=runs, minlength=len(codes))
    return (covered != pixels) | (np.bincount(of_run[runs < 0], minlength=len(codes)) > 0)


def _runs(
    characters: NDArray[np.int64], last: NDArray[np.int64], length: NDArray[np.int64], of_code: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The lengths of all runs in some order, and of which code each is.

    From the fourth on a number says by how much its run is longer than the one two before. So those at odd places of a
    code add up one after the other, and those at even places, but for the first.
    """
    first = last - length + 1
    place = np.arange(len(characters)) - first.repeat(length)
    values = np.add.reduceat((characters & 31) << 5 * place, first)
    values -= np.where(characters[last] & 16, 1 << 5 * length, 0)
    starts = np.flatnonzero(np.diff(of_code, prepend=-1))
    number = np.arange(len(values)) - starts.repeat(np.diff(starts, append=len(values)))
    chain = 3 * of_code + np.where(number == 0, 0, 2 - number % 2)
    order = chain.argsort(kind="stable")
    sums = values[order].cumsum()
    heads = np.flatnonzero(np.diff(chain[order], prepend=-1))
    before = np.append(0, sums)[heads]
    return sums - before.repeat(np.diff(heads, append=len(sums))), of_code[order]
