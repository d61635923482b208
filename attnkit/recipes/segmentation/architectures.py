"""The UperNets that papers give a size for, by name: `attnkit summary upernet_swin_t`. Free of torch.

Parameters are exact, for the 150 classes of ADE20K, auxiliary head included. GMACs are multiply-accumulates in units of
10^9 without that head, which predictions do not use, by the convention `paper` (models/macs.py) at the size that the
Swin paper takes. They agree with what was published, but for the 3230 G that the Swin paper gives Swin-L: nobody could
reproduce them.
"""

from typing import Literal

from attnkit.models.config import ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.recipes.published import Published

NUM_CLASSES = 150

_SWIN_REPOSITORY = "github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation"
_SWIN_PAPER = "Liu et al. 2021, arXiv:2103.14030, table 3"
_MMSEGMENTATION = "mmsegmentation"


def _swin(embed_dim: int, blocks: int, heads: int, *, window_size: int = 7) -> UperNetConfig:
    """Blocks of the third stage and heads of the first; the sizes of the classifiers."""
    return UperNetConfig(
        backbone=SwinConfig(
            name="swin",
            embed_dim=embed_dim,
            depths=(2, 2, blocks, 2),
            num_heads=(heads, 2 * heads, 4 * heads, 8 * heads),
            window_size=window_size,
            drop_path_rate=0.3,
        )
    )


def _deit_s(neck: Literal["resize", "multi_level"]) -> UperNetConfig:
    return UperNetConfig(backbone=ViTConfig(embed_dim=384, num_heads=6, drop_path_rate=0.1), neck=neck)


def _resnet(depth: Literal[50, 101]) -> UperNetConfig:
    return UperNetConfig(backbone=ResNetConfig(name="resnet", depth=depth))


def _row(
    model: UperNetConfig,
    params: int,
    gmacs: float,
    source: str,
    miou: float | None = None,
    miou_multi_scale: float | None = None,
    *,
    crop: int = 512,
) -> Published[UperNetConfig]:
    """A network with its mIoU in percent on the validation images of ADE20K, of whole images at one scale, and of six
    scales and flipped images. The Swin paper counts images of 512x2048 or, by the crop of training, 640x2560.
    """
    scores = {"miou": miou, "miou, several scales, mirrored": miou_multi_scale}
    known = {metric: score for metric, score in scores.items() if score is not None}
    return Published(model, params, gmacs, (crop, 4 * crop), source, known)


_T, _S, _B, _L = _swin(96, 6, 3), _swin(96, 18, 3), _swin(128, 18, 4), _swin(192, 18, 6)
_B12, _L12 = _swin(128, 18, 4, window_size=12), _swin(192, 18, 6, window_size=12)

SEGMENTATION_ARCHITECTURES: dict[str, Published[UperNetConfig]] = {
    "upernet_swin_t": _row(_T, 59_941_862, 944.3851, _SWIN_REPOSITORY, 44.51, 45.81),
    "upernet_swin_s": _row(_S, 81_259_766, 1037.4169, _SWIN_REPOSITORY, 47.64, 49.47),
    "upernet_swin_b": _row(_B, 121_279_716, 1187.3514, _SWIN_REPOSITORY, 48.13, 49.72),
    # pre-trained on ImageNet-22K
    "upernet_swin_b_22k": _row(_B, 121_279_716, 1839.1755, _SWIN_PAPER, None, 51.6, crop=640),
    "upernet_swin_l_22k": _row(_L, 233_759_936, 2482.3423, _SWIN_PAPER, None, 53.5, crop=640),
    "upernet_swin_b_w12": _row(_B12, 121_415_076, 1890.8434, _MMSEGMENTATION, 50.76, 52.4, crop=640),
    "upernet_swin_l_w12": _row(_L12, 233_962_976, 2580.4356, "", crop=640),
    # the paper's DeiT-S with a pyramid of resized maps (it publishes 52M, 1099G), and mmsegmentation's with its neck
    "upernet_deit_s": _row(_deit_s("resize"), 52_093_868, 1097.7392, _SWIN_PAPER, None, 44.0),
    "upernet_deit_s_mln": _row(_deit_s("multi_level"), 57_995_180, 1215.6662, _MMSEGMENTATION, 43.82, 45.07),
    # torchvision's ResNet; mmsegmentation's has three convolutions in place of the first
    "upernet_r50": _row(_resnet(50), 66_496_876, 946.2706, _MMSEGMENTATION, 42.05, 42.78),
    "upernet_r101": _row(_resnet(101), 85_489_004, 1023.8485, _MMSEGMENTATION, 43.82, 44.85),
}
"""By name. `transformers` counts two values per channel of the last map more: a norm that it keeps but never uses."""
