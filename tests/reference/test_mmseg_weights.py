"""Weights of mmsegmentation's UPerNet and of the official Swin for segmentation in: the logits that they gave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor

from attnkit.errors import CheckpointError
from attnkit.interop.foreign_file import read_foreign_file
from attnkit.interop.recognise import recognise
from attnkit.models.config import ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from tests.interop.foreign_weights import close, fit, network, read
from tests.reference import mmseg_network as mmseg

SWIN = UperNetConfig(
    backbone=SwinConfig(
        name="swin", embed_dim=12, depths=(2, 1, 2), num_heads=(2, 3, 4), window_size=3, drop_path_rate=0.0
    ),
    channels=mmseg.CHANNELS,
    auxiliary_channels=mmseg.AUXILIARY,
)
STYLES = {"mmsegmentation": mmseg.MMSEG, "the official Swin for segmentation": mmseg.OFFICIAL}


def random(seed: int = 1) -> Callable[..., Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return lambda *shape: 0.3 * torch.randn(*shape, generator=generator)


def images(height: int, width: int) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(height))


def imported_network(weights: dict[str, Tensor], path: Path, size: int) -> Any:
    torch.save({"state_dict": weights}, path)
    return network(fit(read(path), image_size=size), image_size=size)


@pytest.mark.parametrize("source", STYLES)
@pytest.mark.parametrize(("height", "width"), [(44, 56), (37, 22), (24, 24)], ids=str)
def test_swin_in(tmp_path: Path, source: str, height: int, width: int) -> None:
    style, x = STYLES[source], images(height, width)
    w = mmseg.swin_weights(style, random())
    model = imported_network(w, tmp_path / "w.pth", 32)
    maps = mmseg.swin_maps(w, x, style)
    close(model(x), mmseg.segment(w, maps, (height, width)), 1e-4)
    close(model.forward_heads(x)[1], mmseg.auxiliary(w, maps[-2]), 1e-4)


@pytest.mark.parametrize("source", STYLES)
def test_what_a_swin_is_recognised_as(tmp_path: Path, source: str) -> None:
    torch.save({"state_dict": mmseg.swin_weights(STYLES[source], random())}, tmp_path / "w.pth")
    imported = read(tmp_path / "w.pth")
    assert (imported.source, imported.model, imported.heads) == (source, SWIN, ("head", "auxiliary.head"))
    assert (imported.num_classes, imported.unknown) == (mmseg.K, {})
    assert len(imported.left_out) == 5, "a table of relative positions per block"
    assert (imported.image.crop, imported.notes) == ((512, 512), ())
    assert imported.size_note.startswith("size of the images: no weight shows it; taken to be 512 for the crop and")


@pytest.mark.parametrize("neck", [True, False], ids=["neck", "no neck"])
def test_vit_in(tmp_path: Path, neck: bool) -> None:
    side = mmseg.GRID * mmseg.PATCH
    w, x = mmseg.vit_weights(random(), neck=neck), images(side, side)
    torch.save({"state_dict": w}, tmp_path / "w.pth")
    imported = recognise(read_foreign_file(tmp_path / "w.pth"), num_heads=mmseg.VIT_HEADS)
    assert imported.model == UperNetConfig(
        backbone=ViTConfig(patch_size=8, embed_dim=12, depth=4, num_heads=3, mlp_ratio=2.0),
        channels=mmseg.CHANNELS,
        auxiliary_channels=mmseg.AUXILIARY,
        neck="multi_level" if neck else "none",
    )
    assert (imported.image_size, imported.size_note) == (side, None)
    assert imported.notes[0].startswith("the auxiliary head: mmsegmentation puts it on the last map of a ViT")
    model = network(fit(imported), image_size=side)
    maps = mmseg.vit_maps(w, x)
    close(model(x), mmseg.segment(w, mmseg.multi_level_neck(w, maps) if neck else maps, (side, side)), 1e-4)


def resnet_weights() -> tuple[Any, dict[str, Tensor]]:
    torch.manual_seed(2)
    theirs = torchvision.models.resnet18().eval().requires_grad_(False)
    for name, tensor in theirs.state_dict().items():
        if "running_mean" in name:
            tensor += 0.1 * torch.randn(tensor.shape)
    backbone = {f"backbone.{name}": tensor for name, tensor in theirs.state_dict().items() if "fc." not in name}
    return theirs, backbone | mmseg.head_weights([64, 128, 256, 512], random())


def test_a_plain_resnet_in(tmp_path: Path) -> None:
    (theirs, w), x = resnet_weights(), images(65, 48)
    model = imported_network(w, tmp_path / "w.pth", 64)
    assert read(tmp_path / "w.pth").model.backbone == ResNetConfig(name="resnet", depth=18)
    maps, y = [], theirs.maxpool(theirs.relu(theirs.bn1(theirs.conv1(x))))
    for layer in (theirs.layer1, theirs.layer2, theirs.layer3, theirs.layer4):
        y = layer(y)
        maps.append(y)
    close(model(x), mmseg.segment(w, maps, (65, 48)), 1e-4)


@pytest.mark.parametrize(
    ("name", "model"),
    [
        ("backbone.stem.0.weight", "a ResNet with a deep stem (ResNetV1c, ResNetV1d of OpenMMLab)"),
        ("backbone.ln1.weight", "mmsegmentation's ViT with a norm behind its last block (LN + MLN)"),
    ],
)
def test_backbones_that_attnkit_has_not_are_named(tmp_path: Path, name: str, model: str) -> None:
    torch.save({"state_dict": mmseg.vit_weights(random(), neck=True) | {name: torch.ones(3)}}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError) as caught:
        read(tmp_path / "w.pth")
    assert str(caught.value).startswith(f"{tmp_path / 'w.pth'}: {model}, by its weight {name}; expected a model that")


META = {"CLASSES": ("wall", "sky"), "PALETTE": [[1, 2, 3], [40, 50, 60]]}


@pytest.mark.parametrize(
    "meta", [META, {"dataset_meta": META}, {"dataset_meta": {key.lower(): value for key, value in META.items()}}]
)
def test_classes_and_colours_beside_the_weights(tmp_path: Path, meta: dict[str, Any]) -> None:
    w = mmseg.swin_weights(mmseg.MMSEG, random())
    torch.save({"meta": {"mmseg_version": "0.x", **meta}, "state_dict": w}, tmp_path / "w.pth")
    imported = read(tmp_path / "w.pth")
    assert (imported.class_names, imported.colours) == (("wall", "sky"), ((1, 2, 3), (40, 50, 60)))


@pytest.mark.parametrize("meta", [{}, {"CLASSES": None}, {"CLASSES": "all", "PALETTE": [1, 2]}, {"PALETTE": [[1, 2]]}])
def test_no_classes_or_colours(tmp_path: Path, meta: dict[str, Any]) -> None:
    torch.save({"meta": meta, "state_dict": mmseg.swin_weights(mmseg.MMSEG, random())}, tmp_path / "w.pth")
    assert (read(tmp_path / "w.pth").class_names, read(tmp_path / "w.pth").colours) == (None, None)


def test_without_an_auxiliary_head(tmp_path: Path) -> None:
    w = mmseg.swin_weights(mmseg.MMSEG, random())
    w = {name: tensor for name, tensor in w.items() if not name.startswith("auxiliary_head.")}
    torch.save(w, tmp_path / "w.pth")
    imported = read(tmp_path / "w.pth")
    assert (imported.model.auxiliary_channels, imported.heads) == (0, ("head",))
    fit(imported, image_size=32)


def test_other_scales_of_pooling(tmp_path: Path) -> None:
    w = mmseg.swin_weights(mmseg.MMSEG, random())
    w = {name: tensor for name, tensor in w.items() if "psp_modules.3" not in name}
    torch.save(w, tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError,
        match=r"^pyramid: 3 branches, and which scales they pool to no weight shows; expected 4, for 1, 2, 3, 6 cells",
    ):
        read(tmp_path / "w.pth")
