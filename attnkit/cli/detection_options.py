"""Options that say how a detector looks at an image and which findings count, instead of the recipe."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from attnkit.errors import AttnkitError

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

_LEAST_SIZE, _LARGEST_SIZE = 16, 8192


def check_detection(
    *,
    score_threshold: float | None,
    nms_threshold: float | None,
    soft_nms: bool | None,
    max_detections: int | None,
    mask_threshold: float | None,
    sizes: str | None,
    flip: bool | None,
) -> dict[str, Any]:
    """The values that the options ask for, by the names of the recipe; those left out are not among them.

    Raises:
        AttnkitError: an option is no such thing.
    """
    _check_score(score_threshold)
    _check_nms(nms_threshold)
    _check_count(max_detections)
    _check_mask(mask_threshold)
    given = {
        "score_threshold": score_threshold,
        "nms_threshold": nms_threshold,
        "soft_nms": soft_nms,
        "max_detections": max_detections,
        "mask_threshold": mask_threshold,
        "short_sides": None if sizes is None else _sizes(sizes),
        "flip": flip,
    }
    return {name: value for name, value in given.items() if value is not None}


def _check_score(score: float | None) -> None:
    if score is not None and not 0 <= score < 1:
        raise AttnkitError(f"--score-threshold {score:g}: no score; expected 0 or more, below 1; write 0.5")


def _check_nms(overlap: float | None) -> None:
    if overlap is not None and not 0 < overlap <= 1:
        raise AttnkitError(
            f"--nms-threshold {overlap:g}: no overlap; expected above 0, up to 1, where no box goes; write 0.5"
        )


def _check_count(count: int | None) -> None:
    if count is not None and count < 1:
        raise AttnkitError(f"--max-detections {count}: nothing would be found; expected 1 or more; write 100")


def _check_mask(probability: float | None) -> None:
    if probability is not None and not 0 < probability < 1:
        raise AttnkitError(
            f"--mask-threshold {probability:g}: no probability that tells pixels apart; expected above 0, below 1; "
            "write 0.5"
        )


def _sizes(text: str) -> tuple[int, ...]:
    parts = text.split(",")
    sizes = tuple(int(part) for part in parts if part.strip().isdecimal())
    if len(sizes) < len(parts) or not all(_LEAST_SIZE <= size <= _LARGEST_SIZE for size in sizes):
        raise AttnkitError(
            f"--sizes {text}: not a list of sizes; expected pixels from {_LEAST_SIZE} to {_LARGEST_SIZE}, with commas "
            "between them; write 640,800"
        )
    return sizes
