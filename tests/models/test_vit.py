import math
import re

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.errors import AttnkitError
from attnkit.models.build import build_model
from attnkit.models.config import ViTConfig
from attnkit.models.layers.patches import sincos_positions
from attnkit.models.vit import VisionTransformer
from tests.models.cases import VITS, ImageCase, small_vit

each_vit = pytest.mark.parametrize("case", VITS, ids=lambda case: case.name)

BLOCK_NAMES = {
    f"{layer}.{kind}"
    for layer in ("norm1", "attention.qkv", "attention.out", "norm2", "mlp.up", "mlp.down")
    for kind in ("weight", "bias")
}


def build(config: ViTConfig, *, image_size: int = 15, num_classes: int = 5) -> VisionTransformer:
    torch.manual_seed(1)
    return build_model(config, num_classes=num_classes, image_size=image_size).eval()


def without_blocks(config: ViTConfig) -> VisionTransformer:
    """Whose blocks add nothing, and whose other weights are random."""
    model = build(config)
    for parameter in model.parameters():
        parameter.data.normal_()
    for block in model.layers:
        for linear in (block.attention.out, block.mlp.down):
            linear.weight.data.zero_()
            linear.bias.data.zero_()
    return model


# what the network is


def test_names_of_the_weights() -> None:
    """Import and export rely on them."""
    model = build(small_vit(distillation=True, representation=True))
    blocks = {f"blocks.{block}.{name}" for block in range(3) for name in BLOCK_NAMES}
    layers = ("patch_embed.proj", "norm", "representation", "head", "distillation_head")
    others = {f"{layer}.{kind}" for layer in layers for kind in ("weight", "bias")}
    assert set(model.state_dict()) == blocks | others | {"class_token", "distillation_token", "positions"}


@pytest.mark.parametrize(
    ("changes", "rows"), [({}, 10), ({"distillation": True}, 11), ({"pooling": "average"}, 9)], ids=str
)
def test_a_row_of_positions_for_every_token(changes: dict[str, object], rows: int) -> None:
    model = build(small_vit(**changes))
    assert model.positions.shape == (1, rows, 12)
    assert (model.grid_size, model.special_tokens) == (3, rows - 9)


@torch.no_grad()
def test_class_token_and_its_position_come_first() -> None:
    model, images = without_blocks(small_vit()), torch.randn(2, 3, 15, 15)
    expected = model.head(model.norm(model.class_token[0, 0] + model.positions[0, 0]))
    torch.testing.assert_close(model(images), expected.expand(2, -1))


@torch.no_grad()
def test_distillation_token_comes_second_and_the_heads_are_averaged() -> None:
    model, images = without_blocks(small_vit(distillation=True)), torch.randn(2, 3, 15, 15)
    logits, distilled = model.forward_heads(images)
    assert distilled is not None
    expected = model.norm(model.class_token[0, 0] + model.positions[0, 0])
    torch.testing.assert_close(logits, model.head(expected).expand(2, -1))
    expected = model.norm(model.distillation_token[0, 0] + model.positions[0, 1])
    torch.testing.assert_close(distilled, model.distillation_head(expected).expand(2, -1))
    torch.testing.assert_close(model(images), (logits + distilled) / 2)


@torch.no_grad()
def test_average_pooling_is_the_mean_of_the_normalised_patches() -> None:
    model, images = without_blocks(small_vit(pooling="average")), torch.randn(2, 3, 15, 15)
    assert not hasattr(model, "class_token")
    expected = model.norm(model.patch_embed(images) + model.positions).mean(dim=1)
    torch.testing.assert_close(model(images), model.head(expected))
    assert model.forward_heads(images)[1] is None


@torch.no_grad()
def test_representation_is_a_tanh_in_front_of_the_head() -> None:
    model, images = without_blocks(small_vit(representation=True)), torch.randn(2, 3, 15, 15)
    seen = model.norm(model.class_token[0, 0] + model.positions[0, 0])
    expected = model.head(torch.tanh(seen @ model.representation.weight.T + model.representation.bias))
    torch.testing.assert_close(model(images), expected.expand(2, -1))


@torch.no_grad()
def test_a_block_is_pre_norm() -> None:
    """x + attention(norm1(x)), and of that x + mlp(norm2(x)); the MLP in its words."""
    model = build(small_vit(norm_eps=0.1))
    block = next(model.layers)
    for parameter in block.parameters():
        parameter.normal_()
    x = torch.randn(2, 7, 12)
    by_eps = [F.layer_norm(x, (12,), block.norm1.weight, block.norm1.bias, eps) for eps in (0.1, 1e-5)]
    assert not torch.allclose(*by_eps)
    middle = x + block.attention(by_eps[0])
    inner = F.layer_norm(middle, (12,), block.norm2.weight, block.norm2.bias, 0.1)
    inner = F.gelu(inner @ block.mlp.up.weight.T + block.mlp.up.bias)
    assert inner.shape == (2, 7, 18)
    expected = middle + inner @ block.mlp.down.weight.T + block.mlp.down.bias
    torch.testing.assert_close(block(x), expected, rtol=1e-4, atol=1e-4)


def test_sincos_positions_are_no_weights_and_zero_for_special_tokens() -> None:
    model = build(small_vit(positions="sincos", distillation=True))
    assert "positions" not in dict(model.named_parameters()) | model.state_dict()
    assert (model.positions[0, :2] == 0).all()
    assert torch.equal(model.positions[0, 2:], sincos_positions(3, 12))
    assert model.no_weight_decay == {"class_token", "distillation_token"}


@each_vit
@torch.no_grad()
def test_weights_of_attention_come_with_the_same_logits(case: ImageCase) -> None:
    model = case.build()
    (images,) = case.batch()
    maps: list[Tensor] = []
    torch.testing.assert_close(model(images, capture=maps), model(images), rtol=1e-5, atol=1e-5)
    tokens = model.special_tokens + model.grid_size**2
    assert [tuple(weights.shape) for weights in maps] == [(3, 2, tokens, tokens)] * case.config.depth
    for weights in maps:
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, tokens))


# the finished model


@each_vit
@torch.no_grad()
def test_without_unread_tokens_it_says_the_same(case: ImageCase) -> None:
    model = case.build()
    (images,) = case.batch()
    before = model(images)
    model.skip_unread_tokens()
    torch.testing.assert_close(model(images), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model(images, capture=[]), before, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "tokens"), [({}, 1), ({"distillation": True}, 2), ({"pooling": "average"}, 9)], ids=str
)
@torch.no_grad()
def test_the_last_block_computes_what_the_heads_read(changes: dict[str, object], tokens: int) -> None:
    model = build(small_vit(**changes))
    seen: list[int] = []
    for block in model.layers:
        block.norm2.register_forward_hook(lambda module, inputs, output: seen.append(output.shape[1]))
    images = torch.randn(2, 3, 15, 15)
    every = 9 + model.special_tokens
    model(images)
    model.skip_unread_tokens()
    model(images)
    assert seen == [every] * 3 + [every, every, tokens]


# training


def test_drop_path_grows_linearly() -> None:
    model = build(small_vit(drop_path_rate=0.3))
    assert [block.drop_path.p for block in model.layers] == pytest.approx([0.0, 0.15, 0.3])
    assert [block.drop_path.p for block in build(small_vit(depth=1, drop_path_rate=0.3)).layers] == [0.0]


@pytest.mark.parametrize("changes", [{"dropout": 0.5}, {"attention_dropout": 0.5}, {"drop_path_rate": 0.5}], ids=str)
@torch.no_grad()
def test_dropout_is_there_in_training_only(changes: dict[str, float]) -> None:
    model, images = build(small_vit(**changes)), torch.randn(3, 3, 15, 15)
    for parameter in model.parameters():
        parameter.add_(torch.randn(parameter.shape), alpha=0.2)
    torch.testing.assert_close(model(images), model(images))
    model.train()
    assert not torch.allclose(model(images), model(images), atol=1e-3)


@torch.no_grad()
def test_dropout_stands_behind_the_positions_and_each_branch() -> None:
    model = build(small_vit(dropout=0.25, attention_dropout=0.5))
    assert model.dropout.p == 0.25
    for block in model.layers:
        assert (block.dropout.p, block.mlp.dropout.p, block.attention.dropout.p) == (0.25, 0.25, 0.5)
    model.train()
    for block in model.layers:  # nothing is added, so that only what the embedding lost is seen
        block.attention.out.weight.zero_()
        block.mlp.down.weight.zero_()
    model.norm, model.head = nn.Identity(), nn.Identity()
    model.class_token.fill_(3.0)
    model.positions.zero_()
    assert set(model(torch.randn(7, 3, 15, 15)).unique().tolist()) == {0.0, 4.0}


@pytest.mark.parametrize("changes", [{}, {"dropout": 0.3, "drop_path_rate": 0.2}], ids=str)
def test_gradient_checkpointing_gives_the_same_gradients(changes: dict[str, float]) -> None:
    images, gradients, calls = torch.randn(2, 3, 15, 15), [], []
    for checkpointing in (False, True):
        model = build(small_vit(gradient_checkpointing=checkpointing, **changes)).train()
        called: list[nn.Module] = []
        for block in model.layers:
            block.norm1.register_forward_hook(lambda module, *_, to=called: to.append(module))
        torch.manual_seed(3)
        model(images).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
        calls.append(len(called))
    assert calls == [3, 6]  # each block is run once more in the backward pass
    for plain, checkpointed in zip(*gradients, strict=True):
        assert torch.equal(plain, checkpointed)


@torch.no_grad()
def test_nothing_is_checkpointed_outside_training(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError

    monkeypatch.setattr("attnkit.models.vit.checkpoint", refuse)
    build(small_vit(gradient_checkpointing=True))(torch.randn(2, 3, 15, 15))


def test_layers_for_layer_wise_decay() -> None:
    model = build(small_vit(distillation=True, representation=True, patch_size=1, resnet_depths=(1, 1)), image_size=16)
    layers = {name: model.layer_of(name) for name, _ in model.named_parameters()}
    for name, layer in layers.items():
        if name.startswith("blocks."):
            assert layer == int(name.split(".")[1]) + 1
        else:
            is_behind = name.split(".")[0] in ("norm", "representation", "head", "distillation_head")
            assert layer == (4 if is_behind else 0), name
    assert model.num_layers == 4
    assert layers["patch_embed.stem.stages.1.0.conv1.weight"] == layers["distillation_token"] == 0


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({}, ["class_token", "positions"]),
        ({"distillation": True}, ["class_token", "distillation_token", "positions"]),
        ({"pooling": "average"}, ["positions"]),
    ],
    ids=str,
)
def test_no_weight_decay(changes: dict[str, object], names: list[str]) -> None:
    assert sorted(build(small_vit(**changes)).no_weight_decay) == names


def test_head_names() -> None:
    assert build(small_vit()).head_names == ("head",)
    assert build(small_vit(distillation=True)).head_names == ("head", "distillation_head")


def test_bfloat16_by_autocast() -> None:
    model, images = build(small_vit(distillation=True)), torch.randn(2, 3, 15, 15)
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images)
    torch.testing.assert_close(logits.float(), model(images), rtol=0.1, atol=0.05)


# fresh weights


def spread(tensor: Tensor) -> float:
    return tensor.detach().std().item()


def test_truncated_init() -> None:
    """DeiT's: normal of 0.02 for matrices, tokens and positions; biases zero."""
    model = build(small_vit(embed_dim=96, distillation=True, representation=True, num_heads=3))
    for name, parameter in model.named_parameters():
        if "norm" in name or "patch_embed" in name:
            continue
        if name.endswith("bias"):
            assert (parameter == 0).all(), name
        else:
            assert spread(parameter) == pytest.approx(0.02, rel=0.25), name


def test_google_init() -> None:
    config = small_vit(embed_dim=96, num_heads=3, representation=True, distillation=True, init="google")
    model = build(config)
    for name in ("class_token", "distillation_token", "head.weight", "distillation_head.weight", "head.bias"):
        assert (model.get_parameter(name) == 0).all(), name
    assert spread(model.positions) == pytest.approx(0.02, rel=0.1)
    assert spread(model.patch_embed.proj.weight) == pytest.approx(75**-0.5, rel=0.05)
    assert spread(model.representation.weight) == pytest.approx(96**-0.5, rel=0.05)
    assert (model(torch.randn(2, 3, 15, 15)) == 0).all()


def test_google_init_of_a_block() -> None:
    """Xavier: uniform up to sqrt(6 / (inputs + outputs)); queries, keys and values are matrices of their own."""
    block = next(build(small_vit(embed_dim=96, num_heads=3, init="google")).layers)
    bound = math.sqrt(6 / (96 + 96))
    for matrix in (*block.attention.qkv.weight.chunk(3), block.attention.out.weight):
        assert 0.98 * bound < matrix.abs().max() <= bound
    assert (block.attention.qkv.bias == 0).all()
    assert (block.attention.out.bias == 0).all()
    for linear in (block.mlp.up, block.mlp.down):
        bound = math.sqrt(6 / (96 + 144))
        assert 0.98 * bound < linear.weight.abs().max() <= bound
        assert spread(linear.bias) == pytest.approx(1e-6, rel=0.3)


# what does not fit


def test_an_image_of_another_size() -> None:
    message = "vit: images of 15x20 pixels, but the positions are for 15x15; expected that size"
    with pytest.raises(ValueError, match=f"^{message}$"):
        build(small_vit())(torch.zeros(2, 3, 15, 20))


@pytest.mark.parametrize(
    ("config", "image_size", "message"),
    [
        (small_vit(), 17, "image.size: 17 is no multiple of model.patch_size 5"),
        (
            small_vit(patch_size=4, resnet_depths=(1, 1)),
            33,
            "image.size: 33 gives a feature map of 5, which is no multiple of model.patch_size 4",
        ),
    ],
)
def test_patches_that_do_not_cover_the_image(config: ViTConfig, image_size: int, message: str) -> None:
    message += "; expected whole patches; change one of the two"
    with pytest.raises(AttnkitError, match=f"^{re.escape(message)}$"):
        build(config, image_size=image_size)
