"""What recipes of every task say about data; what is of one task stands in its own room.

Paths are looked up in the working directory, in $ATTNKIT_DATA, then in the cache.
"""

from typing import Literal

from pydantic import Field

from attnkit.config import Config, Count, Seed

Split = Literal["train", "valid", "test"]
"""The parts of a data set."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


class HoldBackConfig(Config):
    """What is held back from the training images where a set of its own is missing: a share of each class."""

    valid: float = Field(default=0.1, ge=0.0, lt=1.0)
    test: float = Field(default=0.0, ge=0.0, lt=1.0)
    seed: Seed = 1


class GeneratedImagesConfig(Config):
    """Images of shapes that are drawn when they are needed, the same for the same seed. They need no file."""

    format: Literal["shapes"]
    train_images: Count = 1000
    valid_images: Count = 100
    test_images: Count = 200
    size: int = Field(default=64, ge=16, le=65_536)
    """Pixels of the height and of the width."""
    seed: Seed = 1
