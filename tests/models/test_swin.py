import pytest
import torch
from torch import Tensor

from attnkit.models.build import build_model
from attnkit.models.config import SwinConfig
from attnkit.models.swin import PatchEmbed, PatchMerging, SwinTransformer

CONFIG = SwinConfig(
    name="swin", patch_size=2, embed_dim=6, depths=(2, 3), num_heads=(1, 3), window_size=3, drop_path_rate=0.0
)
K = 5


def build(**changes: object) -> SwinTransformer:
    """A model none of whose weights has the value that it is born with."""
    torch.manual_seed(1)
    model = build_model(CONFIG.model_copy(update=changes), num_classes=K, image_size=32)
    for parameter in model.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return model.eval()


def images(height: int, width: int, *, batch: int = 1) -> Tensor:
    return torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(2))


def test_head_names() -> None:
    assert build().head_names == ("head",)


# by hand


def test_merging_takes_columns_after_rows() -> None:
    """1 2
    3 4 becomes 1, 3, 2, 4: down the left column, then down the right one."""
    layer = PatchMerging(1)
    layer.norm = torch.nn.Identity()
    layer.reduction.weight.data = torch.tensor([[1000.0, 100.0, 10.0, 1.0], [0.0, 0.0, 0.0, 1.0]])
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).view(1, 2, 2, 1)
    assert layer(x).flatten().tolist() == [1324.0, 4.0]


def test_merging_pads_odd_sides_with_zeros() -> None:
    """1 2 3 becomes 1, 0, 2, 0 and 3, 0, 0, 0."""
    layer = PatchMerging(1)
    layer.norm = torch.nn.Identity()
    layer.reduction.weight.data = torch.tensor([[1000.0, 100.0, 10.0, 1.0], [0.0, 0.0, 1.0, 0.0]])
    x = torch.tensor([1.0, 2.0, 3.0]).view(1, 1, 3, 1)
    assert layer(x).tolist() == [[[[1020.0, 2.0], [3000.0, 0.0]]]]


def test_patches_that_the_image_does_not_fill() -> None:
    layer = PatchEmbed(4, 5)
    whole = torch.nn.functional.pad(images(6, 9), (0, 3, 0, 2))
    assert layer(images(6, 9)).shape == (1, 2, 3, 5)
    assert torch.equal(layer(images(6, 9)), layer(whole))


# what an output depends on


@pytest.mark.parametrize("dense", [False, True])
@torch.no_grad()
def test_nothing_is_remembered(dense: bool) -> None:
    model = build()

    def outputs(side: int) -> list[Tensor]:
        return [model(images(side, side)), *model.stage_outputs(images(side, side), dense=dense)]

    first = outputs(44)
    outputs(22)
    outputs(6)
    assert all(torch.equal(one, other) for one, other in zip(first, outputs(44), strict=True))


@torch.no_grad()
def test_sizes_that_the_issue_names() -> None:
    model = build_model(
        SwinConfig(name="swin", embed_dim=8, depths=(2, 2, 2, 2), num_heads=(1, 2, 2, 4)), num_classes=K, image_size=224
    )
    model.eval()
    first = model(images(448, 448))
    small = model(images(224, 224))
    assert torch.equal(model(images(448, 448)), first)
    assert torch.equal(model(images(224, 224)), small)


@torch.no_grad()
def test_a_row_of_a_batch_equals_a_batch_of_one() -> None:
    model = build()
    x = images(26, 34, batch=3)
    torch.testing.assert_close(model(x), torch.cat([model(row[None]) for row in x]), rtol=1e-5, atol=1e-5)


def test_the_classifier_does_not_shift_what_one_window_covers() -> None:
    """12 pixels are 6 tokens, then 3, which are one window."""
    wide = [weights.shift for weights in build().attention_maps(images(12, 30))]
    assert wide == [(0, 0), (1, 1), (0, 0), (0, 1), (0, 0)]
    square = [weights.shift for weights in build().attention_maps(images(12, 12))]
    assert square == [(0, 0), (1, 1), (0, 0), (0, 0), (0, 0)]


@torch.no_grad()
def test_the_two_rules_differ_only_where_one_window_covers_the_map() -> None:
    model = build()
    for side, differ in ((12, True), (14, False)):
        dense, sparing = (model.stage_outputs(images(side, side), dense=rule) for rule in (True, False))
        assert torch.equal(dense[0], sparing[0])
        assert torch.equal(dense[1], sparing[1]) != differ


@torch.no_grad()
def test_forward_ends_where_the_last_stage_does() -> None:
    model = build()
    x = images(22, 30)
    last = model.stage_outputs(x, dense=False)[-1].permute(0, 2, 3, 1)
    torch.testing.assert_close(model(x), model.head(model.norm(last).mean(dim=(1, 2))))


@torch.no_grad()
def test_maps_of_the_stages() -> None:
    maps = build().stage_outputs(images(22, 30, batch=2))
    assert [tuple(x.shape) for x in maps] == [(2, 6, 11, 15), (2, 12, 6, 8)]


@torch.no_grad()
def test_what_the_blocks_look_at() -> None:
    """11 x 15 tokens are 4 x 5 windows, 6 x 8 are 2 x 3."""
    model, seen = build(), []
    assert torch.equal(model(images(22, 30, batch=2), capture=seen), model(images(22, 30, batch=2)))
    assert [tuple(x.weights.shape) for x in seen] == [(2, 20, 1, 9, 9)] * 2 + [(2, 6, 3, 9, 9)] * 3
    assert [x.size for x in seen] == [(11, 15)] * 2 + [(6, 8)] * 3
    assert [x.window for x in seen] == [3] * 5
    for x in seen:
        torch.testing.assert_close(x.weights.sum(-1), torch.ones(x.weights.shape[:-1]))


# what the optimizer is told


def test_layers_for_the_learning_rate() -> None:
    """Two blocks and their merging are 1 and 2, three more are 3 to 5, what comes after them is 6."""
    model = build()
    assert model.num_layers == 6
    layers = {name: model.layer_of(name) for name, _ in model.named_parameters()}
    for prefix, layer in {
        "patch_embed.": 0,
        "stages.0.blocks.0.": 1,
        "stages.0.blocks.1.": 2,
        "stages.0.downsample.": 2,
        "stages.1.blocks.0.": 3,
        "stages.1.blocks.2.": 5,
        "norm.": 6,
        "head.": 6,
    }.items():
        assert {number for name, number in layers.items() if name.startswith(prefix)} == {layer}


def test_bias_tables_do_not_decay() -> None:
    model = build()
    assert len(model.no_weight_decay) == 5
    assert "stages.1.blocks.2.attention.bias_table" in model.no_weight_decay
    assert all(name.endswith("attention.bias_table") for name in model.no_weight_decay)


def test_the_state_is_the_parameters() -> None:
    model = build()
    assert set(model.state_dict()) == {name for name, _ in model.named_parameters()}


def test_drop_path_grows_linearly() -> None:
    rates = [block.drop_path.p for stage in build(drop_path_rate=0.4).stages for block in stage.blocks]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_checkpointing_changes_no_gradient() -> None:
    """Not even with dropout, whose random numbers are drawn again."""
    gradients = []
    for checkpointing in (False, True):
        model = build(gradient_checkpointing=checkpointing, dropout=0.3, drop_path_rate=0.3).train()
        torch.manual_seed(7)
        model(images(22, 30, batch=4)).square().sum().backward()
        gradients.append([parameter.grad for parameter in model.parameters()])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))


def test_dropout_is_off_when_not_training() -> None:
    model = build(dropout=0.5, attention_dropout=0.5, drop_path_rate=0.5)
    x = images(22, 30, batch=2)
    torch.testing.assert_close(model(x), build()(x))
    model.train()
    assert not torch.allclose(model(x), model(x))


@pytest.mark.parametrize(
    ("changes", "parameters"),
    [
        ({}, 28_288_354),
        ({"depths": (2, 2, 18, 2)}, 49_606_258),
        (
            {"depths": (2, 2, 18, 2), "embed_dim": 128, "num_heads": (4, 8, 16, 32), "window_size": 12},
            87_903_584,
        ),
    ],
    ids=["swin-t", "swin-s", "swin-b-w12"],
)
def test_published_sizes(changes: dict[str, object], parameters: int) -> None:
    with torch.device("meta"):
        model = build_model(SwinConfig(name="swin", **changes), num_classes=1000, image_size=224)
    assert sum(parameter.numel() for parameter in model.parameters()) == parameters
