import math

import pytest
import torch
from torch import Tensor

from attnkit.models.layers.positions import Positions, Scheme, sinusoidal_positions


def positions(
    scheme: Scheme, embed_dim: int, length: int, *, start: int = 0, src_lengths: tuple[int, ...] = (3, 5)
) -> Tensor:
    return Positions(scheme, embed_dim, max_positions=11)(length, start=start, src_lengths=torch.tensor(src_lengths))


def test_the_lecture_s_table() -> None:
    """Width 50, positions 0 to 3 from left to right, channels 0 to 3 from top to bottom, as the lecture prints it."""
    table = sinusoidal_positions(torch.arange(4), 50)[:, :4].T
    printed = torch.tensor(
        [
            [0.000, 0.841, 0.909, 0.141],
            [1.000, 0.540, -0.416, -0.990],
            [0.000, 0.638, 0.983, 0.875],
            [1.000, 0.770, 0.186, -0.484],
        ]
    )
    # the lecture cuts one digit (0.8757) and rounds the others
    torch.testing.assert_close(table, printed, rtol=0.0, atol=0.001)


@pytest.mark.parametrize("embed_dim", [2, 6, 512])
def test_the_paper_s_formula(embed_dim: int) -> None:
    table = sinusoidal_positions(torch.tensor([0, 1, 7, 4999]), embed_dim)
    assert table.shape == (4, embed_dim)
    assert table.dtype == torch.float32
    for row, pos in enumerate([0, 1, 7, 4999]):
        for i in range(embed_dim // 2):
            angle = pos / 10000 ** (2 * i / embed_dim)
            assert table[row, 2 * i].item() == pytest.approx(math.sin(angle), abs=1e-6)
            assert table[row, 2 * i + 1].item() == pytest.approx(math.cos(angle), abs=1e-6)


@pytest.mark.parametrize("scheme", ["sinusoidal", "learned", "index", "fraction"])
def test_rows_from_a_start_are_those_of_the_whole(scheme: Scheme) -> None:
    layer = Positions(scheme, 6, max_positions=11)
    src_lengths = torch.tensor([3, 5])
    whole = layer(9, src_lengths=src_lengths)
    assert whole.shape == (2 if scheme == "fraction" else 1, 9, 6)
    for start in range(9):
        assert torch.equal(layer(1, start=start, src_lengths=src_lengths), whole[:, start : start + 1])
    assert torch.equal(layer(4, start=5, src_lengths=src_lengths), whole[:, 5:])


def test_sinusoids_have_no_limit() -> None:
    """The rows that are kept grow when more are asked for."""
    layer = Positions("sinusoidal", 6, max_positions=1)
    src_lengths = torch.tensor([3])
    layer(5, src_lengths=src_lengths)
    rows = layer(700, start=300, src_lengths=src_lengths)
    assert torch.equal(rows[0], sinusoidal_positions(torch.arange(300, 1000), 6))
    assert torch.equal(layer(5, src_lengths=src_lengths)[0], sinusoidal_positions(torch.arange(5), 6))


def test_sinusoids_are_no_weights() -> None:
    layer = Positions("sinusoidal", 6, max_positions=7)
    layer(5, src_lengths=torch.tensor([3]))
    assert not layer.state_dict()


def test_index_adds_the_position_to_every_channel() -> None:
    expected = torch.tensor([[[2.0] * 5, [3.0] * 5, [4.0] * 5]])
    assert torch.equal(positions("index", 5, 3, start=2), expected)


def test_fraction_is_of_the_source_length() -> None:
    """Two sentences of three and five tokens; a target may grow longer than its source, and the fraction above one."""
    rows = positions("fraction", 2, 6)
    thirds, fifths = [[i / 3] * 2 for i in range(6)], [[i / 5] * 2 for i in range(6)]
    torch.testing.assert_close(rows, torch.tensor([thirds, fifths]))


def test_learned_positions_are_a_table() -> None:
    layer = Positions("learned", 5, max_positions=7)
    assert [(name, tuple(table.shape)) for name, table in layer.named_parameters()] == [("table", (7, 5))]
    src_lengths = torch.tensor([3])
    assert torch.equal(layer(7, src_lengths=src_lengths)[0], layer.table)
    layer(2, start=3, src_lengths=src_lengths).sum().backward()
    assert torch.equal(layer.table.grad, torch.tensor([[0.0]] * 3 + [[1.0]] * 2 + [[0.0]] * 2).expand(7, 5))


@pytest.mark.parametrize(("length", "start"), [(8, 0), (1, 7)])
def test_a_table_that_is_too_short(length: int, start: int) -> None:
    layer = Positions("learned", 5, max_positions=7)
    with pytest.raises(
        ValueError,
        match=r"^learned positions: 8 tokens, but the table has 7 rows; "
        r"train with a larger model.max_positions, or use sinusoidal positions$",
    ):
        layer(length, start=start, src_lengths=torch.tensor([3]))
