"""attnkit evaluate: score a run on its test set, or anyone's output against what is right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import (
    BeamOptions,
    CheckpointOption,
    DetectorOptions,
    DeviceOption,
    FlipOptions,
    JsonOption,
    RunOption,
    SegmenterOptions,
    known_precision,
    spread_options,
)
from attnkit.errors import AttnkitError
from attnkit.evaluation import Options, Request
from attnkit.evaluation import evaluate as evaluate_task
from attnkit.evaluation.classification import ClassificationOptions
from attnkit.evaluation.detection import DetectionOptions
from attnkit.evaluation.request import ImageOptions, LabelOptions, check_images, find_task
from attnkit.evaluation.segmentation import SegmentationOptions
from attnkit.evaluation.translation import TranslationOptions

if TYPE_CHECKING:
    from attnkit.data.config import Split
    from attnkit.recipe_file import Override


@dataclass(frozen=True, kw_only=True)
class GeneralOptions:
    """Options of all tasks."""

    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="bleu, chrf, ter; top1, top5, any topK, ece, real; miou, macc, aacc, fwiou; ap. Repeatable.",
        ),
    ] = None
    run: RunOption = None
    split: Annotated[str, typer.Option("--split", help="test or valid.")] = "test"
    checkpoint: CheckpointOption = None
    device: DeviceOption = "auto"
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="PATH",
            help="Keep the run's translations; classes, as .csv or .jsonl; masks, in a folder; objects, as .json.",
        ),
    ] = None
    as_json: JsonOption = False

    def request(self, overrides: list[Override]) -> Request:
        """What is asked, with these changes of the run's recipe.

        Raises:
            AttnkitError: there is no such split.
        """
        if self.split not in ("test", "valid"):
            raise AttnkitError(
                f"--split: there is no '{self.split}' to score; expected test or valid; choose one of them"
            )
        return Request(
            metrics=tuple(dict.fromkeys(self.metrics or [])),
            run=self.run,
            split=cast("Split", self.split),
            checkpoint=self.checkpoint,
            device=self.device,
            save=self.save,
            as_json=self.as_json,
            overrides=overrides,
        )


@spread_options
def evaluate(
    general: GeneralOptions,
    translation: TranslationOptions,
    beam: BeamOptions,
    images: ImageOptions,
    labels: LabelOptions,
    classification: ClassificationOptions,
    segmentation: SegmentationOptions,
    segmenter: SegmenterOptions,
    flip: FlipOptions,
    detection: DetectionOptions,
    detector: DetectorOptions,
) -> None:
    """Score a run on its test set, or anyone's translations, image classes, masks or detections.

    --predictions takes what attnkit classify --json or --csv printed; a .csv or .tsv whose first line names its columns
    input and label; or lines of an image's path and its class, or of a class alone. --labels takes the same. Of masks
    both are folders of PNG files of the same names, whose pixels are numbers of classes. Of detections it takes COCO's
    json of results, and --ground-truth that of instances.

    \b
    Examples:
      attnkit eval --metric bleu
      attnkit eval --metric bleu --metric chrf --run runs/mine --split valid
      attnkit eval --metric bleu --hyp mine.txt --ref ref.txt --baseline theirs.txt
      attnkit eval --metric top1 --metric top5 --per-class --confusion confusion.png
      attnkit eval --metric top1 --predictions classes.jsonl --labels photos/test
      attnkit eval --metric miou --per-class --bars iou.png --scales 0.75,1,1.25 --flip
      attnkit eval --metric miou --predictions masks --labels annotations --classes classes.json
      attnkit eval --metric ap --per-class --errors --curves curves.png
      attnkit eval --metric ap --predictions results.json --ground-truth instances.json --max-detections 500
    """
    inference = (beam, segmenter, flip, detector)
    request = general.request([override for group in inference for override in group.overrides()])
    check_images(images, labels)
    known_precision(images.precision)
    groups = (translation, beam, images, labels, classification, segmentation, segmenter, flip, detection, detector)
    task, run = find_task(request, images.predictions, groups)
    options = Options(
        translation=translation,
        images=images,
        labels=labels,
        classification=classification,
        segmentation=segmentation,
        detection=detection,
    )
    evaluate_task(task, replace(request, run=run), options)
