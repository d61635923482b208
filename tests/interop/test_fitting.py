"""Imported weights brought to the sizes that are wanted; what does not fit is listed."""

from __future__ import annotations

import pytest
import torch

from attnkit.data.classification.config import ImageConfig
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop.fitting import fit_to_model
from attnkit.interop.imported_weights import ImportedWeights
from attnkit.models.build import build_model
from attnkit.models.config import ClassifierConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.layers.patches import resize_positions
from attnkit.models.layers.window_attention import resize_bias_table
from tests.interop.foreign_weights import shaken

VIT = ViTConfig(embed_dim=12, depth=2, num_heads=3, patch_size=4)
SWIN = SwinConfig(name="swin", embed_dim=6, depths=(1, 2), num_heads=(2, 3), window_size=3, drop_path_rate=0.0)


def imported(
    config: ClassifierConfig | UperNetConfig = VIT, *, image_size: int = 12, num_classes: int = 5
) -> ImportedWeights:
    torch.manual_seed(1)
    model = shaken(build_model(config, num_classes=num_classes, image_size=image_size))
    return ImportedWeights(
        "somebody", config, ImageConfig(size=image_size), dict(model.state_dict()), heads=model.head_names
    )


def test_nothing_to_do() -> None:
    given = imported()
    fitted = fit_to_model(given, image_size=12, num_classes=5, position_interpolation="deit")
    assert (fitted.model, fitted.num_classes, fitted.resized, fitted.fresh_heads) == (VIT, 5, (), ())
    assert fitted.weights.keys() == given.weights.keys()
    assert all(torch.equal(fitted.weights[name], tensor) for name, tensor in given.weights.items())


@pytest.mark.parametrize("kernel", ["google", "deit", "timm", "torchvision"])
def test_positions(kernel: str) -> None:
    given = imported(ViTConfig(**VIT.model_dump() | {"distillation": True}))
    fitted = fit_to_model(given, image_size=20, num_classes=5, position_interpolation=kernel)
    expected = resize_positions(given.weights["positions"], grid_size=(5, 5), special_tokens=2, interpolation=kernel)
    assert torch.equal(fitted.weights["positions"], expected)
    assert fitted.resized == (f"positions: 3x3 to 5x5 patches, as {kernel} interpolates",)


def test_bias_tables() -> None:
    given = imported(SWIN)
    fitted = fit_to_model(given, image_size=99, num_classes=5, position_interpolation="deit", window_size=4)
    assert fitted.model == SWIN.model_copy(update={"window_size": 4})
    name = "stages.1.blocks.1.attention.bias_table"
    assert torch.equal(fitted.weights[name], resize_bias_table(given.weights[name], 4))
    assert fitted.resized[2] == f"{name}: 25 to 49 rows for a window of 4, bicubic"
    assert len(fitted.resized) == 3
    same = fit_to_model(given, image_size=99, num_classes=5, position_interpolation="deit", window_size=3)
    assert same.resized == ()


def test_half_precision_becomes_float32() -> None:
    given = imported()
    half = ImportedWeights("s", VIT, given.image, {name: tensor.half() for name, tensor in given.weights.items()})
    fitted = fit_to_model(half, image_size=20, num_classes=5, position_interpolation="deit")
    assert {tensor.dtype for tensor in fitted.weights.values()} == {torch.float32}


def test_heads_for_other_classes() -> None:
    given = imported(ViTConfig(**VIT.model_dump() | {"distillation": True}))
    fitted = fit_to_model(given, image_size=12, num_classes=7, position_interpolation="deit")
    assert fitted.fresh_heads == ("head", "distillation_head")
    assert fitted.weights["head.weight"].shape == (7, 12)
    assert not fitted.weights["distillation_head.weight"].any()
    assert not fitted.weights["head.bias"].any()
    del given.weights["distillation_head.weight"], given.weights["distillation_head.bias"]
    again = fit_to_model(given, image_size=12, num_classes=5, position_interpolation="deit")
    assert again.fresh_heads == ("distillation_head",)
    assert torch.equal(again.weights["head.weight"], given.weights["head.weight"])


def test_22k_classes() -> None:
    fitted = fit_to_model(imported(num_classes=21841), image_size=12, num_classes=21841, position_interpolation="deit")
    assert (fitted.weights["head.weight"].shape, fitted.fresh_heads) == ((21841, 12), ())


def test_every_weight_that_does_not_fit_has_its_line() -> None:
    given = imported()
    weights = given.weights
    del weights["blocks.1.norm2.bias"]
    weights["blocks.0.mlp.up.bias"] = torch.ones(3)
    weights["head.weight"] = torch.ones(5, 2)
    wrong = ImportedWeights("somebody", VIT, given.image, weights, unknown={"their.gamma": torch.ones(2, 7)})
    with pytest.raises(CheckpointError) as caught:
        fit_to_model(wrong, image_size=12, num_classes=5, position_interpolation="deit")
    assert str(caught.value).splitlines() == [
        "somebody: 4 weights do not fit the model vit (embed_dim 12, depth 2, patch_size 4); expected all of that "
        "model and no others; see docs/import.md for the models that can be imported",
        "  missing: blocks.1.norm2.bias 12",
        "  unexpected: their.gamma 2x7",
        "  misshapen: blocks.0.mlp.up.bias is 3 in the file, 48 in the model",
        "  misshapen: head.weight is 5x2 in the file, 5x12 in the model",
    ]


def test_an_image_that_patches_do_not_cover() -> None:
    with pytest.raises(AttnkitError, match=r"^image.size: 14 is no multiple of model.patch_size 4; expected whole"):
        fit_to_model(imported(), image_size=14, num_classes=5, position_interpolation="deit")


def upernet(backbone: SwinConfig | ViTConfig) -> UperNetConfig:
    return UperNetConfig(backbone=backbone, channels=7, pool_scales=(1, 2), auxiliary_channels=3)


def test_what_is_resized_below_a_segmenter() -> None:
    given = imported(upernet(SWIN))
    fitted = fit_to_model(given, image_size=99, num_classes=5, position_interpolation="deit", window_size=4)
    assert fitted.model == upernet(SWIN.model_copy(update={"window_size": 4}))
    name = "backbone.stages.1.blocks.1.attention.bias_table"
    assert torch.equal(fitted.weights[name], resize_bias_table(given.weights[name], 4))
    given = imported(upernet(VIT))
    fitted = fit_to_model(given, image_size=20, num_classes=5, position_interpolation="google")
    positions = given.weights["backbone.positions"]
    expected = resize_positions(positions, grid_size=(5, 5), special_tokens=1, interpolation="google")
    assert torch.equal(fitted.weights["backbone.positions"], expected)
    assert fitted.resized == ("backbone.positions: 3x3 to 5x5 patches, as google interpolates",)


def test_heads_of_a_segmenter_for_other_classes() -> None:
    given = imported(upernet(SWIN))
    fitted = fit_to_model(given, image_size=12, num_classes=2, position_interpolation="deit")
    assert fitted.fresh_heads == ("head", "auxiliary.head")
    assert fitted.weights["head.weight"].shape == (2, 7, 1, 1)
    assert not fitted.weights["auxiliary.head.bias"].any()
    assert fitted.weights["pyramid.fuse.norm.num_batches_tracked"].dtype == torch.int64


def test_a_weight_below_a_segmenter_that_lacks() -> None:
    given = imported(upernet(SWIN))
    del given.weights["smooth.0.norm.running_var"]
    with pytest.raises(
        CheckpointError,
        match=r"^somebody: 1 weights do not fit the model swin \(.*window_size 3\) below upernet \(channels 7\); "
        r"expected.*\n  missing: smooth.0.norm.running_var 7$",
    ):
        fit_to_model(given, image_size=12, num_classes=5, position_interpolation="deit")
