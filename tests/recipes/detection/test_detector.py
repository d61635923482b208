"""A finished run at work: what is found on an image, with and without augmentation, and on its splits."""

import numpy as np
import pytest
import torch

from attnkit.data.detection.detection_transforms import detection_input
from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors, load_weights, save_tensors
from attnkit.errors import CheckpointError, DataError
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.recipes.detection.detector import Detector, detect_split, load_detector
from attnkit.recipes.detection.recipe import DetectionInferenceConfig
from tests.recipes.object_runs import CATEGORY_IDS, CLASSES, FindsColours, object_recipe, object_run, painted

PICTURE = {"red": (4, 8, 20, 24, 250), "green": (28, 4, 44, 28, 200), "blue": (8, 28, 52, 36, 230)}
BOXES = [[4, 8, 20, 24], [8, 28, 52, 36], [28, 4, 44, 28]]
"""By how sure they are."""


def colour_detector(network=None, *, has_masks=True, kept_pixels=12 << 20, **sections):
    return Detector(
        object_recipe(**sections),
        network or FindsColours(),
        CLASSES,
        CATEGORY_IDS,
        has_masks=has_masks,
        device=torch.device("cpu"),
        precision="float32",
        kept_pixels=kept_pixels,
    )


def augmented_with(**inference):
    return DetectionInferenceConfig(**inference)


@pytest.mark.parametrize(
    "inference",
    [
        augmented_with(),
        augmented_with(short_sides=(80,)),
        augmented_with(flip=True),
        augmented_with(short_sides=(40, 80), flip=True),
        augmented_with(short_sides=(40, 120), soft_nms=True, score_threshold=0.5),
    ],
    ids=str,
)
@pytest.mark.parametrize("kept", [0, 1 << 30], ids=["again", "kept"])
def test_every_augmentation(inference, kept):
    """Rectangles are found where they are, whether feature maps are kept until masks are predicted or not."""
    network = FindsColours()
    detector = colour_detector(network, kept_pixels=kept)
    found = detector.detect(painted((40, 56), **PICTURE), inference=inference)
    inputs = len(inference.short_sides or (64,)) * (1 + inference.flip)
    assert len(network.seen) == (inputs if kept else 3 * inputs - 2), "the first one's are kept in any case"
    assert found.labels.tolist() == [0, 2, 1]
    assert torch.allclose(found.boxes, torch.tensor(BOXES).float(), atol=0.6)
    assert found.scores.tolist() == pytest.approx([250 / 255, 230 / 255, 200 / 255], abs=0.03)
    for mask, (x1, y1, x2, y2) in zip(found.masks((40, 56), 0.5).bitmaps(), BOXES, strict=True):
        assert mask[y1 + 1 : y2 - 1, x1 + 1 : x2 - 1].all()
        assert mask.sum() <= (y2 - y1 + 2) * (x2 - x1 + 2)


class DrawsLeft(FindsColours):
    """Masks have the left half of each box of the view, however the image lies in it."""

    def predict_masks(self, maps, boxes, labels):
        drawn = torch.zeros(len(boxes[0]), 4, 4)
        drawn[:, :, :2] = 1.0
        return [drawn]


def test_masks_are_means_over_the_views_the_mirrored_ones_turned_back():
    image = painted((40, 56), **PICTURE)
    plain = colour_detector(DrawsLeft()).detect(image)
    assert plain.mask_probs[0].tolist() == [[1, 1, 0, 0]] * 4
    both = colour_detector(DrawsLeft()).detect(image, inference=augmented_with(flip=True))
    assert both.mask_probs[0].tolist() == [[0.5] * 4] * 4
    four = augmented_with(short_sides=(40, 64), flip=True)
    assert colour_detector(DrawsLeft()).detect(image, inference=four).mask_probs.unique().tolist() == [0.5]


class MovesMirrored(FindsColours):
    """In every second view all boxes are a little larger, and less sure."""

    def __init__(self):
        super().__init__()
        self.classified = 0

    def classify(self, maps, proposals, sizes):
        ((boxes, probs),) = super().classify(maps, proposals, sizes)
        self.classified += 1
        if self.classified % 2:
            return [(boxes, probs)]
        return [(boxes + torch.tensor([0.0, 0.0, 8.0, 0.0]), probs * 0.5)]


@pytest.mark.parametrize("more", [{}, {"soft_nms": True, "score_threshold": 0.01}, {"nms_threshold": 0.95}], ids=str)
def test_boxes_and_scores_are_means_over_the_views(more):
    """An object is found once, and not once more by each view that puts it a little elsewhere."""
    image = painted((40, 56), red=PICTURE["red"])
    found = colour_detector(MovesMirrored()).detect(image, inference=augmented_with(flip=True, **more))
    assert len(found) == 1
    x1, *others = BOXES[0]
    assert found.boxes[0].tolist() == pytest.approx([x1 - 4 / 1.6, *others], abs=0.6), "right is left in a mirror"
    assert found.scores[0] == pytest.approx(0.75 * 250 / 255, abs=0.03)


class SeesMirrored(FindsColours):
    """Proposes nothing in every second view."""

    def propose(self, maps, sizes):
        (boxes,), (scores,) = super().propose(maps, sizes)
        return ([boxes[:0]], [scores[:0]]) if len(self.seen) % 2 else ([boxes], [scores])


def test_what_is_proposed_on_one_input_is_classified_on_all():
    found = colour_detector(SeesMirrored()).detect(painted((40, 56), **PICTURE), inference=augmented_with(flip=True))
    assert torch.allclose(found.boxes, torch.tensor(BOXES).float(), atol=0.6)
    assert found.scores.tolist() == pytest.approx([250 / 255, 230 / 255, 200 / 255], abs=0.03)


def test_what_the_network_is_shown():
    network = FindsColours()
    colour_detector(network).detect(painted((40, 56)), inference=augmented_with(short_sides=(32, 100), flip=True))
    assert network.seen == [(32, 64), (32, 64), (128, 160), (128, 160)], "multiples of 32"


def test_nothing_there():
    found = colour_detector().detect(painted((40, 56)), inference=augmented_with(flip=True))
    assert len(found) == 0
    assert found.mask_probs.shape == (0, 28, 28)


def test_without_masks():
    found = colour_detector(has_masks=False).detect(painted((40, 56), **PICTURE))
    assert found.mask_probs is None
    assert len(found) == 3


def test_the_recipe_says_how_to_look():
    network = FindsColours()
    detector = colour_detector(network, inference={"short_sides": [40], "flip": True, "max_detections": 2})
    assert len(detector.detect(painted((40, 56), **PICTURE))) == 2
    assert network.seen == [(64, 64)] * 2


def test_numbers_that_are_none():
    class Broken(FindsColours):
        def classify(self, maps, proposals, sizes):
            ((boxes, probs),) = super().classify(maps, proposals, sizes)
            return [(boxes, probs * torch.nan)]

    with pytest.raises(CheckpointError, match=r"^the model's probabilities are not finite numbers; expected weights"):
        colour_detector(Broken()).detect(painted((40, 56), **PICTURE))


# Runs


@pytest.fixture
def run(tmp_path):
    return object_run(tmp_path / "run")


def test_it_finds_what_its_model_does(run):
    """Random weights, an image that is resized and padded: the network's own way, in the pixels of the file."""
    recipe = object_recipe(inference={"score_threshold": 0.0, "max_detections": 13})
    detector = load_detector(recipe, run, device="cpu", precision="float32")
    torch.manual_seed(0)
    pixels = torch.randint(256, (3, 31, 47), dtype=torch.uint8)
    model = Rcnn(recipe.model, num_classes=3, masks=True)
    load_weights(run.model, model)
    shown = detection_input(pixels, recipe.image)
    height, width = shown.shape[1:]
    assert (height, width) == (64, 97)
    with torch.inference_mode():
        (expected,) = model.eval().detect(
            torch.nn.functional.pad(shown, (0, 31, 0, 0))[None],
            [(height, width)],
            score_threshold=0.0,
            nms_threshold=0.5,
            soft_nms=False,
            max_detections=13,
        )
    found = detector.detect(pixels)
    assert len(found) == 13
    assert torch.equal(found.labels, expected.labels)
    assert torch.allclose(found.scores, expected.scores, atol=1e-5)
    assert torch.allclose(found.boxes, expected.scaled((47 / width, 31 / height)).boxes, atol=1e-3)
    assert torch.allclose(found.mask_probs, expected.mask_probs, atol=1e-4)


def test_bfloat16_finds_the_same(run):
    recipe = object_recipe(inference={"score_threshold": 0.0, "nms_threshold": 1.0, "max_detections": 500})
    torch.manual_seed(0)
    pixels = torch.randint(256, (3, 40, 56), dtype=torch.uint8)
    single, half = (
        load_detector(recipe, run, device="cpu", precision=precision).detect(pixels)
        for precision in ("float32", "bfloat16")
    )
    assert half.boxes.dtype == half.scores.dtype == half.mask_probs.dtype == torch.float32
    assert len(half) == len(single)
    assert half.scores.mean() == pytest.approx(float(single.scores.mean()), abs=0.01)
    assert half.mask_probs.mean() == pytest.approx(float(single.mask_probs.mean()), abs=0.01)


def test_names_ids_and_precision(run):
    detector = load_detector(object_recipe(), run, device="cpu", precision="float32")
    assert (detector.class_names, detector.category_ids) == (CLASSES, CATEGORY_IDS)
    assert (detector.has_masks, detector.precision) == (True, "float32")


def test_a_run_without_masks(tmp_path):
    run = object_run(tmp_path / "run", masks=False)
    detector = load_detector(object_recipe(inference={"score_threshold": 0.0}), run, device="cpu", precision="float32")
    assert not detector.has_masks
    assert detector.detect(painted((40, 56), **PICTURE)).mask_probs is None


def with_facts(run, **facts):
    tensors, known = load_tensors(run.model)
    save_tensors(run.model, tensors, {**known, **facts})
    return run


@pytest.mark.parametrize("ids", [None, [1, 2], "abc", [1, 2, "3"]])
def test_weights_without_ids_are_numbered(run, ids):
    detector = load_detector(object_recipe(), with_facts(run, category_ids=ids), device="cpu")
    assert detector.category_ids == (1, 2, 3)


def test_weights_that_do_not_say_what_they_are(run):
    with pytest.raises(
        CheckpointError, match=r"model.safetensors: does not say whether it predicts masks; expected weig"
    ):
        load_detector(object_recipe(), with_facts(run, masks=None), device="cpu")
    with pytest.raises(CheckpointError, match=r"model.safetensors: does not name its classes; expected weights of"):
        load_detector(object_recipe(), with_facts(run, classes=[]), device="cpu")


def test_weights_of_another_model(run):
    with pytest.raises(CheckpointError, match=r"unexpected: mask_heads.0.convs.0.bias"):
        load_detector(object_recipe(), with_facts(run, masks=False), device="cpu")


@pytest.mark.parametrize(("fast", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_it_is_fast(run, fast, expected, monkeypatch):
    monkeypatch.setattr("attnkit.engine.precision.has_fast_bfloat16", lambda device: fast)
    assert load_detector(object_recipe(), run, device="cpu").precision == expected


# Splits


def test_a_split(run):
    recipe = object_recipe()
    detector = colour_detector()
    detector.class_names = ("circle", "square", "triangle")
    data = OpenedData(recipe.data)["test"]
    images = list(
        detect_split(detector, OpenedData(recipe.data), run, "test", inference=augmented_with(score_threshold=0.9))
    )
    assert [one.index for one in images] == [0, 1]
    for one in images:
        pixels, objects = data.read(one.index)
        assert (one.place, one.name, one.image_id) == (
            data.place(one.index), data.name(one.index), data.image_id(one.index)
        )  # fmt: skip
        assert one.size == (40, 40)
        assert torch.equal(one.objects.labels, objects.labels)
        assert torch.equal(one.objects.boxes, objects.boxes)
        expected = detector.detect(pixels, inference=augmented_with(score_threshold=0.9))
        assert torch.equal(one.detections.boxes, expected.boxes)


def test_labels_are_the_model_s_numbers(run):
    recipe = object_recipe()
    detector = colour_detector()
    detector.class_names = ("triangle", "moon", "square", "circle")
    data = OpenedData(recipe.data)["test"]
    number = np.array([3, 2, 0])
    for one in detect_split(detector, OpenedData(recipe.data), run, "test"):
        assert one.objects.labels.tolist() == number[data.read_objects(one.index).labels].tolist()


def test_a_class_that_the_model_does_not_know(run):
    with pytest.raises(DataError, match=r"data.test: 3 classes that the model does not know, such as 'circle'; expect"):
        detect_split(colour_detector(), OpenedData(object_recipe().data), run, "test")


def test_no_such_split(run, tmp_path):
    (tmp_path / "images").mkdir()
    recipe = object_recipe({"format": "coco", "path": str(tmp_path), "train": {"images": "images", "annotations": "x"}})
    with pytest.raises(DataError, match=r"recipe.yaml: data: no test images; expected a test set; name one in the"):
        detect_split(colour_detector(), OpenedData(recipe.data), run, "test")
