import re

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F
from torchvision.models.feature_extraction import create_feature_extractor

from attnkit.errors import AttnkitError
from attnkit.models.build import build_model
from attnkit.models.cnn import LeNet5, ResNetBackbone, alexnet, resnet
from attnkit.models.config import AlexNetConfig, LeNet5Config, ResNetConfig


def lenet5(image_size: int) -> LeNet5:
    torch.manual_seed(1)
    return build_model(LeNet5Config(name="lenet5"), num_classes=7, image_size=image_size)


def parameters(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_lenet5_is_the_paper_s_but_for_its_inputs() -> None:
    """C1 6 (3 * 25 + 1), C3 16 (6 * 25 + 1), C5 120 (400 + 1), F6 84 (120 + 1), head 10 (84 + 1)."""
    model = LeNet5(num_classes=10, image_size=32)
    assert [parameters(layer) for layer in model.children()] == [456, 2416, 48_120, 10_164, 850]


@pytest.mark.parametrize(("image_size", "before", "behind"), [(28, 2, 2), (27, 2, 3), (11, 10, 11)])
def test_lenet5_puts_small_images_in_a_frame(image_size: int, before: int, behind: int) -> None:
    small, full = lenet5(image_size), lenet5(32)
    images = torch.randn(2, 3, image_size, image_size)
    framed = torch.zeros(2, 3, 32, 32)
    framed[:, :, before : 32 - behind, before : 32 - behind] = images
    torch.testing.assert_close(small(images), full(framed))


@pytest.mark.parametrize("image_size", [8, 28, 32, 33, 37, 64])
def test_lenet5_takes_any_size(image_size: int) -> None:
    assert lenet5(image_size)(torch.randn(2, 3, image_size, image_size)).shape == (2, 7)


def test_lenet5_by_its_parts() -> None:
    model, images = lenet5(34), torch.randn(2, 3, 34, 34)
    x = F.conv2d(images, model.c1.weight, model.c1.bias).tanh()  # (2, 6, 30, 30)
    x = x.unflatten(3, (15, 2)).unflatten(2, (15, 2)).mean(dim=(3, 5))
    x = F.conv2d(x, model.c3.weight, model.c3.bias).tanh()[:, :, :10, :10]  # (2, 16, 11, 11): one is left over
    x = x.unflatten(3, (5, 2)).unflatten(2, (5, 2)).mean(dim=(3, 5))
    x = (x.flatten(1) @ model.c5.weight.T + model.c5.bias).tanh()
    x = (x @ model.f6.weight.T + model.f6.bias).tanh()
    torch.testing.assert_close(model(images), x @ model.head.weight.T + model.head.bias)


@pytest.mark.parametrize(
    ("depth", "count"),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_resnet_has_torchvision_s_size(depth: int, count: int) -> None:
    with torch.device("meta"):
        model = build_model(ResNetConfig(name="resnet", depth=depth), num_classes=1000, image_size=224)
    assert parameters(model) == count


def test_alexnet_has_torchvision_s_size() -> None:
    with torch.device("meta"):
        model = build_model(AlexNetConfig(name="alexnet", dropout=0.25), num_classes=1000, image_size=224)
    assert parameters(model) == 61_100_840
    assert [module.p for module in model.modules() if isinstance(module, nn.Dropout)] == [0.25, 0.25]


@pytest.mark.parametrize("name", ["lenet5", "alexnet", "resnet"])
def test_the_head_is_where_it_is_said_to_be(name: str) -> None:
    with torch.device("meta"):
        model = {
            "lenet5": lambda: LeNet5(num_classes=7, image_size=32),
            "alexnet": lambda: alexnet(num_classes=7, dropout=0.5, image_size=63),
            "resnet": lambda: resnet(18, num_classes=7),
        }[name]()
    heads = [module_name for module_name, module in model.named_modules() if getattr(module, "out_features", None) == 7]
    assert list(model.head_names) == heads


def test_alexnet_wants_63_pixels() -> None:
    """With one less torchvision's leaves nothing; with 63 it works."""
    message = (
        "image.size: 62 pixels leave nothing behind the strides of alexnet; expected 63 or more; "
        "enlarge the images (image.size), or take lenet5"
    )
    with pytest.raises(AttnkitError, match=f"^{re.escape(message)}$"):
        alexnet(num_classes=7, dropout=0.5, image_size=62)
    with torch.device("meta"):
        model = alexnet(num_classes=7, dropout=0.5, image_size=63).eval()
        assert model(torch.empty(2, 3, 63, 63)).shape == (2, 7)
        with pytest.raises(RuntimeError, match="too small"):
            torchvision.models.alexnet(weights=None)(torch.empty(2, 3, 62, 62))


@pytest.mark.parametrize(("depth", "channels"), [(18, (64, 128, 256, 512)), (50, (256, 512, 1024, 2048))])
@torch.no_grad()
def test_a_backbone_s_maps_are_torchvision_s(depth: int, channels: tuple[int, ...]) -> None:
    backbone = ResNetBackbone(depth).eval()
    theirs = resnet(depth, num_classes=7).eval()
    missing, unexpected = theirs.load_state_dict(backbone.state_dict(), strict=False)
    assert (sorted(missing), unexpected) == (["fc.bias", "fc.weight"], [])
    expected = create_feature_extractor(theirs, [f"layer{stage}" for stage in range(1, 5)])
    images = torch.randn(2, 3, 33, 70)
    maps = backbone(images)
    assert all(torch.equal(found, wanted) for found, wanted in zip(maps, expected(images).values(), strict=True))
    assert backbone.channels == channels
    assert [tuple(x.shape[1:]) for x in maps] == [
        (channels[0], 9, 18), (channels[1], 5, 9), (channels[2], 3, 5), (channels[3], 2, 3),
    ]  # fmt: skip


def test_layers_of_a_backbone() -> None:
    """Blocks of 3, 4, 6 and 3."""
    with torch.device("meta"):
        backbone = ResNetBackbone(50)
    assert backbone.num_layers == 17
    names = ("conv1.weight", "bn1.bias", "layer1.0.conv1.weight", "layer2.0.downsample.0.weight", "layer4.2.bn3.weight")
    assert [backbone.layer_of(name) for name in names] == [0, 0, 1, 4, 16]


@pytest.mark.parametrize("image_size", [32, 45])
@torch.no_grad()
def test_resnet_is_torchvision_s(image_size: int) -> None:
    model = resnet(18, num_classes=7).eval()
    theirs = torchvision.models.resnet18(weights=None, num_classes=7).eval()
    theirs.load_state_dict(model.state_dict())
    images = torch.randn(2, 3, image_size, image_size)
    assert torch.equal(model(images), theirs(images))
