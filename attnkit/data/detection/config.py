"""What a recipe may say about images with boxes and masks.

Paths are looked up in the working directory, in $ATTNKIT_DATA, then in the cache.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attnkit.config import Config, Count, Mean, Range, Std, Width
from attnkit.data.config import GeneratedImagesConfig, HoldBackConfig

_LEAST_SIDE = 16
"""Smallest shorter side, in pixels, of an image that a detector is shown."""


class CocoSplitConfig(Config):
    """One split of a COCO data set."""

    images: str
    """The folder of the images inside `path`."""
    annotations: str
    """The json of instances inside `path`."""
    semantic: str | None = None
    """The folder of PNGs inside `path` with a class per pixel, where 255 is none (COCO's stuffthingmaps); HTC's
    semantic branch learns from them."""


class CocoConfig(Config):
    """COCO's json of instances, read as it is; `path` may also be an archive."""

    format: Literal["coco"] = "coco"
    path: str
    train: CocoSplitConfig
    valid: CocoSplitConfig | None = None
    test: CocoSplitConfig | None = None
    masks: bool = True
    """Whether masks are learned; false reads boxes alone, whatever the json holds."""
    semantic_classes: int | None = Field(default=None, ge=1, le=255)
    """The number of classes of the semantic maps; COCO's stuff and things have 183."""
    hold_back: HoldBackConfig = HoldBackConfig()


class YoloConfig(Config):
    """YOLO's text files, a line `class x y width height` (or a polygon) per object, in shares of the image's sides.

    `path` is a folder or an archive with images/{train,val,test} and labels/{train,val,test}, or {train,val,test} with
    images and labels in each; names come from its data.yaml.
    """

    format: Literal["yolo"]
    path: str
    train: str | None = None
    """The folder of the training images inside `path`, or a text file that names an image per line; found by data.yaml
    or by its usual names where it is not given."""
    valid: str | None = None
    test: str | None = None
    classes: tuple[str, ...] | None = None
    """The names of the classes by number, where there is no data.yaml."""
    masks: bool = True
    """Whether masks are learned; false takes polygons as the boxes around them."""
    hold_back: HoldBackConfig = HoldBackConfig()


class VocConfig(Config):
    """Pascal VOC's xml, one file per image: JPEGImages, Annotations, and ImageSets/Main with a list per split.

    Where there is no such folder, images and xml lie beside each other, in folders train, valid and test or in one.
    """

    format: Literal["voc"]
    path: str
    train: str | None = None
    """The list of the training images inside `path`, or a folder of images and xml; found by its usual name where it is
    not given."""
    valid: str | None = None
    test: str | None = None
    classes: tuple[str, ...] | None = None
    """The names of the classes; by default all names in the training annotations, sorted."""
    difficult: bool = True
    """Whether objects that are marked as difficult are learned; scores always leave them out, as VOC's do."""
    hold_back: HoldBackConfig = HoldBackConfig()


class DetectionShapesConfig(GeneratedImagesConfig):
    """Several circles, squares and triangles on each image, with exact boxes and masks."""

    size: int = Field(default=96, ge=16, le=65_536)
    most_shapes: Count = 4
    """The most shapes of an image, which has at least one."""


DetectionDataConfig = Annotated[
    CocoConfig | YoloConfig | VocConfig | DetectionShapesConfig, Field(discriminator="format")
]


ShortSides = Annotated[tuple[Annotated[int, Field(ge=_LEAST_SIDE, le=65_536)], ...], Field(min_length=1)]
"""Sizes, in pixels, that the shorter side of an image is brought to."""


class DetectionImageConfig(Config):
    """How an image becomes the input of a detector, when it is not augmented."""

    short_side: int = Field(default=800, ge=_LEAST_SIDE, le=65_536)
    """Images are resized so that their shorter side has this many pixels."""
    long_side: int = Field(default=1333, ge=_LEAST_SIDE, le=65_536)
    """The longer side has at most this many pixels, even if the shorter side becomes smaller."""
    mean: Mean = (0.485, 0.456, 0.406)
    """The mean of red, green and blue on 0..1, which is subtracted; the default is ImageNet's."""
    std: Std = (0.229, 0.224, 0.225)
    """The standard deviation of red, green and blue on 0..1, by which they are divided; the default is ImageNet's."""


class CropBranchConfig(Config):
    """DETR's second way to resize (Carion et al. 2020): resize to a medium size, crop a part, resize that."""

    probability: float = Field(default=0.5, gt=0.0, le=1.0)
    """The share of images that are cropped."""
    short_sides: ShortSides = (400, 500, 600)
    """The shorter side of the image before it is cropped is one of these, chosen at random."""
    crop: tuple[Width, Width] = (384, 600)
    """The fewest and the most pixels of either side of the crop."""

    @model_validator(mode="after")
    def sides_are_sides(self) -> "CropBranchConfig":
        """Refuse sizes that no image can have."""
        if self.crop[0] > self.crop[1]:
            raise ValueError(f"crop: {list(self.crop)}; expected the smallest side first, then the largest; swap them")
        return self


class JitterConfig(Config):
    """Large-scale jitter (Ghiasi et al. 2020): resize by a factor, then crop or pad to a square."""

    scale: Range = (0.1, 2.0)
    """The smallest and the largest factor; 1 brings the longer side to `size`."""
    size: int = Field(default=1024, ge=32, le=65_536)
    """The side of the square, in pixels."""


class DetectionAugmentConfig(Config):
    """How training images and their objects are augmented, which depends on (seed, epoch, which image) alone."""

    short_sides: ShortSides | None = None
    """The shorter side of an image is one of these, chosen at random; by default it is that of `image`."""
    crop_branch: CropBranchConfig | None = None
    """How some images are cropped before they are resized; by default none are."""
    jitter: JitterConfig | None = None
    """Large-scale jitter, which replaces `short_sides` and `crop_branch`."""
    copy_paste: float = Field(default=0.0, ge=0.0, le=1.0)
    """The probability that some objects of another image are pasted in (Ghiasi et al. 2020); the data needs masks."""
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """The probability that an image is mirrored left to right."""
    flip_vertical: float = Field(default=0.0, ge=0.0, le=1.0)
    """The probability that an image is mirrored upside down: for images without an upright, as from a microscope."""
    photometric: bool = False
    """Whether brightness, contrast, saturation and hue are distorted, as in SSD (Liu et al. 2015)."""

    @model_validator(mode="after")
    def one_way_to_resize(self) -> "DetectionAugmentConfig":
        """Refuse jitter beside the sizes that it replaces."""
        if self.jitter is not None and (self.short_sides is not None or self.crop_branch is not None):
            raise ValueError("jitter: it takes the place of short_sides and crop_branch; expected one; leave one out")
        return self
