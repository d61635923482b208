"""The likeliest tokens of each row, exactly and always the same ones, with few passes over the vocabulary."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attnkit.decoding.steps import IntArray
from attnkit.errors import CheckpointError

FloatArray = npt.NDArray[np.float32]

_FOLD = 8
_ROOM = 64


def to_log_probs(logits: Tensor) -> Tensor:
    """Log-softmax over the vocabulary, in the memory of `logits` on a CPU: fresh pages cost as much as the arithmetic.

    Args:
        logits: (..., V); not to be used afterwards.

    Returns:
        (N, V).
    """
    logits = logits.detach().flatten(0, -2)
    # The kernel reads a whole row before it writes the first of its numbers.
    return torch.log_softmax(logits, -1, out=logits if logits.device.type == "cpu" else None)


def top_tokens(log_probs: Tensor, count: int) -> tuple[FloatArray, IntArray]:
    """The `count` likeliest tokens of each row, best first; of equal ones those with the lowest id.

    Args:
        log_probs: (N, V).
        count: all V are returned if there are fewer.

    Returns:
        Log-probabilities and token ids, both (N, count).

    Raises:
        CheckpointError: a row is not a number.
    """
    count = min(count, log_probs.shape[1])
    # One more than asked for shows whether the last place is disputed by equals.
    values, ids = (found.cpu().numpy() for found in _top(log_probs, min(count + 1, log_probs.shape[1])))
    refuse_nan(values)
    tied = np.flatnonzero((values[:, 1:] == values[:, :-1]).any(1))
    values, ids = values[:, :count], ids[:, :count]
    if len(tied):
        rows = log_probs[torch.from_numpy(tied).to(log_probs.device)]
        ordered = torch.sort(rows, dim=-1, descending=True, stable=True)
        values, ids = values.copy(), ids.copy()
        values[tied] = ordered.values[:, :count].cpu().numpy()
        ids[tied] = ordered.indices[:, :count].cpu().numpy()
    return values, ids


def refuse_nan(values: FloatArray) -> None:
    """Stop a search whose model computes nonsense, instead of returning nonsense.

    Raises:
        CheckpointError: a value is not a number.
    """
    if np.isnan(values).any():
        raise CheckpointError(
            "model: its output is not a number (NaN); expected finite logits; use an earlier checkpoint of the run"
        )


def _top(log_probs: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`torch.topk`, sooner: fold the row into a few layers and look only under the columns with the highest maxima."""
    width = log_probs.shape[1] // _FOLD
    if width < _ROOM * count:  # below that, topk itself changes to an algorithm that gains nothing from folding
        values, ids = log_probs.topk(count)
        return values, ids
    folded = log_probs[:, : _FOLD * width].unflatten(1, (_FOLD, width))
    columns = folded.amax(1).topk(count, sorted=False).indices
    layers = torch.arange(_FOLD, device=log_probs.device) * width
    ids = (layers[:, None] + columns[:, None, :]).flatten(1)
    rest = torch.arange(_FOLD * width, log_probs.shape[1], device=log_probs.device)
    ids = torch.cat([ids, rest.expand(len(ids), -1)], 1)
    values, places = log_probs.gather(1, ids).topk(count)
    return values, ids.gather(1, places)
