"""What a new recipe takes that is written for somebody's own images, whatever the task."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from attnkit.errors import RecipeError

_SAMPLE = 200
"""Images that are looked at."""


@dataclass(frozen=True)
class NewRecipe:
    """What was written."""

    file: Path
    reasons: tuple[str, ...]
    """One line per choice."""
    warnings: tuple[str, ...]
    """What there is too little of, or wrong."""


def refuse_to_overwrite(output: Path) -> None:
    """Leave a file alone that somebody has written.

    Raises:
        RecipeError: it is there.
    """
    if output.exists():
        raise RecipeError(
            f"{output}: exists already; expected to write a new file; name another --output, or add --force"
        )


def sample(count: int, most: int | None = None) -> list[int]:
    """Numbers of some of so many images, evenly chosen; so many at most, or a usual number."""
    chosen: list[int] = np.linspace(0, count - 1, min(_SAMPLE if most is None else most, count)).astype(int).tolist()
    return chosen


def why_held_back(of: str, *, valid: float, test: float) -> tuple[str, ...]:
    """A line on the shares that are held back, if any.

    Args:
        of: what they are shares of.
        valid: share.
        test: share.
    """
    parts = [f"{share:.2g} of {of} for {split}" for split, share in (("validation", valid), ("test", test)) if share]
    return (f"held back: {' and '.join(parts)}, chosen by a hash of the file names",) if parts else ()


def few_images(path: str, images: int, *, few: int) -> tuple[str, ...]:
    """A warning where there are fewer images than `few`."""
    if images >= few:
        return ()
    return (
        f"{path}: {images:,} images are few for attention; expected {few:,} or more, or weights that exist; "
        "attnkit import FILE makes a run of them, and init in the recipe begins with it",
    )
