"""The base of every config: frozen, and it refuses unknown keys; and what values of several have in common."""

import math
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, PositiveFloat


class Config(BaseModel):
    """A typed, immutable group of settings.

    Defaults live here and nowhere else; the resolved recipe of a run stores every value.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=())


def _check_range(ends: tuple[float, float]) -> tuple[float, float]:
    if not 0 < ends[0] <= ends[1] < math.inf:
        raise ValueError(f"{list(ends)}: expected the least and the largest, above 0; mend them")
    return ends


Range = Annotated[tuple[float, float], AfterValidator(_check_range)]
"""The least and the largest of factors or shares."""
Std = tuple[PositiveFloat, PositiveFloat, PositiveFloat]
"""Of red, green, blue, by which pixels are divided."""
