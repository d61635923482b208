"""Scoring runs and anyone's predictions: what `attnkit evaluate` does, and `attnkit train` at its end.

request.py says what is asked and which task that is about; each task has an evaluator, which declares its options, and
a reader of the files that it scores without a run.
"""

from dataclasses import dataclass, field

from attnkit.evaluation.classification import ClassificationOptions, evaluate_classification
from attnkit.evaluation.detection import DetectionOptions, evaluate_detection
from attnkit.evaluation.request import ImageOptions, LabelOptions, Request
from attnkit.evaluation.segmentation import SegmentationOptions, evaluate_segmentation
from attnkit.evaluation.translation import TranslationOptions, evaluate_translation

__all__ = ["Options", "Request", "evaluate"]


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of all evaluators."""

    translation: TranslationOptions = field(default_factory=TranslationOptions)
    images: ImageOptions = field(default_factory=ImageOptions)
    labels: LabelOptions = field(default_factory=LabelOptions)
    classification: ClassificationOptions = field(default_factory=ClassificationOptions)
    segmentation: SegmentationOptions = field(default_factory=SegmentationOptions)
    detection: DetectionOptions = field(default_factory=DetectionOptions)


def evaluate(task: str, request: Request, options: Options | None = None) -> None:
    """Score a run, or files, by the evaluator of a task; print the scores, and keep those of a run.

    Args:
        task: whose evaluator.
        request: what is scored, and by which metrics.
        options: what the evaluator takes beside that; by default nothing.

    Raises:
        AttnkitError: what is asked for cannot be done; see the evaluators.
    """
    options = options or Options()
    if task == "classification":
        evaluate_classification(request, options.images, options.labels, options.classification)
    elif task == "segmentation":
        evaluate_segmentation(request, options.images, options.labels, options.segmentation)
    elif task == "detection":
        evaluate_detection(request, options.images, options.detection)
    else:
        evaluate_translation(request, options.translation)
