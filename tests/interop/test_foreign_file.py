"""Files that others wrote: read without running anything, or refused in one line."""

from __future__ import annotations

import argparse
import json
import os
import pickle
import sys
import zipfile
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from attnkit.errors import CheckpointError
from attnkit.interop.foreign_file import read_foreign_file

WEIGHTS = {"a.weight": torch.arange(6.0).view(2, 3), "a.bias": torch.arange(2.0)}


def same(tensors: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> None:
    assert tensors.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.equal(tensors[name], tensor)


def refused(path: Path, pattern: str) -> None:
    with pytest.raises(CheckpointError, match=pattern) as caught:
        read_foreign_file(path)
    assert "\n" not in str(caught.value)


class Code:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("wrapper", [None, "model", "state_dict", "module"])
@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_pth(tmp_path: Path, wrapper: str | None, zipped: bool) -> None:
    path = tmp_path / "w.pth"
    held = WEIGHTS if wrapper is None else {wrapper: WEIGHTS, "epoch": 3, "args": argparse.Namespace(lr=0.1)}
    torch.save(held, path, _use_new_zipfile_serialization=zipped)
    file = read_foreign_file(path)
    same(file.tensors, WEIGHTS)
    assert file.wrapper == wrapper
    assert file.settings == {}


def test_average_before_last_weights(tmp_path: Path) -> None:
    average = {name: tensor + 1 for name, tensor in WEIGHTS.items()}
    torch.save({"state_dict": WEIGHTS, "state_dict_ema": average}, tmp_path / "w.pth")
    same(read_foreign_file(tmp_path / "w.pth").tensors, average)


def test_prefixes_of_wrappers(tmp_path: Path) -> None:
    torch.save({f"module._orig_mod.{name}": tensor for name, tensor in WEIGHTS.items()}, tmp_path / "w.pth")
    same(read_foreign_file(tmp_path / "w.pth").tensors, WEIGHTS)


def test_safetensors_and_what_lies_beside_them(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text(json.dumps({"layer_norm_eps": 1e-3}))
    (tmp_path / "preprocessor_config.json").write_text("no JSON")
    for path in (tmp_path, tmp_path / "model.safetensors"):
        file = read_foreign_file(path)
        same(file.tensors, WEIGHTS)
        assert (file.settings, file.preprocessing) == ({"layer_norm_eps": 1e-3}, {})


def test_the_name_of_a_file_says_nothing(tmp_path: Path) -> None:
    save_file(WEIGHTS, tmp_path / "w.pth")
    same(read_foreign_file(tmp_path / "w.pth").tensors, WEIGHTS)


def test_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **{"a/kernel": np.arange(6.0).reshape(2, 3), "scalar": np.float32(3)})
    file = read_foreign_file(tmp_path / "w.npz")
    same(file.tensors, {"a/kernel": torch.arange(6.0).double().view(2, 3), "scalar": torch.tensor(3.0)})


def test_npz_of_bfloat16(tmp_path: Path) -> None:
    wanted = torch.tensor([1.0, -2.5, 0.1]).bfloat16()
    np.savez(tmp_path / "w.npz", a=wanted.view(torch.int16).numpy().view("V2"))
    same(read_foreign_file(tmp_path / "w.npz").tensors, {"a": wanted})


def test_the_log_of_a_training_of_mmengine_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its buffers are objects that pickle arrays, and their methods by getattr."""
    module = ModuleType("mmengine.logging.history_buffer")

    class HistoryBuffer:
        def __init__(self) -> None:
            self.values, self.last = np.arange(3.0), np.float64(2.0)

        def mean(self) -> None: ...

        def __getstate__(self) -> dict[str, Any]:
            return self.__dict__ | {"methods": {"mean": HistoryBuffer.mean}}

    HistoryBuffer.__module__, HistoryBuffer.__qualname__ = module.__name__, "HistoryBuffer"
    HistoryBuffer.mean.__module__, HistoryBuffer.mean.__qualname__ = module.__name__, "HistoryBuffer.mean"
    module.HistoryBuffer = HistoryBuffer
    for name in ("mmengine", "mmengine.logging"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    log = {"log_scalars": {"loss": HistoryBuffer()}}
    torch.save({"meta": {"iter": 7}, "message_hub": log, "state_dict": WEIGHTS}, tmp_path / "iter_7.pth")
    monkeypatch.delitem(sys.modules, module.__name__)
    file = read_foreign_file(tmp_path / "iter_7.pth")
    same(file.tensors, WEIGHTS)
    assert (file.wrapper, file.meta) == ("state_dict", {"iter": 7})


def test_what_stands_for_the_log_calls_nothing(tmp_path: Path) -> None:
    class Call:
        def __reduce__(self) -> Any:
            return getattr, ("text", "no such attribute")  # AttributeError, if anybody called it

    with pytest.raises(AttributeError):
        pickle.loads(pickle.dumps(Call()))
    torch.save({"model": WEIGHTS, "log": Call()}, tmp_path / "w.pth")
    same(read_foreign_file(tmp_path / "w.pth").tensors, WEIGHTS)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "pickle"])
def test_a_pickle_that_would_run_code(tmp_path: Path, zipped: bool) -> None:
    path, trace = tmp_path / "evil.pth", tmp_path / "trace"
    torch.save({"model": WEIGHTS, "args": Code(trace)}, path, _use_new_zipfile_serialization=zipped)
    refused(path, r"evil.pth: refused, reading it would run code \((posix|nt).system\); expected tensors and plain")
    assert not trace.exists()
    pickle.loads(pickle.dumps(Code(trace)))
    assert trace.exists(), "or the test shows nothing"


def test_a_plain_pickle_that_would_run_code(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(pickle.dumps(Code(tmp_path / "trace")))
    refused(tmp_path / "w.bin", r"w.bin: (refused, reading it would run code|truncated or damaged)")
    assert not (tmp_path / "trace").exists()


def test_a_whole_module(tmp_path: Path) -> None:
    torch.save(nn.Linear(2, 3), tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"refused, reading it would run code \(torch.nn.modules.linear.Linear\); .*state_dict")


def test_objects_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array([{"b": 1}], dtype=object))
    refused(tmp_path / "w.npz", r"w.npz: refused, reading it would run code \(Python objects among its arrays\)")


def test_text_in_an_npz(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", a=np.array(["b"]))
    refused(tmp_path / "w.npz", r"w.npz: a: an array of <U1, which is no weight; expected numbers")


@pytest.mark.parametrize("share", [0.5, 0.98])
@pytest.mark.parametrize("kind", ["zip", "pickle", "npz", "safetensors"])
def test_truncated(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "w"
    weights = {"a": torch.arange(9999.0), "b": torch.arange(5.0)}
    if kind == "npz":
        with path.open("wb") as file:
            np.savez(file, **{name: tensor.numpy() for name, tensor in weights.items()})
    elif kind == "safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path, _use_new_zipfile_serialization=kind == "zip")
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    refused(path, r"w: truncated or damaged; expected a whole .*; fetch it again and compare its checksum$")


def test_other_files(tmp_path: Path) -> None:
    refused(tmp_path / "w.pth", r"w.pth: no such file; expected a whole .pth, .pt, .bin, .safetensors or .npz")
    refused(tmp_path, r": a folder without weights; expected model.safetensors or pytorch_model.bin in it")
    (tmp_path / "empty").touch()
    refused(tmp_path / "empty", r"empty: no file of weights, the file is empty; expected a whole")
    (tmp_path / "text").write_text("<html>sign in</html>")
    refused(tmp_path / "text", r"text: no file of weights, its first bytes 3c 68 74 6d are those of something else")


def test_no_weights_in_it(tmp_path: Path) -> None:
    torch.save({"epoch": 1, "log": [1, 2]}, tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"w.pth: no weights found, it holds the keys 'epoch', 'log'; expected tensors by name")
    torch.save([torch.ones(2)], tmp_path / "w.pth")
    refused(tmp_path / "w.pth", r"w.pth: no weights found, it holds list; expected tensors by name")


def test_a_program(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.pt", "w") as archive:  # as torch.jit.save lays it out
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"w/{name}", b"")
    refused(tmp_path / "w.pt", r"w.pt: refused, reading it would run code \(a TorchScript program\)")
