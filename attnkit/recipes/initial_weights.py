"""Begin with trained weights: the head stays fresh where the classes differ, sizes are brought to the model's, and a
classifier becomes the backbone of a segmenter or detector."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from attnkit.engine.checkpoint import fit_weights, load_tensors, named_weights
from attnkit.errors import CheckpointError
from attnkit.models.layers.patches import resize_positions
from attnkit.models.layers.window_attention import resize_bias_table
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.models.upernet import UperNet
from attnkit.models.vit import ViTTrunk
from attnkit.recipes.base import InitConfig
from attnkit.run_dir import open_run

BACKBONE = "backbone."
"""The prefix of a backbone's weights."""
CLASSIFIER_PARTS = ("norm", "head", "distillation_head", "representation", "fc")
"""Modules of Swin, ViT and ResNet behind the maps that a dense task takes."""
ON_A_BACKBONE = (UperNet, Rcnn)
"""Models whose backbone may be a trained classifier."""


def begin_with(model: nn.Module, init: InitConfig, class_names: Sequence[str], *, loads: bool) -> list[str]:
    """Give a model the weights that a recipe names, and freeze what it asks for.

    Args:
        model: a classifier, segmenter or detector with fresh weights, which stay where the source has none that fit: in
            the head, if its classes are others; in all but the backbone, if the source is a classifier and the model
            is none.
        init: which weights, and how.
        class_names: of the model.
        loads: whether to read them at all: a resumed training has its own.

    Returns:
        What was done, a line each.

    Raises:
        CheckpointError: there are no such weights, or they are those of another model; then all that differs is named.
    """
    lines = []
    if loads:
        path = _weights(Path(init.from_))
        tensors, facts = load_tensors(path)
        lines.append(f"init: weights of {path}")
        if isinstance(model, ON_A_BACKBONE) and not any(name.startswith(BACKBONE) for name in tensors):
            lines += _fill_backbone(tensors, model)
        else:
            lines += _fit_head(tensors, facts.get("classes"), model, class_names)
        lines += _fit_sizes(tensors, model, init)
        fit_weights(path, tensors, model)
    if init.freeze:
        lines.append(_freeze(model))
    return lines


def _weights(source: Path) -> Path:
    if source.is_dir():
        return open_run(source).weights()
    if not source.is_file():
        raise CheckpointError(
            f"init.from: {source}: no such file or run folder; expected weights made by attnkit train or import; "
            "other people's weights come in by attnkit import"
        )
    return source


def _fill_backbone(tensors: dict[str, Tensor], model: nn.Module) -> list[str]:
    """Make a classifier's weights those of the backbone, without what only classifies; everything else stays fresh."""
    own = named_weights(model)
    given = {f"{BACKBONE}{name}": tensor for name, tensor in tensors.items()}
    _drop_distillation(given, own)
    known = {name: tensor for name, tensor in given.items() if name in own or not _only_classifies(name)}
    left_out = sorted({name.removeprefix(BACKBONE).split(".")[0] for name in given.keys() - known.keys()})
    fresh = {name: tensor for name, tensor in own.items() if name not in known and not name.startswith(BACKBONE)}
    norms = {name: tensor for name, tensor in own.items() if name.startswith(f"{BACKBONE}norms.")}  # Swin's, per stage
    tensors.clear()
    tensors |= fresh | norms | known
    without = f" without its {', '.join(left_out)}" if left_out else ""
    return [f"init: a classifier becomes the backbone{without}; all above it begins fresh"]


def _only_classifies(name: str) -> bool:
    return name.removeprefix(BACKBONE).split(".")[0] in CLASSIFIER_PARTS


def _drop_distillation(given: dict[str, Tensor], own: dict[str, Tensor]) -> None:
    """Reduce a distilled DeiT to a plain one: without the second token and its row of the positions."""
    token, positions = f"{BACKBONE}distillation_token", f"{BACKBONE}positions"
    if token in given and token not in own and positions in given:
        del given[token]
        rows = given[positions]
        given[positions] = torch.cat([rows[:, :1], rows[:, 2:]], dim=1)


def _fit_head(
    tensors: dict[str, Tensor], classes: Sequence[str] | None, model: nn.Module, class_names: Sequence[str]
) -> list[str]:
    """Keep a head for the very same classes; else take the model's fresh one."""
    own = named_weights(model)
    prefixes = tuple(f"{name}." for name in head_names(model))
    keeps = classes is not None and list(classes) == list(class_names)
    lines = []
    if not keeps:
        for name in [name for name in tensors if name.startswith(prefixes)]:
            del tensors[name]
        tensors |= {name: tensor for name, tensor in own.items() if name.startswith(prefixes)}
        known = "other" if classes is None else f"{len(classes):,} other"
        lines.append(f"init: a fresh head for {len(class_names):,} classes, in place of one for {known} classes")
    pre_logits = [name for name in tensors if name.startswith("representation.") and name not in own]
    for name in pre_logits:
        del tensors[name]
    if pre_logits:
        lines.append("init: the pre-logits layer is left out, as in fine-tuning")
    return lines


def _fit_sizes(tensors: dict[str, Tensor], model: nn.Module, init: InitConfig) -> list[str]:
    """Bring positions to the model's image size, and bias tables to its windows."""
    lines = []
    for name, own in named_weights(model).items():
        given = tensors.get(name)
        if given is None or given.shape == own.shape:
            continue
        trunk = model.get_submodule(name.rpartition(".")[0])
        if name.endswith("positions") and isinstance(trunk, ViTTrunk) and given.shape[2] == own.shape[2]:
            tensors[name] = resize_positions(
                given,
                grid_size=(trunk.grid_size, trunk.grid_size),
                special_tokens=trunk.special_tokens,
                interpolation=init.position_interpolation,
            )
            lines.append(f"init: {name} from {given.shape[1]} to {own.shape[1]} ({init.position_interpolation})")
        elif name.endswith("bias_table") and given.shape[1] == own.shape[1]:
            window = (round(len(own) ** 0.5) + 1) // 2
            tensors[name] = resize_bias_table(given, window)
            lines.append(f"init: {name} from {len(given)} to {len(own)} rows")
    return lines


def _freeze(model: nn.Module) -> str:
    """Keep all but the head as it is; of a segmenter or detector that is all above the backbone."""
    prefixes = tuple(f"{name}." for name in head_names(model))
    above = isinstance(model, ON_A_BACKBONE)
    frozen = 0
    for name, p in model.named_parameters():
        if name.startswith(BACKBONE) if above else not name.startswith(prefixes):
            p.requires_grad_(False)
            frozen += p.numel()
    return f"init: {frozen:,} parameters are frozen; {'what is above the backbone' if above else 'the head'} is trained"


def head_names(model: nn.Module) -> tuple[str, ...]:
    """The modules of a model that know the classes."""
    return cast("tuple[str, ...]", model.head_names)
