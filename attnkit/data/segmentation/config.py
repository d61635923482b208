"""What a recipe may say about images and masks: where they are, and how they become inputs of a model."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import Config, Count, Mean, Range, Seed, Std, Width
from attnkit.data.config import HoldBackConfig


class MaskSplitConfig(Config):
    """Where the images of one split are, and their masks: two folders, or a list of both."""

    images: str | None = None
    """Folder inside `path`; a mask has its image's name, but for the ending (and Cityscapes' and the like)."""
    masks: str | None = None
    list: str | None = None
    """A text file inside `path`, a line per image: image and mask, paths below `path`."""


class MaskFilesConfig(Config):
    """Images, and masks of the same size whose pixel values are class ids: PNG, grey or palette.

    `path` may also be an archive. Where no split is named they are found by their usual names, ADE20K's among them.
    """

    format: Literal["mask_files"]
    path: str
    train: MaskSplitConfig | None = None
    valid: MaskSplitConfig | None = None
    test: MaskSplitConfig | None = None
    classes: tuple[str, ...] | dict[int, str] | str | None = None
    """Names by id, or a file inside `path`: .json (names, or id, name and colour), or .txt (a name per line).

    None: as many as the training masks have. `{0: background, 255: object}` names pixel values with gaps; classes are
    numbered in the order of their pixel values, the ignored ones left out.
    """
    ignore: tuple[Annotated[int, Field(ge=0, le=65_535)], ...] = (255,)
    """Pixel values that are of no class: neither learned nor scored."""
    reduce_zero_label: bool = False
    """0 is of no class, and 1 is the first one, as in ADE20K; 255 stays of no class."""
    hold_back: HoldBackConfig = HoldBackConfig()


class CocoMasksSplitConfig(Config):
    """One split of a COCO data set."""

    images: str
    """Folder inside `path`."""
    annotations: str
    """The json inside `path`: instances, stuff or panoptic, which its content tells."""
    panoptic: str | None = None
    """Folder of the panoptic PNGs inside `path`."""


class CocoMasksConfig(Config):
    """COCO's json made into a class per pixel: where instances overlap the smaller one lies on top."""

    format: Literal["coco_masks"]
    path: str
    train: CocoMasksSplitConfig
    valid: CocoMasksSplitConfig | None = None
    test: CocoMasksSplitConfig | None = None
    background: bool = True
    """Of instances: pixels of no object are a class of their own, the first; False: they are ignored."""
    hold_back: HoldBackConfig = HoldBackConfig()


class SegmentationShapesConfig(Config):
    """Generated: several circles, squares and triangles on a background, each pixel labelled. Without any file."""

    format: Literal["shapes"]
    train_images: Count = 1000
    valid_images: Count = 100
    test_images: Count = 200
    size: int = Field(default=64, ge=16, le=65_536)
    most_shapes: Count = 4
    """Per image, at least one."""
    seed: Seed = 1


SegmentationDataConfig = Annotated[
    MaskFilesConfig | CocoMasksConfig | SegmentationShapesConfig, Field(discriminator="format")
]


class SegmentationImageConfig(Config):
    """How an image becomes the input of a segmentation model."""

    crop: tuple[Width, Width] = (512, 512)
    """Height and width of the training input, in pixels."""
    short_side: int | None = Field(default=None, ge=8, le=65_536)
    """Images are brought to this shorter side, in training before they are varied; none leaves them as they are."""
    long_side: int | None = Field(default=None, ge=8, le=65_536)
    """The longer side is at most this; the shorter one is smaller then."""
    mean: Mean = (0.485, 0.456, 0.406)
    """Of red, green, blue on 0..1; the defaults are ImageNet's."""
    std: Std = (0.229, 0.224, 0.225)


class SegmentationAugmentConfig(Config):
    """How training images and their masks are varied. Each variation depends on (seed, epoch, which image) alone."""

    scale: Range = (0.5, 2.0)
    """The image is resized by a factor from here, then cropped; what is missing is filled and ignored."""
    most_of_one_class: float = Field(default=0.75, gt=0.0, le=1.0)
    """A crop is drawn again, up to ten times, while one class has more of its labelled pixels than this share."""
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability of mirroring left and right."""
    photometric: bool = True
    """Brightness, contrast, saturation and hue, as SSD distorts them (Liu et al. 2015)."""
