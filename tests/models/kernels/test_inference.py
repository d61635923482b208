from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attnkit.models.build import build_model
from attnkit.models.config import ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.kernels.inference import prepare_for_inference

SIZE, K = 24, 7
VIT: dict[str, Any] = {"patch_size": 4, "embed_dim": 20, "depth": 2, "num_heads": 5}
MODELS = {
    "vit": ViTConfig(**VIT),
    "vit-average": ViTConfig(**VIT, pooling="average"),
    "vit-sincos-tanh": ViTConfig(**VIT, positions="sincos", activation="gelu_tanh"),
    "vit-representation": ViTConfig(**VIT, representation=True),
    "deit-distilled": ViTConfig(**VIT, distillation=True),
    "vit-hybrid": ViTConfig(**(VIT | {"patch_size": 1}), resnet_depths=(1,)),
    "swin": SwinConfig(
        name="swin", patch_size=2, embed_dim=10, depths=(2, 1), num_heads=(2, 5), window_size=5, drop_path_rate=0.3
    ),
    "swin-convolution": SwinConfig(
        name="swin", patch_size=2, embed_dim=10, depths=(2, 1), num_heads=(2, 5), window_size=5, mlp_convolution=True
    ),
}
every_model = pytest.mark.parametrize("name", MODELS)


def build(name: str) -> nn.Module:
    """A model none of whose weights has the value that it is born with."""
    torch.manual_seed(1)
    model = build_model(MODELS[name], num_classes=K, image_size=SIZE)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return model


def images(batch: int = 3) -> Tensor:
    return torch.randn(batch, 3, SIZE, SIZE, generator=torch.Generator().manual_seed(2))


def linears(model: nn.Module) -> set[str]:
    return {type(module).__name__ for module in model.modules() if isinstance(module, nn.Linear)}


@every_model
@torch.inference_mode()
def test_float32_says_the_same(name: str) -> None:
    expected = build(name).eval()(images())
    prepared = prepare_for_inference(build(name), precision="float32")
    torch.testing.assert_close(prepared(images()), expected, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(prepared(images(1)), expected[:1], rtol=1e-4, atol=1e-5)


@every_model
@torch.inference_mode()
def test_bfloat16_is_close_and_gives_float32(name: str) -> None:
    """Eight bits of mantissa: an error of a few hundredths of the spread of the logits."""
    expected = build(name).eval()(images())
    found = prepare_for_inference(build(name), precision="bfloat16")(images())
    assert found.dtype == torch.float32
    difference = (found - expected).abs().max()
    assert 0 < difference < 0.1 * expected.std()


@every_model
def test_the_head_stays_in_float32(name: str) -> None:
    model = prepare_for_inference(build(name), precision="bfloat16")
    assert torch.equal(model.head.weight, build(name).head.weight)
    assert torch.equal(model.norm.weight, build(name).norm.weight)


@every_model
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_every_product_is_packed(name: str, precision: str) -> None:
    """Where oneDNN is here, as it is on the machines of the tests."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    assert linears(prepare_for_inference(build(name), precision=precision)) == {"PackedLinear"}


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@torch.inference_mode()
def test_swin_takes_any_size(precision: str) -> None:
    """25 x 38 pixels: neither patches, nor windows, nor the merging fit."""
    x = torch.randn(2, 3, 25, 38, generator=torch.Generator().manual_seed(3))
    expected = build("swin").eval()(x)
    found = prepare_for_inference(build("swin"), precision=precision)(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 if precision == "float32" else 0.05)


@every_model
def test_without_packing_it_works_as_well(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, or with a torch that has no oneDNN."""
    monkeypatch.setattr("attnkit.models.kernels.inference.can_be_packed", lambda *_: False)
    expected = build(name).eval()(images())
    for precision, tolerance in (("float32", 1e-6), ("bfloat16", 0.1)):
        model = prepare_for_inference(build(name), precision=precision)
        assert linears(model) == {"Linear"}
        torch.testing.assert_close(model(images()), expected, rtol=tolerance, atol=tolerance)


# segmentation

SWIN = {"patch_size": 2, "embed_dim": 10, "depths": (2, 1), "num_heads": (2, 5), "window_size": 5}
UPERNETS = {
    "swin": (SwinConfig(name="swin", **SWIN, drop_path_rate=0.3), "none"),
    "swin-convolution": (SwinConfig(name="swin", **SWIN, mlp_convolution=True), "none"),
    "vit": (ViTConfig(**VIT), "multi_level"),
    "vit-resized": (ViTConfig(**VIT, positions="sincos"), "resize"),
    "vit-plain": (ViTConfig(**VIT), "none"),
    "resnet": (ResNetConfig(name="resnet", depth=18), "none"),
}
every_upernet = pytest.mark.parametrize("name", UPERNETS)


def build_upernet(name: str) -> nn.Module:
    """A model none of whose weights and statistics has the value that it is born with."""
    torch.manual_seed(1)
    backbone, neck = UPERNETS[name]
    config = UperNetConfig(backbone=backbone, neck=neck, channels=12, pool_scales=(1, 3), auxiliary_channels=6)
    model = build_model(config, num_classes=K, image_size=SIZE)
    for parameter in model.parameters():
        parameter.data += 0.03 * torch.randn(parameter.shape)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.1)
            module.running_var.uniform_(0.5, 2.0)
    return model


def scenes() -> Tensor:
    """Neither patches, nor windows, nor mergings fit."""
    return torch.randn(2, 3, 37, 51, generator=torch.Generator().manual_seed(2))


def check_upernet(name: str, *, tolerance: dict[str, float]) -> None:
    expected = build_upernet(name).eval()(scenes())
    for precision, difference in tolerance.items():
        model = prepare_for_inference(build_upernet(name), precision=precision)
        found = model(scenes())
        assert found.dtype == torch.float32
        assert (found - expected).abs().max() < difference * expected.std(), precision
        main, auxiliary = model.forward_heads(scenes())
        assert auxiliary is None
        assert main.shape[:2] == (2, K)
        assert main.dtype == torch.float32
        assert model.head_names == ("head",)


@every_upernet
@torch.inference_mode()
def test_upernet_says_the_same(name: str) -> None:
    check_upernet(name, tolerance={"float32": 1e-4, "bfloat16": 0.2})


@every_upernet
@torch.inference_mode()
def test_upernet_without_packing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnkit.models.kernels.inference.can_be_packed", lambda *_: False)
    monkeypatch.setattr("attnkit.models.kernels.inference.can_pack_convs", lambda *_: False)
    check_upernet(name, tolerance={"float32": 1e-4, "bfloat16": 0.2})


@every_upernet
def test_upernet_has_no_norm_of_batches_left(name: str) -> None:
    model = prepare_for_inference(build_upernet(name), precision="float32")
    assert not [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


def test_packed_weights_of_upernet_are_there_once() -> None:
    """They are large; where nothing is packed they stay."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    model = prepare_for_inference(build_upernet("swin"), precision="float32")
    kept = {parameter.device.type for name, parameter in model.named_parameters() if parameter.dim() > 1}
    tables = {name for name, parameter in model.named_parameters() if parameter.dim() > 1 and not parameter.is_meta}
    assert kept == {"meta", "cpu"}
    assert all(name.endswith("bias_table") for name in tables)


class Small(nn.Module):
    """Neither a ViT nor a Swin."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 5, 3)
        self.norm = nn.BatchNorm2d(5)
        self.drop = nn.Dropout(0.5)
        self.head = nn.Linear(5, K)

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.conv(x).dtype
        return self.head(self.drop(self.norm(self.conv(x))).mean(dim=(2, 3)))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@torch.inference_mode()
def test_other_networks(precision: str) -> None:
    torch.manual_seed(1)
    network = Small()
    expected = network.eval()(images())
    prepared = prepare_for_inference(network.train(), precision=precision)
    found = prepared(images())
    assert network.seen == getattr(torch, precision)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6 if precision == "float32" else 0.02)


@every_model
def test_nothing_is_left_to_learn(name: str) -> None:
    model = prepare_for_inference(build(name), precision="float32")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_a_precision_that_is_none() -> None:
    with pytest.raises(ValueError, match=r"^precision is 'auto'; expected one of float32, bfloat16$"):
        prepare_for_inference(Small(), precision="auto")
