"""A finished run put to work: the class of each pixel, its splits."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attnkit.data.formats.mask_png import palette
from attnkit.data.open import OpenedData
from attnkit.data.segmentation.segmentation_transforms import segmentation_input
from attnkit.engine.checkpoint import load_tensors, save_tensors
from attnkit.errors import CheckpointError, DataError
from attnkit.models.build import build_model
from attnkit.models.config import UperNetConfig
from attnkit.recipes.segmentation.recipe import InferenceConfig
from attnkit.recipes.segmentation.segmenter import (
    bytes_of_whole_images,
    load_segmenter,
    pixels_per_cell,
    segment_split,
    values_per_cell,
)
from attnkit.structures.arrays import IGNORE
from tests.recipes.scene_runs import CLASSES, DRAWN, scene_recipe, scene_run, striped, write_png

STRIPES = ("red", "blue", "blue", "green", "red", "green", "red")


@pytest.fixture
def run(tmp_path):
    return scene_run(tmp_path / "run")


@pytest.fixture
def segmenter(run):
    return load_segmenter(scene_recipe(), run, device="cpu", precision="float32")


def pixels_of(picture):
    return torch.from_numpy(picture).permute(2, 0, 1)


@pytest.mark.parametrize(
    "inference",
    [
        InferenceConfig(),
        InferenceConfig(window=(8, 12)),
        InferenceConfig(window=(8, 12), overlap=0.6, flip=True),
        InferenceConfig(scales=(0.5, 1.0, 2.0), flip=True),
        InferenceConfig(window=(12, 8), overlap=0.5, scales=(1.0, 2.0)),
    ],
    ids=str,
)
def test_every_way_to_look(segmenter, inference):
    picture, labels = striped(*STRIPES, height=20)
    found = segmenter.segment(pixels_of(picture), inference=inference)
    assert found.dtype == np.uint8
    assert np.array_equal(found, labels)


@pytest.mark.parametrize("height", [1, 3, 17])
def test_sizes_that_patches_do_not_cover(segmenter, height):
    picture, labels = striped(*STRIPES, height=height)
    assert np.array_equal(segmenter.segment(pixels_of(picture)), labels)


def test_the_model_s_logits_enlarged(tmp_path):
    """Random weights, an image that is resized first: logits are brought to the image in one step."""
    recipe = scene_recipe(image={"crop": [16, 16], "short_side": 22})
    torch.manual_seed(3)
    model = build_model(recipe.model, num_classes=3, image_size=16)
    run = scene_run(tmp_path / "run", recipe)
    _, facts = load_tensors(run.model)
    save_tensors(run.model, model.state_dict(), facts)
    pixels = torch.randint(256, (3, 31, 47), dtype=torch.uint8)
    with torch.inference_mode():
        main, _ = model.eval().forward_heads(segmentation_input(pixels, recipe.image)[None])
        expected = F.interpolate(main, size=(31, 47), mode="bilinear")[0].argmax(0)
    found = load_segmenter(recipe, run, device="cpu", precision="float32").segment(pixels)
    assert (torch.from_numpy(found) == expected).double().mean() > 0.999


def test_the_recipe_names_the_augmentations(run):
    recipe = scene_recipe(inference={"window": [8, 12], "flip": True})
    segmenter = load_segmenter(recipe, run, device="cpu", precision="float32")
    seen = []
    logits = segmenter.logits
    segmenter.logits = lambda pixels: seen.append(tuple(pixels.shape)) or logits(pixels)
    picture, _ = striped("red", "green", "blue", "red", height=8)
    segmenter.segment(pixels_of(picture))
    assert seen == [(1, 3, 8, 12)] * 4


def test_an_image_too_large_is_cut_into_windows(run):
    told, seen = [], []
    segmenter = load_segmenter(scene_recipe(), run, device="cpu", precision="float32", memory=200_000, say=told.append)
    logits = segmenter.logits
    segmenter.logits = lambda pixels: seen.append(tuple(pixels.shape[2:])) or logits(pixels)
    picture, labels = striped(*STRIPES * 7, height=64)
    for _ in range(2):
        assert np.array_equal(segmenter.segment(pixels_of(picture)), labels)
    assert set(seen) == {(16, 24)}
    small = striped("red", "green", height=16)
    assert np.array_equal(segmenter.segment(pixels_of(small[0])), small[1])
    assert seen[-1] == (16, 8)
    (line,) = told
    assert line.startswith("an image of 64x196 pixels: the whole of it needs about 0.0 GiB, more than 0.0; windows")
    assert "windows of 16x24 slide over it instead, as over others of its size; --window chooses them" in line


def test_names_colours_and_precision(segmenter):
    assert segmenter.class_names == CLASSES
    assert segmenter.colours.tolist() == [list(colour) for colour in DRAWN]
    assert segmenter.precision == "float32"


@pytest.mark.parametrize(("fast", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_it_is_fast(run, fast, expected, monkeypatch):
    monkeypatch.setattr("attnkit.engine.precision.has_fast_bfloat16", lambda device: fast)
    assert load_segmenter(scene_recipe(), run, device="cpu").precision == expected


def test_bfloat16_says_the_same(run):
    picture, labels = striped(*STRIPES)
    half = load_segmenter(scene_recipe(), run, device="cpu", precision="bfloat16")
    assert np.array_equal(half.segment(pixels_of(picture)), labels)


@pytest.mark.parametrize(
    "colours", [None, [[1, 2, 3]], [[1, 2], [3, 4], [5, 6]], "red", [[300, 0, 0]] * 3, [[1], [2, 3]]]
)
def test_weights_without_colours_get_some(run, colours):
    tensors, facts = load_tensors(run.model)
    save_tensors(run.model, tensors, facts | {"colours": colours})
    segmenter = load_segmenter(scene_recipe(), run, device="cpu")
    assert np.array_equal(segmenter.colours, palette(3))


def test_weights_without_class_names(run):
    tensors, _ = load_tensors(run.model)
    save_tensors(run.model, tensors, {"step": 3})
    with pytest.raises(CheckpointError, match=r"model.safetensors: does not name its classes; expected weights of a s"):
        load_segmenter(scene_recipe(), run, device="cpu")


def test_weights_of_another_model(run):
    tensors, facts = load_tensors(run.model)
    save_tensors(run.model, tensors, facts | {"classes": ["red", "green"]})
    with pytest.raises(CheckpointError, match=r"shape of head.bias: \(3,\) in the file, \(2,\) in the model"):
        load_segmenter(scene_recipe(), run, device="cpu")


def test_weights_that_are_no_numbers(run):
    tensors, facts = load_tensors(run.model)
    tensors["head.bias"][1] = torch.nan
    save_tensors(run.model, tensors, facts)
    segmenter = load_segmenter(scene_recipe(), run, device="cpu", precision="float32")
    with pytest.raises(
        CheckpointError, match=r"^the model's logits are not finite numbers; expected weights of a trai"
    ):
        segmenter.segment(torch.zeros(3, 8, 8, dtype=torch.uint8))


# Splits


@pytest.fixture
def data(tmp_path):
    """A test set of two images of different sizes, in one of which a stripe is of no class."""
    folder = tmp_path / "data"
    for split, names in {"train": ["a"], "test": ["b", "c"]}.items():
        for number, name in enumerate(names):
            picture, labels = striped(*STRIPES[number:], height=8 + 4 * number, seed=number)
            labels[:, :4] = np.where(name == "c", IGNORE, labels[:, :4])
            write_png(folder / split / f"{name}.png", picture)
            write_png(folder / f"{split}_masks" / f"{name}.png", labels)
    return folder


def test_a_split(run, segmenter, data):
    first, second = segment_split(segmenter, OpenedData(scene_recipe(data).data), run, "test")
    assert [scene.name for scene in (first, second)] == ["b", "c"]
    assert first.place.endswith("test/b.png")
    assert first.prediction.shape == first.labels.shape == (8, 28)
    assert np.array_equal(first.prediction, first.labels)
    assert second.labels.shape == (12, 24)
    assert (second.labels[:, :4] == IGNORE).all()
    assert (second.prediction[:, :4] == 2).all()
    assert np.array_equal(second.prediction[:, 4:], second.labels[:, 4:])


def test_labels_are_the_model_s_numbers(tmp_path, data):
    """The data lists red, green, blue; this model has them the other way round."""
    run = scene_run(tmp_path / "run", classes=["blue", "green", "red", "sky"])
    segmenter = load_segmenter(scene_recipe(), run, device="cpu", precision="float32")
    first, second = segment_split(segmenter, OpenedData(scene_recipe(data).data), run, "test")
    assert first.labels[0, ::4].tolist() == [2, 0, 0, 1, 2, 1, 2]
    assert second.labels[0, 0] == IGNORE


def test_a_class_that_the_model_does_not_know(tmp_path, data):
    run = scene_run(tmp_path / "run", classes=["red", "green", "brown"])
    segmenter = load_segmenter(scene_recipe(), run, device="cpu")
    with pytest.raises(DataError, match=r"data.test: 1 classes that the model does not know, such as 'blue'; expected"):
        segment_split(segmenter, OpenedData(scene_recipe(data).data), run, "test")


def test_no_such_split(run, segmenter, data):
    with pytest.raises(
        DataError, match=r"recipe.yaml: data: no valid images; expected a valid set; name one in the re"
    ):
        segment_split(segmenter, OpenedData(scene_recipe(data).data), run, "valid")


# Memory


SWIN = {"name": "swin", "embed_dim": 12, "depths": [1, 1], "num_heads": [2, 3], "window_size": 2}


def swin_model(**changes):
    config = UperNetConfig.model_validate({"backbone": SWIN | changes, "channels": 5, "pool_scales": [1]})
    return build_model(config, num_classes=3, image_size=16)


def test_values_of_a_cell():
    assert values_per_cell(swin_model()) == 6 * 5 + 12 * 12
    assert pixels_per_cell(swin_model()) == 4
    assert pixels_per_cell(swin_model(patch_size=2)) == 2


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [([(8, 12)], 4 * (6 * 100 + 6 * 7)), ([(8, 12), (8, 12), (4, 8)], 4 * (6 * 100 + (6 + 6 + 2) * 7))],
)
def test_the_largest_image_and_the_logits_of_all(sizes, expected):
    assert bytes_of_whole_images(sizes, values_per_cell=100, pixels_per_cell=4, num_classes=7) == expected
