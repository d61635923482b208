"""The detection recipe: the form that recipes/detection/*.yaml fill in.

Free of torch, so that checking a recipe is instant. What happens when it runs stands beside it: task.py is the model
with its losses and score, train.py the training, detector.py the trained model at work.
"""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attnkit.config import Config, Count
from attnkit.data.detection.config import DetectionAugmentConfig, DetectionDataConfig, DetectionImageConfig
from attnkit.models.rcnn.config import DetectorConfig
from attnkit.recipes.base import BaseRecipe, ImageBatchConfig, InitConfig


class DetectionInferenceConfig(Config):
    """How a trained detector is applied to an image, and which of its detections count."""

    score_threshold: float = Field(default=0.05, ge=0.0, lt=1.0)
    """The score that a detection must exceed."""
    nms_threshold: float = Field(default=0.5, gt=0.0, le=1.0)
    """The IoU of two boxes of a class above which the one with the lower score is suppressed."""
    soft_nms: bool = False
    """Whether a suppressed box stays with a lower score instead (Bodla et al. 2017, linear)."""
    max_detections: Count = 100
    """How many detections an image may have; COCO's scores take 100 of each class."""
    mask_threshold: float = Field(default=0.5, gt=0.0, lt=1.0)
    """The probability from which on a pixel belongs to a mask."""
    short_sides: Annotated[tuple[Annotated[int, Field(ge=16, le=8_192)], ...], Field(min_length=1)] | None = None
    """The shorter sides that the image is resized to, whose predictions are averaged; none takes that of `image`. The
    bound of the longer side is scaled with them."""
    flip: bool = False
    """Whether objects are detected on the flipped image too."""


class DetectionBatchConfig(ImageBatchConfig):
    """How large a batch is, and how its images are loaded."""

    images: Count = 16
    """How many images a batch holds at most."""
    pixels: Count | None = None
    """How many pixels a batch may have, padding included, so that batches of large images hold fewer; none sets no
    bound."""


class DetectionRecipe(BaseRecipe):
    """Images with objects, a detector, and how it is trained."""

    task: Literal["detection"]
    data: DetectionDataConfig = Field(discriminator="format")
    image: DetectionImageConfig = DetectionImageConfig()
    augment: DetectionAugmentConfig = DetectionAugmentConfig()
    model: DetectorConfig = Field(discriminator="name")
    init: InitConfig | None = None
    inference: DetectionInferenceConfig = DetectionInferenceConfig()
    batch: DetectionBatchConfig = DetectionBatchConfig()

    @model_validator(mode="after")
    def semantic_maps_are_there(self) -> "DetectionRecipe":
        """Refuse a semantic branch whose maps the data does not name."""
        if self.semantic != "maps":
            return self
        if self.data.format != "coco" or self.data.train.semantic is None or self.data.semantic_classes is None:
            raise ValueError(
                "model.semantic: maps, but the data names none; expected data.train.semantic and "
                "data.semantic_classes; add both, or take instances"
            )
        return self

    @property
    def semantic(self) -> Literal["none", "instances", "maps"]:
        """What is learned of every pixel beside the objects; see HtcConfig."""
        return self.model.semantic if self.model.name == "htc" else "none"
