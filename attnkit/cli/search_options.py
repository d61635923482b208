"""Options that change how a run searches for translations, put over its recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from attnkit.recipe_file import Override


def search_overrides(options: Mapping[str, object], length_penalty: str | None = None) -> list[Override]:
    """Say options of the command line as values of the recipe.

    Args:
        options: key of the recipe's `decode` section to value; None is an option that was not given.
        length_penalty: FORM:ALPHA, or FORM alone.
    """
    from attnkit.recipe_file import Override

    overrides = [
        Override(f"--{name.replace('_', '-')} {value}", f"decode.{name}", str(value).lower())
        for name, value in options.items()
        if value is not None
    ]
    if length_penalty is not None:
        form, _, alpha = length_penalty.partition(":")
        option = f"--length-penalty {length_penalty}"
        overrides.append(Override(option, "decode.length_penalty.form", form))
        overrides += [Override(option, "decode.length_penalty.alpha", alpha)] if alpha else []
    return overrides
