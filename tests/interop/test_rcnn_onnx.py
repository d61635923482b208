"""Detectors out to ONNX: onnxruntime finds the same, or nothing is kept."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from attnkit.data.detection.config import DetectionImageConfig
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop import rcnn_onnx
from attnkit.interop.export_weights import TrainedNetwork
from attnkit.interop.rcnn_onnx import DetectorGraph, FindingRules, compare, export_detector
from attnkit.models.rcnn.config import RoiAlignConfig, RpnConfig
from tests.interop.foreign_weights import shapes_unchecked
from tests.models.rcnn.nano import RESNET, build

RULES = FindingRules(score_threshold=0.1, nms_threshold=0.6, max_detections=13)
AS_TORCHVISION = {
    "backbone": RESNET,
    "masks": False,
    "rpn": RpnConfig(rounded_anchors=True, proposals=40),
    "roi_align": RoiAlignConfig(aligned=False, sampling_ratio=2),
}
NAMES = ("ant", "bee", "cat", "dog", "elk")


def trained(name: str, **changes: Any) -> TrainedNetwork:
    model = build(name, **changes)
    if "backbone" in changes:  # its maps are large, and all boxes would lie beside the image
        for layer in (model.rpn.deltas, model.box_heads[0].deltas, model.box_heads[0].classes):
            layer.weight.data *= 0.01
    image = DetectionImageConfig(short_side=60, long_side=90)
    return TrainedNetwork(model, model.config, image, NAMES, (2, 3, 5, 7, 11))


def test_the_size_of_the_run_in_whole_cells() -> None:
    assert trained("mask_rcnn").image_size == (64, 96)


@pytest.mark.peers
@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "changes"), [("mask_rcnn", {}), ("mask_rcnn", AS_TORCHVISION), ("cascade", {}), ("htcpp", {})]
)
def test_onnxruntime_finds_the_same(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    own = trained(name, **changes)
    with shapes_unchecked():
        lines = export_detector(own, tmp_path / "out.onnx", RULES)
    assert [line.split(" on ")[0] for line in lines] == ["checked at 64x96", "checked at 96x160"]
    assert lines[1].startswith(
        "checked at 96x160 on 3 images: 300 findings; scores, masks and boxes (by the longer side)"
    )
    assert lines[1].endswith(" at most (a graph made for the check alone, with findings of any score)")
    assert [path.name for path in tmp_path.iterdir()] == ["out.onnx"]
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx", providers=["CPUExecutionProvider"])
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    theirs = [torch.from_numpy(output) for output in session.run(None, {"images": x.numpy()})]
    with torch.inference_mode():
        found = own.model(x, **asdict(RULES))
    assert len(theirs) == len(found) == (4 if own.model.has_masks else 3)
    worst, lost = compare(found, theirs, side=96)
    assert (worst < 1e-4, lost) == (True, 0)
    metadata = session.get_modelmeta().custom_metadata_map
    assert json.loads(metadata["classes"]) == list(NAMES)
    assert json.loads(metadata["category_ids"]) == [2, 3, 5, 7, 11]
    assert json.loads(metadata["image"])["short_side"] == 60


@pytest.mark.peers
@pytest.mark.slow
def test_an_image_with_nothing_on_it(tmp_path: Path) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    with shapes_unchecked():
        export_detector(trained("cascade"), tmp_path / "out.onnx", FindingRules(0.99, 0.5, 100), image_size=(32, 64))
    session = onnxruntime.InferenceSession(tmp_path / "out.onnx", providers=["CPUExecutionProvider"])
    outputs = session.run(None, {"images": torch.zeros(1, 3, 32, 64).numpy()})
    assert [output.shape for output in outputs] == [(0, 4), (0,), (0,), (0, 28, 28)]


class Answers:
    """onnxruntime's session, with answers that are given."""

    def __init__(self, *answers: Tensor) -> None:
        self.answers = [answer.numpy() for answer in answers]

    def run(self, names: list[str], _: Any) -> list[Any]:
        return self.answers[: len(names)]


@pytest.mark.peers
def test_other_findings_are_found_before_the_file_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnx")
    box = torch.tensor([[1.0, 2, 30, 40]])
    answers = Answers(box, torch.ones(1), torch.ones(1).long(), torch.ones(1, 28, 28))
    monkeypatch.setattr(rcnn_onnx, "write_graph", lambda *_, **__: None)
    monkeypatch.setattr(rcnn_onnx, "open_session", lambda _: answers)
    with pytest.raises(
        CheckpointError,
        match=r"^out.onnx: onnxruntime's findings on an image of 64x96 differ by .*, and \d+ of 13 have no partner; "
        r"expected 0.001 and 1 at most; nothing was written, please report this$",
    ):
        export_detector(trained("mask_rcnn"), tmp_path / "out.onnx", RULES)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("size", [(64, 90), (33, 96)], ids=str)
def test_sizes_of_no_whole_cells(tmp_path: Path, size: tuple[int, int]) -> None:
    with pytest.raises(
        AttnkitError,
        match=rf"^--image-size {size[0]}x{size[1]}: sides that are no multiples of 32; .* write 64x96, and",
    ):
        export_detector(trained("mask_rcnn"), tmp_path / "out.onnx", RULES, image_size=size)


def test_norms_of_the_heads_become_part_of_their_convolutions() -> None:
    own = build("cascade")
    x = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(7))
    graph = DetectorGraph(own, RULES)
    assert not any(name.startswith("detector.box_heads") and "running" in name for name, _ in graph.named_buffers())
    assert own.box_heads[0].convs[0].norm.running_mean is not None, "the detector itself stays as it is"
    with torch.inference_mode():
        worst, lost = compare(own(x, **asdict(RULES)), graph(x), side=96)
    assert (worst < 1e-5, lost) == (True, 0)


BOXES = torch.tensor([[0.0, 0, 10, 20], [30, 5, 60, 50], [0, 0, 10, 20]])
SCORES = torch.tensor([0.9, 0.5, 0.4])
LABELS = torch.tensor([1, 0, 2])


def test_the_order_does_not_count() -> None:
    order = torch.tensor([2, 0, 1])
    own, theirs = (BOXES, SCORES, LABELS), (BOXES[order], SCORES[order], LABELS[order])
    assert compare(own, theirs, side=100) == (0.0, 0)


def test_differences_of_boxes_scores_and_masks() -> None:
    masks = torch.zeros(3, 2, 2)
    moved, changed, drawn = BOXES.clone(), SCORES.clone(), masks.clone()
    moved[1, 2] += 0.125
    assert compare((BOXES, SCORES, LABELS, masks), (moved, SCORES, LABELS, masks), side=50) == (0.0025, 0)
    changed[0] = 0.65
    assert compare((BOXES, SCORES, LABELS), (BOXES, changed, LABELS), side=50) == (pytest.approx(0.25), 0)
    drawn[2, 1, 0] = 0.5
    assert compare((BOXES, SCORES, LABELS, masks), (BOXES, SCORES, LABELS, drawn), side=50) == (0.5, 0)


def test_findings_without_a_partner() -> None:
    own = (BOXES, SCORES, LABELS)
    assert compare(own, (BOXES[:2], SCORES[:2], LABELS[:2]), side=100) == (0.0, 1)
    assert compare((BOXES[:1], SCORES[:1], LABELS[:1]), own, side=100) == (0.0, 2)
    assert compare(own, (BOXES, SCORES, torch.tensor([1, 0, 3])), side=100) == (0.0, 1)
    assert compare(own, (BOXES[:0], SCORES[:0], LABELS[:0]), side=100) == (0.0, 3)
