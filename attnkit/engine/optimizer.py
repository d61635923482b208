"""Optimizers: which parameters decay, and how fast each layer learns."""

from typing import Protocol, runtime_checkable

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from attnkit.engine.config import AdamConfig, AdamWConfig, OptimizerConfig, SgdConfig
from attnkit.errors import AttnkitError


@runtime_checkable
class Layered(Protocol):
    """A model that numbers its layers from the input to the output."""

    num_layers: int
    """The number of what comes last; that of the embeddings is 0."""

    def layer_of(self, parameter: str) -> int:
        """The number of the layer that a parameter belongs to."""


def build_optimizer(config: OptimizerConfig, model: nn.Module) -> Optimizer:
    """The optimizer of what is trained in a model.

    The learning rate is set anew before each step: the schedule's, times the group's `lr_scale`.

    Raises:
        AttnkitError: layer-wise decay for a model whose layers are not numbered.
    """
    match config:
        case AdamConfig():
            betas = (config.beta1, config.beta2)
            return Adam(_groups(model, 0.0), lr=0.0, betas=betas, eps=config.eps, fused=True)
        case AdamWConfig():
            betas = (config.beta1, config.beta2)
            groups = _groups(model, config.weight_decay, config.layer_decay, decay_biases=config.decay_biases)
            return AdamW(groups, lr=0.0, betas=betas, eps=config.eps, fused=True)
        case SgdConfig():
            groups = _groups(model, config.weight_decay)
            return SGD(groups, lr=0.0, momentum=config.momentum, nesterov=config.nesterov, fused=True)


def _groups(
    model: nn.Module, weight_decay: float, layer_decay: float = 1.0, *, decay_biases: bool = False
) -> list[dict[str, object]]:
    """The parameters that are trained, by their weight decay and their share of the learning rate."""
    without_decay = _no_weight_decay(model) - (_biases(model) if decay_biases else set())
    by_kind: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, p in model.named_parameters():
        if p.requires_grad:
            kind = (0.0 if name in without_decay else weight_decay, _lr_scale(model, name, layer_decay))
            by_kind.setdefault(kind, []).append(p)
    return [{"params": group, "weight_decay": decay, "lr_scale": scale} for (decay, scale), group in by_kind.items()]


def _no_weight_decay(model: nn.Module) -> set[str]:
    """Biases, norms and embeddings, and what the model itself names in its `no_weight_decay`."""
    embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
    named: frozenset[str] = getattr(model, "no_weight_decay", frozenset())
    return {name for name, p in model.named_parameters() if p.ndim < 2 or id(p) in embeddings or name in named}


def _biases(model: nn.Module) -> set[str]:
    """Of linear layers and convolutions: beside them stands a weight of two dimensions or more, unlike in norms."""
    weights = {name for name, p in model.named_parameters(remove_duplicate=False) if p.ndim > 1}
    biases = (name for name, _ in model.named_parameters() if name.endswith("bias"))
    return {name for name in biases if f"{name.removesuffix('bias')}weight" in weights}


def _lr_scale(model: nn.Module, name: str, layer_decay: float) -> float:
    """layer_decay ** (layers above), as Clark et al. 2020 (ELECTRA) and BEiT have it."""
    if layer_decay == 1.0:
        return 1.0
    if not isinstance(model, Layered):
        raise AttnkitError(
            f"train.optimizer.layer_decay: {type(model).__name__} has no numbered layers; expected a ViT or Swin; "
            "leave it out"
        )
    return layer_decay ** (model.num_layers - model.layer_of(name))
