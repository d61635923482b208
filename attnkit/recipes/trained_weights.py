"""What trained weights have to have: names of their classes, and numbers that are finite."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from attnkit.errors import CheckpointError
from attnkit.run_dir import RunDir


def class_names_in(facts: Mapping[str, Any], path: Path, run: RunDir, *, task: str) -> list[str]:
    """The classes that weights tell apart.

    Args:
        facts: that came with the weights.
        path: of the weights.
        run: which they should be of.
        task: of the run.

    Raises:
        CheckpointError: the facts name none.
    """
    names = facts.get("classes")
    if not names or not all(isinstance(name, str) for name in names):
        raise CheckpointError(f"{path}: does not name its classes; expected weights of a {task} run; use {run.model}")
    return list(names)


def check_finite(values: Tensor, what: str) -> None:
    """Stop where a model says what is no number.

    Args:
        values: what it says.
        what: its name for people, such as logits.

    Raises:
        CheckpointError: some values are not finite.
    """
    if not bool(values.isfinite().all()):
        raise CheckpointError(
            f"the model's {what} are not finite numbers; expected weights of a training that went well; "
            "use another checkpoint with --checkpoint, or --precision float32"
        )
