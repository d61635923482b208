"""Detectors exported to ONNX (https://onnx.ai), checked by onnxruntime before the file is kept.

The graph is for one image of one size, and everything is in it: proposals, non-maximum suppression, masks in their
boxes. Checked are that very file, and the graph of another image size that keeps every finding, so that something is
found on the images of the check, which are of nothing.
"""

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.ops import box_iou

from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop.export_weights import CELL, TrainedNetwork, new_output
from attnkit.interop.onnx_export import INPUT, metadata_of, open_session, times, write_graph
from attnkit.models.layers.conv_norm import ConvNorm
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.structures.arrays import Size

OUTPUTS = ("boxes", "scores", "labels", "masks")
IMAGES = 3
"""That each graph is checked on."""
TOLERANCE = 1e-3
"""On scores and masks, and times the longer side of the image on boxes."""
LEAST_OVERLAP = 0.99
"""Of two boxes that are the same finding."""
MOST_LOST = 0.02
"""Of the findings: where two have nearly the same score, rounding may swap them, and the last one falls off."""


@dataclass(frozen=True)
class FindingRules:
    """Which findings count, see `Rcnn.forward`."""

    score_threshold: float
    nms_threshold: float
    max_detections: int


class DetectorGraph(nn.Module):
    """What becomes a graph: a detector with its rules."""

    def __init__(self, detector: Rcnn, rules: FindingRules) -> None:
        super().__init__()
        self.detector = _without_norms(detector)
        self.rules = rules

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(1, 3, H, W) to boxes (D, 4), scores (D,), labels (D,) and, with mask heads, masks (D, M, M)."""
        found: tuple[Tensor, ...] = self.detector(images, **asdict(self.rules))
        return found


def export_detector(
    trained: TrainedNetwork, path: Path, rules: FindingRules, *, image_size: Size | None = None
) -> tuple[str, ...]:
    """Write a detector as ONNX, in float32: one image (1, 3, H, W), normalised, to boxes (D, 4) in its pixels, scores
    (D,), labels (D,) from 0 and, where it predicts masks, their probabilities in the boxes (D, 28, 28).

    The file's metadata say the classes and how images are prepared.

    Args:
        trained: what to write.
        path: a new file.
        rules: which findings count.
        image_size: none takes that of the run, lying, rounded up to whole cells.

    Returns:
        What was checked, a line each.

    Raises:
        AttnkitError: onnx is not installed, there is something at `path`, or the size is of no whole cells.
        CheckpointError: onnxruntime finds something else with the file; then nothing is kept.
    """
    size = image_size or trained.image_size
    _check_size(size)
    detector = cast("Rcnn", trained.model)
    other, everything = (size[0] + CELL, size[1] + 2 * CELL), FindingRules(0.0, rules.nms_threshold, 100)
    metadata = metadata_of(trained) | {"category_ids": json.dumps(list(trained.category_ids))}
    with new_output(path) as partial:
        lines = [f"{_write_and_check(detector, rules, partial, size, metadata)} (the file)"]
        with TemporaryDirectory(dir=partial.parent) as check:
            line = _write_and_check(detector, everything, Path(check, "check.onnx"), other, {})
        lines.append(f"{line} (a graph made for the check alone, with findings of any score)")
    return tuple(lines)


def compare(own: Sequence[Tensor], theirs: Sequence[Tensor], *, side: int) -> tuple[float, int]:
    """How far findings are apart that are the same, and how many of either have none of the other.

    Args:
        own: boxes, scores, labels and perhaps masks.
        theirs: likewise.
        side: the longer one of the image.

    Returns:
        (the largest difference: of scores, of masks, and of boxes over `side`; findings without a partner).
    """
    if not len(own[0]) or not len(theirs[0]):
        return 0.0, max(len(own[0]), len(theirs[0]))
    overlap = box_iou(own[0], theirs[0]).masked_fill(own[2][:, None] != theirs[2], 0.0)
    best, partner = overlap.max(dim=1)
    same = best >= LEAST_OVERLAP
    worst = 0.0
    for name, mine, other in zip(OUTPUTS[: len(own)], own, theirs, strict=True):
        if name != "labels" and same.any():
            difference = float((mine[same] - other[partner[same]]).abs().max())
            worst = max(worst, difference / side if name == "boxes" else difference)
    return worst, int(max((~same).sum(), len(theirs[0]) - same.sum()))


def _check_size(size: Size) -> None:
    if any(side % CELL for side in size):
        raise AttnkitError(
            f"--image-size {times(size)}: sides that are no multiples of {CELL}; expected whole cells of the coarsest "
            f"map; write {times((-(-size[0] // CELL) * CELL, -(-size[1] // CELL) * CELL))}, and pad images to it"
        )


def _write_and_check(detector: Rcnn, rules: FindingRules, path: Path, size: Size, metadata: dict[str, str]) -> str:
    names = OUTPUTS if detector.has_masks else OUTPUTS[:3]
    graph = DetectorGraph(detector, rules).eval()
    write_graph(graph, torch.zeros(1, 3, *size), path, input_name=INPUT, output_names=names, metadata=metadata)
    session = open_session(path)
    generator = torch.Generator().manual_seed(sum(size))
    worst, count = 0.0, 0
    for _ in range(IMAGES):
        image = _cloudy(size, generator)
        with torch.inference_mode():
            own = detector(image, **asdict(rules))
        theirs = [torch.from_numpy(output) for output in session.run(list(names), {INPUT: image.numpy()})]
        difference, lost = compare(own, theirs, side=max(size))
        _refuse(path, size, difference, lost, len(own[0]))
        worst, count = max(worst, difference), count + len(own[0])
    return (
        f"checked at {times(size)} on {IMAGES} images: {count} findings; scores, masks and boxes (by the longer side) "
        f"differ by {worst:.1e} at most"
    )


def _refuse(path: Path, size: Size, difference: float, lost: int, count: int) -> None:
    """Keep what is right."""
    if not difference <= TOLERANCE or lost > max(1, MOST_LOST * count):
        raise CheckpointError(
            f"{path.name}: onnxruntime's findings on an image of {times(size)} differ by {difference:.2g}, and {lost} "
            f"of {count} have no partner; expected {TOLERANCE:g} and {max(1, MOST_LOST * count):.0f} at most; "
            "nothing was written, please report this"
        )


def _cloudy(size: Size, generator: torch.Generator) -> Tensor:
    """An image with something large and something small in it."""
    coarse = torch.randn(1, 3, 5, 7, generator=generator)
    fine = torch.randn(1, 3, *size, generator=generator)
    return 2 * F.interpolate(coarse, size=size, mode="bicubic") + 0.5 * fine


def _without_norms(detector: Rcnn) -> Rcnn:
    """Batch norms of the heads become part of their convolutions: the exporter cannot take them where the number of
    regions depends on the image."""
    copy = deepcopy(detector).eval()
    for part in copy.modules():
        if isinstance(part, ConvNorm):
            part.conv = fuse_conv_bn_eval(part.conv, cast("nn.BatchNorm2d", part.norm))
            part.norm = nn.Identity()
    return copy
