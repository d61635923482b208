"""Counting the multiplications of a network, in the three ways that papers and tools count them.

One multiply-accumulate is one here, never two. The network runs once on torch's meta device: shapes without numbers.
"""

from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

Convention = Literal["paper", "fvcore", "mmcv"]


def count_macs(model: nn.Module, height: int, width: int, *, convention: Convention = "paper") -> int:
    """Multiply-accumulates for one image.

    Args:
        model: takes images (B, 3, height, width) and is not packed; it is left as it was.
        height: pixels.
        width: pixels.
        convention: whose way of counting. `paper`: matrix products and convolutions, those of attention too (half of
            what torch's FlopCounterMode says; the tables of the Swin paper); `fvcore`: these, plus 5 per
            normalised value (2 for batch norm) and 1 per value that is pooled to a fixed size; `mmcv`: linear,
            convolution, norm (2 per value), ReLU and pooling modules, so that the products of attention are left out.
    """
    if convention == "mmcv":
        return _count_modules(model, height, width)
    with _Counter() as counter:
        _run_on_meta(model, height, width)
    return counter.products + (counter.others if convention == "fvcore" else 0)


def _run_on_meta(model: nn.Module, height: int, width: int) -> None:
    """One image through the model without any numbers; the model's own tensors stay where they are."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    shapes = {name: torch.empty_like(tensor, device="meta") for name, tensor in tensors.items()}
    is_training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            functional_call(model, shapes, (torch.empty(1, 3, height, width, device="meta"),))
    finally:
        for module, was_training in is_training.items():
            module.training = was_training


# paper and fvcore: every operator that the network comes down to

_aten = torch.ops.aten
_NORM_OPERATORS = (_aten.native_layer_norm, _aten.native_group_norm)
_PER_VALUE = {
    _aten.native_layer_norm: 5,
    _aten.native_group_norm: 5,
    _aten._native_batch_norm_legit_no_training: 2,
    _aten.native_batch_norm: 2,
    _aten._adaptive_avg_pool2d: 1,
}
"""What fvcore counts for each value that goes into an operator, beside the products."""


class _Counter(TorchDispatchMode):
    """Sees every operator; torch's own table says how many operations a product is, two for each of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.products = 0
        self.others = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        operator, kwargs = func._overloadpacket, kwargs or {}
        if operator in _PER_VALUE:
            self.others += _PER_VALUE[operator] * args[0].numel()
        if operator in _NORM_OPERATORS:  # as many values as went in; on the meta device torch takes long to say so
            return torch.empty_like(args[0]), None, None
        output = func(*args, **kwargs)
        if operator in flop_registry:
            self.products += flop_registry[operator](*args, **kwargs, out_val=output) // 2
        return output


# mmcv: a hook on every module of a kind that it knows

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
_NORMS = (nn.LayerNorm, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.GroupNorm, nn.InstanceNorm2d)
_POOLS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_ACTIVATIONS = (nn.ReLU, nn.PReLU, nn.ELU, nn.LeakyReLU, nn.ReLU6)


def _count_modules(model: nn.Module, height: int, width: int) -> int:
    counts: list[int] = []

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        counts.append(_module_macs(module, inputs[0], output))

    kinds = (nn.Linear, *_CONVOLUTIONS, *_NORMS, *_POOLS, *_ACTIVATIONS)
    hooks = [module.register_forward_hook(count) for module in model.modules() if isinstance(module, kinds)]
    try:
        _run_on_meta(model, height, width)
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts)


def _module_macs(module: nn.Module, x: Tensor, output: Tensor) -> int:
    if isinstance(module, nn.Linear):
        return x.numel() * module.out_features
    if isinstance(module, _CONVOLUTIONS):
        # with a bias one more per value
        return output.numel() * (module.weight[0].numel() + (module.bias is not None))
    if isinstance(module, _NORMS):
        return x.numel() * (2 if getattr(module, "weight", None) is not None else 1)
    return output.numel() if isinstance(module, _ACTIVATIONS) else x.numel()
