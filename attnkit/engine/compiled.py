"""A task compiled by torch.compile, whose failures are the user's to mend."""

from __future__ import annotations

from typing import Any

import torch

from attnkit.engine.task import Loss, Task
from attnkit.errors import AttnkitError


class CompiledTask:
    """The forward pass of a task, compiled at its first call and for each new kind of shape."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._forward = torch.compile(task)

    def __call__(self, batch: Any) -> Loss:
        """The loss of a batch.

        Raises:
            AttnkitError: it cannot be compiled here.
        """
        from torch._dynamo.exc import TorchDynamoException  # costs a second, so only those pay who compile
        from torch._inductor.exc import InductorError

        try:
            loss: Loss = self._forward(batch)
        except (TorchDynamoException, InductorError) as error:
            reason = str(error).strip().splitlines()[0]
            raise AttnkitError(
                f"train.compile: torch.compile failed: {reason}; expected a working C++ compiler on a CPU, or Triton "
                "on a GPU; install one, or leave train.compile out"
            ) from error
        return loss

    def zero_grad(self, *, set_to_none: bool) -> None:
        """Forget the gradients."""
        self._task.zero_grad(set_to_none=set_to_none)
