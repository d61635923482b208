import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.models.rcnn.heads import SemanticHead

S, D = 5, 3
SIZES = ((14, 22), (7, 11), (4, 6), (2, 3), (1, 2))


def build() -> SemanticHead:
    torch.manual_seed(1)
    head = SemanticHead(D, num_classes=S)
    for parameter in head.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return head


def levels() -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, D, *size, generator=generator) for size in SIZES]


@torch.no_grad()
def test_the_branch_written_out() -> None:
    head = build()
    brought = [
        F.interpolate(level, size=(7, 11), mode="bilinear", align_corners=True) if level.shape[2] != 7 else level
        for level in levels()
    ]
    x = sum(F.relu(lateral(level)) for lateral, level in zip(head.laterals, brought, strict=True))
    for conv in head.convs:
        x = F.relu(conv(x))
    torch.testing.assert_close(head(levels()), x)
    torch.testing.assert_close(head.embed(x), F.relu(head.embedding(x)))


def test_the_loss_is_the_mean_over_cells_with_a_class() -> None:
    """A map of 2 x 3 cells of 4 x 4 pixels; the pixel at row 2 and column 2 of a cell is its class."""
    head = build()
    x = torch.randn(1, D, 2, 3, generator=torch.Generator().manual_seed(3)).relu()
    semantic = torch.full((1, 8, 12), 4, dtype=torch.uint8)
    classes = torch.tensor([[1, 255, 0], [3, 3, 2]])
    semantic[0, 2::4, 2::4] = classes.to(torch.uint8)
    logits = head.logits(x)[0].flatten(1).T.log_softmax(dim=1)
    rows = [row for row, label in enumerate(classes.flatten()) if label != 255]
    expected = -sum(logits[row, classes.flatten()[row]] for row in rows) / 5
    torch.testing.assert_close(head.loss(x, semantic), expected)


def test_nothing_has_a_class() -> None:
    head = build()
    loss = head.loss(torch.ones(1, D, 2, 3), torch.full((1, 8, 12), 255, dtype=torch.uint8))
    loss.backward()
    assert loss == 0
    assert not head.logits.weight.grad.any()


def test_parameters_by_hand() -> None:
    """Five laterals and an embedding of 1x1, four convolutions of 3x3, a filter per class."""
    with torch.device("meta"):
        head = SemanticHead(256, num_classes=183)
    assert sum(parameter.numel() for parameter in head.parameters()) == (
        6 * (256 * 256 + 256) + 4 * (256 * 256 * 9 + 256) + 183 * 257
    )


@torch.no_grad()
def test_fresh_weights() -> None:
    torch.manual_seed(1)
    head = SemanticHead(64, num_classes=99)
    for layer, fan in ((head.laterals[3], 64), (head.convs[2], 64 * 9), (head.embedding, 64)):
        assert abs(float(layer.weight.std()) / (2 / fan) ** 0.5 - 1) < 0.1
        assert not layer.bias.any()
    assert abs(float(head.logits.weight.std()) / 0.01 - 1) < 0.1
    assert not head.logits.bias.any()
