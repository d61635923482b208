"""Options that several commands share, so that they are spelt and explained once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from attnkit.errors import AttnkitError

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one: translation/toy.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe: --set train.steps=100. Repeatable."),
]
RunOption = Annotated[
    Path | None,
    typer.Option("--run", metavar="DIR", help="Folder of the run  [default: the newest finished one under runs/]"),
]
DeviceOption = Annotated[
    str, typer.Option("--device", metavar="NAME", help="cpu, cuda, cuda:1 or mps; auto takes the fastest there is.")
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option("--checkpoint", metavar="FILE", help="Weights of the run to use  [default: the final ones]"),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision", metavar="NAME", help="float32 or bfloat16; auto takes bfloat16 where the processor has it."
    ),
]
AlphaOption = Annotated[
    float, typer.Option("--alpha", metavar="SHARE", help="How much of an overlay is colour, 0 to 1.")
]


def refuse_precision(precision: str) -> None:
    """Refuse a precision that does not exist.

    Raises:
        AttnkitError: it is none of the three.
    """
    if precision not in ("auto", "float32", "bfloat16"):
        raise AttnkitError(
            f"--precision: there is no '{precision}'; expected auto, float32 or bfloat16; choose one of them"
        )


def refuse_alpha(alpha: float) -> None:
    """Refuse a share of colour that is none.

    Raises:
        AttnkitError: it is not between 0 and 1.
    """
    if not 0 <= alpha <= 1:
        raise AttnkitError(f"--alpha {alpha:g}: no share; expected 0 (the photograph) to 1 (colours); write 0.5")
