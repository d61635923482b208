"""Options that say how a segmentation model looks at an image, instead of the recipe."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    from attnkit.recipes.segmentation.recipe import InferenceConfig

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

_LARGEST_SCALE = 8


def inference_with(
    config: InferenceConfig, *, scales: str | None, flip: bool | None, window: str | None, overlap: float | None
) -> InferenceConfig:
    """The recipe's way of looking at images, with what the options change.

    Raises:
        AttnkitError: an option is no such thing; `check_inference` finds that out without a recipe.
    """
    return config.changed(**check_inference(scales=scales, flip=flip, window=window, overlap=overlap))


def check_inference(
    *, scales: str | None, flip: bool | None, window: str | None, overlap: float | None
) -> dict[str, Any]:
    """The values that the options ask for, by the names of the recipe; those left out are not among them.

    Raises:
        AttnkitError: an option is no such thing.
    """
    asked: dict[str, Any] = {}
    if scales is not None:
        asked["scales"] = _scales(scales)
    if flip is not None:
        asked["flip"] = flip
    if window is not None:
        asked["window"] = _window(window)
    if overlap is not None:
        asked["overlap"] = _overlap(overlap)
    return asked


def _scales(text: str) -> tuple[float, ...]:
    try:
        scales = tuple(float(part) for part in text.split(","))
    except ValueError:
        scales = (math.nan,)
    if not all(0 < scale <= _LARGEST_SCALE for scale in scales):
        raise AttnkitError(
            f"--scales {text}: not a list of sizes; expected numbers above 0, up to {_LARGEST_SCALE}, with commas "
            "between them; write 0.75,1,1.25"
        )
    return scales


def _window(text: str) -> tuple[int, int] | None:
    if text == "whole":
        return None
    sides = re.fullmatch(r"([1-9][0-9]{0,5})(?:x([1-9][0-9]{0,5}))?", text)
    if sides is None:
        raise AttnkitError(
            f"--window {text}: no size; expected height and width in pixels, or whole; write 512x512 or 512"
        )
    return int(sides[1]), int(sides[2] or sides[1])


def _overlap(share: float) -> float:
    if not 0 <= share < 1:
        raise AttnkitError(
            f"--overlap {share:g}: no share of a window that leaves something new; expected 0 or more, below 1; "
            "write 0.333"
        )
    return share
