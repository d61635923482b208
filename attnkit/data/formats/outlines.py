"""The outlines in COCO's files as run-length codes, and what is said where one cannot be drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from attnkit.data.formats import coco_fields
from attnkit.data.formats.coco_fields import NOT_DRAWN

if TYPE_CHECKING:
    from attnkit.structures.image_objects import Rle

_MOST_PIXELS = 1 << 32
"""Of an image: pycocotools counts them in 32 bits."""
_LONGEST = 40
"""Characters of a value in a message."""


def code_unchecked(outline: Any, height: int, width: int) -> Rle:
    """The code of an outline, of nothing for None. A compressed code is taken as it is: `first_broken` looks at
    hundreds of them at a time, which has to be done before pycocotools sees one.

    Args:
        outline: polygons, or a run-length code of either kind.
        height: of its image.
        width: of its image.

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
    from attnkit.data.formats.coco_codes import code_of

    return code_of(outline, height, width)


def can_have_masks(height: int, width: int) -> bool:
    """Whether an image has pixels, and not too many to count."""
    return height > 0 and 0 < width < _MOST_PIXELS / height


def why_empty(outline: Any) -> str | None:
    """Why polygons cover nothing: none has corners enough. None of all else, of an outline that says nothing too."""
    if not isinstance(outline, list) or all(one == [] for one in outline):
        return None
    from attnkit.data.formats.coco_codes import LEAST_COORDINATES

    if any(not isinstance(one, list | dict | str) or _has_corners(one) for one in outline):
        return None  # with an area, or what drawing it will tell
    strange = [one for one in outline if not isinstance(one, list)]
    expected = f"expected {LEAST_COORDINATES} or more"
    if strange:
        return f"{brief(strange[0])} for a polygon; {expected} numbers"
    return f"a polygon of {max(map(len, outline))} numbers; {expected}"


def _has_corners(polygon: Any) -> bool:
    from attnkit.data.formats.coco_codes import LEAST_COORDINATES

    return isinstance(polygon, list) and len(polygon) >= LEAST_COORDINATES


def cannot_be_drawn(outline: Any, height: int, width: int) -> str:
    """What is wrong with an outline that cannot be drawn, what was expected, and what to do."""
    from attnkit.data.formats.coco_codes import runs_of

    why = "it is broken"
    try:
        code_unchecked(outline, height, width)
        runs_of(outline, height, width)
    except NOT_DRAWN as error:
        why = f"{type(error).__name__}: {error}"
    return (
        f"a segmentation that cannot be drawn ({why}); expected polygons, or a run-length code of {height} x {width}; "
        "mend the file"
    )


def brief(value: Any) -> str:
    """A value as the json has it, shortened to fit between others."""
    return coco_fields.brief(value, _LONGEST)
