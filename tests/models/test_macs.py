import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.flop_counter import FlopCounterMode

from attnkit.models.build import build_model
from attnkit.models.cnn import LeNet5, alexnet, resnet
from attnkit.models.config import SwinConfig, ViTConfig
from attnkit.models.macs import Convention, count_macs
from tests.models.cases import CLASSIFIERS, ImageCase, small_vit


def on_meta(build: object) -> nn.Module:
    with torch.device("meta"):
        return build()


def vit_b16() -> nn.Module:
    return build_model(ViTConfig(), num_classes=1000, image_size=224)


def swin_t() -> nn.Module:
    return build_model(SwinConfig(name="swin"), num_classes=1000, image_size=224)


# By hand, for 1 image. LeNet-5 on 32 pixels with 7 classes:
#   c1 28 * 28 * 6 * 75 = 352,800     c3 10 * 10 * 16 * 150 = 240,000     c5 400 * 120, f6 120 * 84, head 84 * 7
LENET5 = 352_800 + 240_000 + 48_000 + 10_080 + 588
# A ViT of 12 channels, 10 tokens, 3 blocks, inner width 18, on 9 patches of 75 values, 5 classes:
LINEAR = 9 * 75 * 12 + 3 * 10 * (12 * 36 + 12 * 12 + 2 * 12 * 18) + 12 * 5
ATTENTION = 3 * 2 * 10 * 10 * 12  # queries with keys, weights with values; the heads share the channels
NORMS = (2 * 3 + 1) * 10 * 12  # values that are normalised


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        ("paper", LINEAR + ATTENTION),
        ("fvcore", LINEAR + ATTENTION + 5 * NORMS),
        ("mmcv", LINEAR + 2 * NORMS + 9 * 12),  # a convolution with a bias counts one more for each of its outputs
    ],
)
def test_a_vit_by_hand(convention: Convention, expected: int) -> None:
    model = build_model(small_vit(), num_classes=5, image_size=15)
    assert count_macs(model, 15, 15, convention=convention) == expected


@pytest.mark.parametrize(
    ("convention", "expected"), [("paper", LENET5), ("fvcore", LENET5), ("mmcv", LENET5 + 28 * 28 * 6 + 10 * 10 * 16)]
)
def test_lenet5_by_hand(convention: Convention, expected: int) -> None:
    assert count_macs(LeNet5(num_classes=7, image_size=32), 32, 32, convention=convention) == expected


class Pieces(nn.Module):
    """One of each module that some convention knows and the networks above lack."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, kernel_size=3, stride=2, groups=1, bias=False)
        self.batch_norm = nn.BatchNorm2d(8)
        self.relu = nn.ReLU()
        self.max_pool = nn.MaxPool2d(2)
        self.group_norm = nn.GroupNorm(2, 8)
        self.grouped = nn.Conv2d(8, 4, kernel_size=1, groups=4, bias=False)
        self.plain_norm = nn.LayerNorm(3, elementwise_affine=False)
        self.mean = nn.AdaptiveAvgPool2d(2)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        x = self.relu(self.batch_norm(self.conv(images)))  # (1, 8, 7, 7) of 15 pixels
        x = self.group_norm(self.max_pool(x))  # (1, 8, 3, 3)
        return self.mean(self.plain_norm(self.grouped(x)))  # (1, 4, 2, 2) of (1, 4, 3, 3)


CONVS = 49 * 8 * 27 + 9 * 4 * 2


@pytest.mark.parametrize(
    ("convention", "expected"),
    [
        ("paper", CONVS),
        ("fvcore", CONVS + 2 * 392 + 5 * 72 + 5 * 36 + 36),
        ("mmcv", CONVS + 2 * 392 + 392 + 392 + 2 * 72 + 36 + 36),
    ],
)
def test_pieces_by_hand(convention: Convention, expected: int) -> None:
    assert count_macs(Pieces(), 15, 15, convention=convention) == expected


@pytest.mark.parametrize(
    ("build", "convention", "published"),
    [
        (vit_b16, "paper", 17.5638),
        (vit_b16, "fvcore", 17.5827),
        (swin_t, "paper", 4.4906),
        (swin_t, "fvcore", 4.5092),
        (swin_t, "mmcv", 4.36),
        # torchvision's own tables
        (lambda: resnet(18, num_classes=1000), "paper", 1.814),
        (lambda: resnet(50, num_classes=1000), "paper", 4.089),
        (lambda: resnet(101, num_classes=1000), "paper", 7.801),
        (lambda: alexnet(num_classes=1000, dropout=0.5, image_size=224), "paper", 0.714),
    ],
)
def test_what_others_count(build: object, convention: Convention, published: float) -> None:
    digits = len(str(published).split(".")[1])
    assert round(count_macs(on_meta(build), 224, 224, convention=convention) / 1e9, digits) == published


@pytest.mark.parametrize("case", CLASSIFIERS, ids=lambda case: case.name)
def test_paper_is_half_of_what_torch_counts(case: ImageCase) -> None:
    with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
        build_model(case.config, num_classes=5, image_size=case.image_size).eval()(
            torch.empty(1, 3, case.image_size, case.image_size)
        )
    assert 2 * count_macs(case.build(), case.image_size, case.image_size) == counter.get_total_flops()


def test_the_model_is_left_as_it_was() -> None:
    model = resnet(18, num_classes=3).train()
    model.bn1.eval()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for convention in ("paper", "fvcore", "mmcv"):
        count_macs(model, 33, 33, convention=convention)
    assert model.training
    assert model.layer1[0].bn1.training
    assert not model.bn1.training
    assert not model.fc._forward_hooks
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_gradient_checkpointing_and_dropout_do_not_count() -> None:
    """Nor does it matter that the model is being trained."""
    plain = build_model(small_vit(), num_classes=5, image_size=15)
    other = small_vit(gradient_checkpointing=True, dropout=0.1, drop_path_rate=0.1)
    assert count_macs(build_model(other, num_classes=5, image_size=15).train(), 15, 15) == count_macs(plain, 15, 15)


def test_a_weight_of_two_names_counts_where_it_is_used() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = self.second = nn.Linear(5, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return F.relu(self.second(self.first(images)))

    assert count_macs(Twice(), 5, 5) == 2 * 3 * 5 * 25


@pytest.mark.parametrize("convention", ["paper", "mmcv"])
def test_height_and_width(convention: Convention) -> None:
    """A filter of 3 x 3 on 5 x 7 pixels has 3 x 5 places."""
    model = nn.Conv2d(3, 2, 3, bias=False)
    assert count_macs(model, 5, 7, convention=convention) == 3 * 5 * 2 * 27
