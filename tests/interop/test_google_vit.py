"""Google's .npz: its arrays, written down here as JAX computes with them, give the same logits in our model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from attnkit.interop.foreign_file import read_foreign_file
from attnkit.interop.recognise import recognise
from tests.interop.foreign_weights import K, close, fit, images, network

Arrays = dict[str, NDArray[np.float64]]
C, HEADS, WIDTH, MLP, DEPTH, PATCH, SIDE = 12, 3, 4, 20, 2, 4, 3


def arrays(*, big_vision: bool = False, class_token: bool = True, representation: bool = False) -> Arrays:
    generator = np.random.default_rng(5)

    def made(*shape: int) -> NDArray[np.float64]:
        return 0.3 * generator.standard_normal(shape)

    tokens = SIDE**2 + (class_token and not big_vision)
    positions = "pos_embedding" if big_vision else "Transformer/posembed_input/pos_embedding"
    found = {"embedding/kernel": made(PATCH, PATCH, 3, C), "embedding/bias": made(C), positions: made(1, tokens, C)}
    attention, mlp, norm2 = (0, 0, 1) if big_vision else (1, 3, 2)
    for i in range(DEPTH):
        block = f"Transformer/encoderblock_{i}"
        for norm in (0, norm2):
            found[f"{block}/LayerNorm_{norm}/scale"] = 1 + made(C)
            found[f"{block}/LayerNorm_{norm}/bias"] = made(C)
        for word in ("query", "key", "value"):
            found[f"{block}/MultiHeadDotProductAttention_{attention}/{word}/kernel"] = made(C, HEADS, WIDTH)
            found[f"{block}/MultiHeadDotProductAttention_{attention}/{word}/bias"] = made(HEADS, WIDTH)
        found[f"{block}/MultiHeadDotProductAttention_{attention}/out/kernel"] = made(HEADS, WIDTH, C)
        found[f"{block}/MultiHeadDotProductAttention_{attention}/out/bias"] = made(C)
        for layer, (inputs, outputs) in enumerate([(C, MLP), (MLP, C)]):
            found[f"{block}/MlpBlock_{mlp}/Dense_{layer}/kernel"] = made(inputs, outputs)
            found[f"{block}/MlpBlock_{mlp}/Dense_{layer}/bias"] = made(outputs)
    found |= {"Transformer/encoder_norm/scale": 1 + made(C), "Transformer/encoder_norm/bias": made(C)}
    found |= {"head/kernel": made(C, K), "head/bias": made(K)}
    if class_token:
        found["cls"] = made(1, 1, C)
    if representation:
        found |= {"pre_logits/kernel": made(C, C), "pre_logits/bias": made(C)}
    return found


def logits(w: Arrays, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """A ViT on one image (H, W, 3), step by step, in the order of dimensions that JAX has."""
    big_vision = "pos_embedding" in w
    patches = pixels.reshape(SIDE, PATCH, SIDE, PATCH, 3).transpose(0, 2, 1, 3, 4).reshape(SIDE**2, PATCH, PATCH, 3)
    x = np.einsum("nyxc,yxcd->nd", patches, w["embedding/kernel"]) + w["embedding/bias"]
    if big_vision:
        x = x + w["pos_embedding"][0]
    if "cls" in w:
        x = np.concatenate([w["cls"][0], x])
    if not big_vision:
        x = x + w["Transformer/posembed_input/pos_embedding"][0]
    attention, mlp, norm2 = (0, 0, 1) if big_vision else (1, 3, 2)
    for i in range(DEPTH):
        block = f"Transformer/encoderblock_{i}"
        x = x + _attend(w, f"{block}/MultiHeadDotProductAttention_{attention}", _norm(w, f"{block}/LayerNorm_0", x))
        inner = _dense(w, f"{block}/MlpBlock_{mlp}/Dense_0", _norm(w, f"{block}/LayerNorm_{norm2}", x))
        inner = 0.5 * inner * (1 + np.tanh(np.sqrt(2 / np.pi) * (inner + 0.044715 * inner**3)))
        x = x + _dense(w, f"{block}/MlpBlock_{mlp}/Dense_1", inner)
    x = _norm(w, "Transformer/encoder_norm", x)
    pooled = x[0] if "cls" in w else x.mean(axis=0)
    if "pre_logits/kernel" in w:
        pooled = np.tanh(_dense(w, "pre_logits", pooled))
    return _dense(w, "head", pooled)


def _dense(w: Arrays, name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    return x @ w[f"{name}/kernel"] + w[f"{name}/bias"]


def _norm(w: Arrays, name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    mean, variance = x.mean(axis=-1, keepdims=True), x.var(axis=-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * w[f"{name}/scale"] + w[f"{name}/bias"]


def _attend(w: Arrays, name: str, x: NDArray[np.float64]) -> NDArray[np.float64]:
    q, k, v = (
        np.einsum("nd,dhk->hnk", x, w[f"{name}/{word}/kernel"]) + w[f"{name}/{word}/bias"][:, None]
        for word in ("query", "key", "value")
    )
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(WIDTH)
    weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
    heads = weights / weights.sum(axis=-1, keepdims=True) @ v  # (h, N, k)
    return np.einsum("hnk,hkd->nd", heads, w[f"{name}/out/kernel"]) + w[f"{name}/out/bias"]


def scanned(w: Arrays) -> Arrays:
    """All blocks in one array."""
    first = "Transformer/encoderblock_0/"
    together = {name: array for name, array in w.items() if "encoderblock_" not in name}
    for name in [name for name in w if name.startswith(first)]:
        rest = name.removeprefix(first)
        together[f"Transformer/encoderblock/{rest}"] = np.stack(
            [w[f"Transformer/encoderblock_{i}/{rest}"] for i in range(DEPTH)]
        )
    return together


@pytest.mark.parametrize("prefix", ["", "opt/target/", "params/"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"representation": True},
        {"class_token": False},
        {"big_vision": True, "class_token": False},
        {"big_vision": True},
    ],
    ids=["as published", "pre-logits", "average", "big_vision", "big_vision with a class token"],
)
def test_logits(tmp_path: Path, prefix: str, options: dict[str, Any]) -> None:
    w, x = arrays(**options), images(PATCH * SIDE)
    np.savez(tmp_path / "w.npz", **{prefix + name: array for name, array in w.items()})
    imported = recognise(read_foreign_file(tmp_path / "w.npz"))
    expected = np.stack([logits(w, pixels.permute(1, 2, 0).double().numpy()) for pixels in x])
    close(network(fit(imported), image_size=12)(x), torch.from_numpy(expected).float())
    assert imported.model.num_heads == HEADS
    assert (imported.source, imported.image.size, imported.image.std) == ("Google's ViT", 12, (0.5, 0.5, 0.5))
    assert (imported.image.resize, imported.image.interpolation) == ("squash", "bilinear")


def test_all_blocks_in_one_array(tmp_path: Path) -> None:
    np.savez(tmp_path / "w.npz", **arrays(big_vision=True))
    np.savez(tmp_path / "scanned.npz", **scanned(arrays(big_vision=True)))
    one, other = (recognise(read_foreign_file(tmp_path / name)) for name in ("w.npz", "scanned.npz"))
    assert one.weights.keys() == other.weights.keys()
    assert all(torch.equal(one.weights[name], tensor) for name, tensor in other.weights.items())


def test_what_a_training_kept_beside_is_left_out(tmp_path: Path) -> None:
    w = {f"opt/target/{name}": array for name, array in arrays().items()}
    np.savez(tmp_path / "w.npz", **w, **{"opt/state/step": np.array(3)})
    assert recognise(read_foreign_file(tmp_path / "w.npz")).left_out == ("opt/state/step",)


@pytest.mark.peers
@pytest.mark.parametrize("name", ["vit_tiny_r_s16_p8_224", "vit_small_r26_s32_224"], ids=["root alone", "four stages"])
def test_hybrids_as_timm_reads_them(tmp_path: Path, name: str) -> None:
    timm = pytest.importorskip("timm")
    theirs = timm.create_model(name, img_size=64, depth=2, num_classes=K, act_layer="gelu_tanh").eval()
    np.savez(tmp_path / "w.npz", **hybrid_arrays(theirs.state_dict()))
    theirs.load_pretrained(str(tmp_path / "w.npz"))
    imported = recognise(read_foreign_file(tmp_path / "w.npz"))
    assert imported.image.size == 64
    x = images(64)
    with torch.no_grad():
        close(network(fit(imported), image_size=64)(x), theirs(x), 2e-3)


def hybrid_arrays(shapes: dict[str, torch.Tensor]) -> dict[str, NDArray[np.float32]]:
    """Random arrays under Google's names, for a model of timm's."""
    generator = np.random.default_rng(5)
    found = {}

    def made(*shape: int, around: float = 0.0) -> NDArray[np.float32]:
        return (around + 0.1 * generator.standard_normal(shape)).astype(np.float32)

    for name, tensor in shapes.items():
        if ".backbone." in name:
            place = name.removeprefix("patch_embed.backbone.").removeprefix("stem.")
            place = place.replace("downsample.conv", "conv_proj").replace("downsample.norm", "gn_proj")
            parts = place.split(".")
            if parts[0] == "stages":
                place = f"block{int(parts[1]) + 1}/unit{int(parts[3]) + 1}/" + "/".join(parts[4:])
            else:
                place = f"{parts[0]}_root/{parts[1]}"
            place = place.replace("norm", "gn").replace(".", "/")
            if tensor.dim() == 4:
                found[place.replace("weight", "kernel")] = made(*tensor.permute(2, 3, 1, 0).shape)
            else:
                found[place.replace("weight", "scale")] = made(1, 1, 1, len(tensor), around=1.0)
    width, tokens = shapes["pos_embed"].shape[2], shapes["pos_embed"].shape[1]
    patch = shapes["patch_embed.proj.weight"]
    heads = width // 64
    found |= {
        "cls": made(1, 1, width),
        "Transformer/posembed_input/pos_embedding": made(1, tokens, width),
        "embedding/kernel": made(*patch.permute(2, 3, 1, 0).shape),
        "embedding/bias": made(width),
        "Transformer/encoder_norm/scale": made(width, around=1.0),
        "Transformer/encoder_norm/bias": made(width),
        "head/kernel": made(width, K),
        "head/bias": made(K),
    }
    for i in range(2):
        block = f"Transformer/encoderblock_{i}"
        for norm in (0, 2):
            found[f"{block}/LayerNorm_{norm}/scale"] = made(width, around=1.0)
            found[f"{block}/LayerNorm_{norm}/bias"] = made(width)
        attention = f"{block}/MultiHeadDotProductAttention_1"
        for word in ("query", "key", "value"):
            found[f"{attention}/{word}/kernel"] = made(width, heads, 64)
            found[f"{attention}/{word}/bias"] = made(heads, 64)
        found[f"{attention}/out/kernel"] = made(heads, 64, width)
        found[f"{attention}/out/bias"] = made(width)
        for layer, (inputs, outputs) in enumerate([(width, 4 * width), (4 * width, width)]):
            found[f"{block}/MlpBlock_3/Dense_{layer}/kernel"] = made(inputs, outputs)
            found[f"{block}/MlpBlock_3/Dense_{layer}/bias"] = made(outputs)
    return found
