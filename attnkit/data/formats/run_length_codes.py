"""COCO's compressed run-length codes, looked at by the hundred: whether they cover their images.

pycocotools believes what it is given, and reads memory that is not its own where a code is broken, or never ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from attnkit.structures.image_objects import Rle

_AT_ONCE = 250
"""Codes whose numbers still fit into a processor's cache: twice as fast as a thousand."""
_LONGEST = 7
"""Characters of a number: more bits than any image has pixels for."""


def first_broken(codes: Sequence[Rle]) -> int | None:
    """Which code is the first whose runs do not add up to its image, or are negative; None if all are whole.

    Args:
        codes: of any sizes, with counts as COCO writes them; see structures/run_lengths.py.
    """
    for start in range(0, len(codes), _AT_ONCE):
        some = codes[start : start + _AT_ONCE]
        broken = _broken([code["counts"] for code in some], np.array([code["size"] for code in some]).prod(axis=1))
        if broken.any():
            return start + int(broken.argmax())
    return None


def _broken(codes: Sequence[bytes], pixels: NDArray[np.int64]) -> NDArray[np.bool_]:
    lengths = np.array([len(code) for code in codes])
    if not lengths.all():
        return lengths == 0
    ends = lengths.cumsum()
    characters = np.frombuffer(b"".join(codes), dtype=np.uint8) - np.uint8(ord("0"))  # below it they become large
    last = np.flatnonzero((characters & 32) == 0)
    length = np.diff(last, prepend=-1)
    strange = characters > 63
    strange[ends - 1] |= characters[ends - 1] & 32 != 0  # a number that does not end
    if length.max(initial=0) > _LONGEST:
        strange[last] |= length > _LONGEST
    if strange.any():
        return np.logical_or.reduceat(strange, ends - lengths)
    firsts = np.searchsorted(last, ends - lengths)  # the number that each code begins with
    runs = _runs(_numbers(characters, last, length), firsts)
    broken: NDArray[np.bool_] = np.add.reduceat(runs, firsts) != pixels
    if runs.min() < 0:
        broken |= np.minimum.reduceat(runs, firsts) < 0
    return broken


def _numbers(characters: NDArray[np.uint8], last: NDArray[np.int64], length: NDArray[np.int64]) -> NDArray[np.int64]:
    """What is written: five bits a character, the lowest first, and in the last one the sign."""
    first = last - length + 1
    numbers = (characters & 31)[first].astype(np.int64)
    for place in range(1, int(length.max())):
        rows = np.flatnonzero(length > place)
        numbers[rows] |= (characters[first[rows] + place] & 31).astype(np.int64) << 5 * place
    negative = np.flatnonzero((characters[last] & 16) != 0)
    numbers[negative] -= 1 << 5 * length[negative]
    return numbers


def _runs(numbers: NDArray[np.int64], firsts: NDArray[np.int64]) -> NDArray[np.int64]:
    """The lengths of all runs of codes that begin at some of the numbers.

    From the fourth on a number says by how much its run is longer than the one two before. So runs are sums in steps of
    two, which begin anew with the first, the second and the third number of a code: what was summed until there is
    taken off.
    """
    runs = numbers.copy()
    anew = np.unique(np.concatenate([firsts, firsts + 1, firsts + 2]))  # of short codes they are the next one's
    for odd in (0, 1):
        chain, starts = runs[odd::2], anew[(anew % 2 == odd) & (anew < len(runs))] // 2
        if len(starts):
            chain[starts[1:]] -= np.add.reduceat(chain, starts)[:-1]
            np.cumsum(chain, out=chain)
    return runs
