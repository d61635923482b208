"""UperNet of transformers in, by the names of version 4 and 5, and out again: the same logits on both sides."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.interop.export_weights import TrainedNetwork, export_weights
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.interop.recognise import recognise
from attnkit.interop.transformers_upernet import export_upernet
from attnkit.models.build import build_model
from attnkit.models.config import SwinConfig, UperNetConfig
from tests.interop.foreign_weights import K, close, fit, imported_logits, network, read, shaken
from tests.reference.test_transformers_weights import as_version_4

pytestmark = pytest.mark.peers
transformers = pytest.importorskip("transformers")

UPERNET = UperNetConfig(
    backbone=SwinConfig(
        name="swin", embed_dim=12, depths=(2, 1, 3), num_heads=(2, 3, 4), window_size=3, drop_path_rate=0.0
    ),
    channels=8,
    auxiliary_channels=6,
)
SIZES = [(48, 48), (60, 44), (37, 90)]
"""In pixels; windows cover none of the maps of the second, patches not the last; in the first two maps are smaller."""


def with_statistics(model: Any) -> Any:
    """A model none of whose weights has the value that it is born with, nor have the statistics of its batch norm."""
    generator = torch.Generator().manual_seed(11)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean += 0.3 * torch.randn(module.running_mean.shape, generator=generator)
            module.running_var += torch.rand(module.running_var.shape, generator=generator)
    return shaken(model)


def upernet(**options: Any) -> Any:
    swin = transformers.SwinConfig(
        image_size=48, embed_dim=12, depths=[2, 1, 3], num_heads=[2, 3, 4], window_size=3,
        out_features=["stage1", "stage2", "stage3"],
    )  # fmt: skip
    sizes = {"hidden_size": 8, "auxiliary_channels": 6, "auxiliary_in_channels": 24, "num_labels": K}
    model = transformers.UperNetForSemanticSegmentation(
        transformers.UperNetConfig(backbone_config=swin, **sizes | options)
    )
    if model.auxiliary_head is not None:
        model.auxiliary_head.in_index = 1  # it is made for backbones of four stages
    return with_statistics(model)


def images(size: tuple[int, int]) -> torch.Tensor:
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(size[0]))


def names_in_memory_of_version_4(weights: dict[str, Any]) -> dict[str, Any]:
    shorter = {name.replace("backbone.swin.", "backbone."): tensor for name, tensor in weights.items()}
    return {name: tensor for name, tensor in as_version_4(shorter).items() if "backbone.layernorm." not in name}


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_in(tmp_path: Path, version: int, size: tuple[int, int]) -> None:
    theirs, x = upernet(), images(size)
    weights = theirs.state_dict() if version == 5 else names_in_memory_of_version_4(theirs.state_dict())
    close(imported_logits(weights, tmp_path / "w.bin", x), theirs(x).logits, 1e-4)
    imported = read(tmp_path / "w.bin")
    assert (imported.source, imported.model, imported.unknown) == ("transformers", UPERNET, {})
    assert imported.size_note.startswith("size of the images: no weight shows it; taken to be 512")
    unused = [name for name in imported.left_out if "layernorm" in name]
    assert len(unused) == (2 if version == 5 else 0)


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_auxiliary_head(tmp_path: Path, size: tuple[int, int]) -> None:
    theirs, x = upernet(), images(size)
    torch.save(theirs.state_dict(), tmp_path / "w.bin")
    model = network(fit(read(tmp_path / "w.bin")), image_size=48)
    maps = theirs.backbone(x).feature_maps
    close(model.forward_heads(x)[1], theirs.auxiliary_head(maps), 1e-4)


def test_in_from_a_folder_that_it_saved(tmp_path: Path) -> None:
    theirs, x = upernet(pool_scales=(1, 3)), images(SIZES[1])
    theirs.config.id2label = {i: f"ground {i}" for i in range(K)}
    theirs.save_pretrained(tmp_path)
    prepared = {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.4, 0.5, 0.6], "size": {"height": 64, "width": 64}}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(prepared))
    imported = recognise(read_foreign_file(tmp_path))
    assert imported.model == UPERNET.model_copy(update={"pool_scales": (1, 3)})
    assert imported.class_names == tuple(f"ground {i}" for i in range(K))
    assert imported.image == SegmentationImageConfig(crop=(64, 64), mean=(0.1, 0.2, 0.3), std=(0.4, 0.5, 0.6))
    assert imported.size_note is None
    close(network(fit(imported), image_size=64)(x), theirs(x).logits, 1e-4)


def test_without_an_auxiliary_head(tmp_path: Path) -> None:
    theirs, x = upernet(use_auxiliary_head=False), images(SIZES[0])
    close(imported_logits(theirs.state_dict(), tmp_path / "w.bin", x), theirs(x).logits, 1e-4)
    assert read(tmp_path / "w.bin").heads == ("head",)


FOUR_STAGES = UPERNET.model_copy(
    update={
        "backbone": UPERNET.backbone.model_copy(update={"depths": (1, 2, 1, 1), "num_heads": (1, 2, 3, 4)}),
        "pool_scales": (1, 2),
    }
)


@pytest.mark.parametrize(
    ("config", "said"),
    [
        (FOUR_STAGES, ["images"]),
        (UPERNET, ["auxiliary head", "images"]),
        (UPERNET.model_copy(update={"auxiliary_channels": 0}), ["images"]),
    ],
    ids=["four stages", "three stages", "no auxiliary head"],
)
def test_out(tmp_path: Path, config: UperNetConfig, said: list[str]) -> None:
    torch.manual_seed(3)
    model = with_statistics(build_model(config, num_classes=K, image_size=48))
    image = SegmentationImageConfig(crop=(48, 60), short_side=48)
    own = TrainedNetwork(model, config, image, [f"ground {i}" for i in range(K)])
    lines = export_weights(own, "transformers", tmp_path / "out")
    assert [line.split(":")[0] for line in lines] == said
    theirs, report = transformers.AutoModelForSemanticSegmentation.from_pretrained(
        tmp_path / "out", output_loading_info=True
    )
    # a norm that nothing uses is new in version 5, and it makes one for every file
    assert set().union(*report.values()) <= {"backbone.swin.layernorm.weight", "backbone.swin.layernorm.bias"}
    for size in SIZES:
        close(theirs.eval()(images(size)).logits, model(images(size)), 1e-4)
    assert theirs.config.id2label[3] == "ground 3"
    assert (theirs.auxiliary_head is not None) == (config is FOUR_STAGES)
    if config is FOUR_STAGES:
        maps = theirs.backbone(images(SIZES[1])).feature_maps
        close(theirs.auxiliary_head(maps), model.forward_heads(images(SIZES[1]))[1], 1e-4)
    weights, homeless = export_upernet(model.state_dict(), config, version=5)
    assert homeless == []
    missing = theirs.load_state_dict(weights, strict=False)
    assert (set(missing.missing_keys), missing.unexpected_keys) == (
        {"backbone.swin.layernorm.weight", "backbone.swin.layernorm.bias"},
        [],
    )


def test_its_image_processor_prepares_the_same(tmp_path: Path) -> None:
    pytest.importorskip("PIL")
    from PIL import Image

    model = build_model(UPERNET, num_classes=K, image_size=48)
    own = TrainedNetwork(
        model.eval(), UPERNET, SegmentationImageConfig(crop=(48, 60)), [f"ground {i}" for i in range(K)]
    )
    export_weights(own, "transformers", tmp_path / "out")
    processor = transformers.AutoImageProcessor.from_pretrained(tmp_path / "out")
    pixels = processor(Image.new("RGB", (80, 61), (255, 0, 51)), return_tensors="pt")["pixel_values"]
    assert pixels.shape == (1, 3, 61, 80), "without a shorter side images keep their size"
    expected = (torch.tensor([1.0, 0.0, 0.2]) - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor(
        [0.229, 0.224, 0.225]
    )
    torch.testing.assert_close(pixels[0, :, 24, 24], expected, atol=1e-3, rtol=0)
