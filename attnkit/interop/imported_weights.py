"""What an import gives: weights under attnkit's names, the model that they are of, and what was found on the way."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from attnkit.data.classification.config import ImageConfig
from attnkit.data.detection.config import DetectionImageConfig
from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.models.config import ClassifierConfig, UperNetConfig
from attnkit.models.rcnn.config import CascadeConfig, HtcConfig, MaskRcnnConfig

NetworkConfig = ClassifierConfig | UperNetConfig | MaskRcnnConfig | CascadeConfig | HtcConfig
"""What can be imported, and exported."""
PixelsConfig = ImageConfig | SegmentationImageConfig | DetectionImageConfig
"""How an image becomes the input of one."""

GOOGLE_MEAN_STD = (0.5, 0.5, 0.5)
"""What Google's weights want for the mean and the standard deviation alike: pixels from -1 to 1."""
SCENE_SIZE = 512
"""Pixels of a side of the crop in nearly all published training of segmenters on ADE20K."""


def size_note(assumed: str) -> str:
    """What to say of the size of images that was assumed, since no weight shows it."""
    return (
        f"size of the images: no weight shows it; taken to be {assumed}; where it was another, import with "
        "--image-size, or fix image in recipe.yaml"
    )


SCENE_SIZE_NOTE = size_note(f"{SCENE_SIZE} for the crop and the shorter side, as for ADE20K")


@dataclass(frozen=True)
class DetectedParts:
    """Which parts a detector has.

    Attributes:
        masks: whether it draws them.
        semantic_classes: of its semantic branch; None without one.
    """

    masks: bool
    semantic_classes: int | None = None


@dataclass(frozen=True)
class ImportedWeights:
    """Somebody's weights, renamed.

    Attributes:
        source: who names weights so.
        model: the architecture, as far as names and shapes tell it.
        image: how the images of this source were prepared, at the size that the weights are for.
        weights: by attnkit's names.
        heads: the linear layers that give the logits; they are what may differ from the task at hand.
        unknown: weights that have no place in the model, by the file's names.
        left_out: names of what the file holds beside weights: tables that are computed, parts that do not classify.
        class_names: where the file says them.
        colours: red, green and blue of each class, likewise.
        notes: what was assumed, one line each.
        size_note: what was assumed of the size of the images, where nothing shows it.
        class_note: what was assumed of the names of the classes.
        parts: of a detector.
    """

    source: str
    model: NetworkConfig
    image: PixelsConfig
    weights: dict[str, Tensor]
    heads: tuple[str, ...] = ("head",)
    unknown: Mapping[str, Tensor] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    colours: tuple[tuple[int, ...], ...] | None = None
    notes: tuple[str, ...] = ()
    size_note: str | None = None
    class_note: str | None = None
    parts: DetectedParts | None = None

    @property
    def image_size(self) -> int:
        """Pixels of a side of the image that the weights are for, of a detector of the shorter one."""
        if isinstance(self.image, DetectionImageConfig):
            return self.image.short_side
        return self.image.size if isinstance(self.image, ImageConfig) else self.image.crop[0]

    @property
    def num_classes(self) -> int | None:
        """Rows of the classifier's matrix, without that of a detector's background; none where there is no matrix."""
        matrix = self.weights.get(f"{self.heads[0]}.weight")
        return None if matrix is None else len(matrix) - (self.parts is not None)
