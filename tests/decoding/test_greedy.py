import math

import pytest
import torch

from attnkit.decoding.greedy import greedy_search
from attnkit.decoding.length_penalty import power_penalty
from attnkit.decoding.rules import Rules, make_rules
from attnkit.errors import CheckpointError
from tests.decoding.table_steps import TableSteps, by_position, random_table

BOS, EOS = 0, 1


def rules_for(*max_lengths: int, min_length: int = 0, prefixes=None) -> Rules:
    lengths = torch.tensor(max_lengths, dtype=torch.int64)
    return make_rules(max_lengths=lengths, bos_id=BOS, eos_id=EOS, min_length=min_length, prefixes=prefixes)


def test_tensor2tensors_vector() -> None:
    [[best]] = greedy_search(TableSteps(by_position([[0.7, 0.3], [0.4, 0.6], [0.5, 0.5]])), rules_for(3))
    assert (best.tokens, best.finished) == ([0], True)
    assert math.exp(best.log_prob) == pytest.approx(0.42)
    assert [math.exp(log_prob) for log_prob in best.token_log_probs] == pytest.approx([0.7, 0.6])


def test_cut_at_the_maximum_and_still_returned() -> None:
    table = by_position([[0.2, 0.1, 0.7], [0.4, 0.1, 0.5]])
    [[best]] = greedy_search(TableSteps(table), rules_for(2), length_penalty=power_penalty(1.0))
    assert (best.tokens, best.finished) == ([2, 2], False)
    assert best.score == pytest.approx(math.log(0.35) / 2)


def test_of_equals_the_lowest_id() -> None:
    table = by_position([[0.1, 0.0, 0.3, 0.3, 0.3], [0.0, 0.4, 0.2, 0.4, 0.0]])
    assert greedy_search(TableSteps(table), rules_for(4))[0][0].tokens == [2]


def test_a_sentence_does_not_depend_on_its_batch() -> None:
    tables = [random_table(5, seed) for seed in range(6)]
    limits, prefixes = [1, 7, 3, 12, 5, 2], [[], [2, 3], [], [4], [0, 0, 0], []]
    steps = TableSteps(*tables)
    together = greedy_search(steps, rules_for(*limits, min_length=1, prefixes=prefixes))
    alone = [
        greedy_search(TableSteps(table), rules_for(limit, min_length=1, prefixes=[prefix]))[0]
        for table, limit, prefix in zip(tables, limits, prefixes, strict=True)
    ]
    assert together == alone
    assert together[4][0].tokens[:3] == [0, 0, 0]
    assert steps.num_rows[0] == 6
    assert steps.num_rows == sorted(steps.num_rows, reverse=True)
    assert steps.reorders == len(set(steps.num_rows)) - 1


def test_no_sentences_no_hypotheses() -> None:
    assert greedy_search(TableSteps(), rules_for()) == []


def test_a_model_that_computes_nan_is_said() -> None:
    with pytest.raises(CheckpointError, match=r"^model: its output is not a number"):
        greedy_search(TableSteps(by_position([[math.nan, 0.5]])), rules_for(2))
