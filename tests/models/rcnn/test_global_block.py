import pytest
import torch
from torch import Tensor

from attnkit.models.rcnn.global_block import GlobalBlock

C, HEADS = 12, 2


def build() -> GlobalBlock:
    torch.manual_seed(1)
    block = GlobalBlock(C, HEADS, mlp_ratio=1.5, drop_path_rate=0.5).eval()
    for parameter in block.parameters():
        parameter.data += 0.2 * torch.randn(parameter.shape)
    return block


def maps() -> Tensor:
    return torch.randn(2, C, 3, 5, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_the_block_written_out() -> None:
    block = build()
    for image, found in zip(maps(), block(maps()), strict=True):
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
    block, one, other = build(), maps(), maps()
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
    x = maps().repeat(20, 1, 1, 1)
    skipped = (block(x) == x).flatten(1).all(dim=1)
    assert 0 < skipped.sum() < len(x)
