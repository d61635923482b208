"""Classifiers out to ONNX: onnxruntime gets the same logits, or nothing is kept."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop import onnx_export
from attnkit.interop.export_weights import TrainedNetwork
from attnkit.interop.onnx_export import at_size, export_onnx, other_sizes
from attnkit.models.build import build_model
from attnkit.models.config import LeNet5Config, ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from tests.interop.foreign_weights import K, classifier, close, images, shaken

VIT = ViTConfig(embed_dim=12, depth=2, num_heads=3, patch_size=8, distillation=True)
SWIN = SwinConfig(name="swin", embed_dim=6, depths=(2, 2), num_heads=(2, 3), window_size=3, drop_path_rate=0.0)


def session(path: Path) -> Any:
    onnxruntime = pytest.importorskip("onnxruntime")
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.parametrize(("config", "size", "others"), [(VIT, 40, (48, 64)), (SWIN, 52, (60, 64))], ids=["vit", "swin"])
def test_onnxruntime_gets_the_same_logits(tmp_path: Path, config: Any, size: int, others: tuple[int, ...]) -> None:
    pytest.importorskip("onnx")
    own = classifier(config, image_size=size)
    lines = export_onnx(own, tmp_path / "out.onnx")
    assert [line.split(":")[0] for line in lines] == [
        f"checked at {side}x{side} with batches of 1, 2 and 3" for side in (size, *others)
    ]
    assert [line.rpartition("(")[2] for line in lines] == ["the file)", *["a graph made for the check alone)"] * 2]
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]
    onnx = session(tmp_path / "out.onnx")
    for batch in (1, 5):
        x = images(size, batch=batch)
        close(torch.from_numpy(onnx.run(None, {"images": x.numpy()})[0]), own.model(x))
    metadata = onnx.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == own.class_names
    assert json.loads(metadata["image"])["size"] == size


SEGMENTER = UperNetConfig(backbone=SWIN, channels=8, pool_scales=(1, 2), auxiliary_channels=4)


def segmenter() -> TrainedNetwork:
    torch.manual_seed(3)
    model = shaken(build_model(SEGMENTER, num_classes=K, image_size=44))
    return TrainedNetwork(model, SEGMENTER, SegmentationImageConfig(crop=(44, 40)), [f"ground {i}" for i in range(K)])


@pytest.mark.peers
@pytest.mark.slow
def test_a_segmenter_at_a_size_of_its_own(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    own = segmenter()
    lines = export_onnx(own, tmp_path / "out.onnx", image_size=(36, 52))
    assert [line.split(" with ")[0] for line in lines] == ["checked at 36x52", "checked at 44x56", "checked at 36x64"]
    x = torch.randn(5, 3, 36, 52, generator=torch.Generator().manual_seed(1))
    logits = torch.from_numpy(session(tmp_path / "out.onnx").run(None, {"images": x.numpy()})[0])
    assert logits.shape == (5, K, 36, 52)
    close(logits, own.model(x), 1e-4)
    assert json.loads(session(tmp_path / "out.onnx").get_modelmeta().custom_metadata_map["image"])["crop"] == [44, 40]


@pytest.mark.peers
@pytest.mark.slow
def test_wrong_numbers_are_found_before_the_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    own = classifier(LeNet5Config(name="lenet5"), image_size=32)
    write = onnx_export.write_graph

    def write_another(model: Any, *arguments: Any, **options: Any) -> None:
        write(classifier(LeNet5Config(name="lenet5"), image_size=32).model, *arguments, **options)
        model.head.bias.data[1] += 0.01

    monkeypatch.setattr(onnx_export, "write_graph", write_another)
    with pytest.raises(
        CheckpointError, match=r"^out.onnx: onnxruntime's logits of 1 images of 32x32 differ by 0.01; exp"
    ):
        export_onnx(own, tmp_path / "out.onnx")
    assert list(tmp_path.iterdir()) == []


def test_the_sizes_of_the_check() -> None:
    own = classifier(VIT, image_size=40)
    assert other_sizes(own, (40, 40)) == ((48, 48), (64, 64))
    other = at_size(own, (48, 48))
    assert other.positions.shape == (1, 2 + 36, 12)
    assert torch.equal(other.head.weight, own.model.head.weight)
    swin = classifier(SWIN, image_size=52)
    assert other_sizes(swin, (52, 52)) == ((60, 60), (64, 64))
    assert at_size(swin, (60, 60)) is swin.model
    assert other_sizes(classifier(LeNet5Config(name="lenet5"), image_size=32), (32, 32)) == ()


def test_the_sizes_of_the_check_of_a_segmenter() -> None:
    own = segmenter()
    assert own.image_size == (44, 40)
    assert other_sizes(own, (44, 40)) == ((52, 44), (44, 52))
    assert at_size(own, (52, 44)) is own.model
    resnet = UperNetConfig(backbone=ResNetConfig(name="resnet", depth=18))
    assert other_sizes(replace(own, config=resnet), (44, 40)) == ((108, 72), (44, 136))


def test_a_hybrid_is_checked_at_whole_cells() -> None:
    config = ViTConfig(embed_dim=12, depth=1, num_heads=3, patch_size=1, resnet_depths=(1, 1))
    own = classifier(config, image_size=32)
    assert other_sizes(own, (32, 32)) == ((40, 40), (56, 56))
    assert at_size(own, (40, 40)).grid_size == 5


def test_an_existing_file_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_export, "_import_onnx", lambda: None)
    (tmp_path / "out.onnx").touch()
    with pytest.raises(
        AttnkitError, match=r"out.onnx: exists already; expected the name of a new file or folder; name another"
    ):
        export_onnx(classifier(VIT, image_size=40), tmp_path / "out.onnx")


@pytest.mark.parametrize("name", ["onnx", "onnxruntime", "onnxscript"])
def test_without_the_extra_one_line_says_how_to_install_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in ("onnx", "onnxruntime", "onnxscript"):
        monkeypatch.setitem(sys.modules, module, None if module == name else sys)
    with pytest.raises(
        AttnkitError, match=rf"^{name}: not installed; expected onnx, .*; pip install 'attnkit\[onnx\]'$"
    ):
        export_onnx(classifier(VIT, image_size=40), tmp_path / "out.onnx")
