"""Training that begins with weights that exist."""

import pytest
import torch

from attnkit.engine.checkpoint import load_tensors, save_weights
from attnkit.errors import CheckpointError
from attnkit.models.config import SwinConfig, ViTConfig
from attnkit.models.layers.image_positions import resize_positions
from attnkit.models.layers.relative_bias import resize_bias_table
from attnkit.recipes.base import InitConfig
from attnkit.recipes.classification.train import train
from attnkit.recipes.initial_weights import begin_with
from tests.recipes.tiny_images import SWIN, new_run, recipe_with

VIT = {"name": "vit", "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 3, "mlp_ratio": 2.0}


def init_from(path, **options):
    return InitConfig.model_validate({"from": str(path), **options})


def vit(classes, *, image_size=16, **changes):
    model = ViTConfig.model_validate({**VIT, **changes}).build(num_classes=classes, image_size=image_size)
    with torch.no_grad():
        for p in model.parameters():
            p.normal_()
    return model


@pytest.fixture
def kept(tmp_path):
    """A model of three classes, and its file."""
    model, path = vit(3), tmp_path / "weights.safetensors"
    save_weights(path, model, {"classes": ["a", "b", "c"]})
    return model, path


def test_the_same_classes_keep_their_head(kept):
    source, path = kept
    model = vit(3)
    assert begin_with(model, init_from(path), ["a", "b", "c"], loads=True) == [f"init: weights of {path}"]
    for name, weight in source.state_dict().items():
        assert torch.equal(model.state_dict()[name], weight), name


@pytest.mark.parametrize("classes", [["c", "b", "a"], ["a", "b", "c", "d", "e"]])
def test_other_classes_have_a_fresh_head(kept, classes):
    source, path = kept
    model = vit(len(classes))
    fresh = model.head.weight.clone()
    lines = begin_with(model, init_from(path), classes, loads=True)
    assert lines[1] == f"init: a fresh head for {len(classes)} classes, in place of one for 3 other classes"
    assert torch.equal(model.head.weight, fresh)
    assert torch.equal(model.blocks[0].mlp.up.weight, source.blocks[0].mlp.up.weight)


@pytest.mark.parametrize("interpolation", ["google", "deit", "timm", "torchvision"])
def test_positions_are_resized(kept, interpolation):
    source, path = kept
    model = vit(3, image_size=28)
    lines = begin_with(model, init_from(path, position_interpolation=interpolation), ["a", "b", "c"], loads=True)
    assert lines[1] == f"init: positions from 17 to 50 ({interpolation})"
    expected = resize_positions(source.positions, grid_size=(7, 7), special_tokens=1, interpolation=interpolation)
    assert torch.equal(model.positions, expected)


def test_bias_tables_are_resized(tmp_path):
    classes, path = ["a", "b"], tmp_path / "swin.safetensors"
    source = SwinConfig.model_validate(SWIN).build(num_classes=2, image_size=16)
    save_weights(path, source, {"classes": classes})
    model = SwinConfig.model_validate({**SWIN, "window_size": 3}).build(num_classes=2, image_size=16)
    lines = begin_with(model, init_from(path), classes, loads=True)
    assert "init: stages.0.blocks.1.attention.bias_table from 49 to 25 rows" in lines
    table = source.stages[1].blocks[0].attention.bias_table
    assert torch.equal(model.stages[1].blocks[0].attention.bias_table, resize_bias_table(table, 3))


def test_the_pre_logits_layer_is_dropped(tmp_path):
    source, path = vit(3, representation=True), tmp_path / "weights.safetensors"
    save_weights(path, source, {"classes": ["x"] * 3})
    model = vit(2)
    lines = begin_with(model, init_from(path), ["a", "b"], loads=True)
    assert lines[-1] == "init: the pre-logits layer is left out, as in fine-tuning"
    assert torch.equal(model.norm.weight, source.norm.weight)


def test_another_model_is_refused_with_all_that_differs(kept):
    _, path = kept
    with pytest.raises(CheckpointError, match=r"does not fit the model of the recipe") as caught:
        begin_with(vit(3, depth=2, embed_dim=18), init_from(path), ["a", "b", "c"], loads=True)
    assert "missing: blocks.1.norm1.weight (18,)" in str(caught.value)
    assert "shape of norm.weight: (12,) in the file, (18,) in the model" in str(caught.value)


def test_no_such_weights(tmp_path):
    with pytest.raises(
        CheckpointError,
        match=r"^init\.from: nowhere: no such file or run folder; expected weights made by attnkit train or import; "
        r"other people's weights come in by attnkit import$",
    ):
        begin_with(vit(3), init_from("nowhere"), ["a", "b", "c"], loads=True)


def test_a_frozen_trunk_stays_and_the_head_learns(tmp_path):
    first = recipe_with(model=VIT, train__steps=2, train__save_every=2, train__validate_every=2, train__average_last=1)
    source = new_run(tmp_path / "first", first)
    train(first, source, resume=False, device="cpu")
    settings = first.model_dump(by_alias=True) | {"init": {"from": str(source.path), "freeze": True}}
    second = type(first).model_validate(settings)
    run = new_run(tmp_path / "second", second)
    train(second, run, resume=False, device="cpu")
    before, after = load_tensors(source.model)[0], load_tensors(run.model)[0]
    for name in before:
        assert torch.equal(before[name], after[name]) == (not name.startswith("head.")), name
