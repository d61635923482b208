"""What a recipe may say about images and masks: where they are, and how they become inputs of a model."""

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import Config, Count, Mean, Range, Std, Width
from attnkit.data.config import GeneratedImagesConfig, HoldBackConfig


class MaskSplitConfig(Config):
    """Where the images of one split are, and their masks: two folders, or a list of both."""

    images: str | None = None
    """The folder of the images inside `path`."""
    masks: str | None = None
    """The folder of the masks inside `path`; a mask is named as its image, or as Cityscapes and the like name it."""
    list: str | None = None
    """A text file inside `path` with a line per image: image and mask, as paths below `path`."""


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
    """The names of the classes by id, or a file inside `path`: .json (names, or id, name and colour), or .txt (a name
    per line).

    By default there are as many classes as the training masks have. `{0: background, 255: object}` names pixel values
    with gaps; classes are numbered in the order of their pixel values, the ignored ones left out.
    """
    ignore: tuple[Annotated[int, Field(ge=0, le=65_535)], ...] = (255,)
    """The pixel values that are of no class: they are neither learned nor scored."""
    reduce_zero_label: bool = False
    """Whether 0 is of no class, and 1 is the first class, as in ADE20K; 255 stays of no class."""
    hold_back: HoldBackConfig = HoldBackConfig()


class CocoMasksSplitConfig(Config):
    """One split of a COCO data set."""

    images: str
    """The folder of the images inside `path`."""
    annotations: str
    """The json inside `path`, of instances, stuff or panoptic segments; its content shows which."""
    panoptic: str | None = None
    """The folder of the panoptic PNGs inside `path`; by default it is named as the json."""


class CocoMasksConfig(Config):
    """COCO's json made into a class per pixel: where instances overlap the smaller one lies on top."""

    format: Literal["coco_masks"]
    path: str
    train: CocoMasksSplitConfig
    valid: CocoMasksSplitConfig | None = None
    test: CocoMasksSplitConfig | None = None
    background: bool = True
    """Whether pixels of no instance are a class of their own, the first; false ignores them."""
    hold_back: HoldBackConfig = HoldBackConfig()


class SegmentationShapesConfig(GeneratedImagesConfig):
    """Several circles, squares and triangles on each image, with a class for each pixel."""

    most_shapes: Count = 4
    """The most shapes of an image, which has at least one."""


SegmentationDataConfig = Annotated[
    MaskFilesConfig | CocoMasksConfig | SegmentationShapesConfig, Field(discriminator="format")
]


class SegmentationImageConfig(Config):
    """How an image becomes the input of a segmentation model."""

    crop: tuple[Width, Width] = (512, 512)
    """The height and width of the training input, in pixels."""
    short_side: int | None = Field(default=None, ge=8, le=65_536)
    """Images are resized so that their shorter side has this many pixels, in training before they are augmented; by
    default they keep their size."""
    long_side: int | None = Field(default=None, ge=8, le=65_536)
    """The longer side has at most this many pixels, even if the shorter side becomes smaller."""
    mean: Mean = (0.485, 0.456, 0.406)
    """The mean of red, green and blue on 0..1, which is subtracted; the default is ImageNet's."""
    std: Std = (0.229, 0.224, 0.225)
    """The standard deviation of red, green and blue on 0..1, by which they are divided; the default is ImageNet's."""


class SegmentationAugmentConfig(Config):
    """How training images and their masks are augmented, which depends on (seed, epoch, which image) alone."""

    scale: Range = (0.5, 2.0)
    """The image is resized by a factor from this range, then cropped; what is missing is padded and ignored."""
    most_of_one_class: float = Field(default=0.75, gt=0.0, le=1.0)
    """A crop is drawn again, up to ten times, while one class has more than this share of its labelled pixels."""
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """The probability that an image is mirrored left to right."""
    photometric: bool = True
    """Whether brightness, contrast, saturation and hue are distorted, as in SSD (Liu et al. 2015)."""
