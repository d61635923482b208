"""What an import gives: weights under attnkit's names, the model that they are of, and what was found on the way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from attnkit.data.config import ImageConfig
from attnkit.models.config import ClassifierConfig

GOOGLE_MEAN_STD = (0.5, 0.5, 0.5)
"""What Google's weights want for the mean and the standard deviation alike: pixels from -1 to 1."""


@dataclass(frozen=True)
class ImportedWeights:
    """Somebody's weights, renamed.

    Attributes:
        source: who names weights so.
        model: the architecture, as far as names and shapes tell it.
        image: how the images of this source were prepared, at the size that the weights are for.
        weights: by attnkit's names.
        heads: the linear layers that give the logits; they are what may differ from the task at hand.
        unknown: weights that have no place in the model, by the file's names.
        left_out: names of what the file holds beside weights: tables that are computed, parts that do not classify.
        class_names: where the file says them.
        notes: what was assumed, one line each.
    """

    source: str
    model: ClassifierConfig
    image: ImageConfig
    weights: dict[str, Tensor]
    heads: tuple[str, ...] = ("head",)
    unknown: Mapping[str, Tensor] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int | None:
        """Rows of the classifier's matrix; none where the file has no classifier."""
        matrix = self.weights.get(f"{self.heads[0]}.weight")
        return None if matrix is None else len(matrix)
