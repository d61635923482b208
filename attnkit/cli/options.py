"""Options that several commands share, so that they are spelt and explained once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_type_hints

import typer

from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    from attnkit.recipe_file import Override

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

ScalesOption = Annotated[
    str | None,
    typer.Option("--scales", metavar="LIST", help="Look at the image in several sizes, such as 0.75,1,1.25."),
]
FlipOption = Annotated[
    bool | None, typer.Option("--flip/--no-flip", help="Look at the mirrored image too.", show_default=False)
]
WindowOption = Annotated[
    str | None,
    typer.Option("--window", metavar="HxW", help="Look through windows of so many pixels, or at the whole."),
]
OverlapOption = Annotated[
    float | None, typer.Option("--overlap", metavar="SHARE", help="Of a window that the next one sees again: 0.333.")
]
NmsThresholdOption = Annotated[
    float | None,
    typer.Option("--nms-threshold", metavar="IOU", help="Of two boxes of a class that overlap more, the lower goes."),
]
SoftNmsOption = Annotated[
    bool | None,
    typer.Option("--soft-nms/--no-soft-nms", help="It stays, with a lower score.", show_default=False),
]
MaxDetectionsOption = Annotated[
    int | None, typer.Option("--max-detections", metavar="N", help="Most objects on an image.")
]
MaskThresholdOption = Annotated[
    float | None,
    typer.Option("--mask-threshold", metavar="P", help="Pixels of this probability belong to an object: 0.5."),
]
SizesOption = Annotated[
    str | None,
    typer.Option(
        "--sizes", metavar="LIST", help="Look at the image with shorter sides of so many pixels, such as 640,800."
    ),
]


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions:
    """How a segmentation model looks at an image, instead of as the recipe says."""

    scales: ScalesOption = None
    flip: FlipOption = None
    window: WindowOption = None
    overlap: OverlapOption = None

    def overrides(self) -> list[Override]:
        """The options that were given, as values of the recipe, which knows their bounds."""
        found = _overrides("inference", {"flip": self.flip, "overlap": self.overlap})
        if self.scales is not None:
            found.append(_override(f"--scales {self.scales}", "inference.scales", _yaml_list(self.scales, ",")))
        if self.window is not None:
            sides = self.window if "x" in self.window else f"{self.window}x{self.window}"
            value = "null" if self.window == "whole" else _yaml_list(sides, "x")
            found.append(_override(f"--window {self.window}", "inference.window", value))
        return found


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """How a detector looks at an image and which findings count, instead of as the recipe says."""

    nms_threshold: NmsThresholdOption = None
    soft_nms: SoftNmsOption = None
    max_detections: MaxDetectionsOption = None
    mask_threshold: MaskThresholdOption = None
    sizes: SizesOption = None
    flip: FlipOption = None

    def overrides(self) -> list[Override]:
        """The options that were given, as values of the recipe, which knows their bounds."""
        given: dict[str, object] = {
            "nms_threshold": self.nms_threshold,
            "soft_nms": self.soft_nms,
            "max_detections": self.max_detections,
            "mask_threshold": self.mask_threshold,
            "flip": self.flip,
        }
        found = _overrides("inference", given)
        if self.sizes is not None:
            found.append(_override(f"--sizes {self.sizes}", "inference.short_sides", _yaml_list(self.sizes, ",")))
        return found


def search_overrides(options: Mapping[str, object], length_penalty: str | None = None) -> list[Override]:
    """Say how to search for translations in values of the recipe.

    Args:
        options: key of the recipe's `decode` section to value; None is an option that was not given.
        length_penalty: FORM:ALPHA, or FORM alone.
    """
    found = _overrides("decode", options)
    if length_penalty is not None:
        form, _, alpha = length_penalty.partition(":")
        option = f"--length-penalty {length_penalty}"
        found.append(_override(option, "decode.length_penalty.form", form))
        found += [_override(option, "decode.length_penalty.alpha", alpha)] if alpha else []
    return found


def score_overrides(score_threshold: float) -> list[Override]:
    """Say from which score on findings count, in a value of the recipe."""
    return _overrides("inference", {"score_threshold": score_threshold})


def _overrides(section: str, options: Mapping[str, object]) -> list[Override]:
    return [
        _override(_as_typed(name, value), f"{section}.{name}", str(value).lower())
        for name, value in options.items()
        if value is not None
    ]


def _as_typed(name: str, value: object) -> str:
    option = name.replace("_", "-")
    if isinstance(value, bool):
        return f"--{option}" if value else f"--no-{option}"
    return f"--{option} {str(value).removesuffix('.0') if isinstance(value, float) else value}"


def _override(option: str, key: str, value: str) -> Override:
    from attnkit.recipe_file import Override

    return Override(option, key, value)


def _yaml_list(text: str, separator: str) -> str:
    """Write what a user separated as a list; items that are no numbers are quoted, for the schema to refuse."""
    items = (item.strip() for item in text.split(separator))
    return f"[{', '.join(item if _is_number(item) else json.dumps(item) for item in items)}]"


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


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
