"""Optimizers, and which parameters their weight decay spares."""

from __future__ import annotations

from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from attnkit.engine.config import AdamConfig, OptimizerConfig


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> Optimizer:
    """The optimizer of a model; the learning rate is set anew before each step."""
    betas = (config.beta1, config.beta2)
    if isinstance(config, AdamConfig):
        return Adam(model.parameters(), lr=0.0, betas=betas, eps=config.eps, fused=True)
    spared = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    spared |= {id(p) for p in model.parameters() if p.ndim < 2}
    groups = [
        {"params": [p for p in model.parameters() if id(p) not in spared], "weight_decay": config.weight_decay},
        {"params": [p for p in model.parameters() if id(p) in spared], "weight_decay": 0.0},
    ]
    return AdamW([group for group in groups if group["params"]], lr=0.0, betas=betas, eps=config.eps, fused=True)
