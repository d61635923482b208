"""The detectors that papers give a size for, by name: `attnkit summary mask_rcnn_swin_t`. Free of torch.

Parameters are exact, for the 80 classes of COCO with masks. GMACs are multiply-accumulates in units of 10^9 by the
convention `paper` (models/macs.py) of an image of 800x1280 pixels with 1000 regions in every box head and 100 in every
mask head. Both agree with what was published; HTC++ was never released, so that its structure is what follows from its
published size and cost.
"""

from attnkit.models.config import SwinConfig
from attnkit.models.rcnn.config import BoxHeadConfig, CascadeConfig, HtcConfig, MaskRcnnConfig, RpnConfig
from attnkit.recipes.published import Published

Detector = MaskRcnnConfig | CascadeConfig | HtcConfig

NUM_CLASSES = 80
SEMANTIC_CLASSES = 183
"""Of COCO's maps of stuff and things."""
GMACS_SIZE = (800, 1280)
"""Height and width of the image that is counted."""

_REPOSITORY = "github.com/SwinTransformer/Swin-Transformer-Object-Detection"
_PAPER = "Liu et al. 2021, arXiv:2103.14030, table 2"


def semantic_classes(config: Detector) -> int | None:
    """What the semantic branch of a published detector tells apart; None where there is none."""
    return SEMANTIC_CLASSES if isinstance(config, HtcConfig) and config.semantic != "none" else None


def _swin(embed_dim: int, blocks: int, heads: int, drop_path_rate: float) -> SwinConfig:
    """Blocks of the third stage and heads of the first; the sizes of the classifiers."""
    return SwinConfig(
        name="swin",
        embed_dim=embed_dim,
        depths=(2, 2, blocks, 2),
        num_heads=(heads, 2 * heads, 4 * heads, 8 * heads),
        drop_path_rate=drop_path_rate,
    )


_T, _S, _B = _swin(96, 6, 3, 0.2), _swin(96, 18, 3, 0.2), _swin(128, 18, 4, 0.3)
_PAPERS_B, _PAPERS_L = _swin(128, 18, 4, 0.2), _swin(192, 18, 6, 0.2)
_CASCADE_RPN = RpnConfig(inner_anchors=True)


def _mask_rcnn(backbone: SwinConfig) -> MaskRcnnConfig:
    rpn = RpnConfig(loss="l1", train_kept=1000)
    return MaskRcnnConfig(backbone=backbone, rpn=rpn, box_head=BoxHeadConfig(name="2fc"))


def _cascade(backbone: SwinConfig) -> CascadeConfig:
    return CascadeConfig(name="cascade_mask_rcnn", backbone=backbone, rpn=_CASCADE_RPN)


def _htc(backbone: SwinConfig, *, global_block: bool) -> HtcConfig:
    return HtcConfig(name="htc", backbone=backbone, rpn=_CASCADE_RPN, semantic="maps", global_block=global_block)


def _row(
    model: Detector,
    params: int,
    gmacs: float,
    source: str = "",
    box_ap: float | None = None,
    mask_ap: float | None = None,
    *,
    test_dev: tuple[float | None, float | None] = (None, None),
) -> Published[Detector]:
    """A network with COCO's AP of boxes and masks in percent: of validation images at one size, and of test-dev at
    several.
    """
    scores = {
        "box_ap": box_ap,
        "mask_ap": mask_ap,
        "box_ap, test-dev, several sizes": test_dev[0],
        "mask_ap, test-dev, several sizes": test_dev[1],
    }
    known = {metric: score for metric, score in scores.items() if score is not None}
    return Published(model, params, gmacs, GMACS_SIZE, source, known)


DETECTION_ARCHITECTURES: dict[str, Published[Detector]] = {
    "mask_rcnn_swin_t": _row(_mask_rcnn(_T), 47_794_602, 266.5533, _REPOSITORY, 46.0, 41.6),
    "mask_rcnn_swin_s": _row(_mask_rcnn(_S), 69_112_506, 358.5951, _REPOSITORY, 48.5, 43.3),
    "cascade_mask_rcnn_swin_t": _row(_cascade(_T), 85_629_804, 744.8043, _REPOSITORY, 50.4, 43.7),
    "cascade_mask_rcnn_swin_s": _row(_cascade(_S), 106_947_708, 836.8461, _REPOSITORY, 51.9, 45.0),
    "cascade_mask_rcnn_swin_b": _row(_cascade(_B), 144_977_002, 981.2888, _REPOSITORY, 51.9, 45.0),
    "htc_swin_b": _row(_htc(_B, global_block=False), 147_910_689, 1028.6476),
    # pre-trained on ImageNet-22K
    "htcpp_swin_b": _row(_htc(_PAPERS_B, global_block=True), 160_506_913, 1043.2785, _PAPER, 56.4, 49.1),
    "htcpp_swin_l": _row(
        _htc(_PAPERS_L, global_block=True),
        284_741_117,
        1470.3037,
        _PAPER,
        57.1,
        49.5,
        test_dev=(58.7, 51.1),
    ),
}
"""By name, all trained for 36 rounds of the data, HTC++ for 72."""
