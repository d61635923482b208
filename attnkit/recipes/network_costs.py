"""What a network on images costs, parameters, arithmetic, memory and speed, beside what was published."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from attnkit.data.open import OpenedData
from attnkit.engine.precision import decide_precision, find_device
from attnkit.errors import DataError
from attnkit.models.kernels.inference import prepare_for_inference
from attnkit.models.macs import Convention, count_macs
from attnkit.structures.arrays import Size

Opened = TypeVar("Opened")

GMACS_FOR_SPEED = 20.0
"""Up to here the speed is measured unasked: it takes about two seconds."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """A network on images, as far as its summary depends on it."""

    facts: dict[str, Any]
    """What is printed before its costs: its name, its classes, the size of its images."""
    size: Size
    """Height and width of its images."""
    build: Callable[[], nn.Module]
    """Makes it, with fresh weights."""
    for_counting: Callable[[nn.Module], nn.Module] = lambda network: network
    """Makes the module whose products are counted, of the network."""
    predict: Callable[[nn.Module, Tensor], object] = nn.Module.__call__
    """Puts the network to work on a batch of images."""
    published: dict[str, Any] | None
    """What is known of the published network that it is; None if it is none."""


def network_summary(network: Network, *, convention: Convention, speed: bool | None) -> dict[str, Any]:
    """Count a network on shapes alone, and measure its speed.

    Args:
        network: is counted.
        convention: how multiplications are counted.
        speed: whether to measure images per second; None does where that is quick.

    Returns:
        In the order in which they are printed: the facts of the network; params, gmacs, convention,
        training_megabytes_per_image; images_per_second and how that was measured; what was published.
    """
    with torch.device("meta"):
        model = network.for_counting(network.build())
    gmacs = count_macs(model, *network.size, convention=convention) / 1e9
    facts = network.facts | {
        "params": sum(p.numel() for p in model.parameters()),
        "gmacs": round(gmacs, 4),
        "convention": convention,
        "training_megabytes_per_image": round(saved_bytes(model, network.size) / 1e6, 1),
    }
    if speed or (speed is None and gmacs <= GMACS_FOR_SPEED):
        facts |= measure_speed(network.build(), network.size, gmacs=gmacs, predict=network.predict)
    return facts if network.published is None else facts | {"published": network.published}


def training_set(data: OpenedData[Opened]) -> Opened | None:
    """The training set of a recipe; None where its data is not here."""
    try:
        return data["train"]
    except DataError:
        return None


def saved_bytes(model: nn.Module, size: tuple[int, int]) -> int:
    """Bytes that a forward pass of one image keeps for the backward pass, in float32; weights are not among them."""
    kept: dict[int, Tensor] = {}
    weights = {id(p) for p in model.parameters()}

    def keep(tensor: Tensor) -> Tensor:
        base = tensor if tensor._base is None else tensor._base
        if id(base) not in weights:
            kept[id(base)] = base
        return tensor

    model.train()
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits = model(torch.empty(2, 3, *size, device="meta"))
        total = sum(tensor.numel() * tensor.element_size() for tensor in kept.values())
    del logits
    return total // 2  # batch norm refuses a batch of one


def measure_speed(
    model: nn.Module,
    size: tuple[int, int],
    *,
    gmacs: float,
    predict: Callable[[nn.Module, Tensor], object] = nn.Module.__call__,
    seconds: float = 1.0,
) -> dict[str, Any]:
    """Images per second of the network at work, on random images, here and now, in the default precision.

    Args:
        model: before it is prepared.
        size: height and width of the images.
        gmacs: per image, in units of 10^9.
        predict: puts the prepared network to work on a batch of them.
        seconds: of measuring.
    """
    device = find_device("auto")
    precision = decide_precision("auto", device)
    model = prepare_for_inference(model.to(device), precision=precision)
    batch = 64 if device.type == "cuda" else 16 if gmacs < 1 else 4 if gmacs < 6 else 1
    images = torch.randn(batch, 3, *size, device=device)
    rounds, started = -1, time.perf_counter()  # the first round is warming up
    with torch.inference_mode():
        while rounds < 1 or time.perf_counter() - started < seconds:
            if rounds == 0:
                started = time.perf_counter()
            predict(model, images)
            if device.type == "cuda":
                torch.cuda.synchronize()
            rounds += 1
    rate = rounds * batch / (time.perf_counter() - started)
    where = (
        torch.cuda.get_device_name(device) if device.type == "cuda" else f"{torch.get_num_threads()} processor threads"
    )
    return {"images_per_second": float(f"{rate:.3g}"), "measured": f"batches of {batch}, {precision}, {where}"}
