import subprocess
import sys

import pytest
import torch

from attnkit.models.build import build_model
from attnkit.models.macs import count_macs
from attnkit.models.upernet import UperNet
from attnkit.recipes.segmentation.architectures import NUM_CLASSES, SEGMENTATION_ARCHITECTURES

every_architecture = pytest.mark.parametrize("name", SEGMENTATION_ARCHITECTURES)

# What transformers' UperNet has, counted with its version 5. It keeps a norm of the last map that it never uses.
TRANSFORMERS = {
    "upernet_swin_t": 59_943_398,
    "upernet_swin_s": 81_261_302,
    "upernet_swin_b": 121_281_764,
    "upernet_swin_b_22k": 121_281_764,
    "upernet_swin_l_22k": 233_763_008,
    "upernet_swin_b_w12": 121_417_124,
    "upernet_swin_l_w12": 233_966_048,
}
# Millions of parameters and G multiply-accumulates at gmacs_size: table 3 of the Swin paper, the official repository.
# The paper's 3230 G of Swin-L cannot be reproduced; the ConvNeXt paper gives 2468 G, which is convention mmcv.
PUBLISHED = {
    "upernet_swin_t": (60, 945),
    "upernet_swin_s": (81, 1038),
    "upernet_swin_b": (121, 1188),
    "upernet_swin_b_22k": (121, 1841),
    "upernet_deit_s": (52, 1099),
}
# At the crop of training, convention mmcv, counted.
CROP_GMACS = {
    "upernet_swin_t": 236.1455,
    "upernet_swin_s": 259.3303,
    "upernet_swin_b": 297.2812,
    "upernet_swin_b_22k": 459.0339,
    "upernet_swin_l_22k": 620.5281,
    "upernet_swin_b_w12": 470.6604,
    "upernet_swin_l_w12": 646.6877,
    "upernet_deit_s": 235.8983,
    "upernet_deit_s_mln": 265.39,
    "upernet_r50": 236.8738,
    "upernet_r101": 256.3484,
}
# At the crop, convention mmcv: what mmsegmentation's tool printed for users, and table 5 of MaskFormer.
AT_THE_CROP = {
    "upernet_swin_t": 236.1,
    "upernet_swin_s": 259.3,
    "upernet_swin_b": 297.3,
    "upernet_swin_b_w12": 470.7,
    "upernet_swin_l_w12": 646.7,
}
# At gmacs_size, convention mmcv.
MMCV = {
    "upernet_swin_t": 941.7,
    "upernet_swin_s": 1032.7,
    "upernet_swin_b": 1180.9,
    "upernet_swin_b_22k": 1829.9,
    "upernet_swin_l_22k": 2468.1,
}


def build(name: str) -> UperNet:
    """Without memory for its weights."""
    architecture = SEGMENTATION_ARCHITECTURES[name]
    with torch.device("meta"):
        return build_model(architecture.model, num_classes=NUM_CLASSES, image_size=architecture.gmacs_size[0])


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@every_architecture
def test_size_and_cost(name: str) -> None:
    architecture, model = SEGMENTATION_ARCHITECTURES[name], build(name)
    assert parameters(model) == architecture.params
    assert count_macs(model, *architecture.gmacs_size) / 1e9 == pytest.approx(architecture.gmacs, rel=1e-6)
    at_the_crop = count_macs(model, architecture.gmacs_size[0], architecture.gmacs_size[0], convention="mmcv") / 1e9
    assert at_the_crop == pytest.approx(CROP_GMACS[name], rel=1e-6)


@pytest.mark.parametrize(("name", "count"), TRANSFORMERS.items())
def test_parameters_are_those_of_transformers_but_for_a_norm(name: str, count: int) -> None:
    model = build(name)
    assert parameters(model) + 2 * model.backbone.channels[-1] == count


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_the_papers_say(name: str) -> None:
    architecture, (millions, gmacs) = SEGMENTATION_ARCHITECTURES[name], PUBLISHED[name]
    assert round(architecture.params / 1e6) == millions
    assert architecture.gmacs == pytest.approx(gmacs, rel=0.005)


@pytest.mark.parametrize(("name", "gmacs"), AT_THE_CROP.items())
def test_what_mmsegmentation_prints(name: str, gmacs: float) -> None:
    assert round(CROP_GMACS[name], 1) == gmacs


@pytest.mark.parametrize(("name", "gmacs"), MMCV.items())
def test_the_other_convention(name: str, gmacs: float) -> None:
    found = count_macs(build(name), *SEGMENTATION_ARCHITECTURES[name].gmacs_size, convention="mmcv")
    assert round(found / 1e9, 1) == gmacs


def test_deit_s_part_by_part() -> None:
    """A head and an auxiliary head on a backbone whose positions are for 32 x 32 patches, without a final norm."""
    model = build("upernet_deit_s")
    assert model.auxiliary is not None
    assert parameters(model.auxiliary) == 923_798
    assert parameters(model.backbone) == 22_050_664 - (384 * 1000 + 1000) - 2 * 384 + (1025 - 197) * 384
    assert parameters(model) - parameters(model.auxiliary) - parameters(model.backbone) == 29_187_222


def test_the_auxiliary_head_counts_in_parameters_alone() -> None:
    counts = {"upernet_swin_t": 923_798, "upernet_swin_b": 1_218_710, "upernet_swin_l_22k": 1_808_534}
    for name, count in counts.items():
        model = build(name)
        assert model.auxiliary is not None
        assert parameters(model.auxiliary) == count
    changed = SEGMENTATION_ARCHITECTURES["upernet_swin_t"].model.model_copy(update={"auxiliary_channels": 0})
    with torch.device("meta"):
        without = build_model(changed, num_classes=NUM_CLASSES, image_size=512)
    assert count_macs(without, 64, 96) == count_macs(build("upernet_swin_t"), 64, 96)


def test_sizes_that_are_counted() -> None:
    assert SEGMENTATION_ARCHITECTURES["upernet_swin_t"].gmacs_size == (512, 2048)
    assert SEGMENTATION_ARCHITECTURES["upernet_swin_b_22k"].gmacs_size == (640, 2560)


def test_every_score_has_a_source() -> None:
    for name, architecture in SEGMENTATION_ARCHITECTURES.items():
        miou = architecture.scores.get("miou")
        multi_scale = architecture.scores.get("miou, several scales, mirrored")
        assert bool(architecture.source) == (multi_scale is not None), name
        if miou is not None:
            assert 40 < miou < (multi_scale or 0) < 60, name


def test_the_table_is_free_of_torch() -> None:
    code = "import sys, attnkit.recipes.segmentation.architectures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
