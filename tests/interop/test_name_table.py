"""Names there and back, and the three matrices that are one."""

from __future__ import annotations

import torch

from attnkit.interop.name_table import count, join_qkv, split_qkv, to_foreign_names, to_own_names

TABLE = {"norm": "ln_f", "blocks.0.mlp.up": "h.0.fc", "token": "cls"}


def test_there_and_back() -> None:
    foreign = {name: torch.randn(2) for name in ("ln_f.weight", "ln_f.bias", "h.0.fc.weight", "cls")}
    own, unknown = to_own_names(foreign, TABLE)
    assert own.keys() == {"norm.weight", "norm.bias", "blocks.0.mlp.up.weight", "token"}
    assert unknown == {}
    back, homeless = to_foreign_names(own, TABLE)
    assert back == foreign
    assert homeless == []


def test_what_the_table_does_not_have() -> None:
    foreign = {
        "ln_f.weight": torch.ones(1),
        "ln_f.running_mean": torch.ones(2),
        "ln_f": torch.ones(3),
        "x": torch.ones(4),
    }
    own, unknown = to_own_names(foreign, TABLE)
    assert {name: len(tensor) for name, tensor in own.items()} == {"norm.weight": 1, "norm": 3}
    assert {name: len(tensor) for name, tensor in unknown.items()} == {"ln_f.running_mean": 2, "x": 4}
    assert to_foreign_names({"norm.weight": torch.ones(1), "y": torch.ones(1)}, TABLE)[1] == ["y"]


def test_count() -> None:
    names = ["blocks.0.x", "blocks.11.x", "blocks.2.x", "stages.40.x"]
    assert count(names, r"blocks\.(\d+)\.") == 12
    assert count(names, r"layers\.(\d+)\.") == 0


def test_queries_keys_and_values() -> None:
    apart = {}
    for number, part in enumerate("qkv"):
        apart[f"blocks.0.attention.{part}.weight"] = torch.full((2, 2), float(number))
        apart[f"blocks.0.attention.{part}.bias"] = torch.full((2,), float(number))
    joined = join_qkv(apart | {"norm.weight": torch.ones(3)})
    assert joined.keys() == {"blocks.0.attention.qkv.weight", "blocks.0.attention.qkv.bias", "norm.weight"}
    assert joined["blocks.0.attention.qkv.weight"].tolist() == [[0, 0], [0, 0], [1, 1], [1, 1], [2, 2], [2, 2]]
    assert joined["blocks.0.attention.qkv.bias"].tolist() == [0, 0, 1, 1, 2, 2]
    again = split_qkv(joined)
    assert all(torch.equal(again[name], tensor) for name, tensor in apart.items())


def test_biases_of_zeros_only_where_no_layer_has_any() -> None:
    def weights(layer: int, *, bias: bool) -> dict[str, torch.Tensor]:
        name = f"blocks.{layer}.attention"
        found = {f"{name}.{part}.weight": torch.ones(2, 2) for part in "qkv"}
        return found | ({f"{name}.{part}.bias": torch.ones(2) for part in "qkv"} if bias else {})

    none = join_qkv(weights(0, bias=False) | weights(1, bias=False))
    assert none["blocks.1.attention.qkv.bias"].tolist() == [0.0] * 6
    some = join_qkv(weights(0, bias=True) | weights(1, bias=False))
    assert "blocks.1.attention.qkv.bias" not in some
