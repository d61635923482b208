"""The networks that a new recipe for images may get, and the memory that training them takes. Free of torch.

Published are Swin-T, S and B (Liu et al. 2021, tables 1 to 3; detectors and segmenters from weights of ImageNet)
and, for small images, a Swin of 96 channels (Lee et al. 2021, arXiv:2112.13492). What is smaller, what is needed
without such weights, and the limits between them, are judgement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from attnkit.models.config import SwinConfig, UperNetConfig
from attnkit.models.rcnn.config import BoxHeadConfig, MaskHeadConfig, MaskRcnnConfig, RpnConfig
from attnkit.recipes.classification.architectures import ARCHITECTURES
from attnkit.structures.arrays import Size

SMALL_IMAGE = 48
"""Up to this many pixels a classifier's patches have 2 pixels, else 4."""
SMALL_CROP = 96
"""Up to this many pixels a segmenter's patches have 2 pixels and it has three stages, else 4 pixels and four stages."""
DETECTOR_PATCH = 4
"""Pixels of a cell of a detector's finest map."""
SWIN_KEYS = ("patch_size", "embed_dim", "depths", "num_heads", "window_size", "drop_path_rate")
"""Of a Swin's config, written into every recipe."""
_POSITIVE = 0.25
"""Of the proposals that the box head learns from; these get masks."""


def _swin(embed_dim: int, depths: tuple[int, ...], num_heads: tuple[int, ...]) -> SwinConfig:
    return SwinConfig(name="swin", embed_dim=embed_dim, depths=depths, num_heads=num_heads)


def _published(name: str) -> SwinConfig:
    model = ARCHITECTURES[name].model
    assert isinstance(model, SwinConfig)
    return model


SWIN_MICRO = _swin(48, (2, 2, 4, 2), (2, 4, 8, 16))
SWIN_T, SWIN_S, SWIN_B = map(_published, ("swin_t", "swin_s", "swin_b"))


@dataclass(frozen=True)
class ClassifierNetwork:
    """A Swin, and how many training images it takes to pay."""

    name: str
    swin: SwinConfig
    least_images: int
    drop_path_rate: float
    why: str
    published: bool = False

    def config(self, image_size: int) -> SwinConfig:
        """The model for an image size, its windows so that the last map is one of them."""
        patch_size = 2 if image_size <= SMALL_IMAGE else 4
        window_size = min(max(2, round(_last_map(self.swin, image_size, patch_size))), 12)
        return self.swin.changed(patch_size=patch_size, window_size=window_size, drop_path_rate=self.drop_path_rate)


CLASSIFIER_NANO = ClassifierNetwork(
    "a Swin of 48 channels", _swin(48, (2, 2, 2), (2, 4, 8)), 0, 0.0, "small enough for a few processor cores"
)
CLASSIFIER_SEVEN = ClassifierNetwork(
    "a Swin of 96 channels",
    *(_swin(96, (2, 6, 4), (3, 6, 12)), 5000, 0.1),
    "published with 94.5 on the small images of CIFAR-10",
)
CLASSIFIER_MICRO = ClassifierNetwork("a Swin of 48 channels", SWIN_MICRO, 0, 0.1, "half the width of Swin-T")
CLASSIFIER_TINY = ClassifierNetwork("Swin-T", SWIN_T, 20_000, 0.2, "the paper's smallest", published=True)
CLASSIFIER_SMALL = ClassifierNetwork(
    "Swin-S", SWIN_S, 500_000, 0.3, "from half a million images on its depth pays off", published=True
)
CLASSIFIER_BASE = ClassifierNetwork(
    "Swin-B", SWIN_B, 3_000_000, 0.2, "from millions of images on its width pays off", published=True
)
CLASSIFIERS = (CLASSIFIER_BASE, CLASSIFIER_SMALL, CLASSIFIER_TINY, CLASSIFIER_MICRO)
SMALL_IMAGE_CLASSIFIERS = (CLASSIFIER_SEVEN, CLASSIFIER_NANO)


@dataclass(frozen=True)
class SegmenterNetwork:
    """UperNet on a Swin, and how many training images it takes to pay."""

    name: str
    swin: SwinConfig
    channels: int
    auxiliary_channels: int
    least_images: int
    drop_path_rate: float
    lr: float
    """For batches of 16."""
    why: str
    published: bool = False
    """Windows and MLPs are those of the paper then, whatever the crop."""

    def config(self, crop: int) -> UperNetConfig:
        """The model for a crop, its windows so that the last map is one of them."""
        patch_size = 2 if crop <= SMALL_CROP else 4
        last = int(_last_map(self.swin, crop, patch_size))
        return UperNetConfig(
            backbone=self.swin.changed(
                patch_size=patch_size,
                window_size=7 if self.published else min(max(2, last), 10),
                mlp_convolution=not self.published,
                drop_path_rate=self.drop_path_rate,
            ),
            channels=self.channels,
            pool_scales=(1, 2, 3, 6) if last >= 6 else (1, 2),
            auxiliary_channels=self.auxiliary_channels,
        )


SEGMENTER_FLAT = SegmenterNetwork(
    "UperNet of 32 channels on a Swin of 24",
    *(_swin(24, (2, 2, 2), (1, 2, 4)), 32, 16, 0, 0.0, 2e-3),
    "small images have few details",
)
SEGMENTER_NANO = SegmenterNetwork(
    "UperNet of 64 channels on a Swin of 32",
    *(_swin(32, (2, 2, 6, 2), (1, 2, 4, 8)), 64, 32, 0, 0.1, 1e-3),
    "small enough for a few processor cores",
)
SEGMENTER_MICRO = SegmenterNetwork(
    "UperNet of 128 channels on a Swin of 48",
    *(SWIN_MICRO, 128, 64, 0, 0.1, 1e-3),
    "half the width of Swin-T, a quarter of the paper's UperNet",
)
SEGMENTER_TINY = SegmenterNetwork(
    "UperNet of 512 channels on Swin-T",
    *(SWIN_T, 512, 256, 2000, 0.2, 3e-4),
    "the paper's smallest",
    published=True,
)
SEGMENTER_BASE = SegmenterNetwork(
    "UperNet of 512 channels on Swin-B",
    *(SWIN_B, 512, 256, 50_000, 0.3, 2e-4),
    "from tens of thousands of images on its width pays off",
    published=True,
)
SEGMENTERS = (SEGMENTER_BASE, SEGMENTER_TINY, SEGMENTER_MICRO, SEGMENTER_NANO)


@dataclass(frozen=True)
class DetectorNetwork:
    """Mask R-CNN on a Swin, and how many training images it takes to pay."""

    name: str
    swin: SwinConfig
    window_size: int
    channels: int
    box_channels: int
    mask_convs: int
    least_images: int
    drop_path_rate: float
    lr: float
    """For batches of 4."""
    why: str
    published: bool = False
    """Proposals and samples are those of the papers then, however many objects there are."""

    def config(self, *, anchor_scale: float, proposals: int, samples: int, detections: int = 1) -> MaskRcnnConfig:
        """The model.

        Args:
            anchor_scale: side of the anchors, in cells.
            proposals: of an image.
            samples: of them, that the box head learns from.
            detections: of an image; there are no fewer proposals, for each detection begins as a proposal.
        """
        usual = RpnConfig()
        train_proposals = usual.train_proposals if self.published else proposals
        return MaskRcnnConfig(
            backbone=self.swin.changed(
                patch_size=DETECTOR_PATCH, window_size=self.window_size, drop_path_rate=self.drop_path_rate
            ),
            channels=self.channels,
            rpn=RpnConfig(
                anchor_scale=anchor_scale,
                train_proposals=max(train_proposals, detections),
                proposals=max(usual.proposals if self.published else proposals, detections),
            ),
            box_head=BoxHeadConfig(channels=self.box_channels, samples=512 if self.published else samples),
            mask_head=MaskHeadConfig(convs=self.mask_convs, channels=self.channels),
        )


DETECTOR_NANO = DetectorNetwork(
    "Mask R-CNN of 64 channels on a Swin of 32",
    *(_swin(32, (2, 2, 2, 2), (1, 2, 4, 8)), 8, 64, 256, 2, 0, 0.0, 1e-3),
    "small enough for a few processor cores",
)
DETECTOR_MICRO = DetectorNetwork(
    "Mask R-CNN of 128 channels on a Swin of 48",
    *(SWIN_MICRO, 8, 128, 512, 3, 0, 0.1, 7e-4),
    "half the width of Swin-T, and half of the paper's pyramid",
)
DETECTOR_TINY = DetectorNetwork(
    "Mask R-CNN of 256 channels on Swin-T",
    *(SWIN_T, 7, 256, 1024, 4, 2000, 0.2, 2e-4),
    "the paper's smallest",
    published=True,
)
DETECTOR_SMALL = DetectorNetwork(
    "Mask R-CNN of 256 channels on Swin-S",
    *(SWIN_S, 7, 256, 1024, 4, 50_000, 0.2, 1e-4),
    "from tens of thousands of images on its depth pays off",
    published=True,
)
DETECTORS = (DETECTOR_SMALL, DETECTOR_TINY, DETECTOR_MICRO, DETECTOR_NANO)

Network = TypeVar("Network", ClassifierNetwork, SegmenterNetwork, DetectorNetwork)


def supported(family: Sequence[Network], images: int, *, published: bool = True) -> list[Network]:
    """The networks of a family that so many training images support.

    Args:
        family: the largest first.
        images: to train on.
        published: whether the large ones of the papers are wanted.
    """
    return [network for network in family if images >= network.least_images and (published or not network.published)]


def classifier_bytes(model: SwinConfig, image_size: int) -> int:
    """About what training keeps of one image, in float32."""
    return 4 * _swin_values(model, (image_size, image_size))


def segmenter_bytes(model: UperNetConfig, crop: int, num_classes: int) -> int:
    """About what training keeps of one image, in float32.

    Of the pyramid some 12 values per channel of the finest map; of each pixel three per class and head.
    """
    assert isinstance(model.backbone, SwinConfig)
    finest = crop // model.backbone.patch_size
    values = _swin_values(model.backbone, (crop, crop)) + 12 * model.channels * finest**2
    return 4 * (values + 2 * 3 * num_classes * crop**2)


def detector_bytes(model: MaskRcnnConfig, size: Size, *, masks: bool) -> int:
    """About what training keeps of one image, in float32.

    Of the pyramid some 12 values per channel of the finest map; of each proposal that is sampled its features and
    layers, and of each positive one those of its mask, whose logits are those of its own class alone.
    """
    backbone = model.backbone
    assert isinstance(backbone, SwinConfig)
    finest = (size[0] // backbone.patch_size) * (size[1] // backbone.patch_size)
    total = _swin_values(backbone, size) + 12 * model.channels * finest
    samples = model.box_head.samples
    total += samples * (2 * 7 * 7 * model.channels + 4 * model.box_head.channels)
    if masks:
        positive = int(samples * _POSITIVE)
        total += positive * 14 * 14 * (model.channels + model.mask_head.channels * (model.mask_head.convs + 4))
        total += positive * 28 * 28 * (model.mask_head.channels + 2)
    return 4 * total


def _last_map(swin: SwinConfig, image_size: int, patch_size: int) -> float:
    """Cells along a side of the last stage's map."""
    return image_size / patch_size / 2 ** (len(swin.depths) - 1)


def _swin_values(model: SwinConfig, size: Size) -> int:
    """Some 20 values per channel of each block, two more per hidden one where its MLP convolves, and attention."""
    total = 0
    height, width = (side // model.patch_size for side in size)
    per_channel = 20 + 2 * model.mlp_ratio * model.mlp_convolution
    for stage, (depth, heads) in enumerate(zip(model.depths, model.num_heads, strict=True)):
        tokens = max(1, height // 2**stage) * max(1, width // 2**stage)
        channels = model.embed_dim * 2**stage
        total += depth * tokens * (int(per_channel * channels) + 2 * heads * model.window_size**2)
    return total
