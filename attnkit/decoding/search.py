"""Decode by the method that a recipe names."""

from collections.abc import Sequence

from torch import Tensor

from attnkit.decoding.beam import beam_search
from attnkit.decoding.config import DecodeConfig
from attnkit.decoding.greedy import greedy_search
from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.rules import make_rules
from attnkit.decoding.sampling import sample
from attnkit.decoding.steps import DecoderSteps
from attnkit.errors import RecipeError


def search(
    steps: DecoderSteps,
    config: DecodeConfig,
    *,
    max_lengths: Tensor,
    bos_id: int,
    eos_id: int,
    pad_id: int,
    unk_id: int,
    prefixes: Sequence[Sequence[int]] | None = None,
    n_best: int = 1,
    stream_ids: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Find outputs for a batch of B sentences.

    Args:
        steps: the decoder, at its start.
        max_lengths: (B,) int64 on the decoder's device, most output tokens, as `config.max_lengths` gives them.
        prefixes: B lists of forced first tokens.
        n_best: how many outputs per sentence: at most `beam_size` for a beam, 1 for greedy.
        stream_ids: for sampling, B numbers that name the sentences among all of the input.

    Returns:
        For each sentence its hypotheses, best first; a beam may find fewer than asked for.

    Raises:
        RecipeError: more outputs asked for than the method gives.
        CheckpointError: the model's output is not a number.
    """
    check_n_best(config, n_best)
    rules = make_rules(
        max_lengths=max_lengths,
        bos_id=bos_id,
        eos_id=eos_id,
        forbidden_ids=(pad_id, bos_id) if config.allow_unknown else (pad_id, bos_id, unk_id),
        min_length=config.min_length,
        prefixes=prefixes,
    )
    penalty = config.length_penalty.build()
    if config.method == "greedy":
        return greedy_search(steps, rules, length_penalty=penalty)
    if config.method == "beam":
        return beam_search(steps, rules, beam_size=config.beam_size, length_penalty=penalty, n_best=n_best)
    return sample(
        steps,
        rules,
        temperature=config.temperature,
        top_k=config.top_k,
        top_p=config.top_p,
        seed=config.seed,
        num_samples=n_best,
        stream_ids=stream_ids,
        length_penalty=penalty,
    )


def check_n_best(config: DecodeConfig, n_best: int) -> None:
    """Refuse more outputs per sentence than the method can give.

    Raises:
        RecipeError: there would be fewer.
    """
    if config.method == "greedy" and n_best > 1:
        raise RecipeError(
            f"decode.method: greedy gives one output, not {n_best}; expected beam or sampling; set decode.method=beam"
        )
    if config.method == "beam" and n_best > config.beam_size:
        raise RecipeError(
            f"decode.beam_size: {config.beam_size} is too small for {n_best} outputs; expected at least as many beams; "
            f"set decode.beam_size={n_best}"
        )
