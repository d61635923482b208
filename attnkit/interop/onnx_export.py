"""Classifiers and segmenters exported to ONNX (https://onnx.ai), checked by onnxruntime before the file is kept.

The graph is for one image size, since positions and windows follow from it, and for any number of images. Checked are
that very file, and the graphs of two more image sizes, which are thrown away: what is wrong at one size only shows.
"""

import json
import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.engine.checkpoint import named_weights
from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop.export_weights import TrainedNetwork, new_output
from attnkit.models.build import build_model
from attnkit.models.config import AlexNetConfig, ResNetConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.layers.patches import resize_positions
from attnkit.structures.arrays import Size

OPSET = 18
INPUT, OUTPUT = "images", "logits"
TOLERANCE = 1e-4
"""On logits, times the largest of them where that is above 1."""
BATCHES = (1, 2, 3)
CONVOLUTIONAL_STEP = 32
"""By how many pixels more the last map of a convolutional network has one more cell."""


def export_onnx(trained: TrainedNetwork, path: Path, *, image_size: Size | None = None) -> tuple[str, ...]:
    """Write a network as ONNX, in float32: images (B, 3, H, W), normalised, to logits (B, K), or (B, K, H, W) of a
    segmenter.

    The file's metadata say the classes and how images are prepared. Weights above 2 GB lie beside it, in PATH.data.

    Args:
        trained: what to write.
        path: a new file.
        image_size: of the images of a segmenter; none takes that of the run, which classifiers are always for.

    Returns:
        What was checked, a line each.

    Raises:
        AttnkitError: onnx is not installed, or there is something at `path`.
        CheckpointError: onnxruntime gets other logits from the file; then nothing is kept.
    """
    size = image_size or trained.image_size
    with new_output(path) as partial:
        lines = [_write_and_check(trained.model, partial, size, metadata_of(trained))]
        for other in other_sizes(trained, size):
            with TemporaryDirectory(dir=partial.parent) as check:
                lines.append(_write_and_check(at_size(trained, other), Path(check, "check.onnx"), other, {}))
    return tuple(
        f"{line} ({'the file' if number == 0 else 'a graph made for the check alone'})"
        for number, line in enumerate(lines)
    )


def other_sizes(trained: TrainedNetwork, size: Size) -> tuple[Size, ...]:
    """Two image sizes beside that of the file, where the network can be had at others; of a segmenter no squares."""
    config, (height, width) = trained.config, size
    if isinstance(config, UperNetConfig):
        step = CONVOLUTIONAL_STEP if isinstance(config.backbone, ResNetConfig) else config.backbone.patch_size
        return (height + 2 * step, width + step), (height, width + 3 * step)
    first, second = _longer_by(trained)
    return tuple((height + more, width + more) for more in (first, second) if more)


def _longer_by(trained: TrainedNetwork) -> Size:
    """By how much the sides of images are longer in the two further checks of a classifier; 0 for none."""
    config = trained.config
    if isinstance(config, SwinConfig):
        return 2 * config.patch_size, config.window_size * config.patch_size
    if isinstance(config, ViTConfig):
        step = trained.image_size[0] // int(trained.model.grid_size)  # type: ignore[arg-type]
        return step, 3 * step
    if isinstance(config, ResNetConfig | AlexNetConfig):
        return CONVOLUTIONAL_STEP, 2 * CONVOLUTIONAL_STEP
    return 0, 0


def at_size(trained: TrainedNetwork, size: Size) -> nn.Module:
    """The same network for another image size; the position embedding of a classifier is resized."""
    config, model = trained.config, trained.model
    if not isinstance(config, ViTConfig):
        return model
    other = build_model(config, num_classes=len(trained.class_names), image_size=size[0])
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


def metadata_of(trained: TrainedNetwork) -> dict[str, str]:
    """What one must know to use a network, for its file."""
    return {
        "classes": json.dumps(list(trained.class_names), ensure_ascii=False),
        "image": trained.image.model_dump_json(),
    }


def _write_and_check(model: nn.Module, path: Path, size: Size, metadata: Mapping[str, str]) -> str:
    """Export at one image size, and let onnxruntime compute with the file."""
    write_graph(
        model,
        torch.zeros(2, 3, *size),
        path,
        input_name=INPUT,
        output_names=[OUTPUT],
        metadata=metadata,
        any_batch=True,
    )
    session = open_session(path)
    batch_size = session.get_inputs()[0].shape[0]
    if isinstance(batch_size, int):
        raise CheckpointError(
            f"{path.name}: the graph is for {batch_size} images at a time; expected one for any number of them; "
            "nothing was written, please report this"
        )
    generator = torch.Generator().manual_seed(sum(size))
    worst = 0.0
    for batch in BATCHES:
        images = torch.randn(batch, 3, *size, generator=generator)
        worst = max(worst, _difference(model, session, images, path, size))
    return f"checked at {times(size)} with batches of {in_words(BATCHES)}: logits differ by {worst:.1e} at most"


def _difference(model: nn.Module, session: Any, images: Tensor, path: Path, size: Size) -> float:
    with torch.inference_mode():
        own = model(images).float()
    theirs = torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])
    difference = float((own - theirs).abs().max())
    if not difference <= TOLERANCE * max(1.0, float(own.abs().max())):
        raise CheckpointError(
            f"{path.name}: onnxruntime's logits of {len(images)} images of {times(size)} differ by {difference:.2g}; "
            f"expected {TOLERANCE:g} at most; nothing was written, please report this"
        )
    return difference


def write_graph(
    model: nn.Module,
    images: Tensor,
    path: Path,
    *,
    input_name: str,
    output_names: Sequence[str],
    metadata: Mapping[str, str],
    any_batch: bool = False,
) -> None:
    """Write what a model does with images.

    Args:
        model: it takes images alone.
        images: an example.
        path: the file; weights above 2 GB lie beside it.
        input_name: of the images.
        output_names: of what comes out.
        metadata: further texts in the file, by name.
        any_batch: for any number of images; else for as many as in the example.

    Raises:
        AttnkitError: onnx is not installed.
    """
    _import_onnx()
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            model,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},) if any_batch else None,
            input_names=[input_name],
            output_names=list(output_names),
            opset_version=OPSET,
            verbose=False,
        )
    assert program is not None
    program.model.metadata_props.update(metadata)
    program.save(path)


def open_session(path: Path) -> Any:
    """The file in onnxruntime, on the CPU."""
    return _import_onnx().InferenceSession(path, providers=["CPUExecutionProvider"])


def times(size: Size) -> str:
    """A size as text."""
    return f"{size[0]}x{size[1]}"


def in_words(numbers: Sequence[int]) -> str:
    """Numbers as text, an `and` before the last."""
    return ", ".join(map(str, numbers[:-1])) + f" and {numbers[-1]}"


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
