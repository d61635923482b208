"""Files of weights that others wrote: .pth, .pt and .bin of torch, .safetensors, .npz. Reading one runs no code of it.

A .pth is a pickle, which may call any function when it is read. Here only tensors and plain values are let through
(torch's `weights_only`), and a file that needs more is refused.
"""

import argparse
import json
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from attnkit.errors import CheckpointError

WRAPPERS = ("model", "state_dict_ema", "state_dict", "model_state_dict", "module", "weights", "params")
"""Under which keys training programs put the weights, in the order in which they are looked for."""
PREFIXES = ("module.", "_orig_mod.", "model.")
"""What wrappers of a model put before every name: data parallelism, torch.compile, Lightning."""
IN_FOLDERS = ("model.safetensors", "pytorch_model.bin")
"""The names of the weights in a folder of transformers or timm."""

LOGGED = (
    "mmengine.logging.history_buffer.HistoryBuffer",
    "builtins.getattr",
    *(f"numpy.{core}.multiarray.{name}" for core in ("core", "_core") for name in ("_reconstruct", "scalar")),
    "numpy.ndarray",
    "numpy.dtype",
    *(f"numpy.dtypes.{name}DType" for name in ("Float64", "Float32", "Int64", "Int32", "Bool")),
)
"""What mmengine's training writes beside the weights: its log, as objects. Nothing of it is wanted."""

_EXPECTED = "expected a whole .pth, .pt, .bin, .safetensors or .npz of weights"


@dataclass(frozen=True)
class ForeignFile:
    """What a file holds.

    Attributes:
        path: the file.
        tensors: the weights by the names in the file.
        wrapper: the key that they lay under; none where the file is nothing but weights.
        meta: what the programs of OpenMMLab write beside the weights, under the key `meta`: classes and colours.
        settings: config.json of the same folder, as transformers and timm write it; empty without one.
        preprocessing: preprocessor_config.json of the same folder.
    """

    path: Path
    tensors: dict[str, Tensor]
    wrapper: str | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    preprocessing: Mapping[str, Any] = field(default_factory=dict)


class Unread:
    """Stands for every object of `LOGGED`: takes what a pickle hands to it and forgets it, so that nothing is run."""

    def __new__(cls, *_: Any) -> "Unread":
        """Take any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: Any) -> None:
        """Take any arguments."""

    def __setstate__(self, _: Any) -> None:
        """Take any state."""


def read_foreign_file(path: Path) -> ForeignFile:
    """Read the weights of a file, whatever its name ends in, or of a folder that transformers or timm wrote.

    Raises:
        CheckpointError: there is no such file, it is truncated or something else, or it would have to run code.
    """
    path = _weights_in(path) if path.is_dir() else path
    kind, wrapper, meta = _kind(path), None, None
    if kind == "safetensors":
        tensors = _read_safetensors(path)
    elif kind == "npz":
        tensors = _read_npz(path)
    else:
        loaded = _read_torch(path)
        tensors, wrapper = _unwrap(loaded, path)
        meta = loaded.get("meta")
    return ForeignFile(
        path,
        _without_prefixes(tensors),
        wrapper,
        meta if isinstance(meta, Mapping) else {},
        _read_json(path.with_name("config.json")),
        _read_json(path.with_name("preprocessor_config.json")),
    )


def _weights_in(folder: Path) -> Path:
    for name in IN_FOLDERS:
        if (folder / name).is_file():
            return folder / name
    raise CheckpointError(
        f"{folder}: a folder without weights; expected {' or '.join(IN_FOLDERS)} in it; name the file itself"
    )


def _kind(path: Path) -> str:
    """What a file is by its first bytes, because names lie."""
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file; {_EXPECTED}; see where it was saved")
    with path.open("rb") as file:
        head = file.read(9)
    if head.startswith(b"PK"):
        try:
            with zipfile.ZipFile(path) as archive:
                members = archive.namelist()
        except zipfile.BadZipFile as error:
            raise _truncated(path) from error
        if any(name.endswith("/constants.pkl") for name in members):
            raise _needs_code(path, "a TorchScript program")
        return "npz" if members and all(name.endswith(".npy") for name in members) else "torch"
    if head[8:9] == b"{":
        return "safetensors"
    if head[:1] == b"\x80":
        return "torch"
    what = "the file is empty" if not head else f"its first bytes {head[:4].hex(' ')} are those of something else"
    raise CheckpointError(f"{path}: no file of weights, {what}; {_EXPECTED}; give one of these")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        with safe_open(path, framework="pt") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError, ValueError) as error:
        raise _truncated(path) from error


def _read_npz(path: Path) -> dict[str, Tensor]:
    tensors = {}
    try:
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                tensors[name] = _tensor(arrays[name], path, name)
    except (OSError, EOFError, zipfile.BadZipFile, zipfile.LargeZipFile) as error:
        raise _truncated(path) from error
    except ValueError as error:
        if "pickle" in str(error).lower():
            raise _needs_code(path, "Python objects among its arrays") from error
        raise _truncated(path) from error
    return tensors


def _tensor(array: np.ndarray[Any, Any], path: Path, name: str) -> Tensor:
    if array.dtype == np.dtype("V2"):  # numpy has no bfloat16: JAX's comes back as two bytes without meaning
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    try:
        return torch.from_numpy(np.ascontiguousarray(array).reshape(array.shape))
    except TypeError as error:
        raise CheckpointError(
            f"{path}: {name}: an array of {array.dtype}, which is no weight; expected numbers; give another file"
        ) from error


def _read_torch(path: Path) -> Any:
    # The settings of a training program are mostly in an argparse.Namespace, which holds values and runs nothing.
    unread = [(Unread, name) for name in LOGGED]
    with warnings.catch_warnings(), torch.serialization.safe_globals([argparse.Namespace, *unread]):
        warnings.simplefilter("ignore")  # about old ways of pickling, which are read all the same or refused
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
        except pickle.UnpicklingError as error:
            wanted = re.search(r"(?:GLOBAL|global:?|class|Type) `?'?([\w.]+\.[\w.]+)", str(error))
            if wanted:
                raise _needs_code(path, wanted[1].rstrip(".")) from error
            raise _truncated(path) from error
        except (RuntimeError, EOFError, KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
            raise _truncated(path) from error


def _is_zip(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"PK"


def _unwrap(loaded: Any, path: Path) -> tuple[dict[str, Tensor], str | None]:
    """The weights in what a .pth held, and the key that they lay under."""
    if isinstance(loaded, Mapping):
        found = _weights(loaded)
        if found:
            return found, None
        for wrapper in WRAPPERS:
            found = _weights(loaded.get(wrapper))
            if found:
                return found, wrapper
    holds = (
        f"the keys {', '.join(map(repr, list(loaded)[:5]))}" if isinstance(loaded, Mapping) else type(loaded).__name__
    )
    raise CheckpointError(
        f"{path}: no weights found, it holds {holds}; expected tensors by name, or these under one of "
        f"{', '.join(WRAPPERS)}; save the state_dict of the model alone"
    )


def _weights(value: Any) -> dict[str, Tensor]:
    """The tensors of a dictionary, if that is what it is made of."""
    if not isinstance(value, Mapping):
        return {}
    tensors = {name: item.detach() for name, item in value.items() if isinstance(item, Tensor)}
    return tensors if 2 * len(tensors) > len(value) else {}


def _without_prefixes(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    for prefix in PREFIXES:
        while tensors and all(name.startswith(prefix) for name in tensors):
            tensors = {name.removeprefix(prefix): tensor for name, tensor in tensors.items()}
    return tensors


def _read_json(path: Path) -> Mapping[str, Any]:
    """The settings that lie beside the weights; without them the weights speak for themselves."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return settings if isinstance(settings, Mapping) else {}


def _truncated(path: Path) -> CheckpointError:
    return CheckpointError(f"{path}: truncated or damaged; {_EXPECTED}; fetch it again and compare its checksum")


def _needs_code(path: Path, wanted: str) -> CheckpointError:
    return CheckpointError(
        f"{path}: refused, reading it would run code ({wanted}); expected tensors and plain values; if you trust its "
        "source, save the state_dict alone there: torch.save(model.state_dict(), 'weights.pth')"
    )
