"""What every recipe has, whatever its task."""

from __future__ import annotations

from pydantic import Field

from attnkit.config import Config
from attnkit.engine.config import TrainConfig


class BaseRecipe(Config):
    """The part of a recipe that knows no task."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """The run folder is runs/<name>."""
    attnkit: str = "0.1"
    """The version of the recipe format: major.minor of the attnkit that it was written for."""
    train: TrainConfig
