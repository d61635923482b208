"""How a recipe that attnkit wrote begins. Free of torch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from textwrap import fill

from attnkit import __version__


def recipe_head(task: str, name: str, reasons: Sequence[str], *, not_measured: str = "What it scores") -> str:
    """Its reasons as a comment, then task, name and version, the last line without its end.

    Args:
        task: of the recipe.
        name: of the recipe.
        reasons: one per choice.
        not_measured: what nobody should expect of it.
    """
    why = "\n".join(fill(reason, 118, initial_indent="# - ", subsequent_indent="#   ") for reason in reasons)
    return f"""\
# Made by attnkit recipe new {task}. Why it is as it is:
#
{why}
#
# {not_measured} was not measured.
task: {task}
name: {json.dumps(name)}
attnkit: "{".".join(__version__.split(".")[:2])}"\
"""
