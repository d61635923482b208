"""The networks that papers give a size for, by name: `attnkit summary vit_b16`. Free of torch.

Parameters are exact, for the 1000 classes of ImageNet-1k; GMACs are multiply-accumulates in units of 10^9 by the
convention `paper` (models/macs.py). Both agree with timm's and torchvision's networks of the same shape.
"""

from dataclasses import replace
from typing import Any

from attnkit.models.config import ClassifierConfig, SwinConfig, ViTConfig
from attnkit.recipes.published import Published, Rgb

NUM_CLASSES = 1000
SHAPES = ("patch_size", "embed_dim", "depth", "depths", "num_heads", "window_size", "mlp_ratio", "resnet_depths")
"""Fields by which a published architecture is recognised; the others do not change its size."""

Classifier = ViTConfig | SwinConfig
_HALF: Rgb = (0.5, 0.5, 0.5)
_IMAGENET_MEAN: Rgb = (0.485, 0.456, 0.406)
_IMAGENET_STD: Rgb = (0.229, 0.224, 0.225)

_VIT = "Dosovitskiy et al. 2020, arXiv:2010.11929"
_AUGREG = "Steiner et al. 2021, arXiv:2106.10270"
_DEIT = "Touvron et al. 2020, arXiv:2012.12877"
_SWIN = "Liu et al. 2021, arXiv:2103.14030"


_SWIN_TABLE = {
    "vit_b16_384": ("ImageNet-22k", 85.9, 84.0),
    "vit_l16_384": ("ImageNet-22k", 27.3, 85.2),
    "deit_s": ("none", 940.4, 79.8),
    "deit_b": ("none", 292.3, 81.8),
    "swin_t": ("none", 755.2, 81.3),
    "swin_s": ("none", 436.9, 83.0),
    "swin_b": ("none", 278.1, 83.5),
    "swin_b_w12_384": ("ImageNet-22k", 84.7, 86.4),
    "swin_l_w12_384": ("ImageNet-22k", 42.1, 87.3),
}
"""Pre-training, images per second on a V100 and top-1 accuracy by table 1 of the Swin paper, which has others too."""


def _google(params: int, gmacs: float, image_size: int, model: ViTConfig, source: str) -> Published[Classifier]:
    return Published(model, params, gmacs, (image_size, image_size), source, mean=_HALF, std=_HALF)


def _imagenet(params: int, gmacs: float, image_size: int, model: Classifier, source: str) -> Published[Classifier]:
    size = (image_size, image_size)
    return Published(model, params, gmacs, size, source, mean=_IMAGENET_MEAN, std=_IMAGENET_STD)


# width, depth and heads of each size: table 1 of the ViT paper, table 1 of DeiT and of AugReg for Ti and S


def _ti(**options: Any) -> ViTConfig:
    return ViTConfig(embed_dim=192, depth=12, num_heads=3, **options)


def _s(**options: Any) -> ViTConfig:
    return ViTConfig(embed_dim=384, depth=12, num_heads=6, **options)


def _b(**options: Any) -> ViTConfig:
    return ViTConfig(embed_dim=768, depth=12, num_heads=12, **options)


def _l(**options: Any) -> ViTConfig:
    return ViTConfig(embed_dim=1024, depth=24, num_heads=16, **options)


def _h(**options: Any) -> ViTConfig:
    return ViTConfig(embed_dim=1280, depth=32, num_heads=16, **options)


def _swin(embed_dim: int, blocks: int, heads: int, *, window_size: int = 7) -> SwinConfig:
    """Blocks of the third stage and heads of the first; heads double from stage to stage as the channels do."""
    return SwinConfig(
        name="swin",
        embed_dim=embed_dim,
        depths=(2, 2, blocks, 2),
        num_heads=(heads, 2 * heads, 4 * heads, 8 * heads),
        window_size=window_size,
    )


_VIT_1, _AUGREG_1, _AUGREG_2 = f"{_VIT}, table 1", f"{_AUGREG}, table 1", f"{_AUGREG}, table 2"
_VIT_HYBRID = f"{_VIT}, section 4.1 and table 6"
_DEIT_1, _DEIT_5 = f"{_DEIT}, table 1", f"{_DEIT}, table 5"
_SWIN_1 = f"{_SWIN}, section 3.3 and table 1"

_ROWS: dict[str, Published[Classifier]] = {
    "vit_ti16": _google(5_717_416, 1.2537, 224, _ti(), _AUGREG_1),
    "vit_ti16_384": _google(5_790_376, 4.6822, 384, _ti(), _AUGREG_1),
    "vit_s32": _google(22_878_952, 1.1429, 224, _s(patch_size=32), _AUGREG_1),
    "vit_s16": _google(22_050_664, 4.5989, 224, _s(), _AUGREG_1),
    "vit_s16_384": _google(22_196_584, 15.4904, 384, _s(), _AUGREG_1),
    "vit_b32": _google(88_224_232, 4.4092, 224, _b(patch_size=32), _VIT_1),
    "vit_b32_384": _google(88_297_192, 13.0436, 384, _b(patch_size=32), _VIT_1),
    "vit_b16": _google(86_567_656, 17.5638, 224, _b(), _VIT_1),
    "vit_b16_384": _google(86_859_496, 55.4844, 384, _b(), _VIT_1),
    "vit_b8": _google(86_576_872, 78.1483, 224, _b(patch_size=8), _AUGREG_1),
    "vit_l32": _google(306_535_400, 15.3775, 224, _l(patch_size=32), _VIT_1),
    "vit_l32_384": _google(306_632_680, 45.2760, 384, _l(patch_size=32), _VIT_1),
    "vit_l16": _google(304_326_632, 61.5547, 224, _l(), _VIT_1),
    "vit_l16_384": _google(304_715_752, 191.0663, 384, _l(), _VIT_1),
    "vit_h14": _google(632_045_800, 167.2951, 224, _h(patch_size=14), _VIT_1),
    "deit_ti": _imagenet(5_717_416, 1.2537, 224, _ti(), _DEIT_1),
    "deit_s": _imagenet(22_050_664, 4.5989, 224, _s(), _DEIT_1),
    "deit_b": _imagenet(86_567_656, 17.5638, 224, _b(), _DEIT_1),
    "deit_ti_distilled": _imagenet(5_910_800, 1.2610, 224, _ti(distillation=True), _DEIT_5),
    "deit_s_distilled": _imagenet(22_436_432, 4.6241, 224, _s(distillation=True), _DEIT_5),
    "deit_b_distilled": _imagenet(87_338_192, 17.6568, 224, _b(distillation=True), _DEIT_5),
    "deit_b_distilled_384": _imagenet(87_630_032, 55.5913, 384, _b(distillation=True), _DEIT_5),
    "r26_vit_s32": _google(36_431_912, 3.4639, 224, _s(patch_size=1, resnet_depths=(2, 2, 2, 2)), _AUGREG_2),
    "r_vit_ti16": _google(6_337_704, 0.4337, 224, _ti(patch_size=8, resnet_depths=()), _AUGREG_2),
    "r50_vit_b16": _google(98_659_112, 21.5354, 224, _b(patch_size=1, resnet_depths=(3, 4, 9)), _VIT_HYBRID),
    "r50_vit_b16_384": _google(98_950_952, 67.1558, 384, _b(patch_size=1, resnet_depths=(3, 4, 9)), _VIT_HYBRID),
    "r50_vit_l32": _google(328_994_856, 19.4133, 224, _l(patch_size=1, resnet_depths=(3, 4, 6, 3)), _AUGREG_2),
    "r50_vit_l32_384": _google(329_092_136, 57.1361, 384, _l(patch_size=1, resnet_depths=(3, 4, 6, 3)), _AUGREG_2),
    "swin_t": _imagenet(28_288_354, 4.4906, 224, _swin(96, 6, 3), _SWIN_1),
    "swin_s": _imagenet(49_606_258, 8.7409, 224, _swin(96, 18, 3), _SWIN_1),
    "swin_b": _imagenet(87_768_224, 15.4309, 224, _swin(128, 18, 4), _SWIN_1),
    "swin_b_w12_384": _imagenet(87_903_584, 47.0831, 384, _swin(128, 18, 4, window_size=12), _SWIN_1),
    "swin_l": _imagenet(196_532_476, 34.4758, 224, _swin(192, 18, 6), _SWIN_1),
    "swin_l_w12_384": _imagenet(196_735_516, 103.9191, 384, _swin(192, 18, 6, window_size=12), _SWIN_1),
}


def _scores(name: str) -> dict[str, Any]:
    if name not in _SWIN_TABLE:
        return {}
    pretraining, images_per_second, top1 = _SWIN_TABLE[name]
    row = {"images_per_second": images_per_second, "measured": "one V100", "pretraining": pretraining, "top1": top1}
    return {"in table 1 of the Swin paper": row}


ARCHITECTURES = {name: replace(row, scores=_scores(name)) for name, row in _ROWS.items()}
"""By name; the letters are the papers', the number behind them is the patch size (of a hybrid its whole stride)."""


def published_name(model: ClassifierConfig, image_size: int | None = None) -> str | None:
    """The name of the published architecture that a model is; at that image size, or at whatever size."""
    for name, architecture in ARCHITECTURES.items():
        published = architecture.model
        same = type(published) is type(model) and all(
            getattr(published, field) == getattr(model, field) for field in SHAPES if hasattr(published, field)
        )
        sizes_agree = image_size in (None, architecture.gmacs_size[0])
        if same and sizes_agree and _is_deit(published) == _is_deit(model):
            return name
    return None


def _is_deit(model: ClassifierConfig) -> bool:
    return model.name == "vit" and model.distillation
