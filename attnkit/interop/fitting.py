"""Imported weights brought to the sizes that are wanted, and compared with the model, weight by weight."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isqrt

import torch
from torch import Tensor

from attnkit.engine.checkpoint import named_weights
from attnkit.errors import CheckpointError
from attnkit.interop.imported_weights import DetectedParts, ImportedWeights, NetworkConfig
from attnkit.models.build import build_model
from attnkit.models.config import SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.layers.patches import Interpolation, resize_positions
from attnkit.models.layers.window_attention import resize_bias_table
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig
from attnkit.models.rcnn.rcnn import Rcnn

_OnBackbone = UperNetConfig | MaskRcnnConfig | CascadeConfig | HtcConfig


@dataclass(frozen=True)
class Fitted:
    """Weights that are all that a model needs, and what was done to them.

    Attributes:
        model: the architecture; its window is the one asked for.
        weights: float32, by attnkit's names, each in the shape of the model.
        num_classes: of the head.
        parts: of a detector.
        resized: one line per weight that was interpolated.
        fresh_heads: classifiers that begin from zero, because the file has none, or one for other classes.
    """

    model: NetworkConfig
    weights: dict[str, Tensor]
    num_classes: int
    parts: DetectedParts | None = None
    resized: tuple[str, ...] = ()
    fresh_heads: tuple[str, ...] = ()


def fit_to_model(
    imported: ImportedWeights,
    *,
    image_size: int,
    num_classes: int,
    position_interpolation: Interpolation,
    window_size: int | None = None,
) -> Fitted:
    """Resize what depends on the size of the image or window, and check that nothing is missing or left over.

    Args:
        imported: renamed weights.
        image_size: pixels, of the recipe to be.
        num_classes: if the file's classifier is of another number, a fresh one takes its place.
        position_interpolation: whose kernel brings a position embedding to another size.
        window_size: of a Swin; none leaves it as it is.

    Raises:
        CheckpointError: weights are missing, unexpected or misshapen; each has its line.
    """
    config, weights = imported.model, dict(imported.weights)
    resized: list[str] = []
    trunk = config.backbone if isinstance(config, _OnBackbone) else config
    if isinstance(trunk, SwinConfig) and window_size is not None and window_size != trunk.window_size:
        config = _with_window(config, window_size)
        resized += _resize_tables(weights, window_size)
    expected, grid_size = _expected(config, imported.parts, num_classes=num_classes, image_size=image_size)
    positions = "positions" if trunk is config else "backbone.positions"
    if isinstance(trunk, ViTConfig) and positions in weights and positions in expected:
        resized += _resize_positions(weights, positions, trunk, grid_size, position_interpolation)
    fresh_heads = _make_fresh_heads(imported, weights, expected)
    _compare(imported, weights, expected)
    weights = {name: weights[name].to(tensor.dtype).contiguous() for name, tensor in expected.items()}
    return Fitted(config, weights, num_classes, imported.parts, tuple(resized), fresh_heads)


def _with_window(config: NetworkConfig, window_size: int) -> NetworkConfig:
    """The same Swin, or network on one, with windows of another size."""
    if isinstance(config, _OnBackbone):
        return config.changed(backbone=_with_window(config.backbone, window_size))
    return config.changed(window_size=window_size)


def _resize_tables(weights: dict[str, Tensor], window_size: int) -> list[str]:
    """Bring the bias tables to another window, and say so."""
    lines = []
    for name in [name for name in weights if name.endswith(".bias_table")]:
        old = weights[name]
        weights[name] = resize_bias_table(old.float(), window_size)
        lines.append(f"{name}: {len(old)} to {len(weights[name])} rows for a window of {window_size}, bicubic")
    return lines


def _resize_positions(
    weights: dict[str, Tensor], name: str, config: ViTConfig, grid_size: int, interpolation: Interpolation
) -> list[str]:
    """Bring the position embedding to another grid, and say so."""
    old = weights[name].float()
    special = int(config.pooling == "class_token") + int(config.distillation)
    new = resize_positions(old, grid_size=(grid_size, grid_size), special_tokens=special, interpolation=interpolation)
    weights[name] = new
    if new.shape == old.shape:
        return []
    side = isqrt(old.shape[1] - special)
    return [f"{name}: {side}x{side} to {grid_size}x{grid_size} patches, as {interpolation} interpolates"]


def _expected(
    config: NetworkConfig, parts: DetectedParts | None, *, num_classes: int, image_size: int
) -> tuple[dict[str, Tensor], int]:
    """The shapes of a model's weights, without making any; and the rows of its patches, 0 where it has none."""
    with torch.device("meta"):
        if isinstance(config, MaskRcnnConfig | CascadeConfig | HtcConfig):
            assert parts is not None
            return named_weights(Rcnn(config, num_classes=num_classes, **asdict(parts))), 0
        model = build_model(config, num_classes=num_classes, image_size=image_size)
    trunk = model.backbone if isinstance(config, UperNetConfig) else model
    return named_weights(model), int(getattr(trunk, "grid_size", 0))


def _make_fresh_heads(
    imported: ImportedWeights, weights: dict[str, Tensor], expected: Mapping[str, Tensor]
) -> tuple[str, ...]:
    """Zeros for classifiers that lack or are for other classes; training starts from there, as Google's does."""
    fresh = []
    for head in imported.heads:
        matrix = weights.get(f"{head}.weight")
        wanted = expected[f"{head}.weight"].shape
        if matrix is not None and matrix.shape[1:] != wanted[1:]:
            continue  # of another width: that is no other task but another model
        if matrix is None or matrix.shape != wanted:
            weights[f"{head}.weight"] = torch.zeros(wanted)
            weights[f"{head}.bias"] = torch.zeros(wanted[0])
            fresh.append(head)
    return tuple(fresh)


def _compare(imported: ImportedWeights, weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    def shape(tensor: Tensor) -> str:
        return "x".join(map(str, tensor.shape)) or "a number"

    mistakes = [f"missing: {name} {shape(tensor)}" for name, tensor in expected.items() if name not in weights]
    mistakes += [f"unexpected: {name} {shape(tensor)}" for name, tensor in weights.items() if name not in expected]
    mistakes += [f"unexpected: {name} {shape(tensor)}" for name, tensor in imported.unknown.items()]
    mistakes += [
        f"misshapen: {name} is {shape(weights[name])} in the file, {shape(tensor)} in the model"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if mistakes:
        raise CheckpointError(
            f"{imported.source}: {len(mistakes)} weights do not fit {_described(imported.model)}; expected all of that "
            "model and no others; see docs/import.md for the models that can be imported\n"
            + "\n".join(f"  {mistake}" for mistake in mistakes)
        )


def _described(config: NetworkConfig) -> str:
    if isinstance(config, _OnBackbone):
        return f"{_described(config.backbone)} below {config.name} (channels {config.channels})"
    sizes = ", ".join(
        f"{key} {getattr(config, key)}"
        for key in ("embed_dim", "depth", "depths", "patch_size", "window_size")
        if hasattr(config, key)
    )
    return f"the model {config.name} ({sizes})" if sizes else f"the model {config.name}"
