import re
import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from attnkit.errors import AttnkitError
from attnkit.models.build import build_model
from attnkit.models.config import TimmConfig


class Network(nn.Module):
    """What the fake timm makes: it remembers how it was asked for."""

    def __init__(self, name: str, options: dict[str, Any], classifier: str | tuple[str, ...] | None) -> None:
        super().__init__()
        self.asked = (name, options)
        self.pretrained_cfg = {"classifier": classifier}


class FakeTimm(ModuleType):
    """As much of timm as is used; it cannot download anything."""

    __version__ = "1.2.3"
    classifiers = {"resnet50": "fc", "vit_tiny": ("head", "head_dist"), "maps_only": None, "broken": "fc"}  # noqa: RUF012

    def is_model(self, name: str) -> bool:
        return name in self.classifiers

    def list_models(self) -> list[str]:
        return list(self.classifiers)

    def get_pretrained_cfg(self, name: str) -> SimpleNamespace | None:
        return None if name == "maps_only" else SimpleNamespace(fixed_input_size=name == "vit_tiny")

    def create_model(self, name: str, *, pretrained: bool, **options: Any) -> Network:
        assert not pretrained
        if name == "broken":
            raise TypeError("unexpected keyword argument 'drop_path_rate'")
        return Network(name, options, self.classifiers[name])


@pytest.fixture
def fake_timm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", FakeTimm("timm"))


def build(architecture: str, **changes: Any) -> Any:
    return build_model(TimmConfig(name="timm", architecture=architecture, **changes), num_classes=7, image_size=96)


@pytest.mark.usefixtures("fake_timm")
def test_what_is_asked_of_timm() -> None:
    """The image size goes to networks that are made for one size, a drop path rate where the recipe gives one."""
    assert build("resnet50").asked == ("resnet50", {"num_classes": 7})
    assert build("maps_only").asked == ("maps_only", {"num_classes": 7})
    assert build("vit_tiny", drop_path_rate=0.1).asked == (
        "vit_tiny",
        {"num_classes": 7, "drop_path_rate": 0.1, "img_size": 96},
    )


@pytest.mark.usefixtures("fake_timm")
@pytest.mark.parametrize(
    ("name", "heads"), [("resnet50", ("fc",)), ("vit_tiny", ("head", "head_dist")), ("maps_only", ())]
)
def test_the_head_is_where_timm_says(name: str, heads: tuple[str, ...]) -> None:
    assert build(name).head_names == heads


@pytest.mark.usefixtures("fake_timm")
@pytest.mark.parametrize(
    ("name", "way_on"),
    [
        ("resnet5", "did you mean 'resnet50'?"),
        ("xyz", "see timm.list_models()"),
        ("hf-hub:someone/something", "see timm.list_models()"),
    ],
)
def test_a_name_that_timm_does_not_know(name: str, way_on: str) -> None:
    message = f"model.architecture: timm 1.2.3 has no network '{name}'; expected one of its names; {way_on}"
    with pytest.raises(AttnkitError, match=f"^{re.escape(message)}$"):
        build(name)


@pytest.mark.usefixtures("fake_timm")
def test_a_network_that_timm_cannot_make() -> None:
    message = (
        "model.architecture: timm's 'broken' cannot be made with drop_path_rate 0.1 (unexpected keyword argument "
        "'drop_path_rate'); expected what that network takes; change image.size or model.drop_path_rate"
    )
    with pytest.raises(AttnkitError, match=f"^{re.escape(message)}$"):
        build("broken", drop_path_rate=0.1)


def test_timm_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    message = (
        "model.name: 'timm' needs the package timm, which is not installed; expected it beside attnkit; "
        "pip install 'attnkit[timm]'"
    )
    with pytest.raises(AttnkitError, match=f"^{re.escape(message)}$"):
        build("resnet50")


@pytest.mark.peers
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(
    "architecture",
    ["resnest50d", "efficientnet_b0", "resnetv2_50x1_bit", "vit_tiny_patch16_224", "swin_tiny_patch4_window7_224"],
)
@torch.no_grad()
def test_networks_of_the_lecture(architecture: str) -> None:
    pytest.importorskip("timm")
    model = build(architecture, drop_path_rate=0.1).eval()
    assert model(torch.randn(2, 3, 96, 96)).shape == (2, 7)
    assert model.head_names
    assert all(name.startswith(tuple(model.head_names)) for name, p in model.named_parameters() if p.shape[:1] == (7,))


@pytest.mark.peers
@pytest.mark.parametrize("architecture", ["resnet5", "hf-hub:timm/resnet50.a1_in1k", "https://example.com/net"])
def test_unknown_to_timm_itself(architecture: str) -> None:
    pytest.importorskip("timm")
    with pytest.raises(AttnkitError, match=r"^model\.architecture: timm .* has no network"):
        build(architecture)
