import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnkit.decoding.top_tokens import to_log_probs, top_tokens
from attnkit.errors import CheckpointError


def stable_top(scores: torch.Tensor, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The slow and certain way."""
    ordered = torch.sort(scores, dim=1, descending=True, stable=True)
    return ordered.values[:, :count].numpy(), ordered.indices[:, :count].numpy()


@pytest.mark.parametrize("vocab_size", [2, 3, 7, 100, 5003, 8192])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_is_what_a_stable_sort_gives(vocab_size: int, count: int) -> None:
    scores = torch.randn(5, vocab_size, generator=torch.Generator().manual_seed(vocab_size))
    values, ids = top_tokens(scores, count)
    expected_values, expected_ids = stable_top(scores, count)
    np.testing.assert_array_equal(values, expected_values)
    np.testing.assert_array_equal(ids, expected_ids)


@given(seed=st.integers(0, 2**31), levels=st.integers(1, 40), count=st.integers(1, 12), rows=st.integers(1, 4))
def test_of_equals_the_lowest_ids_come_first(seed: int, levels: int, count: int, rows: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    scores = torch.randint(levels, (rows, 6007), generator=generator).float()
    np.testing.assert_array_equal(top_tokens(scores, count)[1], stable_top(scores, count)[1])


def test_a_tie_at_the_last_place_only_is_seen() -> None:
    scores = torch.tensor([[0.0, 3.0, 1.0, 2.0, 1.0, 1.0], [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]])
    assert top_tokens(scores, 3)[1].tolist() == [[1, 3, 2], [0, 1, 2]]


def test_minus_infinity_comes_last() -> None:
    scores = torch.tensor([[-np.inf, -2.0, -np.inf, -1.0]])
    values, ids = top_tokens(scores, 4)
    assert ids.tolist() == [[3, 1, 0, 2]]
    assert values.tolist() == [[-1.0, -2.0, -np.inf, -np.inf]]


def test_nan_is_refused() -> None:
    scores = torch.zeros(2, 5)
    scores[1, 3] = torch.nan
    with pytest.raises(
        CheckpointError, match=r"^model: its output is not a number \(NaN\); expected finite logits; use"
    ):
        top_tokens(scores, 2)


@pytest.mark.parametrize(("rows", "vocab_size"), [(1, 1), (3, 7), (11, 129), (5, 4099), (37, 1023)])
def test_log_probs_are_made_in_place_and_right(rows: int, vocab_size: int) -> None:
    logits = 9 * torch.randn(rows, 2, vocab_size, generator=torch.Generator().manual_seed(rows))
    expected = logits.double().log_softmax(2).view(2 * rows, vocab_size)
    log_probs = to_log_probs(logits)
    torch.testing.assert_close(log_probs.double(), expected, atol=1e-5, rtol=1e-5)
    assert log_probs.data_ptr() == logits.data_ptr()


def test_log_probs_of_logits_that_are_not_contiguous_or_need_a_gradient() -> None:
    logits = torch.randn(3, 7, 5, requires_grad=True).transpose(1, 2)
    expected = logits.log_softmax(2).flatten(0, 1)
    torch.testing.assert_close(to_log_probs(logits), expected.detach())
