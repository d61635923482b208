import subprocess
import sys

import pytest
import torch

from attnkit.models.macs import count_macs
from attnkit.models.rcnn.counted import CountedRcnn
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.detection.architectures import DETECTION_ARCHITECTURES, GMACS_SIZE, NUM_CLASSES, semantic_classes

every_architecture = pytest.mark.parametrize("name", DETECTION_ARCHITECTURES)

# Counted by others on the structure of mmdetection. They keep a norm behind Swin's last stage that nothing reads.
COUNTED = {
    "mask_rcnn_swin_t": (47_796_138, 266.6),
    "mask_rcnn_swin_s": (69_114_042, 358.6),
    "cascade_mask_rcnn_swin_t": (85_631_340, 744.8),
    "cascade_mask_rcnn_swin_s": (106_949_244, 836.8),
    "cascade_mask_rcnn_swin_b": (144_979_050, 981.3),
    "htc_swin_b": (147_912_737, 1028.6),
    "htcpp_swin_b": (160_508_961, 1043.2),
    "htcpp_swin_l": (284_744_189, 1470.3),
}
# Millions of parameters and G multiply-accumulates: tables 2a to 2c of the Swin paper, and the official repository.
PUBLISHED = {
    "mask_rcnn_swin_t": (48, 267),
    "mask_rcnn_swin_s": (69, 359),
    "cascade_mask_rcnn_swin_t": (86, 745),
    "cascade_mask_rcnn_swin_s": (107, 838),
    "cascade_mask_rcnn_swin_b": (145, 982),
    "htcpp_swin_b": (160, 1043),
    "htcpp_swin_l": (284, 1470),
}


def build(name: str, **changes: object) -> Rcnn:
    """Without memory for its weights."""
    architecture = DETECTION_ARCHITECTURES[name]
    with torch.device("meta"):
        return Rcnn(
            architecture.model.model_copy(update=changes),
            num_classes=NUM_CLASSES,
            masks=True,
            semantic_classes=semantic_classes(architecture.model),
        )


def parameters(model: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def gmacs(model: Rcnn) -> float:
    return count_macs(CountedRcnn(model), *GMACS_SIZE) / 1e9


@every_architecture
def test_size_and_cost(name: str) -> None:
    architecture, model = DETECTION_ARCHITECTURES[name], build(name)
    assert parameters(model) == architecture.params
    assert gmacs(model) == pytest.approx(architecture.gmacs, rel=1e-6)


@every_architecture
def test_what_others_count(name: str) -> None:
    architecture, (params, cost) = DETECTION_ARCHITECTURES[name], COUNTED[name]
    unread = 2 * architecture.model.backbone.embed_dim * 8
    assert architecture.params + unread == params
    assert architecture.gmacs == pytest.approx(cost, abs=0.1)


@pytest.mark.parametrize("name", PUBLISHED)
def test_what_the_paper_says(name: str) -> None:
    """Its costs have norms in them, a sixth of a per cent at most. Parameters of HTC++ are cut to millions."""
    architecture, (millions, cost) = DETECTION_ARCHITECTURES[name], PUBLISHED[name]
    whole = int if name.startswith("htcpp") else round
    assert whole(architecture.params / 1e6) == millions
    assert architecture.gmacs == pytest.approx(cost, rel=0.0017)


def test_htc_without_the_semantic_branch() -> None:
    """Two flows of 1x1 more than a cascade, and the norm that nothing reads."""
    model = build("htc_swin_b", semantic="none")
    assert parameters(model) + 2 * 1024 == 145_110_634
    assert parameters(model) - parameters(build("cascade_mask_rcnn_swin_b")) == 2 * (256 * 256 + 256)
    assert gmacs(model) == pytest.approx(983.9, abs=0.05)


def test_the_block_of_htcpp() -> None:
    for name, channels in (("htcpp_swin_b", 1024), ("htcpp_swin_l", 1536)):
        block = build(name).global_block
        assert block is not None
        assert parameters(block) == 12 * channels**2 + 13 * channels
    more = DETECTION_ARCHITECTURES["htcpp_swin_b"].params - DETECTION_ARCHITECTURES["htc_swin_b"].params
    assert more == 12 * 1024**2 + 13 * 1024


def test_every_score_has_a_source() -> None:
    for name, row in DETECTION_ARCHITECTURES.items():
        assert bool(row.source) == ("box_ap" in row.scores) == ("mask_ap" in row.scores), name
        if "box_ap" in row.scores:
            assert 40 < row.scores["mask_ap"] < row.scores["box_ap"] < 60, name
        on_test_dev = [f"{kind}_ap, test-dev, several sizes" in row.scores for kind in ("box", "mask")]
        assert on_test_dev in ([True, True], [False, False]), name


def test_the_table_is_free_of_torch() -> None:
    code = "import sys, attnkit.recipes.detection.architectures; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
