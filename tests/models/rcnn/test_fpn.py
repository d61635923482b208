import torch
from torch import Tensor

from attnkit.models.rcnn.fpn import Fpn


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
