"""A trained run on images at work: its weights are loaded, and its classes compared with those of the data."""

from collections.abc import Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from attnkit.data.config import Split
from attnkit.engine.checkpoint import fit_weights, load_tensors
from attnkit.engine.memory import keep_pages
from attnkit.engine.precision import find_device
from attnkit.errors import CheckpointError, DataError
from attnkit.run_dir import RunDir
from attnkit.structures.arrays import IntArray

Images = TypeVar("Images", bound=Sized)


@dataclass(frozen=True)
class TrainedWeights:
    """The weights of a trained network, with the classes that it tells apart."""

    path: Path
    tensors: dict[str, Tensor]
    facts: dict[str, Any]
    """What was saved beside them."""
    class_names: list[str]

    def fit(self, model: nn.Module) -> None:
        """Copy the weights into a model.

        Raises:
            CheckpointError: they do not fit; then every weight that does not is named.
        """
        fit_weights(self.path, self.tensors, model)


def open_trained(run: RunDir, weights: Path | None, *, task: str, device: str) -> tuple[TrainedWeights, torch.device]:
    """Read the weights that a run has learned, and find the device to use them on.

    Args:
        run: the run folder.
        weights: which of the run's weights; None takes its result.
        task: of the run.
        device: auto, cpu, cuda...

    Raises:
        CheckpointError: nothing was saved yet, it is damaged, or it does not name its classes.
    """
    chosen = find_device(device)
    keep_pages()
    return read_trained(weights or run.weights(), task=task, instead=str(run.model)), chosen


def read_trained(path: Path, *, task: str, instead: str) -> TrainedWeights:
    """Read the weights of a file.

    Args:
        path: of the file.
        task: of its run.
        instead: what to use instead where the weights do not name their classes, for an error message.

    Raises:
        CheckpointError: they are damaged, or do not name their classes.
    """
    tensors, facts = load_tensors(path)
    names = facts.get("classes")
    if not names or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{path}: does not name its classes; expected weights of a {task} run; use {instead}")
    return TrainedWeights(path, tensors, facts, list(names))


def check_finite(values: Tensor, what: str) -> None:
    """Refuse values that are not finite.

    Args:
        values: from a model.
        what: their name for people, such as logits.

    Raises:
        CheckpointError: some are not.
    """
    if not bool(values.isfinite().all()):
        raise CheckpointError(
            f"the model's {what} are not finite numbers; expected weights of a training that went well; "
            "use another checkpoint with --checkpoint, or --precision float32"
        )


def scored_images(found: Images | None, run: RunDir, split: Split) -> Images:
    """The images of a split of a run's recipe.

    Args:
        found: what was opened for the split.
        run: the run folder.
        split: which set.

    Raises:
        DataError: there are none.
    """
    if found is None or not len(found):
        raise DataError(
            f"{run.recipe}: data: no {split} images; expected a {split} set; name one in the recipe, or use --split"
        )
    return found


def known_classes(names: Sequence[str], model_names: Sequence[str], run: RunDir, split: Split) -> IntArray:
    """The model's number of each class of the data: the same, unless the classes changed after the training.

    Args:
        names: the classes of the data.
        model_names: those of the model.
        run: of the model.
        split: of its data.

    Raises:
        DataError: the data has a class that the model does not know.
    """
    numbers = {name: number for number, name in enumerate(model_names)}
    unknown = [name for name in names if name not in numbers]
    if unknown:
        raise DataError(
            f"{run.recipe}: data.{split}: {len(unknown)} classes that the model does not know, such as '{unknown[0]}'; "
            f"expected some of its {len(model_names)} ('{model_names[0]}', ...); give it the data that it learned from"
        )
    return np.array([numbers[name] for name in names], dtype=np.int64)
