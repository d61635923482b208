"""Options that several commands share, so that they are spelt and explained once."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, cast, get_type_hints

import typer

from attnkit.errors import AttnkitError
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.engine.precision import Precision
    from attnkit.recipe_file import Override
    from attnkit.recipes import Recipe
    from attnkit.run_dir import RunDir

RecipeArgument = Annotated[
    str, typer.Argument(metavar="RECIPE", help="A recipe file, or the name of a shipped one: translation/toy.")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Change a value of the recipe: --set train.steps=100. Repeatable."),
]
ImageInputs = Annotated[
    list[str],
    typer.Argument(metavar="INPUT...", show_default=False, help="Images, folders, globs; - is paths on stdin."),
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


def known_precision(precision: str | None) -> str | None:
    """A precision that there is, or None.

    Raises:
        AttnkitError: it is none of the three.
    """
    if precision not in (None, "auto", "float32", "bfloat16"):
        raise AttnkitError(
            f"--precision: there is no '{precision}'; expected auto, float32 or bfloat16; choose one of them"
        )
    return precision


def _share_of_colour(alpha: float) -> float:
    if not 0 <= alpha <= 1:
        raise AttnkitError(f"--alpha {alpha:g}: not a share; expected 0 (the photograph) to 1 (colours); write 0.5")
    return alpha


PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        metavar="NAME",
        help="float32 or bfloat16; auto takes bfloat16 where the processor has it.",
        callback=known_precision,
    ),
]
AlphaOption = Annotated[
    float,
    typer.Option(
        "--alpha", metavar="SHARE", help="How much of an overlay is colour, 0 to 1.", callback=_share_of_colour
    ),
]


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """Which model of images is used, and on what."""

    run: RunOption = None
    checkpoint: CheckpointOption = None
    device: DeviceOption = "auto"
    precision: PrecisionOption = "auto"

    @property
    def numbers(self) -> Precision:
        """In which numbers it computes."""
        return cast("Precision", self.precision)

    def open(self, task: str, overrides: Sequence[Override] = ()) -> tuple[RunDir, Recipe, Path]:
        """The run, its recipe with what the command line changes in it, and the weights.

        Raises:
            AttnkitError: there is no such run, or an option has a value that the recipe cannot have.
        """
        from attnkit import recipe_file

        folder = chosen_run(self.run, task=task)
        return folder, recipe_file.load(folder.recipe, options=overrides), chosen_weights(folder, self.checkpoint)


@dataclass(frozen=True, kw_only=True)
class SegmenterOptions:
    """How a segmentation model looks at an image, instead of as the recipe says."""

    tasks: ClassVar = frozenset({"segmentation"})
    scales: Annotated[
        str | None,
        typer.Option("--scales", metavar="LIST", help="Look at the image in several sizes, such as 0.75,1,1.25."),
    ] = None
    window: Annotated[
        str | None,
        typer.Option("--window", metavar="HxW", help="Look through windows of so many pixels, or at the whole."),
    ] = None
    overlap: Annotated[
        float | None,
        typer.Option("--overlap", metavar="SHARE", help="Of a window that the next one sees again: 0.333."),
    ] = None

    def overrides(self) -> list[Override]:
        """What they change in a recipe."""
        window = None if self.window is None else _window(self.window)
        return overrides_of(
            ("--scales", self.scales, "inference.scales", _list(self.scales)),
            ("--window", self.window, "inference.window", window),
            ("--overlap", self.overlap, "inference.overlap", self.overlap),
        )


@dataclass(frozen=True, kw_only=True)
class DetectorOptions:
    """How a detector looks at an image, instead of as the recipe says."""

    tasks: ClassVar = frozenset({"detection"})
    sizes: Annotated[
        str | None,
        typer.Option(
            "--sizes", metavar="LIST", help="Look at the image with shorter sides of so many pixels, such as 640,800."
        ),
    ] = None
    nms_threshold: Annotated[
        float | None,
        typer.Option(
            "--nms-threshold", metavar="IOU", help="Of two boxes of a class that overlap more, the lower goes."
        ),
    ] = None
    soft_nms: Annotated[
        bool | None,
        typer.Option("--soft-nms/--no-soft-nms", help="It stays, with a lower score.", show_default=False),
    ] = None

    def overrides(self) -> list[Override]:
        """What they change in a recipe."""
        return overrides_of(
            ("--sizes", self.sizes, "inference.short_sides", _list(self.sizes)),
            ("--nms-threshold", self.nms_threshold, "inference.nms_threshold", self.nms_threshold),
            ("--soft-nms", self.soft_nms, "inference.soft_nms", self.soft_nms),
        )


@dataclass(frozen=True, kw_only=True)
class FlipOptions:
    """Whether a segmenter or a detector looks at the mirrored image too, instead of as the recipe says."""

    tasks: ClassVar = frozenset({"segmentation", "detection"})
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Look at the mirrored image too.", show_default=False)
    ] = None

    def overrides(self) -> list[Override]:
        """What they change in a recipe."""
        return overrides_of(("--flip", self.flip, "inference.flip", self.flip))


@dataclass(frozen=True, kw_only=True)
class BeamOptions:
    """How wide a beam search is and how it weighs lengths, instead of as the recipe says."""

    tasks: ClassVar = frozenset({"translation"})
    beam_size: Annotated[int | None, typer.Option(metavar="K", help="Hypotheses kept per sentence.")] = None
    length_penalty: Annotated[
        str | None, typer.Option(metavar="FORM:ALPHA", help="gnmt:0.6 is ((5 + L) / 6)^0.6, power:1 is L^1; or none.")
    ] = None

    def overrides(self) -> list[Override]:
        """What they change in a recipe; a size of the beam alone asks for beam search."""
        form, _, alpha = (self.length_penalty or "").partition(":")
        return overrides_of(
            ("--beam-size", self.beam_size, "decode.method", None if self.beam_size is None else "beam"),
            ("--beam-size", self.beam_size, "decode.beam_size", self.beam_size),
            ("--length-penalty", self.length_penalty, "decode.length_penalty.form", form or self.length_penalty),
            ("--length-penalty", self.length_penalty, "decode.length_penalty.alpha", alpha or None),
        )


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """How translations are searched for or sampled, instead of as the recipe says."""

    method: Annotated[str | None, typer.Option(metavar="NAME", help="beam, greedy or sampling.")] = None
    max_length_factor: Annotated[
        float | None, typer.Option(metavar="X", help="At most X * source tokens + the extra tokens.")
    ] = None
    max_length_extra: Annotated[int | None, typer.Option(metavar="N", help="The extra tokens.")] = None
    min_length: Annotated[int | None, typer.Option(metavar="N", help="At least so many tokens.")] = None
    allow_unknown: Annotated[bool, typer.Option("--allow-unknown", help="Let the unknown piece appear.")] = False
    temperature: Annotated[float | None, typer.Option(metavar="X", help="Sample; below 1 is more careful.")] = None
    top_k: Annotated[int | None, typer.Option(metavar="K", help="Sample among the K likeliest tokens.")] = None
    top_p: Annotated[
        float | None, typer.Option(metavar="P", help="Sample among the likeliest tokens that reach probability P.")
    ] = None
    seed: Annotated[int | None, typer.Option(metavar="N", help="Of sampling.")] = None

    def overrides(self) -> list[Override]:
        """What they change in a recipe; options of sampling ask for sampling."""
        given = [
            (f"--{name.replace('_', '-')}", value)
            for name in ("temperature", "top_k", "top_p")
            if (value := getattr(self, name)) is not None
        ]
        implied = [(option, value, "decode.method", "sampling") for option, value in given[:1] if self.method is None]
        named = [
            (f"--{field.name.replace('_', '-')}", value, f"decode.{field.name}", value)
            for field in fields(self)
            if (value := getattr(self, field.name)) not in (None, False)
        ]
        return overrides_of(*implied, *named)


def overrides_of(*options: tuple[str, object, str, object]) -> list[Override]:
    """Overrides of options that were given.

    Args:
        options: name, the value as it was typed, the key of the recipe, and the value there, of each; None is a value
            that was not given.
    """
    from attnkit.recipe_file import Override

    return [
        Override(_typed(name, typed), key, _in_yaml(value)) for name, typed, key, value in options if value is not None
    ]


def _typed(name: str, value: object) -> str:
    """An option as it stands on the command line."""
    if isinstance(value, bool):
        return name if value else f"--no-{name.removeprefix('--')}"
    return f"{name} {_in_yaml(value)}"


def _in_yaml(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value).removesuffix(".0")


def _list(text: str | None) -> str | None:
    """Values between commas as a list in YAML; one that is left out is not skipped, but a value that cannot be."""
    return None if text is None else f"[{', '.join(part.strip() or repr('') for part in text.split(','))}]"


def _window(text: str) -> str:
    if text == "whole":
        return "null"
    sides = re.fullmatch(r"([0-9]{1,6})(?:x([0-9]{1,6}))?", text)
    if sides is None:
        raise AttnkitError(
            f"--window {text}: not a size; expected height and width in pixels, or whole; write 512x512 or 512"
        )
    return f"[{sides[1]}, {sides[2] or sides[1]}]"


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
        groups[name] = group, frozenset(field.name for field in fields(group))
        parameters += [
            Parameter(field.name, Parameter.KEYWORD_ONLY, default=field.default, annotation=own[field.name])
            for field in fields(group)
        ]

    @wraps(command)
    def spread(**values: Any) -> None:
        made = {name: group(**{field: values.pop(field) for field in names}) for name, (group, names) in groups.items()}
        command(**values, **made)

    names = [parameter.name for parameter in parameters]
    if len(set(names)) < len(names):
        raise TypeError(f"{command.__name__}: two options of one name among {', '.join(names)}")
    spread.__dict__["__signature__"] = Signature(parameters)
    spread.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return spread
