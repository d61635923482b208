"""The classification recipe: the form that recipes/classification/*.yaml fill in.

Free of torch, so that checking a recipe is instant. What happens when it runs stands beside it: task.py
is the model with its loss and score, train.py the training, classifier.py the trained model at work.
"""

from typing import Literal

from pydantic import Field, model_validator

from attnkit.config import Config, Positive
from attnkit.data.classification.config import AugmentConfig, ImageConfig, ImagesConfig
from attnkit.models.config import ClassifierConfig
from attnkit.recipes.base import BaseRecipe, ImageBatchConfig, InitConfig


class TeacherConfig(Config):
    """A trained network whose answers are learned too, by DeiT's second head where the model has one."""

    from_: str = Field(alias="from")
    """The run folder of the teacher, whose classes must be those of the data."""
    form: Literal["hard", "soft"] = "hard"
    """What is learned of the teacher: hard takes its decision as a label, soft its probabilities at `temperature`."""
    weight: float = Field(default=0.5, gt=0.0, le=1.0)
    """The share of the teacher in the loss; the labels have the rest."""
    temperature: Positive = 3.0
    """What logits are divided by before the softmax where the form is soft."""


class ClassificationLossConfig(Config):
    """Cross entropy of the class; the labels of mixed images are mixed likewise."""

    label_smoothing: float = Field(default=0.0, ge=0.0, lt=1.0)
    """How much probability, epsilon, is spread over all classes, epsilon / K on each (Szegedy et al. 2016)."""
    teacher: TeacherConfig | None = None
    """The network to distil; none learns from the labels alone."""


class ClassificationRecipe(BaseRecipe):
    """Images, a network, and how it is trained."""

    task: Literal["classification"]
    data: ImagesConfig = Field(discriminator="format")
    image: ImageConfig = ImageConfig()
    augment: AugmentConfig = AugmentConfig()
    model: ClassifierConfig = Field(discriminator="name")
    init: InitConfig | None = None
    loss: ClassificationLossConfig = ClassificationLossConfig()
    batch: ImageBatchConfig = ImageBatchConfig()

    @model_validator(mode="after")
    def patches_cover_the_image(self) -> "ClassificationRecipe":
        """Refuse an image that patches of a ViT do not cover evenly."""
        if self.model.name == "vit" and self.model.resnet_depths is None and self.image.size % self.model.patch_size:
            raise ValueError(
                f"image.size: {self.image.size} is no multiple of model.patch_size {self.model.patch_size}; "
                "expected whole patches; change one of the two"
            )
        return self
