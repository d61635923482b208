"""A form with several tasks, as recipes have them."""

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import Config


class Apples(Config):
    """One task."""

    task: Literal["apples"] = "apples"
    count: int


class Pears(Config):
    """Another."""

    task: Literal["pears"]
    weight: float


Fruit = Annotated[Apples | Pears, Field(discriminator="task")]
