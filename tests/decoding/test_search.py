import pytest
import torch

from attnkit.decoding.beam import beam_search
from attnkit.decoding.config import DecodeConfig, LengthPenaltyConfig
from attnkit.decoding.greedy import greedy_search
from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.length_penalty import power_penalty
from attnkit.decoding.rules import make_rules
from attnkit.decoding.sampling import sample
from attnkit.decoding.search import search
from attnkit.errors import RecipeError
from tests.decoding.table_steps import TableSteps, random_table

PAD, UNK, BOS, EOS = 0, 1, 2, 3
POWER = LengthPenaltyConfig(form="power", alpha=1.0)
TABLES = [random_table(9, seed) for seed in range(5)]
LIMITS = torch.tensor([7, 3, 5, 11, 2])


def found(config: DecodeConfig, *, n_best: int = 1, stream_ids=None) -> list[list[Hypothesis]]:
    return search(
        TableSteps(*TABLES),
        config,
        max_lengths=LIMITS,
        bos_id=BOS,
        eos_id=EOS,
        pad_id=PAD,
        unk_id=UNK,
        n_best=n_best,
        stream_ids=stream_ids,
    )


def rules(*, forbidden_ids: tuple[int, ...], min_length: int = 0):
    return make_rules(max_lengths=LIMITS, bos_id=BOS, eos_id=EOS, forbidden_ids=forbidden_ids, min_length=min_length)


def test_beam() -> None:
    config = DecodeConfig(beam_size=3, length_penalty=POWER, min_length=2)
    assert found(config, n_best=2) == beam_search(
        TableSteps(*TABLES),
        rules(forbidden_ids=(PAD, BOS, UNK), min_length=2),
        beam_size=3,
        length_penalty=power_penalty(1.0),
        n_best=2,
    )


def test_greedy() -> None:
    config = DecodeConfig(method="greedy", length_penalty=POWER, allow_unknown=True)
    expected = greedy_search(TableSteps(*TABLES), rules(forbidden_ids=(PAD, BOS)), length_penalty=power_penalty(1.0))
    assert found(config) == expected
    assert any(UNK in hypotheses[0].tokens for hypotheses in expected)


def test_sampling() -> None:
    config = DecodeConfig(method="sampling", length_penalty=POWER, temperature=0.7, top_k=5, top_p=0.9, seed=13)
    assert found(config, n_best=3, stream_ids=[5, 6, 7, 8, 9]) == sample(
        TableSteps(*TABLES),
        rules(forbidden_ids=(PAD, BOS, UNK)),
        temperature=0.7,
        top_k=5,
        top_p=0.9,
        seed=13,
        num_samples=3,
        stream_ids=[5, 6, 7, 8, 9],
        length_penalty=power_penalty(1.0),
    )


def test_more_outputs_than_beams() -> None:
    with pytest.raises(
        RecipeError, match=r"^decode.beam_size: 4 is too small for 9 outputs; .*; set decode.beam_size=9$"
    ):
        found(DecodeConfig(), n_best=9)


def test_more_outputs_than_greedy_has() -> None:
    with pytest.raises(
        RecipeError, match=r"^decode.method: greedy gives one output, not 2; .*; set decode.method=beam$"
    ):
        found(DecodeConfig(method="greedy"), n_best=2)


def test_the_longest_output_is_the_papers_input_plus_fifty() -> None:
    assert DecodeConfig().max_lengths(torch.tensor([1, 7, 20])).tolist() == [51, 57, 70]
    halves = DecodeConfig(max_length_factor=1.5, max_length_extra=3).max_lengths(torch.tensor([1, 2, 3]))
    assert halves.tolist() == [4, 6, 7]
    assert halves.dtype == torch.int64
