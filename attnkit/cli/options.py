"""Options that several commands share, so that they are spelt and explained once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, cast, get_type_hints

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


def spread_options(command: Callable[..., None]) -> Callable[..., None]:
    """Let a command take options as dataclasses: each field of one is an option of its own on the command line.

    A parameter that is annotated with a dataclass takes its fields' place: their annotations, made of typer.Option,
    and their defaults. The command gets the dataclass, filled in. So options that belong together are declared once,
    where they are used, and travel as one value.

    Raises:
        TypeError: two parameters or fields of the command have one name.
    """
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[type[Any], frozenset[str]]] = {}
    parameters: list[Parameter] = []
    for name, parameter in signature(command).parameters.items():
        if not is_dataclass(hints[name]):
            parameters.append(parameter.replace(annotation=hints[name], kind=Parameter.KEYWORD_ONLY))
            continue
        group = cast("type[Any]", hints[name])
        own = get_type_hints(group, include_extras=True)
        groups[name] = group, frozenset(own)
        parameters += [
            Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=own[field.name])
            for field in fields(group)
        ]

    @wraps(command)
    def spread(**values: Any) -> None:
        for name, (group, names) in groups.items():
            values[name] = group(**{field: values.pop(field) for field in names})
        command(**values)

    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise TypeError(f"{command.__name__}: two options of one name among {', '.join(names)}")
    spread.__dict__["__signature__"] = Signature(parameters)
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread
