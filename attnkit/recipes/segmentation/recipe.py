"""The segmentation recipe: the form that recipes/segmentation/*.yaml fill in.

Free of torch, so that checking a recipe is instant. What happens when it runs stands beside it: task.py is the model
with its loss and score, train.py the training, segmenter.py the trained model at work.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attnkit.config import Config, NonNegative, Width
from attnkit.data.segmentation.config import SegmentationAugmentConfig, SegmentationDataConfig, SegmentationImageConfig
from attnkit.models.config import UperNetConfig
from attnkit.recipes.base import BaseRecipe, ImageBatchConfig, InitConfig

_RESNET_STRIDE = 32
"""Pixels along a side of a cell of its last map."""


class SegmentationLossConfig(Config):
    """Cross entropy of the class of each labelled pixel, of the main and of the auxiliary head."""

    auxiliary_weight: NonNegative = 0.4
    """The weight of the auxiliary head's loss; that of the main head is 1."""
    class_weights: Literal["none", "median_frequency"] = "none"
    """How much the pixels of each class weigh: median_frequency gives rare classes more weight (Eigen and Fergus 2015),
    by the training masks."""
    class_weight_power: float = Field(default=1.0, gt=0.0, le=1.0)
    """The power that class weights are raised to; below 1 it brings them closer together."""


class InferenceConfig(Config):
    """How a trained model segments a whole image."""

    window: tuple[Width, Width] | None = None
    """The height and width of the windows that slide over the image; none takes the whole image at once."""
    overlap: float = Field(default=0.333, ge=0.0, lt=1.0)
    """The share of a window that the next one covers again."""
    scales: tuple[Annotated[float, Field(gt=0.0, le=8.0)], ...] = Field(default=(1.0,), min_length=1)
    """The factors by which the image is resized; the probabilities at all sizes are averaged."""
    flip: bool = False
    """Whether the flipped image is segmented too."""


class SegmentationRecipe(BaseRecipe):
    """Images and masks, a network, and how it is trained."""

    task: Literal["segmentation"]
    data: SegmentationDataConfig = Field(discriminator="format")
    image: SegmentationImageConfig = SegmentationImageConfig()
    augment: SegmentationAugmentConfig = SegmentationAugmentConfig()
    model: UperNetConfig
    init: InitConfig | None = None
    loss: SegmentationLossConfig = SegmentationLossConfig()
    inference: InferenceConfig = InferenceConfig()
    batch: ImageBatchConfig = ImageBatchConfig(images=16)

    @model_validator(mode="after")
    def patches_cover_the_crop(self) -> "SegmentationRecipe":
        """Refuse a crop that patches of a ViT do not cover evenly, or that is no square, as its positions are."""
        backbone, (height, width) = self.model.backbone, self.image.crop
        if backbone.name == "vit" and (height != width or height % backbone.patch_size):
            raise ValueError(
                f"image.crop: {height}x{width} is no square of whole patches of {backbone.patch_size} pixels; "
                "expected one for a ViT; change image.crop or model.backbone.patch_size"
            )
        return self

    @model_validator(mode="after")
    def a_resnet_sees_more_than_a_cell(self) -> "SegmentationRecipe":
        """Refuse a crop of which a ResNet's last map is a single cell: there is nothing to tell apart in it."""
        height, width = self.image.crop
        if self.model.backbone.name == "resnet" and min(height, width) < 2 * _RESNET_STRIDE:
            raise ValueError(
                f"image.crop: {height}x{width} is but a cell of a ResNet's last map, of {_RESNET_STRIDE} pixels each; "
                f"expected {2 * _RESNET_STRIDE} or more; enlarge image.crop"
            )
        return self
