"""How fast a network trains on this machine, measured on random images in the default precision."""

import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.engine.precision import autocast, find_device
from attnkit.models.build import build_model
from attnkit.models.config import SwinConfig, UperNetConfig
from attnkit.models.layers.conv_norm import resize
from attnkit.models.rcnn.config import MaskRcnnConfig
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.structures.arrays import Size
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

MEASURED_SECONDS = 1.0
_CLASSIFIER_IMAGES, _SEGMENTER_IMAGES, _DETECTOR_IMAGES = 16, 4, 2
_OBJECTS = 8


def classifier_speed(config: SwinConfig, image_size: int, *, seconds: float = MEASURED_SECONDS) -> float:
    """Training images a second of a classifier; the measurement takes so many seconds at least."""
    device, count = find_device("auto"), _CLASSIFIER_IMAGES
    model = build_model(config, num_classes=10, image_size=image_size).to(device).train()
    images = torch.randn(count, 3, image_size, image_size, device=device)
    labels = torch.arange(count, device=device) % 10

    def loss() -> Tensor:
        with autocast("auto", device):
            logits = model(images)
        return F.cross_entropy(logits.float(), labels)

    return count / _seconds_per_step(model, loss, device, seconds)


def segmenter_speed(config: UperNetConfig, crop: int, num_classes: int, *, seconds: float = MEASURED_SECONDS) -> float:
    """Training images a second of a segmenter; the measurement takes so many seconds at least."""
    device, count = find_device("auto"), _SEGMENTER_IMAGES
    model = build_model(config, num_classes=num_classes, image_size=crop).to(device).train()
    images = torch.randn(count, 3, crop, crop, device=device)
    labels = torch.randint(num_classes, (count, crop, crop), device=device)

    def loss() -> Tensor:
        with autocast("auto", device):
            heads = model.forward_heads(images)
        enlarged = [resize(logits.float(), (crop, crop)) for logits in heads if logits is not None]
        return torch.stack([F.cross_entropy(logits, labels) for logits in enlarged]).sum()

    return count / _seconds_per_step(model, loss, device, seconds)


def detector_speed(
    config: MaskRcnnConfig, size: Size, *, num_classes: int, masks: bool, seconds: float = MEASURED_SECONDS
) -> float:
    """Training images a second of a detector; the measurement takes so many seconds at least."""
    device, count = find_device("auto"), _DETECTOR_IMAGES
    model = Rcnn(config, num_classes=num_classes, masks=masks).to(device).train()
    images = torch.randn(count, 3, *size, device=device)
    objects = [_diagonal_squares(size, masks=masks).to(device)] * count

    def loss() -> Tensor:
        with autocast("auto", device):
            terms = model.losses(images, [size] * count, objects)
        return torch.stack([term.float() for term in terms.values()]).sum()

    return count / _seconds_per_step(model, loss, device, seconds)


def _diagonal_squares(size: Size, *, masks: bool) -> Objects:
    """Squares from one corner of an image to the other."""
    height, width = size
    side, last = max(1, min(size) // _OBJECTS), _OBJECTS - 1
    corners = [(step * (width - side) // last, step * (height - side) // last) for step in range(_OBJECTS)]
    boxes = torch.tensor([[x, y, x + side, y + side] for x, y in corners], dtype=torch.float32)
    square = torch.ones(side, side, dtype=torch.uint8)
    return Objects(
        boxes=boxes,
        labels=torch.zeros(len(boxes), dtype=torch.int64),
        areas=torch.full((len(boxes),), float(side**2)),
        crowd=torch.zeros(len(boxes), dtype=torch.bool),
        masks=Masks.from_crops([(square, x, y) for x, y in corners], size) if masks else None,
    )


def _seconds_per_step(
    model: nn.Module, loss: Callable[[], Tensor], device: torch.device, measured_seconds: float
) -> float:
    """What the fastest step takes, because what else is running now need not run then; the first is warming up."""
    optimizer = torch.optim.AdamW(model.parameters(), fused=True)
    seconds: list[float] = []
    while len(seconds) < 2 or sum(seconds[1:]) < measured_seconds:
        started = time.perf_counter()
        loss().backward()
        optimizer.step()
        optimizer.zero_grad()
        if device.type == "cuda":
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
