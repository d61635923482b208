"""Training that begins with weights that exist."""

import pytest
import torch
from pydantic import TypeAdapter

from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors, save_weights
from attnkit.errors import CheckpointError
from attnkit.models.build import build_model
from attnkit.models.config import ClassifierConfig, SwinConfig, UperNetConfig, ViTConfig
from attnkit.models.layers.patches import resize_positions
from attnkit.models.layers.window_attention import resize_bias_table
from attnkit.recipes.base import InitConfig
from attnkit.recipes.classification.train import train
from attnkit.recipes.initial_weights import begin_with
from tests.models.rcnn import nano as detectors
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny_images import SWIN, recipe_with

VIT = {"name": "vit", "patch_size": 4, "embed_dim": 12, "depth": 1, "num_heads": 3, "mlp_ratio": 2.0}


def init_from(path, **options):
    return InitConfig.model_validate({"from": str(path), **options})


def vit(classes, *, image_size=16, **changes):
    model = build_model(ViTConfig.model_validate({**VIT, **changes}), num_classes=classes, image_size=image_size)
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
    source = build_model(SwinConfig.model_validate(SWIN), num_classes=2, image_size=16)
    save_weights(path, source, {"classes": classes})
    model = build_model(SwinConfig.model_validate({**SWIN, "window_size": 3}), num_classes=2, image_size=16)
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
    train(first, source, OpenedData(first.data), resume=False, device="cpu")
    settings = first.model_dump(by_alias=True) | {"init": {"from": str(source.path), "freeze": True}}
    second = type(first).model_validate(settings)
    run = new_run(tmp_path / "second", second)
    train(second, run, OpenedData(second.data), resume=False, device="cpu")
    before, after = load_tensors(source.model)[0], load_tensors(run.model)[0]
    for name in before:
        assert torch.equal(before[name], after[name]) == (not name.startswith("head.")), name


def upernet(backbone, *, classes=5, image_size=16):
    config = {"backbone": {**backbone}, "channels": 7, "pool_scales": [1, 2], "auxiliary_channels": 3}
    return build_model(UperNetConfig.model_validate(config), num_classes=classes, image_size=image_size)


def weights_of(model):
    return {name: weight.clone() for name, weight in model.state_dict().items()}


@pytest.mark.parametrize(
    ("backbone", "left_out"),
    [(SWIN, "head, norm"), (VIT, "head, norm"), ({"name": "resnet", "depth": 18}, "fc")],
    ids=["swin", "vit", "resnet"],
)
def test_a_classifier_becomes_the_backbone_of_a_segmenter(tmp_path, backbone, left_out):
    path, model = tmp_path / "classifier.safetensors", upernet(backbone)
    classifier = build_model(TypeAdapter(ClassifierConfig).validate_python(backbone), num_classes=3, image_size=16)
    save_weights(path, classifier, {"classes": ["a", "b", "c"]})
    before, given = weights_of(model), weights_of(classifier)
    assert begin_with(model, init_from(path), list("vwxyz"), loads=True) == [
        f"init: weights of {path}",
        f"init: a classifier becomes the backbone without its {left_out}; all above it begins fresh",
    ]
    after = weights_of(model)
    taken = {name for name in after if name.removeprefix("backbone.") in given and name.startswith("backbone.")}
    assert {name.removeprefix("backbone.") for name in taken} == {
        name for name in given if name.split(".")[0] not in ("head", "norm", "fc")
    }
    for name, weight in after.items():
        assert torch.equal(weight, given[name.removeprefix("backbone.")] if name in taken else before[name]), name


def test_a_classifier_becomes_the_backbone_of_a_detector(tmp_path):
    """The norms behind Swin's stages, which no classifier has, stay fresh, and so does the block of HTC++."""
    path, model = tmp_path / "classifier.safetensors", detectors.build("htcpp")
    classifier = build_model(detectors.SWIN, num_classes=3, image_size=16)
    save_weights(path, classifier, {"classes": ["a", "b", "c"]})
    before, given = weights_of(model), weights_of(classifier)
    lines = begin_with(model, init_from(path, freeze=True), list("vwxyz"), loads=True)
    assert lines[1:-1] == ["init: a classifier becomes the backbone without its head, norm; all above it begins fresh"]
    taken = {f"backbone.{name}" for name in given if name.split(".")[0] not in ("head", "norm")}
    for name, weight in weights_of(model).items():
        assert torch.equal(weight, given[name.removeprefix("backbone.")] if name in taken else before[name]), name
    assert all(p.requires_grad != name.startswith("backbone.") for name, p in model.named_parameters())


def test_a_classifier_of_other_sizes_below_a_segmenter(tmp_path):
    path, source = tmp_path / "vit.safetensors", vit(3)
    save_weights(path, source, {"classes": ["a", "b", "c"]})
    model = upernet(VIT, image_size=28)
    lines = begin_with(model, init_from(path, position_interpolation="google"), list("vwxyz"), loads=True)
    assert lines[2] == "init: backbone.positions from 17 to 50 (google)"
    expected = resize_positions(source.positions, grid_size=(7, 7), special_tokens=1, interpolation="google")
    assert torch.equal(model.backbone.positions, expected)
    swin = build_model(SwinConfig.model_validate(SWIN), num_classes=2, image_size=16)
    save_weights(path, swin, {"classes": ["a", "b"]})
    smaller = upernet({**SWIN, "window_size": 3})
    lines = begin_with(smaller, init_from(path), list("vwxyz"), loads=True)
    assert "init: backbone.stages.0.blocks.1.attention.bias_table from 49 to 25 rows" in lines


def test_a_distilled_classifier_leaves_its_second_token(tmp_path):
    path, source = tmp_path / "deit.safetensors", vit(3, distillation=True)
    save_weights(path, source, {"classes": ["a", "b", "c"]})
    model = upernet(VIT)
    lines = begin_with(model, init_from(path), list("vwxyz"), loads=True)
    assert "without its distillation_head, head, norm;" in lines[1]
    assert torch.equal(model.backbone.positions[:, 0], source.positions[:, 0])
    assert torch.equal(model.backbone.positions[:, 1:], source.positions[:, 2:])


def test_a_segmenter_of_other_classes_has_fresh_heads(tmp_path):
    path, source = tmp_path / "segmenter.safetensors", upernet(SWIN, classes=4)
    save_weights(path, source, {"classes": list("abcd")})
    model = upernet(SWIN)
    before = weights_of(model)
    lines = begin_with(model, init_from(path), list("vwxyz"), loads=True)
    assert lines[1] == "init: a fresh head for 5 classes, in place of one for 4 other classes"
    for name, weight in weights_of(model).items():
        is_head = name.startswith(("head.", "auxiliary.head."))
        assert torch.equal(weight, before[name] if is_head else source.state_dict()[name]), name
    same = upernet(SWIN, classes=4)
    assert begin_with(same, init_from(path), list("abcd"), loads=True) == [f"init: weights of {path}"]
    assert torch.equal(same.auxiliary.head.weight, source.auxiliary.head.weight)


def test_a_frozen_backbone_of_a_segmenter(tmp_path):
    path, model = tmp_path / "swin.safetensors", upernet(SWIN)
    save_weights(
        path, build_model(SwinConfig.model_validate(SWIN), num_classes=2, image_size=16), {"classes": ["a", "b"]}
    )
    lines = begin_with(model, init_from(path, freeze=True), list("vwxyz"), loads=True)
    frozen = sum(p.numel() for p in model.backbone.parameters())
    assert lines[-1] == f"init: {frozen:,} parameters are frozen; what is above the backbone is trained"
    assert all(p.requires_grad != name.startswith("backbone.") for name, p in model.named_parameters())


def test_a_classifier_of_another_kind_is_no_backbone(tmp_path):
    path = tmp_path / "vit.safetensors"
    save_weights(path, vit(3), {"classes": ["a", "b", "c"]})
    with pytest.raises(CheckpointError, match=r"does not fit the model of the recipe") as caught:
        begin_with(upernet(SWIN), init_from(path), list("vwxyz"), loads=True)
    assert "unexpected: backbone.class_token (1, 1, 12)" in str(caught.value)
    assert "missing: backbone.stages.0.blocks.0.norm1.weight (12,)" in str(caught.value)
