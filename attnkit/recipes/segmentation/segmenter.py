"""A trained run at work: images in, the class of each pixel out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from torchvision.transforms.v2 import functional

from attnkit.data.config import Split
from attnkit.data.formats.mask_png import palette
from attnkit.data.segmentation.segmentation_set import LabelMap, SegmentationSet
from attnkit.data.segmentation.segmentation_transforms import segmentation_input, segmentation_size
from attnkit.engine.precision import Precision, decide_precision
from attnkit.models.build import build_model
from attnkit.models.config import SwinConfig
from attnkit.models.kernels.inference import prepare_for_inference
from attnkit.models.upernet import UperNet
from attnkit.recipes.segmentation.recipe import InferenceConfig, SegmentationRecipe
from attnkit.recipes.segmentation.sliding import AugmentedImage, label
from attnkit.recipes.trained import check_finite, known_classes, open_trained, scored_images
from attnkit.run_dir import RunDir
from attnkit.structures.arrays import IGNORE, ByteArray

MEMORY = 4 << 30
"""Bytes for what a network computes on the way, of whole images; one that needs more is cut into windows."""
_WINDOWS_AT_ONCE = 4
"""On a GPU, which a single window does not fill."""


_PIXELS_PER_CELL = 4
"""Along a side, in the finest map of most networks."""
_WIDTHS, _BACKBONE_WIDTHS = 6, 12
"""Measured peaks over the cells of the finest map, rounded up, in widths of UperNet and of the backbone's finest map:
Swin-T has 4,100 values (4,370 by this), Swin nano with 64 channels 1,080 (1,110), ResNet-50 3,800 (6,290)."""


class Segmenter:
    """A network with the names and colours of its classes, which segments images."""

    def __init__(
        self,
        recipe: SegmentationRecipe,
        model: UperNet,
        class_names: Sequence[str],
        colours: ByteArray,
        *,
        device: torch.device,
        precision: Precision = "auto",
        memory: int = MEMORY,
        say: Callable[[str], None] | None = None,
    ) -> None:
        """Put a model to work; its weights must stay as they are from here on.

        Args:
            recipe: that of the model.
            model: with logits of K classes.
            class_names: of the K classes.
            colours: uint8 (K, 3).
            device: where to compute.
            precision: of the products; auto is bfloat16 where the device multiplies it in hardware.
            memory: bytes for the whole of an image; one that needs more is cut into windows of the recipe's crop.
            say: takes a line, once, when this happens.
        """
        self.class_names = tuple(class_names)
        self.colours = colours
        self.device = device
        self.precision: Precision = decide_precision(precision, device)
        self.inference = recipe.inference
        self.memory = memory
        self._image, self._say = recipe.image, say
        self._as_it_is = recipe.image.changed(short_side=None, long_side=None)
        self._values_per_cell, self._pixels_per_cell = values_per_cell(model), pixels_per_cell(model)
        self._model = cast("UperNet", prepare_for_inference(model.to(device), precision=self.precision))

    @torch.inference_mode()
    def segment(self, pixels: Tensor, *, inference: InferenceConfig | None = None) -> LabelMap:
        """Find the most probable class of each pixel.

        Args:
            pixels: uint8 (3, H, W).
            inference: the augmentations and windows; by default the recipe's.

        Returns:
            uint8 (H, W): numbers of classes, at the size of the image.

        Raises:
            CheckpointError: the weights give values that are not finite.
        """
        size = pixels.shape[1], pixels.shape[2]
        images = self._augment(pixels, inference or self.inference)
        labels = label(
            images,
            size,
            self.logits,
            num_classes=len(self.class_names),
            pixels_per_cell=self._pixels_per_cell,
            windows_at_once=1 if self.device.type == "cpu" else _WINDOWS_AT_ONCE,
        )
        return labels.numpy()

    @torch.inference_mode()
    def logits(self, pixels: Tensor) -> Tensor:
        """The logits of images, or windows, at their own size.

        Args:
            pixels: uint8 (B, 3, H, W).

        Returns:
            (B, K, h, w), float32, of the finest map.

        Raises:
            CheckpointError: they are not finite.
        """
        images = segmentation_input(pixels.to(self.device), self._as_it_is)
        logits: Tensor = self._model.forward_heads(images)[0].float()
        check_finite(logits, "logits")
        return logits

    def _augment(self, pixels: Tensor, inference: InferenceConfig) -> list[AugmentedImage]:
        size = pixels.shape[1], pixels.shape[2]
        sizes = [segmentation_size(size, self._image, factor) for factor in inference.scales]
        window = inference.window or self._window_for(size, sizes, flip=inference.flip)
        images = []
        for new_size in sizes:
            resized = pixels if new_size == size else functional.resize(pixels, list(new_size), antialias=True)
            images.append(AugmentedImage(resized, window, inference.overlap))
            if inference.flip:
                images.append(AugmentedImage(resized, window, inference.overlap, flipped=True))
        return images

    def _window_for(
        self, size: tuple[int, int], sizes: Sequence[tuple[int, int]], *, flip: bool
    ) -> tuple[int, int] | None:
        """None where the memory suffices for the whole image, else the size of the windows instead."""
        needed = bytes_of_whole_images(
            [augmented for augmented in sizes for _ in range(1 + flip)],
            values_per_cell=self._values_per_cell,
            pixels_per_cell=self._pixels_per_cell,
            num_classes=len(self.class_names),
        )
        if needed <= self.memory:
            return None
        window = self._image.crop
        if self._say is not None:
            self._say(
                f"an image of {size[0]}x{size[1]} pixels: the whole of it needs about {needed / 2**30:.1f} GiB, more "
                f"than {self.memory / 2**30:.1f}; windows of {window[0]}x{window[1]} slide over it instead, as over "
                "others of its size; --window chooses them"
            )
            self._say = None
        return window


def values_per_cell(model: UperNet) -> int:
    """Numbers that a network holds at its peak, for each cell of the finest map."""
    return _WIDTHS * model.config.channels + _BACKBONE_WIDTHS * model.backbone.channels[0]


def pixels_per_cell(model: UperNet) -> int:
    """How many pixels a cell of the finest map stands for, along a side."""
    backbone = model.config.backbone
    return backbone.patch_size if isinstance(backbone, SwinConfig) else _PIXELS_PER_CELL


def bytes_of_whole_images(
    sizes: Sequence[tuple[int, int]], *, values_per_cell: int, pixels_per_cell: int, num_classes: int
) -> int:
    """The most that is kept at once without windows: all of the largest augmented image, the logits of the others.

    Args:
        sizes: heights and widths of the augmented images.
        values_per_cell: of the network.
        pixels_per_cell: of the network.
        num_classes: K.
    """
    cells = [height * width / pixels_per_cell**2 for height, width in sizes]
    return int(4 * (max(cells) * values_per_cell + sum(cells) * num_classes))


def load_segmenter(
    recipe: SegmentationRecipe,
    run: RunDir,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    weights: Path | None = None,
    memory: int = MEMORY,
    say: Callable[[str], None] | None = None,
) -> Segmenter:
    """Load what a run has learned; see `open_trained` and `Segmenter` for the arguments.

    Raises:
        CheckpointError: nothing was saved yet, it is damaged, or it does not name its classes.
    """
    trained, chosen = open_trained(run, weights, task=recipe.task, device=device)
    names = trained.class_names
    model = build_model(recipe.model, num_classes=len(names), image_size=recipe.image.crop[0])
    trained.fit(model)
    colours = _colours(trained.facts.get("colours"), len(names))
    return Segmenter(recipe, model, names, colours, device=chosen, precision=precision, memory=memory, say=say)


def _colours(written: object, num_classes: int) -> ByteArray:
    """Those that the weights were saved with; weights from elsewhere may have none."""
    try:
        colours = np.array(written, dtype=np.uint8)
    except (TypeError, ValueError, OverflowError):
        return palette(num_classes)
    return colours if colours.shape == (num_classes, 3) else palette(num_classes)


@dataclass(frozen=True)
class SegmentedScene:
    """An image of a split, and the classes that a segmenter gives its pixels."""

    place: str
    """The file, or place in an archive."""
    name: str
    """Of the file, without the ending."""
    labels: LabelMap
    """uint8 (H, W), IGNORE where there is no class; in the numbers of the model's classes."""
    prediction: LabelMap
    """uint8 (H, W)"""


def segment_split(
    segmenter: Segmenter,
    data: Mapping[Split, SegmentationSet | None],
    run: RunDir,
    split: Split,
    *,
    inference: InferenceConfig | None = None,
) -> Iterator[SegmentedScene]:
    """Segment the validation or test set of a run, image by image; see `Segmenter.segment` for `inference`.

    Raises:
        DataError: the recipe has no such split, or one of its files cannot be read, or has a class that is unknown.
    """
    scenes = scored_images(data[split], run, split)
    number = np.full(256, IGNORE, dtype=np.uint8)  # the model's, of each class of the data
    number[: len(scenes.class_names)] = known_classes(scenes.class_names, segmenter.class_names, run, split)
    return _segmented(segmenter, scenes, number, inference)


def _segmented(
    segmenter: Segmenter, scenes: SegmentationSet, number: LabelMap, inference: InferenceConfig | None
) -> Iterator[SegmentedScene]:
    for index in range(len(scenes)):
        pixels, labels = scenes.read(index)
        prediction = segmenter.segment(pixels, inference=inference)
        yield SegmentedScene(scenes.place(index), scenes.name(index), number[labels.numpy()], prediction)
