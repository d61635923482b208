"""The part of the data checks that looks for images that stand in two splits, or twice in one."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from attnkit.data.config import Split
from attnkit.data.finding import Finding, and_more

Hashes = NDArray[np.uint64]


class _Images(Protocol):
    def __len__(self) -> int: ...

    def place(self, index: int) -> str: ...


class LookedAt(Protocol):
    """What a check of a split knows of its images."""

    split: Split
    hashes: Hashes
    """(N,) of the pixels; 0 where an image was not read."""

    @property
    def images(self) -> _Images:
        """The N images."""


def hash_of(pixels: Tensor) -> int:
    """64 bits of an image, never 0."""
    content = f"{tuple(pixels.shape)}".encode() + pixels.numpy().tobytes()
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest(), "big") or 1


def repeated_images(check: LookedAt) -> list[Finding]:
    """Images that stand twice in a split."""
    order = np.argsort(check.hashes, kind="stable")
    ordered = check.hashes[order]
    again = np.flatnonzero((ordered[1:] == ordered[:-1]) & (ordered[1:] != 0)) + 1
    if not len(again):
        return []
    first, second = (check.images.place(int(order[again[0] - back])) for back in (1, 0))
    what = f"the same image stands there twice, at {first}{and_more(len(again))}"
    return [Finding("warning", second, what, "it counts double", "remove all but one")]


def shared_images(checks: Mapping[Split, LookedAt]) -> list[Finding]:
    """Images that stand in two splits."""
    pairs: tuple[tuple[Split, Split], ...] = (("valid", "train"), ("test", "train"), ("test", "valid"))
    found = []
    for split, other in pairs:
        if split in checks and other in checks:
            found += _shared_by(checks[split], checks[other])
    return found


def _shared_by(held_out: LookedAt, other: LookedAt) -> list[Finding]:
    known, first = np.unique(other.hashes, return_index=True)
    if not len(known):
        return []
    slots = np.minimum(np.searchsorted(known, held_out.hashes), len(known) - 1)
    both = np.flatnonzero((known[slots] == held_out.hashes) & (held_out.hashes != 0))
    if not len(both):
        return []
    theirs = other.images.place(int(first[slots[both[0]]]))
    count = len(both)
    more = f", and so {'do' if count > 2 else 'does'} {count - 1} more of {len(held_out.images)}" if count > 1 else ""
    return [
        Finding(
            "warning",
            held_out.images.place(int(both[0])),
            f"the same image stands in {other.split} too, at {theirs}{more}",
            "the score is too good where the model has seen the answer",
            f"remove these images from {other.split}",
        )
    ]
