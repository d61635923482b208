import itertools
import re

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.build import build_model
from attnkit.models.config import ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.upernet import PyramidPooling, UperNet

SWIN = SwinConfig(
    name="swin", patch_size=2, embed_dim=6, depths=(2, 1, 1), num_heads=(1, 2, 3), window_size=3, drop_path_rate=0.0
)
VIT = ViTConfig(patch_size=4, embed_dim=12, depth=3, num_heads=2)
RESNET = ResNetConfig(name="resnet", depth=18)
BACKBONES = {"swin": SWIN, "vit": VIT, "resnet": RESNET}
every_backbone = pytest.mark.parametrize("backbone", BACKBONES)
K = 5


def build(backbone: str = "swin", **changes: object) -> UperNet:
    """A model none of whose weights and statistics has the value that it is born with."""
    torch.manual_seed(1)
    config = UperNetConfig(backbone=BACKBONES[backbone], channels=7, pool_scales=(1, 2), auxiliary_channels=6)
    model = build_model(config.model_copy(update=changes), num_classes=K, image_size=24)
    for parameter in model.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(std=0.3)
            module.running_var.uniform_(0.5, 2.0)
    return model.eval()


def images(height: int = 29, width: int = 41, *, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


# sizes


@torch.no_grad()
def test_heads_are_as_fine_as_their_maps() -> None:
    """29 x 41 pixels are 15 x 21 patches, then 8 x 11 cells, then 4 x 6."""
    main, auxiliary = build().forward_heads(images())
    assert main.shape == (2, K, 15, 21)
    assert auxiliary is not None
    assert auxiliary.shape == (2, K, 8, 11)
    assert build()(images()).shape == (2, K, 29, 41)


@torch.no_grad()
def test_logits_of_pixels_are_those_of_the_main_head_enlarged() -> None:
    model = build()
    main, _ = model.forward_heads(images())
    expected = F.interpolate(main, size=(29, 41), mode="bilinear", align_corners=False)
    assert torch.equal(model(images()), expected)


@pytest.mark.parametrize(("neck", "size"), [("multi_level", (29, 41)), ("resize", (29, 41)), ("none", (8, 11))])
@torch.no_grad()
def test_the_neck_makes_vit_finer(neck: str, size: tuple[int, int]) -> None:
    """Patches of 4 pixels four times as fine are the pixels."""
    main, auxiliary = build("vit", neck=neck).forward_heads(images())
    assert main.shape == (2, K, *size)
    assert auxiliary is not None
    assert auxiliary.shape == (2, K, 8, 11)


@torch.no_grad()
def test_a_resnet_has_a_quarter() -> None:
    main, auxiliary = build("resnet").forward_heads(images(65, 97))
    assert main.shape == (2, K, 17, 25)
    assert auxiliary is not None
    assert auxiliary.shape == (2, K, 5, 7)


@every_backbone
@torch.no_grad()
def test_nothing_is_remembered(backbone: str) -> None:
    model = build(backbone)
    first = model(images(48, 40))
    model(images(24, 24))
    assert torch.equal(model(images(48, 40)), first)


# by hand


def test_pyramid_pooling_by_hand() -> None:
    """One branch that takes the mean of all: 2. The map and it, through a filter that is 10 here and 1 there."""
    layer = PyramidPooling(1, 1, [1]).eval()
    layer.branches[0].conv.weight.data.fill_(1.0)
    layer.fuse.conv.weight.data.zero_()
    layer.fuse.conv.weight.data[0, :, 1, 1] = torch.tensor([10.0, 1.0])
    x = torch.tensor([[[[0.0, 1.0], [3.0, 4.0]]]])
    torch.testing.assert_close(layer(x), 10 * x + 2, rtol=1e-4, atol=0)


@torch.no_grad()
def test_the_heads_written_out() -> None:
    """As the head of mmsegmentation goes, step by step."""
    model = build()
    c2, c3, c4 = model.backbone(images())

    def up(x: Tensor, like: Tensor) -> Tensor:
        return F.interpolate(x, size=like.shape[2:], mode="bilinear", align_corners=False)

    pooled = [
        branch(F.adaptive_avg_pool2d(c4, cells)) for branch, cells in zip(model.pyramid.branches, (1, 2), strict=True)
    ]
    p4 = model.pyramid.fuse(torch.cat([c4, *(up(x, c4) for x in pooled)], dim=1))
    p3 = model.laterals[1](c3) + up(p4, c3)
    p2 = model.laterals[0](c2) + up(p3, c2)
    levels = [model.smooth[0](p2), model.smooth[1](p3), p4]
    expected = model.head(model.fuse(torch.cat([up(x, p2) for x in levels], dim=1)))
    main, auxiliary = model.forward_heads(images())
    torch.testing.assert_close(main, expected)
    assert auxiliary is not None
    torch.testing.assert_close(auxiliary, model.auxiliary.head(model.auxiliary.conv(c3)))


@torch.no_grad()
def test_swin_s_maps_have_norms_and_the_dense_rule() -> None:
    """16 pixels are 8, 4 and 2 cells: the last stages are under one window, and still shift."""
    backbone = build().backbone
    x = images(16, 16)
    plain = backbone.stage_outputs(x, dense=True)
    for found, before, norm in zip(backbone(x), plain, backbone.norms, strict=True):
        torch.testing.assert_close(found, norm(before.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
    assert not torch.allclose(plain[0], backbone(x)[0])


# training


def test_batch_norm_of_one_image() -> None:
    """The single cell of pyramid pooling has no variance then."""
    model = build().train()
    main, _ = model.forward_heads(images(batch=1))
    main.sum().backward()
    assert main.isfinite().all()


def test_whole_channels_drop_out() -> None:
    model = build(dropout=0.5).train()
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout2d)] == [0.5, 0.5]
    seen: list[Tensor] = []
    model.head.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    model.forward_heads(images())
    dead = seen[0].flatten(2).eq(0).all(dim=2)
    assert dead.any()
    assert not dead.all()


@every_backbone
def test_layers_for_the_learning_rate(backbone: str) -> None:
    model = build(backbone)
    first = {"swin": "patch_embed.proj.weight", "vit": "positions", "resnet": "conv1.weight"}[backbone]
    second = {"swin": "stages.0.blocks.0.norm1.bias", "vit": "blocks.0.norm1.bias", "resnet": "layer1.0.bn1.bias"}
    last = {"swin": "stages.2.blocks.0.mlp.up.bias", "vit": "blocks.2.mlp.up.bias", "resnet": "layer4.1.bn1.bias"}
    names = dict(model.named_parameters())
    for name, layer in (
        (f"backbone.{first}", 0),
        (f"backbone.{second[backbone]}", 1),
        (f"backbone.{last[backbone]}", model.num_layers - 1),
        ("head.weight", model.num_layers),
        ("auxiliary.head.bias", model.num_layers),
        ("pyramid.branches.1.conv.weight", model.num_layers),
    ):
        assert name in names
        assert model.layer_of(name) == layer, name
    assert model.num_layers == {"swin": 5, "vit": 4, "resnet": 9}[backbone]
    assert {model.layer_of(name) for name in names} == set(range(model.num_layers + 1))


def test_what_decay_spares_is_named_from_the_outside() -> None:
    assert len(build().no_weight_decay) == 4
    assert build("vit").no_weight_decay == {"backbone.positions", "backbone.class_token"}
    assert build("resnet").no_weight_decay == frozenset()
    for backbone in BACKBONES:
        assert build(backbone).no_weight_decay <= {name for name, _ in build(backbone).named_parameters()}


def test_head_names() -> None:
    assert build().head_names == ("head", "auxiliary.head")
    assert build(auxiliary_channels=0).head_names == ("head",)
    for name in build().head_names:
        assert len(build().get_submodule(name).weight) == K


def test_without_auxiliary_head() -> None:
    model = build(auxiliary_channels=0)
    assert model.forward_heads(images())[1] is None
    assert not [name for name in model.state_dict() if name.startswith("auxiliary")]


def test_fresh_weights() -> None:
    """Classifiers are narrow; convolutions keep the variance of what goes back, xavier ones that of both ways."""
    torch.manual_seed(1)
    model = build_model(
        UperNetConfig(backbone=VIT.model_copy(update={"embed_dim": 60}), channels=64), num_classes=100, image_size=24
    )
    for name, parameter in model.named_parameters():
        if parameter.dim() == 4 and not name.startswith("backbone."):
            outputs, inputs, taps = parameter.shape[0], parameter.shape[1], parameter[0, 0].numel()
            expected = (2 / (outputs * taps)) ** 0.5
            if name.removesuffix(".weight") in model.head_names:
                expected = 0.01
            elif name.startswith("neck."):
                expected = (2 / ((inputs + outputs) * taps)) ** 0.5
            assert float(parameter.detach().std()) == pytest.approx(expected, rel=0.1), name
    assert not model.head.bias.any()


# names and the config


def test_names_of_the_state() -> None:
    """Others import by them."""
    names = set(build().state_dict()) | set(build("vit").state_dict()) | set(build("resnet").state_dict())
    assert {name.split(".")[0] for name in names} == {
        "backbone", "neck", "pyramid", "laterals", "smooth", "fuse", "head", "auxiliary",
    }  # fmt: skip
    for name in (
        "backbone.norms.2.weight", "backbone.patch_embed.proj.bias", "backbone.stages.0.downsample.norm.weight",
        "backbone.layer4.1.bn2.running_var", "neck.laterals.3.bias", "neck.convs.0.weight",
        "pyramid.branches.1.norm.bias", "pyramid.fuse.conv.weight", "laterals.1.conv.weight", "smooth.0.norm.weight",
        "fuse.norm.running_mean", "head.bias", "auxiliary.conv.norm.weight", "auxiliary.head.weight",
    ):  # fmt: skip
        assert name in names, name
    assert not [name for name in names if name.startswith(("backbone.head", "backbone.norm.", "backbone.fc"))]


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (
            SWIN.model_copy(update={"depths": (2,), "num_heads": (1,)}),
            "backbone.depths [2]: one stage is no pyramid; expected 2 or more; add one",
        ),
        (
            VIT.model_copy(update={"resnet_depths": (2, 2)}),
            "backbone.resnet_depths [2, 2]: upernet takes no hybrid; expected null; leave it out",
        ),
    ],
    ids=["one-stage", "hybrid"],
)
def test_backbones_without_a_pyramid(backbone: SwinConfig | ViTConfig, message: str) -> None:
    with pytest.raises(ValidationError, match=re.escape(message)):
        UperNetConfig(backbone=backbone)


# what it shares with the classifiers


@torch.no_grad()
def test_vit_s_maps_are_its_tokens() -> None:
    """After blocks 1, 2, 3 and 3 of three; at its own size the positions are as they are."""
    backbone = build("vit").backbone
    tokens = backbone._place(backbone.patch_embed(images(24, 24)), backbone.positions)
    after = list(itertools.accumulate(backbone.layers, lambda x, block: block(x), initial=tokens))
    for found, block in zip(backbone(images(24, 24)), (1, 2, 3, 3), strict=True):
        assert torch.equal(found.flatten(2).transpose(1, 2), after[block][:, 1:])


@torch.no_grad()
def test_vit_pads_to_whole_patches() -> None:
    backbone = build("vit").backbone
    padded = F.pad(images(29, 41), (0, 3, 0, 3))
    for found, expected in zip(backbone(images(29, 41)), backbone(padded), strict=True):
        assert found.shape == (2, 12, 8, 11)
        assert torch.equal(found, expected)
