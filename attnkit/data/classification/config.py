"""What a recipe may say about labelled images: where they are, and how they become inputs of a model."""

from typing import Annotated, Literal

from pydantic import Field

from attnkit.config import MOST, Config, Count, Mean, NonNegative, Range, Std
from attnkit.data.config import GeneratedImagesConfig, HoldBackConfig


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


class ShapesConfig(GeneratedImagesConfig):
    """A circle, square or triangle on each image."""

    size: int = Field(default=32, ge=16, le=65_536)


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
