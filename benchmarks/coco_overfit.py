"""Do Mask R-CNN, Cascade Mask R-CNN, HTC and HTC++ learn eight images by heart, to an AP of 90 of boxes and of masks?

Each is as its recipes have it, on a Swin of 32 channels and with a pyramid of 64. It is trained by attnkit's own loop,
without augmentation, on eight images of coco_mini, and scored on the same ones by COCO's AP over the overlaps from 0.5
to 0.95. What fails here is broken; what passes may still not generalise.

    ATTNKIT_DATA=... python benchmarks/coco_overfit.py [--models htc htcpp] --runs RUNS

The images are the first of the training set that can be learned to the end: without crowds, with at most 8 objects,
none of which is thinner than 24 pixels as shown, and whose masks overlap themselves by 0.95 when they are drawn with
the 28 x 28 cells that a mask head has. A perfect detector has an AP of 100 on them.

Each model has a folder in RUNS, which the same command goes on with: it may be stopped at any time, and a model that is
finished is not trained again. `attnkit detect --run RUNS/htcpp` shows what it has learned.
"""

from __future__ import annotations

import argparse
import json
import os
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measured import keep, machine
from pycocotools import mask

from attnkit.data.detection.detection_batches import eval_detection, train_detection
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.resizing import detection_size
from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors
from attnkit.engine.log import open_log
from attnkit.engine.loop import Parts, fit
from attnkit.engine.schedule import build_schedule
from attnkit.errors import Interrupted
from attnkit.models.rcnn.heads import MASK_SIZE
from attnkit.recipe_file import dump
from attnkit.recipes.detection.recipe import DetectionRecipe
from attnkit.recipes.detection.task import build_task
from attnkit.run_dir import RunDir, write_whole
from attnkit.structures.detections import Detections

IMAGES, MOST_OBJECTS, THINNEST, LEAST_OVERLAP = 8, 8, 24.0, 0.95
GOAL = 90.0
_CONVS = {"name": "4conv1fc", "channels": 256, "samples": 128, "loss": "giou"}
MODELS: dict[str, dict[str, Any]] = {
    "mask_rcnn": {"name": "mask_rcnn", "box_head": {"channels": 256, "samples": 128}},
    "cascade": {"name": "cascade_mask_rcnn", "box_head": _CONVS},
    "htc": {"name": "htc", "box_head": _CONVS},
    "htcpp": {"name": "htc", "box_head": _CONVS, "global_block": True},
}
_SHARED = {
    "channels": 64,
    "rpn": {"anchor_scale": 4.0, "train_proposals": 200, "proposals": 200},
    "mask_head": {"convs": 2, "channels": 64},
    "backbone": {
        "name": "swin",
        "embed_dim": 32,
        "depths": [2, 2, 2, 2],
        "num_heads": [1, 2, 4, 8],
        "window_size": 8,
        "drop_path_rate": 0.0,
    },
}
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""Of batch norms: kept with the weights, but not learned."""
_SCORES = ("box_ap", "box_ap50", "box_ap75", "mask_ap", "mask_ap50", "mask_ap75")


def recipe_of(name: str, options: argparse.Namespace) -> DetectionRecipe:
    """The recipe of a model, which its run folder keeps."""
    images = {"images": "train", "annotations": "annotations/instances_train.json"}
    values = {
        "task": "detection",
        "name": name,
        "data": {"format": "coco", "path": options.data, "train": images, "valid": images},
        "image": {"short_side": options.short_side, "long_side": 3 * options.short_side // 2},
        "augment": {"flip": 0.0},
        "model": MODELS[name] | _SHARED,
        "batch": {"images": options.batch, "workers": 0},
        "train": {
            "steps": options.steps,
            "seed": options.seed,
            "optimizer": {"name": "adamw", "weight_decay": 0.0},
            "schedule": {"name": "poly", "lr": options.lr, "warmup_steps": min(100, options.steps // 10)},
            "clip_norm": 5.0,
            "precision": options.precision,
            "log_every": options.validate_every,
            "validate_every": options.validate_every,
            "save_every": options.validate_every,
            "keep_last": 1,
            "average_last": 1,
        },
    }
    return DetectionRecipe.model_validate_json(json.dumps(values))


def learnable(data: DetectionSet, recipe: DetectionRecipe) -> DetectionSet:
    """The first images that can be learned to the end."""
    rows = [row for row in range(len(data)) if can_be_learned(data, row, recipe)][:IMAGES]
    assert len(rows) == IMAGES, f"{len(rows)} of {len(data)} images can be learned to the end"
    return data.select(np.array(rows))


def can_be_learned(data: DetectionSet, row: int, recipe: DetectionRecipe) -> bool:
    """Whether a perfect detector has an AP of 100 on an image, and its objects are neither many nor thin."""
    objects, size = data.read_objects(row), data.size(row)
    if not 1 <= len(objects) <= MOST_OBJECTS or objects.crowd.any():
        return False
    shown = detection_size(size, recipe.image)[0] / size[0]
    if shown * (objects.boxes[:, 2:] - objects.boxes[:, :2]).min() < THINNEST:
        return False
    assert objects.masks is not None
    cells = objects.masks.targets(objects.boxes, torch.arange(len(objects)), MASK_SIZE)
    drawn = Detections(objects.boxes, torch.ones(len(objects)), objects.labels, cells).masks(size, 0.5)
    overlaps = mask.iou(drawn.rle(), objects.masks.rle(), [0] * len(objects)).diagonal()
    return bool(overlaps.min() >= LEAST_OVERLAP)


def train(recipe: DetectionRecipe, run: RunDir) -> None:
    """Train a model, or go on with it; nothing if it is finished.

    Raises:
        SystemExit: its folder is that of another recipe.
    """
    text = dump(recipe)
    if run.recipe.is_file() and run.recipe.read_text(encoding="utf-8") != text:
        raise SystemExit(f"{run.path}: trained with other options; go on with those, or name another --runs")
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    write_whole(run.recipe, text)
    if run.finished:
        return
    everything = OpenedData(recipe.data)["train"]
    assert everything is not None
    data = learnable(everything, recipe)
    log = open_log(run, recipe.train)
    log.say(f"{recipe.name}: {', '.join(data.name(index) for index in range(len(data)))}")
    batch = recipe.batch
    batches = train_detection(
        data,
        recipe.image,
        recipe.augment,
        batch_size=batch.images,
        seed=recipe.train.seed,
        semantic=recipe.semantic,
    )
    schedule = build_schedule(recipe.train.schedule, steps=recipe.train.steps, embed_dim=recipe.model.channels)
    same = eval_detection(data, recipe.image, batch_size=batch.images)
    parts = Parts(build_task(recipe, data), batches, same, schedule)
    fit(parts, recipe.train, run, log, device=torch.device("cpu"), resume=True)


def result(name: str, run: RunDir) -> dict[str, Any]:
    """What came out of a finished run: the scores of its weights, and those on the way there."""
    weights, _ = load_tensors(run.model)
    _, state = load_tensors(run.resume)
    lines = [json.loads(line) for line in run.metrics.read_text(encoding="utf-8").splitlines()]
    scored = [line for line in lines if line["kind"] in ("valid", "average")]
    best = max(scored, key=lambda line: line["mask_ap"])  # that is what the run keeps
    return {
        "model": name,
        "parameters": sum(weight.numel() for name, weight in weights.items() if not name.endswith(_STATISTICS)),
        "steps": state["step"],
        "minutes": round(state["seconds"] / 60, 1),
        "kept": {score: round(best[score], 1) for score in _SCORES} | {"step": best["step"]},
        "by step": [
            {"step": line["step"]} | {score: round(line[score], 1) for score in _SCORES}
            for line in scored
            if line["kind"] == "valid"
        ],
        "passed": min(best["box_ap"], best["mask_ap"]) >= GOAL,
    }


def report(facts: dict[str, Any]) -> str:
    lines = [
        f"# Eight images of COCO by heart, {facts['date']}",
        "",
        f"Shorter side {facts['options']['short_side']}, {facts['options']['steps']:,} steps of"
        f" {facts['options']['batch']} images, AdamW {facts['options']['lr']:g}; AP over the overlaps 0.5 to 0.95 on"
        f" the same images, of the best weights; at least {GOAL:g} of boxes and of masks are asked for."
        " `python benchmarks/coco_overfit.py`",
        "",
        *(f"- {name}: {value}" for name, value in facts["machine"].items()),
        "",
        f"| model | parameters | minutes | at step | {' | '.join(map(_words, _SCORES))} | passed |",
        f"| --- | --- | --- | --- | {' | '.join('---' for _ in _SCORES)} | --- |",
    ]
    for row in facts["results"]:
        scores = " | ".join(f"{row['kept'][score]:.1f}" for score in _SCORES)
        passed = "yes" if row["passed"] else "no"
        lines.append(
            f"| {row['model']} | {row['parameters']:,} | {row['minutes']:.1f} | {row['kept']['step']} | {scores}"
            f" | {passed} |"
        )
    return "\n".join([*lines, "", *by_step(facts["results"])])


def by_step(results: list[dict[str, Any]]) -> list[str]:
    """Box AP / mask AP of each model as it learned."""
    found = {
        row["model"]: {at["step"]: f"{at['box_ap']:.1f} / {at['mask_ap']:.1f}" for at in row["by step"]}
        for row in results
    }
    steps = sorted({step for scores in found.values() for step in scores})
    lines = [f"| step | {' | '.join(found)} |", f"| --- | {' | '.join('---' for _ in found)} |"]
    lines += [f"| {step} | {' | '.join(scores.get(step, '') for scores in found.values())} |" for step in steps]
    return ["box AP / mask AP on the way:", "", *lines, ""]


def _words(score: str) -> str:
    kind, _, name = score.partition("_")
    return f"{kind} {name.upper()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--runs", type=Path, required=True, help="where the models are kept while they are trained")
    parser.add_argument("--data", default="coco_mini/coco_mini.tar")
    parser.add_argument("--short-side", type=int, default=192)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--steps", type=int, default=800)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--precision", choices=["auto", "float32", "bfloat16"], default="auto")
    parser.add_argument("--validate-every", type=int, default=100, help="steps; as often the state is kept")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    results = []
    for name in options.models:
        run = RunDir(options.runs / name)
        try:
            train(recipe_of(name, options), run)
        except Interrupted as stopped:
            raise SystemExit(f"{name}: {str(stopped).partition(';')[0]}; the same command goes on from there") from None
        results.append(result(name, run))
    facts = {
        "date": date.today().isoformat(),
        "machine": machine(options.threads, "torch", "torchvision"),
        "options": {name: str(value) if isinstance(value, Path) else value for name, value in vars(options).items()},
        "results": results,
    }
    keep(options.out, "coco_overfit", facts, report(facts))


if __name__ == "__main__":
    main()
