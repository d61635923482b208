"""Files for other libraries: whole or not there at all, with settings beside the weights where they are wanted."""

import json

import pytest
import torch
from safetensors.torch import load_file

from attnkit.errors import AttnkitError, CheckpointError
from attnkit.interop.export_weights import export_weights, foreign_weights, new_output
from attnkit.models.config import LeNet5Config
from attnkit.recipes.tasks import trained_network
from tests.recipes.image_runs import colour_recipe, colour_run
from tests.recipes.tiny_images import recipe_with

CLASS_TOKEN = {"name": "vit", "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 3}


def test_what_lies_beside_it_is_moved_too(tmp_path):
    with new_output(tmp_path / "deep/a.onnx") as partial:
        partial.write_text("graph")
        partial.with_name("a.onnx.data").write_text("weights")
        assert not (tmp_path / "deep/a.onnx").exists()
    assert {path.name: path.read_text() for path in (tmp_path / "deep").iterdir()} == {
        "a.onnx": "graph",
        "a.onnx.data": "weights",
    }


def test_nothing_is_left_of_a_failure(tmp_path):
    def write_half():
        with new_output(tmp_path / "a") as partial:
            partial.write_text("half")
            raise KeyError

    with pytest.raises(KeyError):
        write_half()
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_written_over(tmp_path):
    (tmp_path / "a").write_text("precious")
    message = "a: exists already; expected the name of a new file or folder; name another$"
    with pytest.raises(AttnkitError, match=message), new_output(tmp_path / "a"):
        pass
    assert (tmp_path / "a").read_text() == "precious"


@pytest.fixture
def network(tmp_path):
    return trained_network(colour_recipe(), colour_run(tmp_path / "run").model)


def test_a_folder_of_timm_has_its_settings(network, tmp_path):
    assert export_weights(network, "timm", tmp_path / "out") == ()
    settings = json.loads((tmp_path / "out/config.json").read_text())
    assert settings["num_classes"] == 3
    assert settings["label_names"] == ["red", "green", "blue"]
    tensors = load_file(tmp_path / "out/model.safetensors")
    assert torch.equal(tensors["head.weight"], network.model.head.weight)


def test_a_model_that_a_library_lacks(network, tmp_path):
    with pytest.raises(CheckpointError, match=r"^torchvision: its ViT has a class token, this one takes the mean of"):
        export_weights(network, "torchvision", tmp_path / "out.pth")
    assert not (tmp_path / "out.pth").exists()
    with pytest.raises(CheckpointError, match=r"^transformers: no names for the model lenet5; expected vit or swin"):
        foreign_weights(torch.nn.Linear(2, 3), LeNet5Config(name="lenet5"), "transformers")


def test_what_is_computed_otherwise_is_said(tmp_path):
    recipe = recipe_with(image__size=8, model=CLASS_TOKEN | {"activation": "gelu_tanh", "norm_eps": 1e-5})
    other = trained_network(recipe, colour_run(tmp_path / "run", recipe).model)
    lines = export_weights(other, "torchvision", tmp_path / "out.safetensors")
    assert lines[:2] == (
        "activation: torchvision computes GELU exactly, this model by tanh; logits differ a little",
        "norms: torchvision has an epsilon of 1e-06, this model 1e-05; logits differ slightly",
    )
    assert lines[2].startswith("images: 8x8 pixels on 0..1, mean [0.5, 0.5, 0.5], std [0.5, 0.5, 0.5]; ")
    assert load_file(tmp_path / "out.safetensors")["heads.head.weight"].shape == (3, 12)
