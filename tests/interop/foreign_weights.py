"""What the tests of imports and exports share: random weights, and the way from a file to logits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from jaxtyping import config
from torch import Tensor, nn

from attnkit.data.classification.config import ImageConfig
from attnkit.interop.export_weights import TrainedNetwork
from attnkit.interop.fitting import Fitted, fit_to_model
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.interop.imported_weights import ImportedWeights
from attnkit.interop.recognise import recognise
from attnkit.models.build import build_model
from attnkit.models.config import ClassifierConfig

K = 5
HEADS = 4
"""Of the small ViTs, whose width is that of no paper."""


def shaken(model: nn.Module) -> nn.Module:
    """A model none of whose weights has the value that it is born with: all zeros and ones look alike."""
    generator = torch.Generator().manual_seed(7)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval().requires_grad_(False)


def images(size: int, *, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(size))


def read(path: Path) -> ImportedWeights:
    return recognise(read_foreign_file(path), num_heads=HEADS)


def fit(imported: ImportedWeights, **changes: Any) -> Fitted:
    options = {
        "image_size": imported.image_size,
        "num_classes": imported.num_classes,
        "position_interpolation": "deit",
    }
    return fit_to_model(imported, **options | changes)


def network(fitted: Fitted, *, image_size: int) -> nn.Module:
    model = build_model(fitted.model, num_classes=fitted.num_classes, image_size=image_size)
    model.load_state_dict(fitted.weights, strict=True)
    return model.eval().requires_grad_(False)


def imported_logits(weights: Any, path: Path, x: Tensor) -> Tensor:
    """The logits of our model with the weights of theirs, by way of a file."""
    torch.save(weights, path)
    imported = read(path)
    size = x.shape[-1]
    return network(fit(imported, image_size=size), image_size=size)(x)


def classifier(config: ClassifierConfig, *, image_size: int) -> TrainedNetwork:
    torch.manual_seed(3)
    model = shaken(build_model(config, num_classes=K, image_size=image_size))
    return TrainedNetwork(model, config, ImageConfig(size=image_size), [f"class {i}" for i in range(K)])


def close(actual: Tensor, expected: Tensor, tolerance: float = 1e-5) -> None:
    assert expected.abs().max() > 0.1, "logits that say nothing"
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@contextmanager
def shapes_unchecked() -> Iterator[None]:
    """While a graph is made in which sizes depend on the image: they are no numbers that annotations could check."""
    config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        config.update("jaxtyping_disable", False)
