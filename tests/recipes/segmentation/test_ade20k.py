"""The recipes of ADE20K that ship: the networks of their sources, and the values by which these were trained."""

import pytest
import torch

from attnkit import recipe_file
from attnkit.models.build import build_model
from attnkit.recipes.segmentation.architectures import NUM_CLASSES, SEGMENTATION_ARCHITECTURES

ARCHITECTURES = {
    "swin_t": "upernet_swin_t",
    "swin_s": "upernet_swin_s",
    "swin_b": "upernet_swin_b",
    "swin_l": "upernet_swin_l_22k",
    "deit_s": "upernet_deit_s_mln",
    "r101": "upernet_r101",
}


def load(name):
    return recipe_file.load(f"segmentation/upernet_{name}_ade20k")


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_network_is_the_published_one(name):
    recipe, published = load(name), SEGMENTATION_ARCHITECTURES[ARCHITECTURES[name]]
    assert recipe.model == published.model
    with torch.device("meta"):
        model = build_model(recipe.model, num_classes=NUM_CLASSES, image_size=recipe.image.crop[0])
    assert sum(p.numel() for p in model.parameters()) == published.params
    assert recipe.image.crop == (published.gmacs_size[0], published.gmacs_size[0])


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_images_and_masks_as_all_of_them_have_them(name):
    recipe = load(name)
    side = 640 if name == "swin_l" else 512
    assert (recipe.image.short_side, recipe.image.long_side) == (side, 4 * side)
    assert (recipe.data.path, recipe.data.reduce_zero_label) == ("ADEChallengeData2016", True)
    augment = recipe.augment
    assert (augment.scale, augment.most_of_one_class, augment.flip, augment.photometric) == (
        (0.5, 2.0),
        0.75,
        0.5,
        True,
    )
    assert (recipe.loss.auxiliary_weight, recipe.model.dropout, recipe.model.pool_scales) == (0.4, 0.1, (1, 2, 3, 6))
    assert (recipe.inference.window, recipe.inference.scales, recipe.inference.flip) == (None, (1.0,), False)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_training_as_published(name):
    recipe = load(name)
    train = recipe.train
    assert (train.steps, recipe.batch.images * train.accumulate, train.schedule.name) == (160_000, 16, "poly")
    if name == "r101":
        assert train.optimizer.model_dump() == {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 5e-4}
        assert (train.schedule.lr, train.schedule.power, train.schedule.final_lr) == (0.01, 0.9, 1e-4)
    else:
        assert (train.optimizer.name, train.optimizer.weight_decay) == ("adamw", 0.01)
        assert (train.schedule.lr, train.schedule.power, train.schedule.warmup_steps) == (6e-5, 1.0, 1500)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_it_says_where_its_first_weights_come_from(name):
    text = recipe_file.find_recipe(f"segmentation/upernet_{name}_ade20k").read_text(encoding="utf-8")
    run = load(name).init.from_
    assert f"#           {run}: the weights of ImageNet, by\n" in text
    assert f"#           attnkit import {run.removeprefix('runs/')}.pth" in text
    assert "not measured here" in " ".join(line.strip("# ") for line in text.splitlines())
