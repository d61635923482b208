"""Batch norm over the images of all processes that train together (SyncBN; Peng et al. 2018, MegDet, arXiv:1711.07240).

Letters: B images of a process, C channels, n values of a channel in all processes.
"""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SyncedBatchNorm(nn.SyncBatchNorm):
    """torch's own on GPUs; the same on a CPU, which torch's refuses. Outside training it is a plain batch norm.

    All processes must come by it equally often.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Normalise (B, C, ...)."""
        if x.device.type != "cpu" or not self.training or not _are_several():
            normalised: Tensor = super().forward(x)
            return normalised
        n, mean, var = _moments(x)
        self._remember(n, mean.detach(), var.detach())
        scale = (var + self.eps).rsqrt() * self.weight
        shape = (-1, *[1] * (x.ndim - 2))
        return (x * scale.view(shape) + (self.bias - mean * scale).view(shape)).to(x.dtype)

    @torch.no_grad()
    def _remember(self, n: float, mean: Tensor, var: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.num_batches_tracked += 1
        share = self.momentum if self.momentum is not None else 1.0 / float(self.num_batches_tracked)
        self.running_mean.lerp_(mean, share)
        self.running_var.lerp_(var * (n / max(n - 1, 1)), share)


def sync_norms(model: nn.Module) -> None:
    """Let the batch norms of a model see the images of all processes; their weights and statistics stay what they are.

    Nothing changes where there is one process.
    """
    if not _are_several():
        return
    for parent in list(model.modules()):
        for name, norm in parent.named_children():
            if isinstance(norm, nn.BatchNorm2d):
                setattr(parent, name, _synced(norm))


def _synced(norm: nn.BatchNorm2d) -> SyncedBatchNorm:
    synced = SyncedBatchNorm(norm.num_features, norm.eps, norm.momentum)
    synced.weight, synced.bias = norm.weight, norm.bias
    for name, buffer in norm.named_buffers():
        setattr(synced, name, buffer)
    return synced.train(norm.training)


def _are_several() -> bool:
    return torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1


def _moments(x: Tensor) -> tuple[float, Tensor, Tensor]:
    """n, and (C,) mean and variance over all processes, through which gradients go to all."""
    axes = [axis for axis in range(x.ndim) if axis != 1]
    own = float(x.numel() // x.shape[1])
    var, mean = torch.var_mean(x.float(), dim=axes, correction=0)
    mean, var = mean.double(), var.double()  # for the difference of two large numbers below
    sums = torch.cat([own * mean, own * (var + mean.square()), mean.new_tensor([own])])
    total: Tensor = all_reduce(sums)
    n = float(total[-1])
    mean, square = (total[:-1] / n).chunk(2)
    return n, mean.float(), (square - mean.square()).float()
