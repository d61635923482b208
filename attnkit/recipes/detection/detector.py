"""A trained run at work: images in, the objects on them out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torchvision.ops import nms

from attnkit.data.config import Split
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.engine.precision import Precision, decide_precision
from attnkit.errors import CheckpointError
from attnkit.models.kernels.inference import prepare_for_inference
from attnkit.models.rcnn.postprocess import postprocess
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.detection.recipe import DetectionInferenceConfig, DetectionRecipe
from attnkit.recipes.detection.tta import Augmentation, AugmentedImage, augmentations
from attnkit.recipes.trained import TrainedWeights, check_finite, known_classes, open_trained, scored_images
from attnkit.run_dir import RunDir
from attnkit.structures.arrays import Size
from attnkit.structures.detections import Detections
from attnkit.structures.objects import Objects


@dataclass(frozen=True)
class _AugmentedProposals:
    """What the network proposes for one augmentation of an image."""

    augmentation: Augmentation
    image: AugmentedImage
    boxes: Tensor
    """(R, 4) in pixels of the input."""
    scores: Tensor
    """(R,)"""
    maps: Any
    """The network's feature maps; None where they are not kept."""


class Detector:
    """A network with the names of its classes, which finds the objects of images."""

    def __init__(
        self,
        recipe: DetectionRecipe,
        model: Rcnn,
        class_names: Sequence[str],
        category_ids: Sequence[int],
        *,
        has_masks: bool,
        device: torch.device,
        precision: Precision = "auto",
        kept_pixels: int = 12 << 20,
    ) -> None:
        """Put a model to work; its weights must stay as they are from here on.

        Args:
            recipe: that of the model.
            model: of K classes.
            class_names: of the K classes.
            category_ids: what files of results call them.
            has_masks: whether the model predicts masks.
            device: where to compute.
            precision: of the products; auto is bfloat16 where the device multiplies it in hardware.
            kept_pixels: of inputs whose feature maps are kept until masks are predicted, about 2 GiB; others are
                computed again.
        """
        self.class_names = tuple(class_names)
        self.category_ids = tuple(category_ids)
        self.has_masks = has_masks
        self.device = device
        self._kept_pixels = kept_pixels
        self.precision: Precision = decide_precision(precision, device)
        self.inference = recipe.inference
        self._image, self._rpn = recipe.image, recipe.model.rpn
        self._model = cast("Rcnn", prepare_for_inference(model.to(device), precision=self.precision))

    @torch.inference_mode()
    def detect(self, pixels: Tensor, *, inference: DetectionInferenceConfig | None = None) -> Detections:
        """Find the objects of an image.

        With several augmentations all of them classify the same proposals, and boxes, probabilities and masks are the
        means over the augmentations.

        Args:
            pixels: uint8 (3, H, W).
            inference: the augmentations, and which detections count; by default the recipe's.

        Returns:
            On the CPU, in pixels of the image.

        Raises:
            CheckpointError: the weights give values that are not finite.
        """
        inference = inference or self.inference
        proposals = self._propose(pixels, inference)
        boxes, probs = self._classify(pixels, proposals)
        check_finite(probs, "probabilities")
        boxes, scores, labels = postprocess(
            boxes,
            probs,
            score_threshold=inference.score_threshold,
            nms_threshold=inference.nms_threshold,
            soft_nms=inference.soft_nms,
            max_detections=inference.max_detections,
        )
        masks = self._predict_masks(pixels, proposals, boxes, labels) if self.has_masks else None
        return Detections(boxes, scores, labels, masks).to("cpu")

    def _propose(self, pixels: Tensor, inference: DetectionInferenceConfig) -> list[_AugmentedProposals]:
        proposals: list[_AugmentedProposals] = []
        room = self._kept_pixels
        for augmentation in augmentations(self._image, inference):
            resized, image = augmentation.apply(pixels)
            maps = self._model.features(resized.to(self.device))
            (boxes,), (scores,) = self._model.propose(maps, [image.size])
            room -= resized[0, 0].numel()
            kept = maps if room >= 0 or not proposals else None
            proposals.append(_AugmentedProposals(augmentation, image, boxes, scores, kept))
        return proposals

    def _maps(self, augmented: _AugmentedProposals, pixels: Tensor) -> Any:
        """Feature maps that were kept, or the same computed again."""
        if augmented.maps is not None:
            return augmented.maps
        return self._model.features(augmented.augmentation.apply(pixels)[0].to(self.device))

    def _classify(self, pixels: Tensor, proposals: Sequence[_AugmentedProposals]) -> tuple[Tensor, Tensor]:
        """(R, K, 4) in the image, and (R, K + 1): means over all augmentations."""
        all_boxes, all_probs = [], []
        for augmented, shared in zip(proposals, self._shared(proposals), strict=True):
            ((boxes, probs),) = self._model.classify(self._maps(augmented, pixels), [shared], [augmented.image.size])
            all_boxes.append(augmented.image.to_image(boxes.float()))
            all_probs.append(probs.float())
        return torch.stack(all_boxes).mean(dim=0), torch.stack(all_probs).mean(dim=0)

    def _shared(self, proposals: Sequence[_AugmentedProposals]) -> list[Tensor]:
        """The best boxes of all augmentations, in the pixels of each; one alone keeps its own."""
        if len(proposals) == 1:
            return [proposals[0].boxes]
        boxes = torch.cat([augmented.image.to_image(augmented.boxes) for augmented in proposals])
        scores = torch.cat([augmented.scores for augmented in proposals])
        kept = nms(boxes, scores, self._rpn.nms_threshold)[: self._rpn.proposals]
        return [augmented.image.from_image(boxes[kept]) for augmented in proposals]

    def _predict_masks(
        self, pixels: Tensor, proposals: Sequence[_AugmentedProposals], boxes: Tensor, labels: Tensor
    ) -> Tensor:
        """(R, M, M) the mean over all augmentations."""
        predicted = []
        for augmented in proposals:
            image = augmented.image
            (masks,) = self._model.predict_masks(self._maps(augmented, pixels), [image.from_image(boxes)], [labels])
            predicted.append(image.unflip(masks.float()))
        return torch.stack(predicted).mean(dim=0)


def load_detector(
    recipe: DetectionRecipe,
    run: RunDir,
    *,
    device: str = "auto",
    precision: Precision = "auto",
    weights: Path | None = None,
) -> Detector:
    """Load what a run has learned; see `open_trained` and `Detector` for the arguments.

    Raises:
        CheckpointError: nothing was saved yet, it is damaged, or it does not say what it detects.
    """
    trained, chosen = open_trained(run, weights, task=recipe.task, device=device)
    names = trained.class_names
    has_masks = _has_masks(trained, run)
    semantic_classes = trained.facts.get("semantic_classes") or None
    model = Rcnn(recipe.model, num_classes=len(names), masks=has_masks, semantic_classes=semantic_classes)
    trained.fit(model)
    ids = _category_ids(trained.facts, len(names))
    return Detector(recipe, model, names, ids, has_masks=has_masks, device=chosen, precision=precision)


def _has_masks(trained: TrainedWeights, run: RunDir) -> bool:
    masks = trained.facts.get("masks")
    if not isinstance(masks, bool):
        raise CheckpointError(
            f"{trained.path}: does not say whether it predicts masks; expected weights of a detection run; "
            f"use {run.model}"
        )
    return masks


def _category_ids(facts: Mapping[str, Any], num_classes: int) -> list[int]:
    """Those that the weights were saved with; weights from elsewhere may have none."""
    ids = facts.get("category_ids")
    if isinstance(ids, list) and len(ids) == num_classes and all(isinstance(one, int) for one in ids):
        return ids
    return list(range(1, num_classes + 1))


@dataclass(frozen=True)
class DetectedImage:
    """An image of a split, and what a detector finds on it."""

    index: int
    place: str
    """The file, or place in an archive."""
    name: str
    """Of the file, without the ending."""
    image_id: int
    """What files of results call it."""
    size: Size
    objects: Objects
    """In pixels of the file, crowds among them; in the numbers of the model's classes."""
    detections: Detections
    """In pixels of the file."""


def detect_split(
    detector: Detector,
    data: Mapping[Split, DetectionSet | None],
    run: RunDir,
    split: Split,
    *,
    inference: DetectionInferenceConfig | None = None,
) -> Iterator[DetectedImage]:
    """Detect on the validation or test set of a run, image by image; see `Detector.detect` for `inference`.

    Raises:
        DataError: the recipe has no such split, or one of its files cannot be read, or has a class that is unknown.
    """
    images = scored_images(data[split], run, split)
    number = torch.from_numpy(known_classes(images.class_names, detector.class_names, run, split))
    return _detected(detector, images, number, inference)


def _detected(
    detector: Detector, images: DetectionSet, number: Tensor, inference: DetectionInferenceConfig | None
) -> Iterator[DetectedImage]:
    for index in range(len(images)):
        pixels, objects = images.read(index)
        yield DetectedImage(
            index=index,
            place=images.place(index),
            name=images.name(index),
            image_id=images.image_id(index),
            size=(pixels.shape[1], pixels.shape[2]),
            objects=replace(objects, labels=number[objects.labels]),
            detections=detector.detect(pixels, inference=inference),
        )
