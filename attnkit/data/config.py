"""What a recipe may say about data.

Paths are looked up in the working directory, in $ATTNKIT_DATA, then in the cache.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import MOST, Config, Count, Mean, NonNegative, Range, Seed, Std, Width

Split = Literal["train", "valid", "test"]
"""The parts of a data set."""
SPLITS: tuple[Split, ...] = ("train", "valid", "test")


class PairOfFiles(Config):
    """Two text files; line n of one translates line n of the other. `.gz` is read as it is."""

    src: str
    tgt: str


class TextPairsConfig(Config):
    """Plain text, one sentence per line, a file per language."""

    format: Literal["text"] = "text"
    train: PairOfFiles
    valid: PairOfFiles | None = None
    test: PairOfFiles | None = None


class TsvPairsConfig(Config):
    """One file per split, a pair per line, source and target in two columns."""

    format: Literal["tsv"]
    train: str
    valid: str | None = None
    test: str | None = None
    src_column: Count = 1
    """Counted from 1."""
    tgt_column: Count = 2


class JsonlPairsConfig(Config):
    """One file per split, a JSON object per line."""

    format: Literal["jsonl"]
    train: str
    valid: str | None = None
    test: str | None = None
    src_key: str = "src"
    """A dotted path is followed: `translation.en`."""
    tgt_key: str = "tgt"


class ReverseDigitsConfig(Config):
    """Generated: a line of digits, and the same line reversed. Learnable in seconds, without any file."""

    format: Literal["reverse_digits"]
    train_lines: Count = 4000
    valid_lines: Count = 100
    test_lines: Count = 200
    max_digits: int = Field(default=8, ge=3, le=MOST)
    seed: Seed = 1


class EmbeddedTatoebaConfig(Config):
    """50 thousand short English-German sentence pairs that come with attnkit (tatoeba.org, CC-BY 2.0 FR)."""

    format: Literal["tatoeba_en_de"]


PairsConfig = Annotated[
    TextPairsConfig | TsvPairsConfig | JsonlPairsConfig | ReverseDigitsConfig | EmbeddedTatoebaConfig,
    Field(discriminator="format"),
]


class PairFilterConfig(Config):
    """Which training pairs are left out. Validation and test are never filtered."""

    max_length: Count = 256
    """Tokens of either side, end of sentence not counted."""
    max_ratio: float = Field(default=4.0, ge=1.0, le=1_000.0)
    """Longer side over shorter side, in tokens, where the longer has over ten."""


class HoldBackConfig(Config):
    """What is held back from the training images where a set of its own is missing: a share of each class."""

    valid: float = Field(default=0.1, ge=0.0, lt=1.0)
    test: float = Field(default=0.0, ge=0.0, lt=1.0)
    seed: Seed = 1


class ImageFolderConfig(Config):
    """A folder of images per class, in the folders train, val (or valid) and test; or one set of classes to be split.

    `path` may also be an archive (.tar, .tar.gz, .tar.xz, .zip) that holds such folders.
    """

    format: Literal["image_folder"]
    path: str
    train: str | None = None
    """Folder of the training images inside `path`; found by its usual names where it is not given."""
    valid: str | None = None
    test: str | None = None
    hold_back: HoldBackConfig = HoldBackConfig()


class CifarConfig(Config):
    """CIFAR-10 or CIFAR-100 as its authors give it: cifar-10-python.tar.gz, -binary.tar.gz, or the folder inside."""

    format: Literal["cifar"]
    path: str
    classes: Literal[10, 100] = 10
    hold_back: HoldBackConfig = HoldBackConfig()


class NpzImagesConfig(Config):
    """Arrays in one .npz: images (N, H, W) or (N, H, W, 3), uint8, and labels (N,), per split.

    The names are x_train, y_train, x_test, y_test (Keras), or train_images, train_labels, val_images (MedMNIST).
    """

    format: Literal["npz"]
    path: str
    class_names: tuple[str, ...] | None = None
    hold_back: HoldBackConfig = HoldBackConfig()


class ShapesConfig(Config):
    """Generated: circles, squares and triangles with exact labels, boxes and masks. Without any file."""

    format: Literal["shapes"]
    train_images: Count = 1000
    valid_images: Count = 100
    test_images: Count = 200
    size: int = Field(default=32, ge=16, le=65_536)
    seed: Seed = 1


ImagesConfig = Annotated[
    ImageFolderConfig | CifarConfig | NpzImagesConfig | ShapesConfig, Field(discriminator="format")
]


class ImageConfig(Config):
    """How an image becomes the input of a model, when it is not being augmented."""

    size: int = Field(default=224, ge=8, le=65_536)
    """Pixels, width and height of the input."""
    resize: Literal["crop", "squash", "pad"] = "crop"
    """crop: shorter side to size / crop_fraction, then the centre; squash: both sides to size; pad: whole, on grey."""
    crop_fraction: float = Field(default=0.875, gt=0.0, le=1.0)
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"
    mean: Mean = (0.485, 0.456, 0.406)
    """Of red, green, blue on 0..1; the defaults are ImageNet's. Google's ViT weights want 0.5 for all of these."""
    std: Std = (0.229, 0.224, 0.225)


class AugmentConfig(Config):
    """How training images are varied. Each image's variation depends on (seed, epoch, which image) alone."""

    crop: Literal["random_resized", "shift", "none"] = "random_resized"
    """shift: the whole image, moved by up to `padding` pixels; none: as in evaluation."""
    scale: Range = (0.08, 1.0)
    """Share of the image's area that a random resized crop takes."""
    ratio: Range = (0.75, 1.3333)
    padding: int = Field(default=4, ge=0, le=MOST)
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability of mirroring left and right."""
    auto: Literal["none", "rand", "trivial", "three"] = "none"
    """RandAugment, TrivialAugment, or DeiT III's three-augment."""
    rand_ops: Count = 2
    rand_magnitude: float = Field(default=9.0, ge=0.0, le=30.0)
    """Of 0..30 in steps of torchvision's 31 bins; timm's m9 on 0..10 is 27 here."""
    rand_noise: NonNegative = 0.0
    """Standard deviation of the magnitude, on the same scale."""
    color_jitter: NonNegative = 0.0
    erase: float = Field(default=0.0, ge=0.0, le=1.0)
    """Probability of random erasing, with noise."""
    mixup: NonNegative = 0.0
    """Alpha of the Beta distribution; 0 is off."""
    cutmix: NonNegative = 0.0
    mix_probability: float = Field(default=1.0, ge=0.0, le=1.0)
    """Share of the batches that are mixed; with both, mixup and cutmix take turns by chance."""
    repeats: Count = 1
    """Repeated augmentation: each image stands this often in an epoch's order, and the epoch stays as long."""


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


class ShapeScenesConfig(Config):
    """Generated: several circles, squares and triangles on a background, each pixel labelled. Without any file."""

    format: Literal["shapes"]
    train_images: Count = 1000
    valid_images: Count = 100
    test_images: Count = 200
    size: int = Field(default=64, ge=16, le=65_536)
    most_shapes: Count = 4
    """Per image, at least one."""
    seed: Seed = 1


SegmentationDataConfig = Annotated[MaskFilesConfig | CocoMasksConfig | ShapeScenesConfig, Field(discriminator="format")]


class SceneConfig(Config):
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


class SceneAugmentConfig(Config):
    """How training images and their masks are varied. Each variation depends on (seed, epoch, which image) alone."""

    scale: Range = (0.5, 2.0)
    """The image is resized by a factor from here, then cropped; what is missing is filled and ignored."""
    most_of_one_class: float = Field(default=0.75, gt=0.0, le=1.0)
    """A crop is drawn again, up to ten times, while one class has more of its labelled pixels than this share."""
    flip: float = Field(default=0.5, ge=0.0, le=1.0)
    """Probability of mirroring left and right."""
    photometric: bool = True
    """Brightness, contrast, saturation and hue, as SSD distorts them (Liu et al. 2015)."""
