import pytest
import torch
from torch import Tensor

from attnkit.models.rcnn.config import BoxHeadConfig
from attnkit.models.rcnn.heads import BoxHead

K, D, C, R = 5, 3, 11, 7


def build(name: str, *, class_specific: bool = True, width: int = C, num_classes: int = K) -> BoxHead:
    torch.manual_seed(1)
    config = BoxHeadConfig(name=name, channels=width, class_specific=class_specific)
    return BoxHead(config, D, num_classes=num_classes)


def regions() -> Tensor:
    return torch.randn(R, D, 7, 7, generator=torch.Generator().manual_seed(2))


every_head = pytest.mark.parametrize("name", ["2fc", "4conv1fc"])


@every_head
@pytest.mark.parametrize(("class_specific", "boxes"), [(True, K), (False, 1)])
@torch.no_grad()
def test_shapes(name: str, class_specific: bool, boxes: int) -> None:
    classes, deltas = build(name, class_specific=class_specific).eval()(regions())
    assert classes.shape == (R, K + 1)
    assert deltas.shape == (R, boxes, 4)


@torch.no_grad()
def test_two_linear_layers_written_out() -> None:
    head = build("2fc")
    x = (regions().reshape(R, -1) @ head.fcs[0].weight.T).clamp(min=0)
    x = (x @ head.fcs[1].weight.T).clamp(min=0)
    classes, deltas = head(regions())
    torch.testing.assert_close(classes, x @ head.classes.weight.T)
    torch.testing.assert_close(deltas[:, 2], x @ head.deltas.weight[8:12].T)


@torch.no_grad()
def test_four_convolutions_and_a_linear_layer_written_out() -> None:
    head = build("4conv1fc").eval()
    x = regions()
    for conv in head.convs:
        x = conv.norm(conv.conv(x)).clamp(min=0)
    assert len(head.convs) == 4
    (fc,) = head.fcs
    x = fc(x.reshape(R, -1)).clamp(min=0)
    torch.testing.assert_close(head(regions())[0], head.classes(x))


@pytest.mark.parametrize(
    ("name", "count"),
    [
        # by hand, for 256 channels: linear 49 * 256 * 1024 + 1024, classes 1024 * 81 + 81, moves 1024 * 320 + 320
        ("2fc", 12_846_080 + 1024 * 1024 + 1024 + 83_025 + 328_000),
        ("4conv1fc", 12_846_080 + 4 * (256 * 256 * 9 + 2 * 256) + 83_025 + 328_000),
    ],
)
def test_parameters_by_hand(name: str, count: int) -> None:
    with torch.device("meta"):
        head = BoxHead(BoxHeadConfig(name=name), 256, num_classes=80)
    assert sum(parameter.numel() for parameter in head.parameters()) == count


@every_head
@torch.no_grad()
def test_fresh_weights(name: str) -> None:
    """Nearly the same for every class, boxes that hardly move, and no bias."""
    head = build(name, width=300, num_classes=99)
    assert float(head.classes.weight.std()) == pytest.approx(0.01, rel=0.05)
    assert float(head.deltas.weight.std()) == pytest.approx(0.001, rel=0.05)
    bound = (6 / (head.fcs[0].in_features + 300)) ** 0.5
    assert bound * 0.95 < float(head.fcs[0].weight.abs().max()) <= bound
    for layer in (*head.fcs, head.classes, head.deltas):
        assert not layer.bias.any()
    for conv in head.convs:
        assert float(conv.conv.weight.std()) == pytest.approx((2 / (D * 9)) ** 0.5, rel=0.25)


@every_head
def test_float32_comes_out_of_bfloat16(name: str) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        classes, deltas = build(name)(regions())
    assert classes.dtype == deltas.dtype == torch.float32


@every_head
def test_no_region_at_all(name: str) -> None:
    classes, deltas = build(name).eval()(torch.zeros(0, D, 7, 7))
    assert classes.shape == (0, K + 1)
    assert deltas.shape == (0, K, 4)
