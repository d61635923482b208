"""Published networks: what they are, what they cost and how they score. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from attnkit.models.config import UperNetConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig

if TYPE_CHECKING:
    from attnkit.structures.arrays import Size

Model = TypeVar("Model")
OnABackbone = TypeVar("OnABackbone", UperNetConfig, MaskRcnnConfig | CascadeConfig | HtcConfig)
Rgb = tuple[float, float, float]

_NO_SIZES = {"drop_path_rate": 0.0, "dropout": 0.0, "attention_dropout": 0.0, "gradient_checkpointing": False}
"""Fields of backbones that make no other network, with the values to compare at."""


@dataclass(frozen=True)
class Published(Generic[Model]):
    """A published network: a row of a task's table."""

    model: Model
    params: int
    gmacs: float
    """Multiply-accumulates in units of 10^9 by the convention `paper`, of an image of `gmacs_size`."""
    gmacs_size: Size
    """Height and width of the image whose cost is counted."""
    source: str
    """Who described the network or measured its scores, and in which table; empty where nobody did."""
    scores: Mapping[str, Any] = field(default_factory=dict)
    """What was measured, by the names that are printed."""
    mean: Rgb | None = None
    """Of red, green and blue on 0..1, which its published weights expect to be subtracted."""
    std: Rgb | None = None


def published_facts(name: str | None, networks: Mapping[str, Published[Any]]) -> dict[str, Any] | None:
    """What a summary prints of the published network of this name; None of no name."""
    if name is None:
        return None
    row = networks[name]
    facts = {"architecture": name, "params": row.params, "gmacs": row.gmacs, "gmacs_size": shown(row.gmacs_size)}
    return facts | dict(row.scores) | ({"source": row.source} if row.source else {})


def shown(size: Size) -> str:
    """Height and width, for people."""
    return f"{size[0]}x{size[1]}"


def name_on_a_backbone(config: OnABackbone, networks: Mapping[str, Published[OnABackbone]]) -> str | None:
    """The published segmenter or detector of these sizes, whatever its rates of dropout."""
    sizes = _sizes_alone(config)
    return next((name for name, row in networks.items() if _sizes_alone(row.model) == sizes), None)


def _sizes_alone(config: OnABackbone) -> OnABackbone:
    backbone = config.backbone
    plain = backbone.changed(**{name: value for name, value in _NO_SIZES.items() if hasattr(backbone, name)})
    return config.changed(backbone=plain, **({"dropout": 0.0} if hasattr(config, "dropout") else {}))
