"""A finished run put to work: its classes, its probabilities, its splits."""

import numpy as np
import pytest
import torch
from torch import nn

from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors, save_tensors
from attnkit.errors import CheckpointError, DataError
from attnkit.models.build import build_model
from attnkit.recipes.classification.classifier import Classifier, classify_split, load_classifier
from tests.recipes.image_runs import CLASSES, colour_recipe, colour_run, write_picture

CPU = torch.device("cpu")


@pytest.fixture
def run(tmp_path):
    return colour_run(tmp_path / "run")


@pytest.fixture
def classifier(run):
    return load_classifier(colour_recipe(), run, device="cpu", precision="float32")


def pictures(folder, *colours):
    return [write_picture(folder / f"{i}.png", colour, seed=i) for i, colour in enumerate(colours)]


def test_names_and_order(classifier, tmp_path):
    images = [classifier.load(path) for path in pictures(tmp_path, "blue", "red", "green", "blue")]
    assert {image.shape for image in images} == {(3, 8, 8)}
    answers = classifier.classify(images, top=2)
    assert [of_image[0].name for of_image in answers] == ["blue", "red", "green", "blue"]
    assert [of_image[0].index for of_image in answers] == [2, 0, 1, 2]
    for best, second in answers:
        assert best.probability > second.probability > 0
        assert CLASSES[second.index] == second.name != best.name


def test_probabilities_are_the_softmax_of_the_model(run, tmp_path):
    recipe = colour_recipe()
    model = build_model(recipe.model, num_classes=3, image_size=8)
    tensors, _ = load_tensors(run.model)
    model.load_state_dict(tensors)
    images = torch.randn(5, 3, 8, 8)
    expected = model.eval()(images).softmax(dim=1)
    classifier = load_classifier(recipe, run, device="cpu", precision="float32")
    torch.testing.assert_close(classifier.probs(images), expected, atol=1e-6, rtol=1e-5)
    assert classifier.probs(images).dtype == torch.float32


def test_an_image_does_not_depend_on_its_batch(classifier):
    images = torch.randn(7, 3, 8, 8)
    together = classifier.probs(images)
    alone = torch.cat([classifier.probs(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=1e-5)


def test_no_images(classifier):
    assert classifier.classify([], top=3) == []


def test_top_is_at_most_all_classes(classifier):
    assert [len(one) for one in classifier.classify([torch.zeros(3, 8, 8)], top=50)] == [3]


def test_bfloat16_says_the_same(run, tmp_path):
    half = load_classifier(colour_recipe(), run, device="cpu", precision="bfloat16")
    images = [half.load(path) for path in pictures(tmp_path, "green", "blue", "red")]
    answers = half.classify(images, top=1)
    assert [of_image[0].name for of_image in answers] == ["green", "blue", "red"]
    assert half.precision == "bfloat16"


@pytest.mark.parametrize(("fast", "expected"), [(True, "bfloat16"), (False, "float32")])
def test_auto_takes_bfloat16_where_it_is_fast(fast, expected, monkeypatch):
    monkeypatch.setattr("attnkit.engine.precision.has_fast_bfloat16", lambda device: fast)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 2))
    classifier = Classifier(colour_recipe().image, model, ["a", "b"], device=CPU)
    assert classifier.precision == expected
    assert classifier.probs(torch.randn(3, 3, 8, 8)).dtype == torch.float32


def test_weights_may_be_another_checkpoint(run, tmp_path):
    tensors, facts = load_tensors(run.model)
    tensors["head.weight"] = tensors["head.weight"].flip(0)
    save_tensors(tmp_path / "other.safetensors", tensors, facts)
    other = load_classifier(colour_recipe(), run, device="cpu", weights=tmp_path / "other.safetensors")
    image = other.load(write_picture(tmp_path / "a.png", "red"))
    assert other.classify([image], top=1)[0][0].name == "blue"


def test_weights_without_class_names(run):
    tensors, _ = load_tensors(run.model)
    save_tensors(run.model, tensors, {"step": 3})
    with pytest.raises(CheckpointError, match=r"model.safetensors: does not name its classes; expected weights of a c"):
        load_classifier(colour_recipe(), run, device="cpu")


def test_weights_of_another_model(run):
    tensors, facts = load_tensors(run.model)
    save_tensors(run.model, tensors, {**facts, "classes": ["red", "green"]})
    with pytest.raises(CheckpointError, match=r"shape of head.bias: \(3,\) in the file, \(2,\) in the model"):
        load_classifier(colour_recipe(), run, device="cpu")


def test_weights_that_are_no_numbers(run):
    tensors, facts = load_tensors(run.model)
    tensors["head.bias"][1] = torch.nan
    save_tensors(run.model, tensors, facts)
    classifier = load_classifier(colour_recipe(), run, device="cpu")
    with pytest.raises(CheckpointError, match=r"^the model's probabilities are not finite numbers; expected weights"):
        classifier.probs(torch.zeros(2, 3, 8, 8))


@pytest.fixture
def data(tmp_path):
    """A test set in which one of four images lies in the wrong folder, and a training set that nobody reads."""
    for colour in CLASSES:
        write_picture(tmp_path / "data/train" / colour / "0.png", colour)
    for name, colour in {"blue/b.png": "blue", "green/g.png": "green", "red/r.png": "red", "red/s.png": "blue"}.items():
        write_picture(tmp_path / "data/test" / name, colour)
    return tmp_path / "data"


def test_a_split(run, data):
    recipe = colour_recipe(data)
    classifier = load_classifier(recipe, run, device="cpu")
    result = classify_split(classifier, OpenedData(recipe.data), run, "test", top=2, batch_size=3)
    assert [name.rpartition("test/")[2] for name in result.inputs] == [
        "blue/b.png",
        "green/g.png",
        "red/r.png",
        "red/s.png",
    ]
    assert [classifier.class_names[label] for label in result.labels] == ["blue", "green", "red", "red"]
    assert [classifier.class_names[best] for best in result.top[:, 0]] == ["blue", "green", "red", "blue"]
    assert result.top.shape == result.probs.shape == (4, 2)
    assert (result.probs[:, 0] > result.probs[:, 1]).all()
    assert result.probs.dtype == np.float32


def test_labels_are_the_model_s_numbers(tmp_path, data):
    """The model's classes are in the order red, green, blue, and the folders' in that of the alphabet."""
    recipe, run = colour_recipe(data), colour_run(tmp_path / "run")
    classifier = load_classifier(recipe, run, device="cpu")
    result = classify_split(classifier, OpenedData(recipe.data), run, "test", top=9, batch_size=3)
    assert result.labels.tolist() == [2, 1, 0, 0]


def test_a_class_that_the_model_does_not_know(tmp_path, data):
    run = colour_run(tmp_path / "run", classes=["red", "green", "brown"])
    recipe = colour_recipe(data)
    classifier = load_classifier(recipe, run, device="cpu")
    with pytest.raises(DataError, match=r"data.test: 1 classes that the model does not know, such as 'blue'; expected"):
        classify_split(classifier, OpenedData(recipe.data), run, "test", top=1, batch_size=3)


def test_no_such_split(run, tmp_path):
    for colour in CLASSES:
        write_picture(tmp_path / "data/train" / colour / "0.png", colour)
    recipe = colour_recipe(tmp_path / "data")
    recipe = recipe.model_copy(update={"data": recipe.data.model_copy(update={"test": None})})
    classifier = load_classifier(recipe, run, device="cpu")
    with pytest.raises(DataError, match=r"recipe.yaml: data: no test images; expected a test set; name one in the re"):
        classify_split(classifier, OpenedData(recipe.data), run, "test", top=1, batch_size=3)
