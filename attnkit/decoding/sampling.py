"""Sampling: each token drawn from the model's distribution, sharpened or cut if wished.

Each sentence draws from its own stream of random numbers, so that its output does not depend on its neighbours.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import LengthPenalty, no_penalty
from attnkit.decoding.paths import follow_paths
from attnkit.decoding.rules import Rules
from attnkit.decoding.steps import DecoderSteps, IntArray
from attnkit.decoding.top_tokens import top_tokens


def sample(
    steps: DecoderSteps,
    rules: Rules,
    *,
    temperature: float = 1.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 1,
    num_samples: int = 1,
    stream_ids: Sequence[int] | None = None,
    length_penalty: LengthPenalty = no_penalty,
) -> list[list[Hypothesis]]:
    """Draw `num_samples` outputs for each sentence.

    The temperature comes first, then the `top_k` likeliest tokens, then the fewest of them that reach `top_p`. Scores
    are log-probabilities of the model as it is, not of the distribution that is drawn from.

    Args:
        steps: the decoder of B sentences, at its start.
        temperature: what logits are divided by; below 1 is sharper.
        top_k: 0 is all.
        top_p: probability, up to 1.
        stream_ids: B numbers that name the sentences among all that are decoded with this seed, such as their line
            numbers; the default is 0 to B - 1.
        length_penalty: changes only the scores that are reported.

    Returns:
        For each of the B sentences its draws, best score first.

    Raises:
        ValueError: an argument is out of its range.
        CheckpointError: the model's output is not a number.
    """
    if temperature <= 0 or top_k < 0 or not 0 < top_p <= 1 or num_samples < 1:
        raise ValueError(
            f"sampling: temperature {temperature}, top_k {top_k}, top_p {top_p}, num_samples {num_samples}; expected "
            "temperature > 0, top_k >= 0, 0 < top_p <= 1 and num_samples >= 1"
        )
    uniforms = _uniforms(rules, seed, range(rules.num_sentences) if stream_ids is None else stream_ids, num_samples)

    def draw(log_probs: Tensor, sentences: IntArray, step: int) -> Tensor:
        points = torch.from_numpy(uniforms[sentences, step]).to(log_probs.device)  # (B', num_samples)
        ids = _draw(log_probs.flatten(0, 1) / temperature, points.flatten(), top_k=top_k, top_p=top_p)
        return ids.view(points.shape)

    return follow_paths(steps, rules, draw, num_paths=num_samples, length_penalty=length_penalty)


def _uniforms(rules: Rules, seed: int, stream_ids: Sequence[int], num_samples: int) -> npt.NDArray[np.float64]:
    """(B, longest, num_samples) random numbers in [0, 1): each sentence's own, the same whatever else is decoded.

    A sentence's numbers come from a generator keyed by the seed and its stream, in the order of the steps.
    """
    if len(stream_ids) != rules.num_sentences:
        raise ValueError(f"stream_ids: {len(stream_ids)} for {rules.num_sentences} sentences")
    uniforms = np.zeros((rules.num_sentences, rules.limits.max(initial=0), num_samples))
    word = 2**64 - 1  # a key is two unsigned 64-bit words; negative numbers wrap around
    for row, limit, stream in zip(uniforms, rules.limits, stream_ids, strict=True):
        key = np.array([seed & word, stream & word], np.uint64)
        row[:limit] = np.random.Generator(np.random.Philox(key=key)).random((limit, num_samples))
    return uniforms


def _draw(scores: Tensor, uniforms: Tensor, *, top_k: int, top_p: float) -> Tensor:
    """The token of each row at which the cumulative probability passes the uniform number; (N,).

    Args:
        scores: (N, V) log-probabilities, up to a constant per row.
        uniforms: (N,) float64 in [0, 1).
    """
    ids = None
    if top_k:
        values, indices = top_tokens(scores, top_k)
        scores, ids = torch.from_numpy(values).to(scores.device), torch.from_numpy(indices).to(scores.device)
    elif top_p < 1:
        scores, ids = scores.sort(dim=-1, descending=True, stable=True)
    probs = scores.double().softmax(-1)
    if top_p < 1:
        before = probs.cumsum(-1) - probs
        probs = probs.masked_fill(before >= top_p, 0.0)
    cumulative = probs.cumsum(-1)
    whole = cumulative[:, -1:]
    # Strictly below the whole, even after rounding, so that no token of probability 0 is drawn.
    points = torch.minimum(uniforms[:, None] * whole, torch.nextafter(whole, torch.zeros_like(whole)))
    places = torch.searchsorted(cumulative, points, right=True)
    return (places if ids is None else ids.gather(1, places))[:, 0]
