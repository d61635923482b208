"""The base of every config: frozen, and it refuses unknown keys; and what values of several have in common."""

from typing import Annotated, Any, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


class Config(BaseModel):
    """A typed, immutable group of settings.

    Defaults live here and nowhere else; the resolved recipe of a run stores every value.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )

    def changed(self, **changes: Any) -> Self:
        """The same settings but for some, which are validated as those of a file are.

        Raises:
            ValidationError: a value that a file could not have either.
        """
        fields = type(self).model_fields
        values = {field.alias or name: getattr(self, name) for name, field in fields.items()}
        return type(self).model_validate(values | changes)


MOST = 1_000_000_000_000
"""The largest number of things that a recipe may ask for, whatever they are."""
Count = Annotated[int, Field(ge=1, le=MOST)]
"""A number of things, at least one."""
Depth = Annotated[int, Field(ge=1, le=1_000)]
"""A number of layers or blocks, one after the other."""
Width = Annotated[int, Field(ge=1, le=65_536)]
"""A size of a layer, or of the part of an image that one of its outputs is of."""
Seed = Annotated[int, Field(ge=0, le=2**63 - 1)]
"""What random numbers start from."""
Positive = Annotated[float, Field(gt=0.0, le=1e9)]
"""A factor, rate or weight that cannot be zero."""
NonNegative = Annotated[float, Field(ge=0.0, le=1e9)]
"""A factor, rate or weight that turns something off by being zero."""


def _check_range(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError(f"{list(ends)}: expected the smallest first, then the largest; swap them")
    return ends


Range = Annotated[tuple[Positive, Positive], AfterValidator(_check_range)]
"""The smallest and the largest of factors or shares."""
_Mean = Annotated[float, Field(ge=-1_000.0, le=1_000.0)]
Mean = tuple[_Mean, _Mean, _Mean]
"""Red, green and blue values that are subtracted from pixels."""
Std = tuple[Positive, Positive, Positive]
"""Red, green and blue values by which pixels are divided."""
