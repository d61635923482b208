import functools
import subprocess
import sys

import pytest
import torch
from torch import nn

from attnkit.models.build import build_model
from attnkit.models.config import SwinConfig, ViTConfig
from attnkit.models.macs import count_macs
from attnkit.recipes.classification.architectures import ARCHITECTURES, NUM_CLASSES

every_architecture = pytest.mark.parametrize("name", ARCHITECTURES)

# With ImageNet-21k's classes, and with the pre-logits layer that pre-training has.
WITH_21841_CLASSES = {
    "vit_ti16": 9_739_729,
    "vit_s16": 30_074_449,
    "vit_b16": 102_594_385,
    "vit_l16": 325_688_657,
    "vit_h14": 658_743_121,
    "r50_vit_b16": 114_685_841,
    "swin_t": 44_315_083,
    "swin_s": 65_632_987,
    "swin_b": 109_130_249,
    "swin_l": 228_565_093,
}
WITH_REPRESENTATION = {"vit_b16": 87_158_248, "vit_l16": 305_376_232, "vit_h14": 633_685_480}


def build(name: str, *, num_classes: int = NUM_CLASSES, **changes: object) -> nn.Module:
    """Without memory for its weights."""
    architecture = ARCHITECTURES[name]
    with torch.device("meta"):
        return build_model(
            architecture.model.model_copy(update=changes),
            num_classes=num_classes,
            image_size=architecture.gmacs_size[0],
        )


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


@functools.cache
def size_and_gmacs(model: ViTConfig | SwinConfig, image_size: int) -> tuple[int, float]:
    """DeiT's networks without distillation are those of ViT, which need not be counted again."""
    with torch.device("meta"):
        network = build_model(model, num_classes=NUM_CLASSES, image_size=image_size)
    return parameters(network), count_macs(network, image_size, image_size) / 1e9


@every_architecture
def test_size_and_cost_are_the_published_ones(name: str) -> None:
    architecture = ARCHITECTURES[name]
    size, gmacs = size_and_gmacs(architecture.model, architecture.gmacs_size[0])
    assert size == architecture.params
    assert gmacs == pytest.approx(architecture.gmacs, rel=1e-4)


@pytest.mark.parametrize(("name", "count"), WITH_21841_CLASSES.items())
def test_parameters_for_imagenet_21k(name: str, count: int) -> None:
    assert parameters(build(name, num_classes=21_841)) == count


@pytest.mark.parametrize(("name", "count"), WITH_REPRESENTATION.items())
def test_parameters_with_the_pre_logits_layer(name: str, count: int) -> None:
    assert parameters(build(name, representation=True)) == count


@pytest.mark.parametrize(
    ("name", "millions"),
    # the papers' tables; ViT-L's 307M in the paper is L/32 with the pre-logits layer of its width
    [
        ("vit_b16", 86),
        ("vit_h14", 632),
        ("deit_ti", 5),
        ("deit_s", 22),
        ("deit_b", 86),
        ("swin_t", 29),
        ("swin_s", 50),
        ("swin_b", 88),
        ("swin_b_w12_384", 88),
        ("swin_l_w12_384", 197),
    ],
)
def test_parameters_are_those_of_the_papers(name: str, millions: int) -> None:
    assert abs(ARCHITECTURES[name].params / 1e6 - millions) < 1


def test_names_say_what_stands_in_them() -> None:
    for name, architecture in ARCHITECTURES.items():
        assert architecture.gmacs_size[0] == (384 if name.endswith("_384") else 224), name
        model = architecture.model
        if model.name == "swin":
            assert model.window_size == (12 if "_w12" in name else 7), name
            continue
        assert model.distillation == ("_distilled" in name), name
        assert (model.resnet_depths is None) == (not name.startswith("r")), name
        if name.startswith("vit"):
            assert name.removesuffix("_384").endswith(str(model.patch_size)), name


def test_pixels_are_normalised_as_the_published_weights_expect() -> None:
    for name, architecture in ARCHITECTURES.items():
        is_google = name.startswith(("vit", "r"))
        assert architecture.mean == ((0.5, 0.5, 0.5) if is_google else (0.485, 0.456, 0.406)), name
        assert architecture.std == ((0.5, 0.5, 0.5) if is_google else (0.229, 0.224, 0.225)), name


def test_every_source_is_a_table_of_a_paper() -> None:
    for name, architecture in ARCHITECTURES.items():
        assert "arXiv:" in architecture.source, name
        assert "table" in architecture.source, name


def test_the_table_is_free_of_torch() -> None:
    """`attnkit summary --help` lists the names."""
    code = "import sys, attnkit.recipes.classification.architectures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
