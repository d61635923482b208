"""Outlines of objects as COCO's files have them: polygons, and both kinds of run-length codes.

pycocotools trusts what it is given: of a broken code it reads memory that is not its own, or it never ends. So codes
are checked before it gets them, polygons one by one, compressed codes hundreds at a time by `first_broken`.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as rle

from attnkit.data.formats.coco_fields import NOT_DRAWN, brief
from attnkit.structures.arrays import BoolArray, ByteArray, IntArray
from attnkit.structures.run_lengths import Code, decode_counts

LEAST_COORDINATES = 6
"""Numbers that a polygon needs: with fewer it has no area, and four would be taken for a box."""
_FARTHEST = 1e6
"""Largest coordinate in pixels: the lines between corners are walked step by step."""
_LEAST_OUTLINED = 0.9
"""Share of objects with an outline from which on a set has masks: those without one are background in its training."""
_MOST_PIXELS = 1 << 32
"""Pixels of an image that pycocotools cannot count any more, in its 32 bits."""
_AT_ONCE = 250
"""Codes whose numbers still fit into a processor's cache: twice as fast as a thousand."""
_LONGEST_NUMBER = 7
"""Characters of a number in a compressed code: more bits than any image has pixels for."""


def is_outline(segmentation: Any) -> bool:
    """Whether there is something to draw: None, [] and [[]] stand for an object that has only a box.

    So do polygons with too few corners; what is no polygon at all is refused when it is drawn.
    """
    if not isinstance(segmentation, list):
        return bool(segmentation)
    return any(not isinstance(one, list) or len(one) >= LEAST_COORDINATES for one in segmentation)


def short_polygon(segmentation: Any) -> int:
    """How many numbers the longest polygon has where all have too few; else 0."""
    if not isinstance(segmentation, list) or is_outline(segmentation):
        return 0
    return max(map(len, segmentation), default=0)


def are_masks(outlined: int, objects: int) -> bool:
    """Whether a set has masks: at least nine tenths of its objects, crowds left out, have an outline."""
    return objects > 0 and outlined >= _LEAST_OUTLINED * objects


def runs_of(segmentation: Any, height: int, width: int) -> IntArray:
    """Lengths of runs outside and inside of an object by turns, column by column; they cover the whole image.

    Args:
        segmentation: polygons, or a code whose counts are a list or a string.

    Raises:
        ValueError, TypeError, KeyError, IndexError, AttributeError: it is none of these, or is of another size.
    """
    if isinstance(segmentation, list):
        code = _code_of_polygons(segmentation, height, width)
        return np.array([height * width]) if code is None else decode_counts(code["counts"])
    if segmentation is None:
        raise ValueError("there is none")
    if list(segmentation["size"]) != [height, width]:
        raise ValueError(f"its size is {segmentation['size']}")
    if isinstance(segmentation["counts"], list):
        runs = _int64(segmentation["counts"])
    else:
        runs = decode_counts(segmentation["counts"])
    pixels = height * width
    if runs.min(initial=0) < 0 or runs.max(initial=0) > pixels or runs.sum() != pixels:
        raise ValueError(f"its runs cover {sum(runs.tolist())} pixels")  # of Python's numbers, which do not overflow
    return runs


def code_of(segmentation: Any, height: int, width: int) -> Code:
    """A compressed run-length code, as pycocotools has it: size, and counts that are bytes or text.

    Args:
        segmentation: as in `runs_of`; of nothing where it is None, or of polygons without area.

    Raises:
        ValueError, TypeError, KeyError, IndexError, AttributeError: as in `runs_of`.
    """
    if isinstance(segmentation, list) and (code := _code_of_polygons(segmentation, height, width)) is not None:
        return code
    runs = np.array([height * width]) if segmentation is None else runs_of(segmentation, height, width)
    if isinstance(segmentation, dict) and not isinstance(segmentation["counts"], list):
        return {"size": [height, width], "counts": segmentation["counts"]}
    coded: Code = rle.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
    return coded


def code_unchecked(outline: Any, height: int, width: int) -> Code:
    """The code of an outline, of nothing for None. A compressed code is taken as it is: `first_broken` has
    to check it, hundreds at a time, before pycocotools gets it.

    Raises:
        ValueError, TypeError, KeyError, IndexError, AttributeError, OverflowError: it is none of these.
    """
    if not can_have_masks(height, width):
        raise ValueError(f"its image has {width} x {height} pixels")
    if isinstance(outline, dict) and isinstance(outline["counts"], str):
        size = [height, width]
        if outline["size"] != size:
            raise ValueError(f"its size is {outline['size']}")
        return {"size": size, "counts": outline["counts"].encode()}
    return code_of(outline, height, width)


def can_have_masks(height: int, width: int) -> bool:
    """Whether an image has pixels, and not too many to count."""
    return height > 0 and 0 < width < _MOST_PIXELS / height


def why_empty(outline: Any) -> str | None:
    """Why polygons cover nothing: none has enough corners. None for everything else, and for an empty outline."""
    if not isinstance(outline, list) or all(one == [] for one in outline):
        return None
    strange = [one for one in outline if not isinstance(one, list)]
    if any(not isinstance(one, dict | str) for one in strange) or is_outline(
        [one for one in outline if isinstance(one, list)]
    ):
        return None  # it has an area, or drawing it tells what is wrong
    expected = f"expected {LEAST_COORDINATES} or more"
    if strange:
        return f"{brief(strange[0])} for a polygon; {expected} numbers"
    return f"a polygon of {max(map(len, outline))} numbers; {expected}"


def cannot_be_drawn(outline: Any, height: int, width: int) -> str:
    """What is wrong with an outline that cannot be drawn, what was expected, and what to do."""
    why = "it is broken"
    try:
        code_unchecked(outline, height, width)
        runs_of(outline, height, width)
    except NOT_DRAWN as error:
        why = f"{type(error).__name__}: {error}"
    return (
        f"a segmentation that cannot be drawn ({why}); expected polygons, or a run-length code of {height} x {width}; "
        "fix the file"
    )


def first_broken(codes: Sequence[Code], *, at_once: int = _AT_ONCE) -> int | None:
    """The number of the first code whose runs do not add up to its image, or are negative; None if all are whole."""
    for start in range(0, len(codes), at_once):
        some = codes[start : start + at_once]
        broken = _broken([code["counts"] for code in some], np.array([code["size"] for code in some]).prod(axis=1))
        if broken.any():
            return start + int(broken.argmax())
    return None


def _code_of_polygons(polygons: Sequence[Any], height: int, width: int) -> Code | None:
    """The pixels that any of the polygons covers; None if none has an area."""
    polygons = [polygon for polygon in polygons if len(polygon) >= LEAST_COORDINATES]
    if not polygons:
        return None
    for polygon in polygons:
        if not _is_near(polygon):
            raise ValueError(f"a coordinate is not within {_FARTHEST:.0f} pixels")
    merged: Code = rle.merge(rle.frPyObjects(polygons, height, width))
    return merged


def _is_near(polygon: Sequence[float]) -> bool:
    try:
        return bool((np.abs(np.asarray(polygon, dtype=np.float64)) <= _FARTHEST).all())  # false of NaN
    except OverflowError:
        return False


def _int64(counts: Sequence[int]) -> IntArray:
    try:
        return np.array(counts, dtype=np.int64)
    except OverflowError as error:
        raise ValueError("a run has over 64 bits") from error


def _broken(codes: Sequence[bytes], pixels: IntArray) -> BoolArray:
    lengths = np.array([len(code) for code in codes])
    if not lengths.all():
        return lengths == 0
    ends = lengths.cumsum()
    characters = np.frombuffer(b"".join(codes), dtype=np.uint8) - np.uint8(ord("0"))  # below it they become large
    last = np.flatnonzero((characters & 32) == 0)
    length = np.diff(last, prepend=-1)
    strange = characters > 63
    strange[ends - 1] |= characters[ends - 1] & 32 != 0  # a number that does not end
    if length.max(initial=0) > _LONGEST_NUMBER:
        strange[last] |= length > _LONGEST_NUMBER
    if strange.any():
        return np.logical_or.reduceat(strange, ends - lengths)
    firsts = np.searchsorted(last, ends - lengths)  # the number that each code begins with
    runs = _runs(_numbers(characters, last, length), firsts)
    broken: BoolArray = np.add.reduceat(runs, firsts) != pixels
    if runs.min() < 0:
        broken |= np.minimum.reduceat(runs, firsts) < 0
    return broken


def _numbers(characters: ByteArray, last: IntArray, length: IntArray) -> IntArray:
    """The numbers of a code: five bits a character, the lowest first, and in the last one the sign."""
    first = last - length + 1
    numbers = (characters & 31)[first].astype(np.int64)
    for place in range(1, int(length.max())):
        rows = np.flatnonzero(length > place)
        numbers[rows] |= (characters[first[rows] + place] & 31).astype(np.int64) << 5 * place
    negative = np.flatnonzero((characters[last] & 16) != 0)
    numbers[negative] -= 1 << 5 * length[negative]
    return numbers


def _runs(numbers: IntArray, firsts: IntArray) -> IntArray:
    """The lengths of all runs of codes that begin at some of the numbers.

    From the fourth on a number says by how much its run is longer than the one two before. So runs are sums in steps of
    two, which start again with the first, the second and the third number of a code: what was summed until there is
    taken off.
    """
    runs = numbers.copy()
    restarts = np.unique(np.concatenate([firsts, firsts + 1, firsts + 2]))  # of short codes they are the next one's
    for odd in (0, 1):
        chain, starts = runs[odd::2], restarts[(restarts % 2 == odd) & (restarts < len(runs))] // 2
        if len(starts):
            chain[starts[1:]] -= np.add.reduceat(chain, starts)[:-1]
            np.cumsum(chain, out=chain)
    return runs
