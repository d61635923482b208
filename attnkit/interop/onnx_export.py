"""Classifiers out to ONNX (https://onnx.ai), checked by onnxruntime before the file is kept.

The graph is for one image size, since positions and windows follow from it, and for any number of images. Checked are
that very file, and the graphs of two more image sizes, which are thrown away: what is wrong at one size only shows.
"""

from __future__ import annotations

import json
import logging
import shutil
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.engine.checkpoint import named_weights
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop.export_weights import TrainedClassifier
from attnkit.models.config import AlexNetConfig, ResNetConfig, SwinConfig, ViTConfig
from attnkit.models.layers.image_positions import resize_positions

INPUT, OUTPUT = "images", "logits"
TOLERANCE = 1e-4
"""On logits, times the largest of them where that is above 1."""
BATCHES = (1, 2, 3)
OPSET = 18


def export_onnx(classifier: TrainedClassifier, path: Path) -> tuple[str, ...]:
    """Write a classifier as ONNX, in float32: images (B, 3, S, S), normalised, to logits (B, K).

    The file's metadata say the classes and how images are prepared. Weights above 2 GB lie beside it, in PATH.data.

    Args:
        classifier: what to write.
        path: a new file.

    Returns:
        What was checked, a line each.

    Raises:
        AttnkitError: onnx is not installed, or there is something at `path`.
        CheckpointError: onnxruntime gets other logits from the file; then nothing is kept.
    """
    _import_onnx()
    if path.exists():
        raise AttnkitError(f"{path}: exists already; expected the name of a new file; name another")
    folder = path.with_name(path.name + ".partial")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    size = classifier.image.size
    try:
        lines = [_write_and_check(classifier.model, folder / path.name, size, _metadata(classifier))]
        for other in other_sizes(classifier):
            check = folder / "check"
            check.mkdir()
            lines.append(_write_and_check(at_size(classifier, other), check / "check.onnx", other, {}))
            shutil.rmtree(check)
        for written in folder.iterdir():
            written.replace(path.with_name(written.name))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return tuple(
        f"{line} ({'the file' if place == 0 else 'a graph made for the check alone'})"
        for place, line in enumerate(lines)
    )


def other_sizes(classifier: TrainedClassifier) -> tuple[int, ...]:
    """Two image sizes beside that of the run, where the network can be had at others."""
    config, size = classifier.config, classifier.image.size
    if isinstance(config, SwinConfig):
        return size + 2 * config.patch_size, size + config.window_size * config.patch_size
    if isinstance(config, ViTConfig):
        step = size // int(classifier.model.grid_size)  # type: ignore[arg-type]
        return size + step, size + 3 * step
    if isinstance(config, ResNetConfig | AlexNetConfig):
        return size + 32, size + 64
    return ()


def at_size(classifier: TrainedClassifier, size: int) -> nn.Module:
    """The same network for another image size; a position embedding is resized."""
    config, model = classifier.config, classifier.model
    if not isinstance(config, ViTConfig):
        return model
    other = config.build(num_classes=len(classifier.class_names), image_size=size)
    weights = named_weights(model)
    if "positions" in weights:
        weights["positions"] = resize_positions(
            weights["positions"],
            grid_size=(other.grid_size, other.grid_size),
            special_tokens=other.special_tokens,
            interpolation="deit",
        )
    other.load_state_dict(weights)
    return other.eval()


def _import_onnx() -> ModuleType:
    try:
        import onnx
        import onnxruntime
        import onnxscript
    except ImportError as error:
        raise AttnkitError(
            f"{error.name}: not installed; expected onnx, onnxscript and onnxruntime for this export; "
            "pip install 'attnkit[onnx]'"
        ) from error
    del onnx, onnxscript
    return onnxruntime


def _metadata(classifier: TrainedClassifier) -> dict[str, str]:
    return {
        "classes": json.dumps(list(classifier.class_names), ensure_ascii=False),
        "image": classifier.image.model_dump_json(),
    }


def _write_and_check(model: nn.Module, path: Path, size: int, metadata: Mapping[str, str]) -> str:
    """Export at one image size, and let onnxruntime compute with the file.

    Raises:
        CheckpointError: it gets other logits.
    """
    _write(model, path, size, metadata)
    session = _import_onnx().InferenceSession(path, providers=["CPUExecutionProvider"])
    batch_size = session.get_inputs()[0].shape[0]
    if isinstance(batch_size, int):
        raise CheckpointError(
            f"{path.name}: the graph is for {batch_size} images at a time; expected one for any number of them; "
            "nothing was written, please report this"
        )
    generator = torch.Generator().manual_seed(size)
    worst = 0.0
    for batch in BATCHES:
        images = torch.randn(batch, 3, size, size, generator=generator)
        worst = max(worst, _difference(model, session, images, path, size))
    return f"checked at {size}x{size} with batches of {_listed(BATCHES)}: logits differ by {worst:.1e} at most"


def _difference(model: nn.Module, session: Any, images: Tensor, path: Path, size: int) -> float:
    with torch.inference_mode():
        own = model(images).float()
    theirs = torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])
    difference = float((own - theirs).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(own.abs().max())):
        raise CheckpointError(
            f"{path.name}: onnxruntime's logits of {len(images)} images of {size}x{size} differ by {difference:.2g}; "
            f"expected {TOLERANCE:g} at most; nothing was written, please report this"
        )
    return difference


def _write(model: nn.Module, path: Path, size: int, metadata: Mapping[str, str]) -> None:
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model,
            (torch.zeros(2, 3, size, size),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    program.save(path)


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter's own warnings are about itself."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"
