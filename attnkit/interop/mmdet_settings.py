"""What mmdetection writes beside weights about how they are used: its whole configuration, as a Python program.

The program is parsed, never run.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

KEYS = ("cfg", "config")
"""Of the text in the file's `meta`, of version 3 and of version 2."""


@dataclass(frozen=True)
class MmdetSettings:
    """What was found of it; None where nothing was.

    Attributes:
        sides: the shorter and the longer side of test images.
        mean: of red, green and blue, on 0..255.
        std: likewise.
        anchor_scale: side of the square anchor, in cells.
        anchor_ratios: height over width.
        blue_first: channels stay in the order in which OpenCV reads them.
        caffe: a ResNet whose bottlenecks halve the map in their first convolution.
    """

    sides: tuple[int, int] | None = None
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    anchor_scale: float | None = None
    anchor_ratios: tuple[float, ...] | None = None
    blue_first: bool = False
    caffe: bool = False


def read_settings(meta: Mapping[str, Any]) -> MmdetSettings:
    """The settings in the `meta` of a file; whatever cannot be read is left out."""
    text = next((meta[key] for key in KEYS if isinstance(meta.get(key), str)), "")
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError):
        return MmdetSettings()
    everything = list(_dicts(tree))
    anchors = _of_type(everything, "AnchorGenerator")
    scales = _numbers(anchors.get("scales"))
    pixels = next((found for found in everything if {"mean", "std"} <= found.keys()), {})
    return MmdetSettings(
        sides=_sides(tree),
        mean=_numbers(pixels["mean"], count=3, least=0.0) if pixels else None,
        std=_numbers(pixels["std"], count=3) if pixels else None,
        anchor_scale=scales[0] if scales is not None and len(scales) == 1 else None,
        anchor_ratios=_numbers(anchors.get("ratios")),
        blue_first=any(pixels.get(key) is False for key in ("to_rgb", "bgr_to_rgb")),
        caffe=any(found.get("style") == "caffe" for found in everything),
    )


def _sides(tree: ast.Module) -> tuple[int, int] | None:
    """Of the resizing of test images, whichever way round it is written."""
    pipelines = [node for node in tree.body if isinstance(node, ast.Assign) and _assigned(node) == "test_pipeline"]
    for pipeline in pipelines:
        for found in _dicts(pipeline):
            scale = _numbers(found.get("img_scale", found.get("scale")), count=2)
            if scale is not None:
                return int(min(scale)), int(max(scale))
    return None


def _assigned(node: ast.Assign) -> str:
    (target, *_) = node.targets
    return target.id if isinstance(target, ast.Name) else ""


def _dicts(tree: ast.AST) -> Iterator[dict[str, Any]]:
    """Every `dict(...)` and `{...}`, with those of its values that are plain."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
            yield {keyword.arg: _plain(keyword.value) for keyword in node.keywords if keyword.arg is not None}
        elif isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield {str(key.value): _plain(value) for key, value in pairs if isinstance(key, ast.Constant)}


def _plain(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError):
        return None


def _of_type(dicts: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next((found for found in dicts if found.get("type") == name), {})


def _numbers(value: Any, *, count: int | None = None, least: float = 1e-9) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
        return None
    if not value or not all(isinstance(one, int | float) and one >= least for one in value):
        return None
    return tuple(value)
