import numpy as np
import pytest
import torch

from attnkit.decoding.rules import make_rules


def test_limits_give_way_to_a_longer_prefix() -> None:
    rules = make_rules(max_lengths=torch.tensor([2, 5]), bos_id=2, eos_id=3, prefixes=[[7, 8, 9], [7]])
    assert rules.limits.tolist() == [3, 5]


def test_forced_tokens_follow_the_sentences_that_are_left() -> None:
    rules = make_rules(max_lengths=torch.tensor([9, 9, 9]), bos_id=2, eos_id=3, prefixes=[[7, 8], [], [5]])
    assert rules.forced(np.array([0, 2]), 0).tolist() == [7, 5]
    assert rules.forced(np.array([0, 1, 2]), 1).tolist() == [8, -1, -1]
    assert rules.forced(np.array([0, 1]), 2).tolist() == [-1, -1]


def test_forbids_ids_always_and_the_end_below_the_minimum() -> None:
    rules = make_rules(max_lengths=torch.tensor([9]), bos_id=2, eos_id=3, forbidden_ids=(0, 2), min_length=2)
    for step, expected in enumerate([[0, 2, 3], [0, 2, 3], [0, 2]]):
        log_probs = torch.full((3, 5), -1.0)
        rules.forbid(log_probs, step)
        assert torch.isinf(log_probs).all(0).nonzero().flatten().tolist() == expected
        assert int(torch.isinf(log_probs).sum()) == 3 * len(expected)


def test_without_forbidden_ids_nothing_changes() -> None:
    rules = make_rules(max_lengths=torch.tensor([9]), bos_id=2, eos_id=3)
    log_probs = torch.full((3, 5), -1.0)
    rules.forbid(log_probs, 0)
    assert not torch.isinf(log_probs).any()


def test_a_maximum_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^max_lengths: 0 is below 1$"):
        make_rules(max_lengths=torch.tensor([4, 0]), bos_id=2, eos_id=3)


def test_forbidding_the_end_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^forbidden_ids: 3 is the end of sentence; use min_length to hold it back$"):
        make_rules(max_lengths=torch.tensor([4]), bos_id=2, eos_id=3, forbidden_ids=(0, 3))


def test_the_end_in_a_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^prefixes: \[7, 3\] has the end of sentence, 3, in it$"):
        make_rules(max_lengths=torch.tensor([4]), bos_id=2, eos_id=3, prefixes=[[7, 3]])


def test_a_missing_prefix_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^prefixes: 1 for 2 sentences$"):
        make_rules(max_lengths=torch.tensor([4, 4]), bos_id=2, eos_id=3, prefixes=[[7]])
