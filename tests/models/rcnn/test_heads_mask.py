import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from attnkit.models.rcnn.config import MaskHeadConfig
from attnkit.models.rcnn.heads import MaskHead

K, D, C, R = 5, 3, 11, 7


def build(*, convs: int = 2, flow: bool = False) -> MaskHead:
    """None of its weights has the value that it is born with."""
    torch.manual_seed(1)
    head = MaskHead(MaskHeadConfig(convs=convs, channels=C), D, num_classes=K, flow=flow)
    for parameter in head.parameters():
        parameter.data += 0.1 * torch.randn(parameter.shape)
    return head


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(2))


@torch.no_grad()
def test_the_head_written_out() -> None:
    head = build()
    x = random(R, D, 14, 14)
    features = F.relu(head.convs[1](F.relu(head.convs[0](x))))
    torch.testing.assert_close(head.features(x), features)
    logits = head(features)
    assert logits.shape == (R, K, 28, 28)
    torch.testing.assert_close(logits, head.logits(F.relu(head.deconv(features))))


@torch.no_grad()
def test_drawing_is_the_logits_of_the_own_class() -> None:
    head, features = build(), random(R, C, 14, 14)
    labels = torch.tensor([4, 0, 0, 2, 1, 3, 4])
    torch.testing.assert_close(head.predict_masks(features, labels), head(features)[torch.arange(R), labels])


def test_drawing_has_the_gradients_of_the_own_class() -> None:
    labels = torch.tensor([4, 0, 0, 2, 1, 3, 4])
    grads = []
    for draw in (lambda head, x: head.predict_masks(x, labels), lambda head, x: head(x)[torch.arange(R), labels]):
        head = build()
        draw(head, random(R, C, 14, 14)).square().mean().backward()
        grads.append([parameter.grad for parameter in head.parameters() if parameter.grad is not None])
    assert len(grads[0]) == 4  # deconv and logits
    torch.testing.assert_close(grads[0], grads[1])


@torch.no_grad()
def test_the_flow_adds_what_the_head_before_made() -> None:
    head, x, before = build(flow=True), random(R, D, 14, 14), random(R, C, 14, 14) + 0.5
    assert head.flow is not None
    expected = x + F.relu(head.flow(before))
    for conv in head.convs:
        expected = F.relu(conv(expected))
    torch.testing.assert_close(head.features(x, before), expected)


def test_a_head_without_a_flow_is_told_nothing() -> None:
    x = random(R, D, 14, 14)
    assert torch.equal(build().features(x, random(R, C, 14, 14)), build().features(x))


@torch.no_grad()
def test_without_convolutions() -> None:
    head = build(convs=0)
    assert head.predict_masks(head.features(random(R, D, 14, 14)), torch.zeros(R, dtype=torch.long)).shape == (
        R,
        28,
        28,
    )


@pytest.mark.parametrize(("flow", "count"), [(False, 0), (True, 256 * 256 + 256)])
def test_parameters_by_hand(flow: bool, count: int) -> None:
    """Four convolutions, one that doubles the size, a filter per class; the flow of 1x1."""
    with torch.device("meta"):
        head = MaskHead(MaskHeadConfig(), 256, num_classes=80, flow=flow)
    plain = 4 * (256 * 256 * 9 + 256) + 256 * 256 * 4 + 256 + 256 * 80 + 80
    assert sum(parameter.numel() for parameter in head.parameters()) == plain + count


@torch.no_grad()
def test_fresh_weights() -> None:
    torch.manual_seed(1)
    head = MaskHead(MaskHeadConfig(convs=1, channels=32), 48, num_classes=80, flow=True)
    assert head.flow is not None
    for layer, fan in ((head.convs[0], 32 * 9), (head.flow, 48), (head.deconv, 32 * 4)):
        assert float(layer.weight.std()) == pytest.approx((2 / fan) ** 0.5, rel=0.1)
        assert not layer.bias.any()
    assert float(head.logits.weight.std()) == pytest.approx(0.001, rel=0.1)
    assert not head.logits.bias.any()


@torch.no_grad()
def test_a_fresh_head_of_one_class_is_undecided() -> None:
    torch.manual_seed(1)
    head = MaskHead(MaskHeadConfig(convs=2, channels=32), 32, num_classes=1, flow=False)
    drawn = head.predict_masks(head.features(random(R, 32, 14, 14)), torch.zeros(R, dtype=torch.long))
    assert drawn.abs().max() < 0.1


def test_no_region_at_all() -> None:
    """Gradients are zeros then."""
    head = build(flow=True)
    features = head.features(torch.zeros(0, D, 14, 14), torch.zeros(0, C, 14, 14))
    drawn = head.predict_masks(features, torch.zeros(0, dtype=torch.long))
    assert drawn.shape == (0, 28, 28)
    drawn.sum().backward()
    for name, parameter in head.named_parameters():
        assert parameter.grad is not None, name
        assert not parameter.grad.any(), name


def test_float32_comes_out_of_bfloat16() -> None:
    head = build()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        drawn = head.predict_masks(head.features(random(R, D, 14, 14)), torch.zeros(R, dtype=torch.long))
    assert drawn.dtype == torch.float32
