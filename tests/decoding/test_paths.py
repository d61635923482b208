"""Paths that take one token per step, each by a choice of its own."""

import math

import pytest
import torch

from attnkit.decoding.length_penalty import no_penalty, power_penalty
from attnkit.decoding.paths import follow_paths
from attnkit.errors import CheckpointError
from tests.decoding.table_steps import EOS, TableSteps, by_position, random_table, rules_for


def test_each_path_goes_its_own_way_and_the_best_comes_first():
    table = by_position([[0.1, 0.2, 0.7], [0.3, 0.6, 0.1]])
    ways = torch.tensor([[0, EOS, 2], [EOS, EOS, 0], [EOS, EOS, EOS]])  # (step, path)
    [found] = follow_paths(
        TableSteps(table),
        rules_for(5),
        lambda log_probs, alive, step: ways[step].expand(len(alive), -1),
        num_paths=3,
        length_penalty=power_penalty(1.0),
    )
    assert [hypothesis.tokens for hypothesis in found] == [[2, 0], [0], []]
    probabilities = [(0.7, 0.3, 0.6), (0.1, 0.6), (0.2,)]
    for hypothesis, taken in zip(found, probabilities, strict=True):
        assert hypothesis.finished
        assert [math.exp(log_prob) for log_prob in hypothesis.token_log_probs] == pytest.approx(taken)
        assert hypothesis.score == pytest.approx(math.log(math.prod(taken)) / len(taken))


def test_sentences_leave_when_their_last_path_has_ended():
    tables = [random_table(4, seed) for seed in range(3)]
    ends = torch.tensor([[1, 3], [2, 2], [4, 1]])  # (sentence, path): the step at which each ends
    asked = []

    def pick(log_probs, alive, step):
        asked.append(alive.tolist())
        return torch.where(ends[torch.from_numpy(alive)] <= step, EOS, 2)

    found = follow_paths(TableSteps(*tables), rules_for(9, 9, 9), pick, num_paths=2, length_penalty=no_penalty)
    assert [sorted(asked_at) for asked_at in asked] == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [0, 2], [2]]
    lengths = [sorted(len(hypothesis.tokens) for hypothesis in of_sentence) for of_sentence in found]
    assert lengths == [[1, 3], [2, 2], [1, 4]]


def test_what_is_no_number_is_refused():
    table = by_position([[math.nan, 0.5, 0.5]])
    with pytest.raises(CheckpointError):
        follow_paths(
            TableSteps(table),
            rules_for(3),
            lambda log_probs, alive, step: torch.zeros(len(alive), 1, dtype=torch.int64),
            num_paths=1,
            length_penalty=no_penalty,
        )
