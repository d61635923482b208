"""attnkit evaluate: score a run on its test set, or anyone's output against what is right."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from attnkit.cli.options import (
    CheckpointOption,
    DeviceOption,
    FlipOption,
    JsonOption,
    NmsThresholdOption,
    OverlapOption,
    RunOption,
    ScalesOption,
    SizesOption,
    SoftNmsOption,
    WindowOption,
)
from attnkit.errors import AttnkitError
from attnkit.evaluation.asked import (
    ClassificationOptions,
    DetectionOptions,
    Evaluation,
    ImageOptions,
    SegmentationOptions,
    TextOptions,
    check_images,
    task_asked_for,
)


def evaluate(
    metrics: Annotated[
        list[str] | None,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="bleu, chrf, ter; top1, top5, any topK, ece, real; miou, macc, aacc, fwiou; ap. Repeatable.",
        ),
    ] = None,
    run: RunOption = None,
    split: Annotated[str, typer.Option("--split", help="test or valid.")] = "test",
    hyp: Annotated[
        str | None, typer.Option("--hyp", metavar="FILE", help="Score this file of translations, no run; - is stdin.")
    ] = None,
    ref: Annotated[
        list[str] | None,
        typer.Option("--ref", metavar="FILE", help="References; repeat for several. With a run: instead of its own."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="FILE", help="Another system's translations, for the paired bootstrap p."),
    ] = None,
    tokenize: Annotated[
        str | None,
        typer.Option("--tokenize", metavar="NAME", help="BLEU's tokenizer: 13a (default), intl, char, none, zh..."),
    ] = None,
    lowercase: Annotated[
        bool | None, typer.Option("--lowercase/--cased", help="Ignore case; by default as the recipe says, or cased.")
    ] = None,
    compat: Annotated[
        str | None,
        typer.Option("--compat", metavar="NAME", help="lc-tok or paper: BLEU in the text form of older papers."),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", metavar="CODE", help="For --compat; by default the reference file's ending."),
    ] = None,
    raw_ref: Annotated[
        bool, typer.Option("--raw-ref", help="For --compat: --ref is plain text, to be prepared like the translations.")
    ] = False,
    checkpoint: CheckpointOption = None,
    beam_size: Annotated[int | None, typer.Option(metavar="K", help="Instead of the recipe's.")] = None,
    length_penalty: Annotated[
        str | None, typer.Option(metavar="FORM:ALPHA", help="Instead of the recipe's: gnmt:0.6, power:1, none.")
    ] = None,
    predictions: Annotated[
        str | None,
        typer.Option("--predictions", metavar="FILE|DIR", help="Score these, no run; see above."),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            "--labels", metavar="FILE|DIR", help="What is true: a file, a folder of images per class, or one of masks."
        ),
    ] = None,
    classes: Annotated[
        str | None,
        typer.Option("--classes", metavar="FILE", help="Names of the masks' classes: .json, or .txt, one a line."),
    ] = None,
    ignore: Annotated[
        list[int] | None,
        typer.Option("--ignore", metavar="N", help="Value of a label of no class  [default: 255]. Repeatable."),
    ] = None,
    reduce_zero_label: Annotated[
        bool,
        typer.Option("--reduce-zero-label", help="Labels are one more than predictions, 0 is of no class: ADE20K."),
    ] = False,
    ground_truth: Annotated[
        str | None,
        typer.Option("--ground-truth", metavar="FILE", help="What is there: COCO's json of instances, with boxes."),
    ] = None,
    max_detections: Annotated[
        int | None,
        typer.Option(
            "--max-detections",
            metavar="N",
            help="Most of a class on an image that count  [default: 100, or the run's].",
            show_default=False,
        ),
    ] = None,
    errors: Annotated[
        bool, typer.Option("--errors", help="Count detections that are wrong by their kinds, and what they cost.")
    ] = False,
    curves: Annotated[
        Path | None,
        typer.Option("--curves", metavar="FILE", help="Draw precision over recall: .png, .svg, or .csv."),
    ] = None,
    real: Annotated[
        str | None, typer.Option("--real", metavar="FILE", help="ImageNet-ReaL's real.json, or one like it.")
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="A table of the classes, that of the lowest recall, IoU or AP first.")
    ] = False,
    rows: Annotated[
        int | None, typer.Option("--rows", metavar="N", min=0, help="Of --per-class  [default: 20]; 0 is all.")
    ] = None,
    confusion: Annotated[
        Path | None, typer.Option("--confusion", metavar="FILE", help="Draw the confusion matrix: .png, .svg, or .csv.")
    ] = None,
    bars: Annotated[
        Path | None, typer.Option("--bars", metavar="FILE", help="Draw the IoU of each class: .png, .svg, or .csv.")
    ] = None,
    scales: ScalesOption = None,
    flip: FlipOption = None,
    window: WindowOption = None,
    overlap: OverlapOption = None,
    sizes: SizesOption = None,
    nms_threshold: NmsThresholdOption = None,
    soft_nms: SoftNmsOption = None,
    batch_size: Annotated[int | None, typer.Option("--batch-size", metavar="N", min=1, help="Images at once.")] = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="NAME", help="Of images: float32, bfloat16; auto by default.")
    ] = None,
    device: DeviceOption = "auto",
    save: Annotated[
        Path | None,
        typer.Option(
            "--save",
            metavar="PATH",
            help="Keep the run's translations; classes, as .csv or .jsonl; masks, in a folder; objects, as .json.",
        ),
    ] = None,
    as_json: JsonOption = False,
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
    if split not in ("test", "valid"):
        raise AttnkitError(f"--split: there is no '{split}' to score; expected test or valid; choose one of them")
    asked = Evaluation(
        metrics=tuple(dict.fromkeys(metrics or [])),
        run=run,
        split=split,
        checkpoint=checkpoint,
        device=device,
        save=save,
        as_json=as_json,
    )
    text = TextOptions(
        hyp=hyp,
        ref=ref,
        baseline=baseline,
        tokenize=tokenize,
        lowercase=lowercase,
        compat=compat,
        language=language,
        raw_ref=raw_ref,
        beam_size=beam_size,
        length_penalty=length_penalty,
    )
    images = ImageOptions(
        predictions=predictions,
        labels=labels,
        per_class=per_class,
        rows=rows,
        confusion=confusion,
        precision=precision,
    )
    of_classes = ClassificationOptions(real=real, batch_size=batch_size)
    of_masks = SegmentationOptions(
        bars=bars,
        classes=classes,
        ignore=ignore or None,
        reduce_zero_label=reduce_zero_label,
        scales=scales,
        flip=flip,
        window=window,
        overlap=overlap,
    )
    of_objects = DetectionOptions(
        ground_truth=ground_truth,
        max_detections=max_detections,
        curves=curves,
        errors=errors,
        sizes=sizes,
        nms_threshold=nms_threshold,
        soft_nms=soft_nms,
    )
    score(asked, text, images, of_classes, of_masks, of_objects)


def score(
    asked: Evaluation,
    text: TextOptions,
    images: ImageOptions,
    of_classes: ClassificationOptions,
    of_masks: SegmentationOptions,
    of_objects: DetectionOptions,
) -> None:
    """Score what is asked by the evaluation of its task."""
    check_images(images)
    task, chosen = task_asked_for(asked, text, images, of_classes, of_masks, of_objects)
    asked = replace(asked, run=chosen)
    if task == "classification":
        from attnkit.evaluation.classification import evaluate_classification

        evaluate_classification(asked, images, of_classes)
    elif task == "segmentation":
        from attnkit.evaluation.segmentation import evaluate_segmentation

        evaluate_segmentation(asked, images, of_masks)
    elif task == "detection":
        from attnkit.evaluation.detection import evaluate_detection

        evaluate_detection(asked, images, of_objects, flip=of_masks.flip)
    else:
        from attnkit.evaluation.translation import evaluate_translation

        evaluate_translation(asked, text)
