"""On which device, and in which numbers, the products of a model are done."""

from typing import Literal

import torch

from attnkit.errors import AttnkitError

Precision = Literal["auto", "float32", "bfloat16"]


def find_device(name: str) -> torch.device:
    """`auto` is a GPU where there is one, else the CPU.

    Raises:
        AttnkitError: no such device here.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise AttnkitError(
            f"--device {name}: not available here; expected auto, cpu or cuda with a working driver; "
            "see what is there with attnkit doctor"
        ) from error
    return device


def has_fast_bfloat16(device: torch.device) -> bool:
    """Whether the device multiplies bfloat16 matrices in hardware."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16") or capabilities.get("bf16"))
    return False


def decide_precision(precision: Precision, device: torch.device) -> Literal["float32", "bfloat16"]:
    """What `auto` means on a device: bfloat16 where it is fast, else float32; what is named stays."""
    if precision != "auto":
        return precision
    return "bfloat16" if has_fast_bfloat16(device) else "float32"


def autocast(precision: Precision, device: torch.device) -> torch.autocast:
    """The context in which forward passes run: bfloat16 products with float32 sums and weights, or plain float32."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=decide_precision(precision, device) == "bfloat16")
