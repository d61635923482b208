"""The images of a run's data that its model is scored on: there must be some, of classes that the model knows."""

from __future__ import annotations

from collections.abc import Sequence, Sized
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from attnkit.data.config import Split
from attnkit.errors import DataError
from attnkit.run_dir import RunDir

Images = TypeVar("Images", bound=Sized)


def scored_images(found: Images | None, run: RunDir, split: Split) -> Images:
    """What was found for a split of a run's recipe.

    Raises:
        DataError: nothing.
    """
    if found is None or not len(found):
        raise DataError(
            f"{run.recipe}: data: no {split} images; expected a {split} set; name one in the recipe, or use --split"
        )
    return found


def known_classes(names: Sequence[str], model_names: Sequence[str], run: RunDir, split: Split) -> NDArray[np.int64]:
    """The model's number of each class of the data: the same, unless the data's classes changed since the training.

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
