"""Trained weights: their classes, compared with those of data, and values that are no numbers."""

import pytest
import torch

from attnkit.engine.checkpoint import save_tensors
from attnkit.errors import CheckpointError, DataError
from attnkit.recipes.trained import check_finite, known_classes, open_trained, read_trained, scored_images
from attnkit.run_dir import create_run


@pytest.fixture
def run(tmp_path):
    made = create_run(tmp_path / "run")
    save_tensors(made.model, {"weight": torch.tensor([[1.0, 2.0, 3.0]])}, {"classes": ["ant", "bee"], "step": 7})
    return made


def test_what_was_saved(run):
    trained, device = open_trained(run, None, task="segmentation", device="cpu")
    assert (trained.path, trained.class_names, trained.facts["step"]) == (run.model, ["ant", "bee"], 7)
    assert device == torch.device("cpu")
    model = torch.nn.Linear(3, 1, bias=False)
    trained.fit(model)
    assert model.weight.tolist() == [[1.0, 2.0, 3.0]]
    with pytest.raises(CheckpointError, match=r"weight: \(1, 3\) in the file, \(2, 3\) in the model"):
        trained.fit(torch.nn.Linear(3, 2, bias=False))


def test_other_weights_of_the_run(run, tmp_path):
    save_tensors(tmp_path / "other.safetensors", {}, {"classes": ["cat"]})
    trained, _ = open_trained(run, tmp_path / "other.safetensors", task="segmentation", device="cpu")
    assert trained.class_names == ["cat"]


@pytest.mark.parametrize("classes", [None, [], ["ant", 3]])
def test_weights_that_do_not_name_their_classes(tmp_path, classes):
    save_tensors(tmp_path / "w.safetensors", {}, {} if classes is None else {"classes": classes})
    message = r"w.safetensors: does not name its classes; expected weights of a detection run; use its best$"
    with pytest.raises(CheckpointError, match=message):
        read_trained(tmp_path / "w.safetensors", task="detection", instead="its best")


def test_values_that_are_no_numbers():
    check_finite(torch.tensor([1.0, -3e38]), "logits")
    for value in (torch.nan, torch.inf, -torch.inf):
        with pytest.raises(CheckpointError, match=r"^the model's logits are not finite numbers; expected weights of a"):
            check_finite(torch.tensor([1.0, value]), "logits")


def test_classes_are_found_by_their_names(run):
    assert known_classes(["bee", "ant"], ["cat", "ant", "bee"], run, "test").tolist() == [2, 1]
    message = (
        r"recipe.yaml: data.test: 2 classes that the model does not know, such as 'cow'; expected some of its 2 "
        r"\('ant', ...\); give it the data that it learned from$"
    )
    with pytest.raises(DataError, match=message):
        known_classes(["bee", "cow", "dog"], ["ant", "bee"], run, "test")


@pytest.mark.parametrize("found", [None, []])
def test_nothing_to_score(run, found):
    with pytest.raises(
        DataError, match=r"recipe.yaml: data: no valid images; expected a valid set; name one in the rec"
    ):
        scored_images(found, run, "valid")
    assert scored_images([3], run, "valid") == [3]
