"""attnkit evaluate: score a run on its test set, or anyone's output against what is right."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from attnkit.cli.options import (
    CheckpointOption,
    DetectorOptions,
    DeviceOption,
    FlipOption,
    JsonOption,
    NmsThresholdOption,
    OverlapOption,
    RunOption,
    ScalesOption,
    SegmenterOptions,
    SizesOption,
    SoftNmsOption,
    WindowOption,
    refuse_precision,
    search_overrides,
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


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """Changes of how a run searches for translations."""

    beam_size: Annotated[int | None, typer.Option(metavar="K", help="Instead of the recipe's.")] = None
    length_penalty: Annotated[
        str | None, typer.Option(metavar="FORM:ALPHA", help="Instead of the recipe's: gnmt:0.6, power:1, none.")
    ] = None

    tasks = frozenset({"translation"})


@dataclass(frozen=True, kw_only=True)
class WindowOptions:
    """Changes of how a run segments images."""

    scales: ScalesOption = None
    window: WindowOption = None
    overlap: OverlapOption = None

    tasks = frozenset({"segmentation"})


@dataclass(frozen=True, kw_only=True)
class BoxOptions:
    """Changes of how a run detects objects."""

    sizes: SizesOption = None
    nms_threshold: NmsThresholdOption = None
    soft_nms: SoftNmsOption = None

    tasks = frozenset({"detection"})


@dataclass(frozen=True, kw_only=True)
class FlipOptions:
    """Changes of how a run segments images or detects objects."""

    flip: FlipOption = None

    tasks = frozenset({"segmentation", "detection"})


@spread_options
def evaluate(
    general: GeneralOptions,
    translation: TranslationOptions,
    search: SearchOptions,
    images: ImageOptions,
    labels: LabelOptions,
    classification: ClassificationOptions,
    segmentation: SegmentationOptions,
    windows: WindowOptions,
    flip: FlipOptions,
    detection: DetectionOptions,
    boxes: BoxOptions,
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
    request = general.request(_overrides(search, windows, flip, boxes))
    check_images(images, labels)
    if images.precision is not None:
        refuse_precision(images.precision)
    groups = (translation, search, images, labels, classification, segmentation, windows, flip, detection, boxes)
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


def _overrides(search: SearchOptions, windows: WindowOptions, flip: FlipOptions, boxes: BoxOptions) -> list[Override]:
    """What the options change in the run's recipe."""
    method = None if search.beam_size is None else "beam"
    segmenter = SegmenterOptions(
        scales=windows.scales, flip=flip.flip, window=windows.window, overlap=windows.overlap
    )  # whose flip is a detector's too
    detector = DetectorOptions(sizes=boxes.sizes, nms_threshold=boxes.nms_threshold, soft_nms=boxes.soft_nms)
    return [
        *search_overrides({"method": method, "beam_size": search.beam_size}, search.length_penalty),
        *segmenter.overrides(),
        *detector.overrides(),
    ]
