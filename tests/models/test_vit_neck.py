import pytest
import torch
from torch import Tensor, nn

from attnkit.models.upernet import ViTNeck


def maps(rows: int, columns: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, 3, rows, columns, generator=generator) for _ in range(4)]


@pytest.mark.parametrize("convolutions", [False, True])
def test_sizes_are_those_of_a_pyramid(convolutions: bool) -> None:
    """40 x 24 pixels are 5 x 3 patches; their half is rounded up."""
    outputs = ViTNeck(3, patch_size=8, convolutions=convolutions)(maps(5, 3), (40, 24))
    assert [tuple(x.shape[1:]) for x in outputs] == [(3, 20, 12), (3, 10, 6), (3, 5, 3), (3, 3, 2)]


def test_cells_on_padding_are_left_out() -> None:
    """33 x 18 pixels of 5 x 3 patches: 17 x 9 cells of 2 pixels, 9 x 5 of 4, 5 x 3 of 8, 3 x 2 of 16."""
    neck = ViTNeck(3, patch_size=8, convolutions=False)
    outputs, whole = neck(maps(5, 3), (33, 18)), neck(maps(5, 3), (40, 24))
    assert [tuple(x.shape[2:]) for x in outputs] == [(17, 9), (9, 5), (5, 3), (3, 2)]
    for part, all_of_it in zip(outputs, whole, strict=True):
        assert torch.equal(part, all_of_it[:, :, : part.shape[2], : part.shape[3]])


def test_without_convolutions_it_has_no_weights() -> None:
    assert list(ViTNeck(3, patch_size=8, convolutions=False).parameters()) == []
    outputs = ViTNeck(3, patch_size=8, convolutions=False)(maps(5, 3), (40, 24))
    assert torch.equal(outputs[2], maps(5, 3)[2])


@torch.no_grad()
def test_convolutions_stand_in_front_and_behind() -> None:
    neck = ViTNeck(3, patch_size=8, convolutions=True)
    enlarged = nn.functional.interpolate(neck.laterals[1](maps(5, 3)[1]), size=(10, 6), mode="bilinear")
    torch.testing.assert_close(neck(maps(5, 3), (40, 24))[1], neck.convs[1](enlarged))
