"""Files of ONNX (https://onnx.ai): written, and computed with."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from attnkit.errors import AttnkitError
from attnkit.structures.arrays import Size

OPSET = 18


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
