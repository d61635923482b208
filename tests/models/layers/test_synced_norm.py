"""Batch norm in two processes, against torch's in one that sees the images of both."""

from functools import partial

import pytest
import torch
from torch import nn

from attnkit.engine.distributed import Ranks
from attnkit.engine.processes import launch
from attnkit.models.layers.synced_norm import SyncedBatchNorm, sync_norms

SIZES = ((3, 5, 2, 7), (1, 5, 3, 2))
"""Of the images of each process: other numbers of values."""


def images(rank: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(rank)
    return 100 + 3 * torch.randn(SIZES[rank], generator=generator)


def model() -> nn.Sequential:
    torch.manual_seed(7)
    norm = nn.BatchNorm2d(5, momentum=0.3)
    nn.init.uniform_(norm.weight)
    nn.init.uniform_(norm.bias)
    nn.init.uniform_(norm.running_mean)
    return nn.Sequential(nn.Sequential(norm), nn.Tanh())


def work(folder, *, device):
    if (rank := torch.distributed.get_rank()) == 0:
        Ranks.here(lambda: False).barrier()
    net, x = model(), images(rank).requires_grad_()
    weight = net[0][0].weight
    sync_norms(net)
    norm = net[0][0]
    assert type(norm) is SyncedBatchNorm
    assert norm.weight is weight, "what an optimizer or an average holds stays what is trained"
    y = net(x)
    (y * (1 + rank)).square().sum().backward()
    halved = norm(x.detach().bfloat16())
    net.eval()
    after = net(x.detach())
    torch.save(
        [y.detach(), x.grad, norm.weight.grad, norm.bias.grad, net.state_dict(), after, halved], folder / f"{rank}.pt"
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("norms")
    launch(partial(work, folder), 2, device="cpu")
    return [torch.load(folder / f"{rank}.pt", weights_only=True) for rank in range(2)]


def flat(parts) -> torch.Tensor:
    """(1, C, n, 1): the values of both."""
    return torch.cat([part.transpose(0, 1).flatten(1) for part in parts], dim=1)[None, :, :, None]


def test_it_is_one_batch_norm_over_all(found) -> None:
    net = model()
    own = [images(rank).requires_grad_() for rank in range(2)]
    y = net(flat(own))
    factor = flat([torch.full(SIZES[rank], 1.0 + rank) for rank in range(2)])
    (y * factor).square().sum().backward()
    torch.testing.assert_close(flat([one[0] for one in found]), y.detach(), rtol=1e-4, atol=1e-4)
    for rank in range(2):
        torch.testing.assert_close(found[rank][1], own[rank].grad, rtol=1e-3, atol=1e-4)
    norm = net[0][0]
    torch.testing.assert_close(found[0][2] + found[1][2], norm.weight.grad, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(found[0][3] + found[1][3], norm.bias.grad, rtol=1e-4, atol=1e-3)


def test_statistics_are_the_same_everywhere_and_those_of_one(found) -> None:
    """After two batches: the second in bfloat16."""
    states = [one[4] for one in found]
    assert list(states[0]) == list(model().state_dict())
    for first, second in zip(states[0].values(), states[1].values(), strict=True):
        assert torch.equal(first, second)
    net = model()
    for kind in (torch.float32, torch.bfloat16):
        net(flat([images(rank).to(kind).float() for rank in range(2)]))
    torch.testing.assert_close(states[0], dict(net.state_dict()), rtol=1e-4, atol=1e-4)


def test_outside_training_it_is_a_plain_one(found) -> None:
    net = model()
    net.load_state_dict(found[1][4])
    torch.testing.assert_close(found[1][5], net.eval()(images(1)))


def test_bfloat16_stays_bfloat16(found) -> None:
    assert found[0][6].dtype == torch.bfloat16


def test_nothing_changes_in_one_process() -> None:
    net = model()
    sync_norms(net)
    assert type(net[0][0]) is nn.BatchNorm2d
