"""Names of one library against attnkit's: a table is a dictionary from attnkit's names to the others'.

A name in a table is that of a module, whose weight and bias go with it, or of one parameter.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence

import torch
from torch import Tensor

NameTable = Mapping[str, str]

_LEAVES = ("weight", "bias")
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What batch norm keeps beside its weight and bias, by the same names everywhere."""


def to_own_names(tensors: Mapping[str, Tensor], table: NameTable) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Rename foreign weights.

    Args:
        tensors: weights by foreign names.
        table: attnkit's names to foreign ones.

    Returns:
        (weights by attnkit's names, those that the table does not have by their foreign names).
    """
    back = {foreign: own for own, foreign in table.items()}
    known, unknown = {}, {}
    for name, tensor in tensors.items():
        own = _lookup(name, back)
        if own is None:
            unknown[name] = tensor
        else:
            known[own] = tensor
    return known, unknown


def to_foreign_names(weights: Mapping[str, Tensor], table: NameTable) -> tuple[dict[str, Tensor], list[str]]:
    """Rename attnkit's weights.

    Returns:
        (weights by foreign names, attnkit's names that the other library has nothing for).
    """
    known, nameless = {}, []
    for name, tensor in weights.items():
        foreign = _lookup(name, table)
        if foreign is None:
            nameless.append(name)
        else:
            known[foreign] = tensor
    return known, nameless


def _lookup(name: str, table: Mapping[str, str]) -> str | None:
    if name in table:
        return table[name]
    module, _, leaf = name.rpartition(".")
    return f"{table[module]}.{leaf}" if leaf in _LEAVES and module in table else None


def leave_out(
    tensors: Mapping[str, Tensor], unwanted: Callable[[str], bool]
) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    """The weights without those that are unwanted by name, and the names of these."""
    left_out = tuple(filter(unwanted, tensors))
    return {name: tensor for name, tensor in tensors.items() if name not in left_out}, left_out


def count(names: Iterable[str], pattern: str) -> int:
    """How many there are of what a pattern numbers: one more than the largest number that its group finds."""
    found = [int(match[1]) for match in map(re.compile(pattern).match, names) if match]
    return max(found, default=-1) + 1


def count_each(names: Iterable[str], outer: str, inner: str) -> tuple[int, ...]:
    """How many inner things each outer thing has, such as blocks of a stage.

    Args:
        names: of weights.
        outer: the pattern in front of the number of an outer thing.
        inner: the pattern behind it, with a group for the number of an inner thing.
    """
    names = list(names)
    return tuple(count(names, f"{outer}{number}{inner}") for number in range(count(names, rf"{outer}(\d+)\.")))


def join_qkv(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Put queries, keys and values that came as three matrices into attnkit's one.

    A model whose projections have no biases gets biases of zeros.
    """
    joined = {}
    for name, tensor in weights.items():
        module, _, leaf = name.rpartition(".")
        if not re.search(r"\.attention\.[qkv]$", module):
            joined[name] = tensor
        elif module.endswith(".q"):
            parts = [weights.get(f"{module[:-1]}{part}.{leaf}") for part in "qkv"]
            joined[f"{module}kv.{leaf}"] = torch.cat([part for part in parts if part is not None])
    return with_qkv_biases(joined)


def with_qkv_biases(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Zeros for the biases of queries, keys and values where no layer has one; a single missing one is a mistake."""
    if any(name.endswith(".attention.qkv.bias") for name in weights):
        return weights
    matrices = {name: tensor for name, tensor in weights.items() if name.endswith(".attention.qkv.weight")}
    return weights | {name.replace("weight", "bias"): torch.zeros(len(matrix)) for name, matrix in matrices.items()}


def split_qkv(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Take attnkit's one matrix of queries, keys and values apart into three."""
    split = {}
    for name, tensor in weights.items():
        if ".attention.qkv." in name:
            for part, rows in zip("qkv", tensor.chunk(3), strict=True):
                split[name.replace(".qkv.", f".{part}.")] = rows
        else:
            split[name] = tensor
    return split


def below_backbone(names: NameTable, *, but: Sequence[str] = ()) -> dict[str, str]:
    """The table of a classifier as that of a backbone on both sides, without the modules `but`."""
    return {f"backbone.{own}": f"backbone.{theirs}" for own, theirs in names.items() if own not in but}


def backbone_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the backbone, as if it were alone."""
    prefix = "backbone."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
