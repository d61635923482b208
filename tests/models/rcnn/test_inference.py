"""A finished detector: what its steps give stays what it was."""

import pytest
import torch
from torch import Tensor, nn

from attnkit.models.kernels.inference import prepare_for_inference
from attnkit.models.rcnn.rcnn import Rcnn
from tests.models.rcnn.nano import CONFIGS, IMAGE_SIZES, OPTIONS, RESNET, build, images, objects

DETECTORS = (*CONFIGS, "resnet")


def detector(name: str) -> Rcnn:
    return build("mask_rcnn", backbone=RESNET, shaken=0.005) if name == "resnet" else build(name)


def said(model: Rcnn) -> dict[str, Tensor]:
    """Step by step on fixed regions: which of many like ones are kept would hang on rounding."""
    boxes, labels = [of_image.boxes for of_image in objects()], [of_image.labels for of_image in objects()]
    maps = model.features(images())
    classified = model.classify(maps, boxes, IMAGE_SIZES)
    proposed = model.rpn(maps.levels)
    return {
        "objectness": torch.cat(proposed.logits, dim=1),
        "offsets": torch.cat(proposed.deltas, dim=1),
        "boxes": torch.cat([of_image for of_image, _ in classified]),
        "probs": torch.cat([of_image for _, of_image in classified]).log(),
        "masks": torch.cat(model.predict_masks(maps, boxes, labels)),
    }


def check(name: str) -> None:
    expected = said(detector(name))
    for precision, tolerance in (("float32", 1e-4), ("bfloat16", 0.25)):
        model = prepare_for_inference(detector(name), precision=precision)
        assert isinstance(model, Rcnn)
        for what, found in said(model).items():
            assert found.dtype == torch.float32, what
            difference = (found - expected[what]).abs().max() / expected[what].std()
            assert difference < tolerance, (what, precision)
        assert all(len(found) > 0 for found in model.detect(images(), IMAGE_SIZES, **OPTIONS))


@pytest.mark.parametrize("name", DETECTORS)
@torch.inference_mode()
def test_it_says_the_same(name: str) -> None:
    check(name)


@pytest.mark.parametrize("name", ["mask_rcnn", "htcpp"])
@torch.inference_mode()
def test_without_packing(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a GPU, or with a torch that has no oneDNN."""
    monkeypatch.setattr("attnkit.models.kernels.inference.can_be_packed", lambda *_: False)
    monkeypatch.setattr("attnkit.models.kernels.inference.can_pack_convs", lambda *_: False)
    check(name)


def test_everything_is_packed_but_what_is_read() -> None:
    """Deconvolutions and the classifiers of masks and pixels are left, and norms of batches are gone."""
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    model = prepare_for_inference(build("htcpp"), precision="float32")
    plain = [name for name, module in model.named_modules() if isinstance(module, nn.Conv2d)]
    assert plain == [*(f"mask_heads.{stage}.logits" for stage in range(3)), "semantic.logits"]
    assert {type(module).__name__ for module in model.modules() if isinstance(module, nn.Linear)} == {"PackedLinear"}
    assert not [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]


@torch.inference_mode()
def test_packed_weights_are_there_once() -> None:
    if not torch.backends.mkldnn.is_available():
        pytest.skip("this torch has no oneDNN")
    model = prepare_for_inference(build("cascade"), precision="float32")
    for name, parameter in model.box_heads.named_parameters():
        assert parameter.is_meta == name.endswith("weight"), name


def test_nothing_is_left_to_learn() -> None:
    model = prepare_for_inference(build("htcpp"), precision="float32")
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())
