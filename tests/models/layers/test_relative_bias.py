import pytest
import torch

from attnkit.models.layers import relative_bias
from attnkit.models.layers.relative_bias import read_bias, relative_position_index, resize_bias_table


def test_index_of_a_window_of_two() -> None:
    """Tokens a b / c d. Rows of the table, from (-1, -1) to (1, 1): 3 (row + 1) + column + 1.

    From a to a nothing, 4; from a to b one column less, 3; from a to c one row less, 1; from a to d both, 0.
    """
    assert relative_position_index(2).tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]


def test_index_of_a_window_of_three() -> None:
    """The first token sees itself at the middle of 25, its right neighbour one before, the one below five before."""
    index = relative_position_index(3)
    assert index[0].tolist() == [12, 11, 10, 7, 6, 5, 2, 1, 0]
    assert index[8].tolist() == [24, 23, 22, 19, 18, 17, 14, 13, 12]
    assert index[4].tolist() == [18, 17, 16, 13, 12, 11, 8, 7, 6]


def test_reads_a_bias_for_every_head() -> None:
    table = torch.stack([torch.arange(9.0), 10 * torch.arange(9.0), torch.zeros(9)], dim=1)
    bias = read_bias(table, 2)
    assert bias[0].tolist() == [[4, 3, 1, 0], [5, 4, 2, 1], [7, 6, 4, 3], [8, 7, 5, 4]]
    assert torch.equal(bias[1], 10 * bias[0])
    assert not bias[2].any()


def test_an_index_made_while_predicting_serves_training() -> None:
    relative_bias._kept_index.cache_clear()
    with torch.inference_mode():
        relative_position_index(3)
    table = torch.zeros(25, 2, requires_grad=True)
    read_bias(table, 3).sum().backward()
    assert table.grad[:, 0].tolist() == [1, 2, 3, 2, 1, 2, 4, 6, 4, 2, 3, 6, 9, 6, 3, 2, 4, 6, 4, 2, 1, 2, 3, 2, 1]


def test_a_table_is_resized_about_its_middle() -> None:
    """A constant stays one; a slope stays one, is as symmetric as before, and every head keeps its own."""
    down = torch.linspace(-3, 3, 7).repeat_interleave(7)
    across = torch.linspace(-3, 3, 7).repeat(7)
    table = torch.stack([torch.full((49,), 2.5), down, across], dim=1)
    resized = resize_bias_table(table, 6).t().view(3, 11, 11)
    torch.testing.assert_close(resized[0], torch.full((11, 11), 2.5))
    torch.testing.assert_close(resized[1], resized[2].t())
    torch.testing.assert_close(resized[1], -resized[1].flip(0))
    assert (resized[1].diff(dim=0) > 0).all()
    torch.testing.assert_close(resized[1], resized[1][:, :1].expand(11, 11))


def test_the_same_window_keeps_its_table() -> None:
    table = torch.randn(25, 2)
    assert resize_bias_table(table, 3) is table


@pytest.mark.parametrize("rows", [24, 36])
def test_rows_that_make_no_table(rows: int) -> None:
    with pytest.raises(ValueError, match=rf"^bias table: {rows} rows; expected \(2M - 1\)\^2 of them"):
        resize_bias_table(torch.zeros(rows, 2), 7)
