"""The pyramid, and the block of attention in front of it."""

import pytest
import torch
from torch import Tensor

from attnkit.models.rcnn.neck import Fpn, GlobalBlock


def maps() -> list[Tensor]:
    """Of odd sides, each half of the one before, rounded up."""
    torch.manual_seed(1)
    return [torch.randn(2, c, h, w) for c, h, w in ((2, 21, 27), (3, 11, 14), (5, 6, 7), (7, 3, 4))]


def test_sizes_and_names() -> None:
    fpn = Fpn((2, 3, 5, 7), 6)
    assert [tuple(level.shape) for level in fpn(maps())] == [
        (2, 6, 21, 27),
        (2, 6, 11, 14),
        (2, 6, 6, 7),
        (2, 6, 3, 4),
        (2, 6, 2, 2),
    ]
    shapes = {name: tuple(weight.shape) for name, weight in fpn.state_dict().items()}
    assert shapes["laterals.3.weight"] == (6, 7, 1, 1)
    assert shapes["outputs.0.weight"] == (6, 6, 3, 3)
    assert len(shapes) == 16
    assert not fpn.laterals[1].bias.any()
    assert not fpn.outputs[1].bias.any()


def test_the_way_down_by_hand() -> None:
    """One channel, filters that copy, the laterals' biases 1, 10, 100, 1000: what is finer has them added."""
    fpn = Fpn((1, 1, 1, 1), 1)
    for i, (lateral, output) in enumerate(zip(fpn.laterals, fpn.outputs, strict=True)):
        lateral.weight.data.fill_(1.0)
        lateral.bias.data.fill_(10.0**i)
        output.weight.data.zero_()
        output.weight.data[0, 0, 1, 1] = 1.0
    c5 = torch.tensor([[[[2.0, 3.0], [4.0, 5.0]]]])
    p2, p3, p4, p5, p6 = fpn([torch.zeros(1, 1, 9, 9), torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, 3, 3), c5])
    assert p5[0, 0].tolist() == [[1002, 1003], [1004, 1005]]
    rows = torch.tensor([0, 0, 1])  # the nearest of 2 for each of 3
    assert torch.equal(p4[0, 0], p5[0, 0][rows][:, rows] + 100)
    assert p3[0, 0, 0, 0] == 1112
    assert p2[0, 0, -1, -1] == 1005 + 100 + 10 + 1
    assert p6[0, 0].tolist() == [[1002]]


def test_p6_is_every_other_cell_of_p5() -> None:
    levels = Fpn((2, 3, 5, 7), 6)(maps())
    assert torch.equal(levels[4], levels[3][:, :, ::2, ::2])


C, HEADS = 12, 2


def build() -> GlobalBlock:
    torch.manual_seed(1)
    block = GlobalBlock(C, HEADS, mlp_ratio=1.5, drop_path_rate=0.5).eval()
    for parameter in block.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return block


def tokens_map() -> Tensor:
    return torch.randn(2, C, 3, 5, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_the_block_written_out() -> None:
    block = build()
    for image, found in zip(tokens_map(), block(tokens_map()), strict=True):
        tokens = image.reshape(C, 15).T
        q, k, v = block.attention.qkv(block.norm1(tokens)).chunk(3, dim=1)
        heads = []
        for at in (slice(0, 6), slice(6, 12)):
            weights = (q[:, at] @ k[:, at].T / 6**0.5).softmax(dim=1)
            heads.append(weights @ v[:, at])
        tokens = tokens + block.attention.out(torch.cat(heads, dim=1))
        inner = torch.nn.functional.gelu(block.mlp.up(block.norm2(tokens)))
        tokens = tokens + block.mlp.down(inner)
        torch.testing.assert_close(found, tokens.T.reshape(C, 3, 5))


@torch.no_grad()
def test_every_cell_sees_every_other() -> None:
    block, one, other = build(), tokens_map(), tokens_map()
    other[0, :, 2, 4] *= -1
    assert (block(one)[0] - block(other)[0]).abs().amax(dim=0).gt(1e-5).all()
    assert torch.equal(block(one)[1], block(other)[1])


@pytest.mark.parametrize("channels", [1024, 1536])
def test_parameters_are_12_c2_and_13_c(channels: int) -> None:
    with torch.device("meta"):
        block = GlobalBlock(channels, channels // 32, mlp_ratio=4.0, drop_path_rate=0.0)
    assert sum(parameter.numel() for parameter in block.parameters()) == 12 * channels**2 + 13 * channels


def test_images_skip_it_while_training() -> None:
    torch.manual_seed(3)
    block = build().train()
    x = tokens_map().repeat(20, 1, 1, 1)
    skipped = (block(x) == x).flatten(1).all(dim=1)
    assert 0 < skipped.sum() < len(x)
