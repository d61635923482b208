"""Weights and training states on disk: safetensors, so that reading one runs no code; written whole or not at all."""

import errno
import json
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from attnkit.errors import CheckpointError


def save_tensors(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write named tensors, and facts that JSON can hold, in one file.

    Raises:
        CheckpointError: the disk is full, or the folder cannot be written; what was at `path` is still there.
    """
    partial = path.with_name(path.name + ".partial")  # a folder: safetensors writes a neighbour of its own first
    try:
        shutil.rmtree(partial, ignore_errors=True)  # left by a process that was killed
        partial.mkdir(parents=True)
        contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
        written = partial / path.name
        save_file(contiguous, written, {"facts": json.dumps(facts, sort_keys=True)})
        written.chmod(partial.stat().st_mode & 0o666)  # safetensors lets nobody but the owner read it
        with written.open("rb+") as file:
            os.fsync(file.fileno())
        written.replace(path)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(
            f"{path}: cannot be written: {_reason(error)}; expected room and permission to write there; "
            "what was saved before is intact: make room and train again, with --resume if a step was saved"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _reason(error: OSError | SafetensorError) -> str:
    # safetensors says the system's number in its text only
    found = re.search(r"os error (\d+)", str(error))
    number = int(found[1]) if found else getattr(error, "errno", None)
    return "the disk is full" if number in (errno.ENOSPC, errno.EDQUOT) else str(error)


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read what `save_tensors` wrote.

    Raises:
        CheckpointError: there is no such file, or it is truncated or something else.
    """
    if not path.is_file():
        raise CheckpointError(
            f"{path}: no such file; expected a checkpoint made by attnkit train; look into the run folder"
        )
    try:
        with safe_open(path, framework="pt") as file:
            facts = json.loads((file.metadata() or {}).get("facts", "{}"))
            return {name: file.get_tensor(name) for name in file.keys()}, facts  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{path}: not a whole checkpoint ({error}); expected a safetensors file made by attnkit; "
            "use another of the run's checkpoints with --checkpoint"
        ) from error


def named_weights(model: nn.Module) -> dict[str, Tensor]:
    """Every parameter and persistent buffer once; a tied parameter under its first name."""
    seen: dict[int, str] = {}
    weights = {}
    for name, tensor in model.state_dict(keep_vars=True).items():
        if id(tensor) not in seen:
            seen[id(tensor)] = name
            weights[name] = tensor.detach()
    return weights


def save_weights(path: Path, model: nn.Module, facts: Mapping[str, Any]) -> None:
    """Write the weights of a model."""
    save_tensors(path, named_weights(model), facts)


def load_weights(path: Path, model: nn.Module) -> dict[str, Any]:
    """Read weights into a model, and return the facts that were written with them.

    Raises:
        CheckpointError: the file is no checkpoint, or does not fit; then every weight that does not is named.
    """
    tensors, facts = load_tensors(path)
    fit_weights(path, tensors, model)
    return facts


@torch.no_grad()
def fit_weights(path: Path, tensors: Mapping[str, Tensor], model: nn.Module) -> None:
    """Copy tensors into a model, all of them or none."""
    own = named_weights(model)
    mistakes = [f"missing: {name} {tuple(own[name].shape)}" for name in own.keys() - tensors.keys()]
    mistakes += [f"unexpected: {name} {tuple(tensors[name].shape)}" for name in tensors.keys() - own.keys()]
    mistakes += [
        f"shape of {name}: {tuple(tensors[name].shape)} in the file, {tuple(own[name].shape)} in the model"
        for name in own.keys() & tensors.keys()
        if tensors[name].shape != own[name].shape
    ]
    if mistakes:
        raise CheckpointError(
            f"{path}: does not fit the model of the recipe; expected the weights of that model; "
            "use the recipe.yaml beside it\n" + "\n".join(f"  {mistake}" for mistake in sorted(mistakes))
        )
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def average_weights(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The mean of several checkpoints of one run, summed in float64."""
    total: dict[str, Tensor] = {}
    for path in paths:
        tensors, _ = load_tensors(path)
        for name, tensor in tensors.items():
            total[name] = total[name] + tensor.double() if name in total else tensor.double()
    return {name: (tensor / len(paths)).float() for name, tensor in total.items()}


def optimizer_tensors(optimizer: Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """The optimizer's memory of each parameter, under the parameter's name."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{names[id(p)]}/{key}": value
        for p, memory in optimizer.state.items()
        for key, value in memory.items()
        if isinstance(value, Tensor)
    }


def restore_optimizer(optimizer: Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give an optimizer back what `optimizer_tensors` took."""
    parameters = dict(model.named_parameters())
    for full_name, value in tensors.items():
        name, key = full_name.rsplit("/", 1)
        p = parameters[name]
        optimizer.state[p][key] = value.to(p.device)
