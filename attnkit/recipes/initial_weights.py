"""Begin with weights that exist: the head is made anew where the classes differ, sizes are brought to the model's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from attnkit.engine.checkpoint import fit_weights, load_tensors, named_weights
from attnkit.errors import CheckpointError
from attnkit.models.layers.image_positions import resize_positions
from attnkit.models.layers.relative_bias import resize_bias_table
from attnkit.models.vit import VisionTransformer
from attnkit.recipes.base import InitConfig
from attnkit.run_dir import open_run


def begin_with(model: nn.Module, init: InitConfig, class_names: Sequence[str], *, loads: bool) -> list[str]:
    """Give a model the weights that a recipe names, and freeze what it says.

    Args:
        model: a classifier with fresh weights, which keep their place where the source has none that fit: in the head,
            if it tells other classes apart.
        init: which weights, and how.
        class_names: of the model.
        loads: whether to read them at all: a training that goes on has its own.

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


def _fit_head(
    tensors: dict[str, Tensor], classes: Sequence[str] | None, model: nn.Module, class_names: Sequence[str]
) -> list[str]:
    """Keep a head for the very same classes; else put the model's fresh one in its place."""
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
        if name == "positions" and isinstance(model, VisionTransformer) and given.shape[2] == own.shape[2]:
            tensors[name] = resize_positions(
                given,
                grid_size=(model.grid_size, model.grid_size),
                special_tokens=model.special_tokens,
                interpolation=init.position_interpolation,
            )
            lines.append(f"init: positions from {given.shape[1]} to {own.shape[1]} ({init.position_interpolation})")
        elif name.endswith("bias_table") and given.shape[1] == own.shape[1]:
            window = (round(len(own) ** 0.5) + 1) // 2
            tensors[name] = resize_bias_table(given, window)
            lines.append(f"init: {name} from {len(given)} to {len(own)} rows")
    return lines


def _freeze(model: nn.Module) -> str:
    prefixes = tuple(f"{name}." for name in head_names(model))
    frozen = 0
    for name, p in model.named_parameters():
        if not name.startswith(prefixes):
            p.requires_grad_(False)
            frozen += p.numel()
    return f"init: {frozen:,} parameters are frozen; the head alone is trained"


def head_names(model: nn.Module) -> tuple[str, ...]:
    """The modules of a model that know the classes."""
    names: tuple[str, ...] = getattr(model, "head_names", ("head",))
    return names
