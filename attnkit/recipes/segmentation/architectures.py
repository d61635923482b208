"""The UperNets that papers give a size for, by name: `attnkit summary upernet_swin_t`. Free of torch.

Parameters are exact, for the 150 classes of ADE20K, auxiliary head included. GMACs are multiply-accumulates in units of
10^9 without that head, which predictions do not use: by the convention `paper` (models/macs.py) at the size that the
Swin paper takes, and by `mmcv` at the crop of training, as mmsegmentation's tool counts. Both agree with what was
published, but for the 3230 G that the Swin paper gives Swin-L: nobody could reproduce them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from attnkit.models.config import ResNetConfig, SwinConfig, UperNetConfig, ViTConfig

NUM_CLASSES = 150

_SWIN_REPOSITORY = "github.com/SwinTransformer/Swin-Transformer-Semantic-Segmentation"
_SWIN_PAPER = "Liu et al. 2021, arXiv:2103.14030, table 3"
_MMSEGMENTATION = "mmsegmentation"


@dataclass(frozen=True)
class SegmentationArchitecture:
    """A published network with its size and its score on the validation images of ADE20K."""

    model: UperNetConfig
    crop: int
    """Height and width of the images of training."""
    params: int
    gmacs: float
    """By the convention `paper`, of an image of `gmacs_size`."""
    crop_gmacs: float
    """By the convention `mmcv`, of an image of the crop's size."""
    source: str
    """Who measured the scores."""
    miou: float | None = None
    """Mean intersection over union in percent, of the whole image at one scale."""
    miou_multi_scale: float | None = None
    """The same with six scales and mirrored images."""

    @property
    def gmacs_size(self) -> tuple[int, int]:
        """Height and width of the image that the Swin paper counts: 512x2048 or 640x2560."""
        return self.crop, 4 * self.crop


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
    crop_gmacs: float,
    source: str,
    scores: tuple[float | None, float | None],
    *,
    crop: int = 512,
) -> SegmentationArchitecture:
    return SegmentationArchitecture(model, crop, params, gmacs, crop_gmacs, source, *scores)


_T, _S, _B, _L = _swin(96, 6, 3), _swin(96, 18, 3), _swin(128, 18, 4), _swin(192, 18, 6)
_B12, _L12 = _swin(128, 18, 4, window_size=12), _swin(192, 18, 6, window_size=12)

SEGMENTATION_ARCHITECTURES: dict[str, SegmentationArchitecture] = {
    "upernet_swin_t": _row(_T, 59_941_862, 944.3851, 236.1455, _SWIN_REPOSITORY, (44.51, 45.81)),
    "upernet_swin_s": _row(_S, 81_259_766, 1037.4169, 259.3303, _SWIN_REPOSITORY, (47.64, 49.47)),
    "upernet_swin_b": _row(_B, 121_279_716, 1187.3514, 297.2812, _SWIN_REPOSITORY, (48.13, 49.72)),
    # pre-trained on ImageNet-22K
    "upernet_swin_b_22k": _row(_B, 121_279_716, 1839.1755, 459.0339, _SWIN_PAPER, (None, 51.6), crop=640),
    "upernet_swin_l_22k": _row(_L, 233_759_936, 2482.3423, 620.5281, _SWIN_PAPER, (None, 53.5), crop=640),
    "upernet_swin_b_w12": _row(_B12, 121_415_076, 1890.8434, 470.6604, _MMSEGMENTATION, (50.76, 52.4), crop=640),
    "upernet_swin_l_w12": _row(_L12, 233_962_976, 2580.4356, 646.6877, "", (None, None), crop=640),
    # the paper's DeiT-S with a pyramid of resized maps (it publishes 52M, 1099G), and mmsegmentation's with its neck
    "upernet_deit_s": _row(_deit_s("resize"), 52_093_868, 1097.7392, 235.8983, _SWIN_PAPER, (None, 44.0)),
    "upernet_deit_s_mln": _row(
        _deit_s("multi_level"), 57_995_180, 1215.6662, 265.3900, _MMSEGMENTATION, (43.82, 45.07)
    ),
    # torchvision's ResNet; mmsegmentation's has three convolutions in place of the first
    "upernet_r50": _row(_resnet(50), 66_496_876, 946.2706, 236.8738, _MMSEGMENTATION, (42.05, 42.78)),
    "upernet_r101": _row(_resnet(101), 85_489_004, 1023.8485, 256.3484, _MMSEGMENTATION, (43.82, 44.85)),
}
"""By name. `transformers` counts two values per channel of the last map more: a norm that it keeps but never uses."""
