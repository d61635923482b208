"""On a GPU a detector says the same, and can be trained."""

import pytest
import torch

from attnkit.models.kernels.inference import prepare_for_inference
from tests.models.rcnn.nano import CONFIGS, IMAGE_SIZES, OPTIONS, build, images, objects, semantic

pytestmark = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU here")]

GPU = "cuda"
every_detector = pytest.mark.parametrize("name", CONFIGS)


@every_detector
@torch.inference_mode()
def test_regions(name: str) -> None:
    """Fixed ones: which of many like ones are kept would hang on rounding."""
    boxes, labels = [of_image.boxes for of_image in objects()], [of_image.labels for of_image in objects()]
    said = []
    for device in ("cpu", GPU):
        model = build(name).to(device)
        placed = [box.to(device) for box in boxes]
        maps = model.features(images().to(device))
        classified = model.classify(maps, placed, IMAGE_SIZES)
        drawn = model.predict_masks(maps, placed, [label.to(device) for label in labels])
        said.append([tensor.cpu() for tensor in (*(row for pair in classified for row in pair), *drawn)])
    torch.testing.assert_close(said[1], said[0], rtol=1e-3, atol=1e-3)


@every_detector
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@torch.inference_mode()
def test_prepared(name: str, precision: str) -> None:
    model = prepare_for_inference(build(name).to(GPU), precision=precision)
    for found in model.detect(images().to(GPU), IMAGE_SIZES, **(OPTIONS | {"soft_nms": True})):
        assert len(found) > 0
        assert found.boxes.device.type == found.mask_probs.device.type == GPU


@every_detector
def test_training(name: str) -> None:
    model = build(name).to(GPU).train()
    placed = [of_image.to(GPU) for of_image in objects()]
    with torch.autocast(GPU, dtype=torch.bfloat16):
        terms = model.losses(images().to(GPU), IMAGE_SIZES, placed, semantic().to(GPU))
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
