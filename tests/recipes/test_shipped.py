"""Every recipe that ships: it loads, says where it comes from, and has the values of its source."""

import re
import shlex

import pytest
import torch

from attnkit import recipe_file
from attnkit.models.build import build_model
from attnkit.models.config import ResNetConfig
from attnkit.models.rcnn.config import MaskRcnnConfig
from attnkit.new_recipe.imported_recipe import detector_tuning
from attnkit.recipes.detection.architectures import DETECTION_ARCHITECTURES

NAMES = recipe_file.shipped_recipes()
PAPER = [name for name in NAMES if name.startswith("translation/wmt14_")]

PARAMETERS = {
    "alexnet_cifar10": 57_044_810,
    "deit_s_imagenet1k": 22_050_664,
    "lenet5_cifar10": 62_006,
    "r_vit_nano_cifar10": None,  # our own sizes
    "swin_b_384_imagenet1k": 87_903_584,
    "swin_b_imagenet1k": 87_768_224,
    "swin_b_imagenet22k": 109_130_249,
    "swin_l_384_imagenet1k": 196_735_516,
    "swin_l_imagenet22k": 228_565_093,
    "swin_nano_cifar10": None,
    "swin_s_imagenet1k": 49_606_258,
    "swin_t_imagenet1k": 28_288_354,
    "toy": None,
    "vit_b16_384_cifar10": 86_859_496 - 990 * 769,
    "vit_b16_384_cifar100": 86_859_496 - 900 * 769,
    "vit_b16_384_flowers102": 86_859_496 - 898 * 769,
    "vit_b16_384_pets": 86_859_496 - 963 * 769,
    "vit_b16_imagenet1k": 87_158_248,
    "vit_h14_imagenet1k": 632_045_800,
    "vit_l16_imagenet1k": 305_376_232,
    "vit_lite_cifar10": None,
    "vit_s16_flowers5": 22_050_664 - 995 * 385 - (196 - 100) * 384,
    "vit_s16_imagenet1k": 22_050_664 + 384 * 385 - 198 * 384,  # a pre-logits layer, no class token, no positions
    "vit_ti16_imagenet1k": 5_717_416,
}
"""Published counts, with heads for other classes where these differ."""
CLASSES = {
    "cifar10": 10,
    "cifar100": 100,
    "flowers102": 102,
    "flowers5": 5,
    "imagenet1k": 1000,
    "imagenet22k": 21841,
    "pets": 37,
    "toy": 3,
}
IMAGENET = 1_281_167
DETECTORS = {
    "cascade_mask_rcnn_swin_b_coco": (36, 0.3),
    "cascade_mask_rcnn_swin_s_coco": (36, 0.2),
    "cascade_mask_rcnn_swin_t_coco": (36, 0.2),
    "htc_swin_b_coco": (36, 0.3),
    "htcpp_swin_b_coco": (72, 0.2),
    "htcpp_swin_l_coco": (72, 0.2),
    "mask_rcnn_swin_s_coco": (36, 0.2),
    "mask_rcnn_swin_t_coco": (36, 0.2),
}
"""Epochs, and how many blocks are skipped."""
COCO = 117_266
"""Training images with an object."""


def text_of(name):
    return recipe_file.find_recipe(name).read_text(encoding="utf-8")


def test_the_recipes_are_there():
    assert [
        *(f"classification/{name}" for name in sorted(PARAMETERS)),
        *(f"detection/{name}" for name in sorted([*DETECTORS, "mask_rcnn_swin_nano_nuclei", "toy"])),
        "segmentation/toy",
        "segmentation/upernet_deit_s_ade20k",
        "segmentation/upernet_r101_ade20k",
        "segmentation/upernet_swin_b_ade20k",
        "segmentation/upernet_swin_l_ade20k",
        "segmentation/upernet_swin_nano_camvid",
        "segmentation/upernet_swin_s_ade20k",
        "segmentation/upernet_swin_t_ade20k",
        "translation/iwslt14_de_en",
        "translation/multi30k_de_en",
        "translation/multi30k_en_de",
        "translation/multi30k_en_fr",
        "translation/tatoeba_en_de",
        "translation/toy",
        "translation/wmt14_en_de_base",
        "translation/wmt14_en_de_big",
        "translation/wmt14_en_fr_base",
        "translation/wmt14_en_fr_big",
    ] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_loads_under_its_own_name(name):
    recipe = recipe_file.load(name)
    assert f"{recipe.task}/{recipe.name}" == name


@pytest.mark.parametrize("name", NAMES)
def test_opens_with_where_it_comes_from(name):
    schema_line, title, *rest = text_of(name).splitlines()
    assert schema_line == "# yaml-language-server: $schema=../schema.json"
    assert re.fullmatch(r"# .{20,}\.", title)
    comments = "\n".join(line for line in rest if line.startswith("#"))
    for label in ("Source", "Expected", "Time", "Command"):
        assert f"# {label}: " in comments
    assert f"attnkit train {name}\n" in text_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_title_is_the_first_line_that_says_something(name):
    assert recipe_file.title(name) == text_of(name).splitlines()[1].removeprefix("# ")


def test_schema_file_is_the_schema():
    path = recipe_file.shipped_folder() / "schema.json"
    assert path.read_text(encoding="utf-8") == recipe_file.schema_text(), (
        "make it again: attnkit recipe schema > recipes/schema.json"
    )


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_values(name):
    recipe = recipe_file.load(name)
    big, french = name.endswith("_big"), "_fr_" in name
    model, train, decode = recipe.model, recipe.train, recipe.decode
    assert (model.embed_dim, model.num_heads, model.mlp_dim) == ((1024, 16, 4096) if big else (512, 8, 2048))
    assert (model.encoder_depth, model.decoder_depth, model.norm, model.positions) == (6, 6, "post", "sinusoidal")
    assert model.dropout == (0.3 if big and not french else 0.1)
    assert (model.attention_dropout, model.activation_dropout, model.tied_embeddings) == (0.0, 0.0, "all")
    assert (recipe.tokenizer.vocab_size, recipe.tokenizer.joint) == (32000 if french else 37000, True)
    assert recipe.batch.src_tokens * train.accumulate == recipe.batch.tgt_tokens * train.accumulate == 25000
    assert train.steps == (300_000 if big else 100_000)
    assert train.optimizer.model_dump() == {"name": "adam", "beta1": 0.9, "beta2": 0.98, "eps": 1e-9}
    assert train.schedule.model_dump() == {"name": "inverse_sqrt", "warmup_steps": 4000, "lr": None}
    assert train.average_last == (20 if big else 5)
    assert (recipe.loss.label_smoothing, recipe.loss.smoothing_form) == (0.1, "paper")
    assert (decode.method, decode.beam_size) == ("beam", 4)
    assert (decode.length_penalty.form, decode.length_penalty.alpha) == ("gnmt", 0.6)
    assert (decode.max_length_factor, decode.max_length_extra) == (1.0, 50)


def test_iwslt_has_fairseq_s_values():
    recipe = recipe_file.load("translation/iwslt14_de_en")
    assert (recipe.model.embed_dim, recipe.model.mlp_dim, recipe.model.num_heads) == (512, 1024, 4)
    assert (recipe.train.schedule.lr, recipe.train.schedule.warmup_steps) == (5e-4, 4000)
    assert (recipe.train.optimizer.name, recipe.train.optimizer.weight_decay) == ("adamw", 1e-4)
    assert recipe.model.dropout == 0.3
    assert recipe.tokenizer.lowercase
    assert recipe.bleu.lowercase


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_networks_have_their_published_size(name):
    recipe = recipe_file.load(f"classification/{name}")
    with torch.device("meta"):
        model = build_model(recipe.model, num_classes=CLASSES[name.rpartition("_")[2]], image_size=recipe.image.size)
    count = sum(p.numel() for p in model.parameters())
    assert count == (PARAMETERS[name] or count)


def epochs_of(recipe, images):
    return recipe.train.steps * recipe.train.accumulate * recipe.batch.images / images


@pytest.mark.parametrize(
    ("name", "epochs", "batch", "lr", "weight_decay", "warmup_epochs", "drop_path", "clip", "repeats"),
    [
        ("vit_ti16", 300, 1024, 1e-3, 0.05, 5, 0.1, None, 3),
        ("deit_s", 300, 1024, 1e-3, 0.05, 5, 0.1, None, 3),
        ("swin_t", 300, 1024, 1e-3, 0.05, 20, 0.2, 5.0, 1),
        ("swin_s", 300, 1024, 1e-3, 0.05, 20, 0.3, 5.0, 1),
        ("swin_b", 300, 1024, 1e-3, 0.05, 20, 0.5, 5.0, 1),
        ("swin_b_384", 30, 1024, 4e-5, 1e-8, 5, 0.2, 5.0, 1),
        ("swin_l_384", 30, 1024, 4e-5, 1e-8, 5, 0.2, 5.0, 1),
        ("vit_h14", 200, 4096, 1.6e-3, 0.3, 20, 0.2, None, 1),
    ],
)
def test_imagenet_recipes_have_the_values_of_their_sources(
    name, epochs, batch, lr, weight_decay, warmup_epochs, drop_path, clip, repeats
):
    recipe = recipe_file.load(f"classification/{name}_imagenet1k")
    train, augment = recipe.train, recipe.augment
    assert epochs_of(recipe, IMAGENET) == pytest.approx(epochs, rel=1e-3)
    assert recipe.batch.images * train.accumulate == batch
    assert (train.optimizer.name, train.optimizer.weight_decay) == ("adamw", weight_decay)
    assert (train.schedule.name, train.schedule.lr) == ("cosine", lr)
    assert train.schedule.warmup_steps * batch / IMAGENET == pytest.approx(warmup_epochs, rel=1e-3)
    assert (recipe.model.drop_path_rate, train.clip_norm, augment.repeats) == (drop_path, clip, repeats)
    assert (augment.auto, augment.rand_magnitude, augment.rand_noise) == ("rand", 27.0, 1.5)
    assert (augment.mixup, augment.cutmix, recipe.loss.label_smoothing) == (0.8, 1.0, 0.1)
    assert augment.erase == (0.0 if name == "vit_h14" else 0.25)


@pytest.mark.parametrize("name", ["swin_b", "swin_l"])
def test_swin_22k_and_what_is_fine_tuned_from_it(name):
    recipe, tuned = (recipe_file.load(f"classification/{name}_{rest}") for rest in ("imagenet22k", "384_imagenet1k"))
    assert epochs_of(recipe, 14_197_122 * (1 - 0.004)) == pytest.approx(90, rel=1e-3)
    assert recipe.batch.images * recipe.train.accumulate == 4096
    assert (recipe.train.schedule.lr, recipe.train.optimizer.weight_decay) == (1e-3, 0.05)
    assert tuned.init.from_ == f"runs/{recipe.name}"
    assert (tuned.image.size, tuned.image.resize, tuned.model.window_size) == (384, "squash", 12)
    assert tuned.model.model_copy(update={"window_size": 7}) == recipe.model


@pytest.mark.parametrize(("name", "epochs", "width"), [("vit_b16", 300, 768), ("vit_l16", 300, 1024)])
def test_vit_from_scratch_as_in_its_paper(name, epochs, width):
    recipe = recipe_file.load(f"classification/{name}_imagenet1k")
    train = recipe.train
    assert epochs_of(recipe, IMAGENET) == pytest.approx(epochs, rel=1e-3)
    assert recipe.batch.images * train.accumulate == 4096
    assert (train.schedule.lr, train.optimizer.weight_decay, train.clip_norm) == (3e-3, 0.3, 1.0)
    assert (train.schedule.warmup_steps, recipe.model.dropout, recipe.model.embed_dim) == (10_000, 0.1, width)
    assert recipe.model.representation
    assert recipe.image.mean == recipe.image.std == (0.5, 0.5, 0.5)


def test_plain_vit_s16_as_in_big_vision():
    recipe = recipe_file.load("classification/vit_s16_imagenet1k")
    model, train = recipe.model, recipe.train
    assert epochs_of(recipe, IMAGENET) == pytest.approx(90, rel=1e-3)
    assert (model.pooling, model.positions, model.representation) == ("average", "sincos", True)
    assert (recipe.batch.images * train.accumulate, train.schedule.lr, train.schedule.warmup_steps) == (
        1024,
        1e-3,
        10_000,
    )
    assert (recipe.augment.rand_ops, recipe.augment.rand_magnitude, recipe.augment.mixup) == (2, 30.0, 0.2)


@pytest.mark.parametrize(
    ("data", "steps"), [("cifar10", 10_000), ("cifar100", 10_000), ("pets", 500), ("flowers102", 500)]
)
def test_vit_fine_tunes_as_in_its_paper(data, steps):
    recipe = recipe_file.load(f"classification/vit_b16_384_{data}")
    train = recipe.train
    assert (train.steps, recipe.batch.images * train.accumulate, train.clip_norm) == (steps, 512, 1.0)
    assert train.optimizer.model_dump() == {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}
    assert train.schedule.lr in (0.001, 0.003, 0.01, 0.03)
    assert (recipe.init.from_, recipe.init.position_interpolation) == ("runs/vit_b16_imagenet21k", "google")
    assert (recipe.image.size, recipe.image.mean) == (384, (0.5, 0.5, 0.5))


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_on_coco_have_the_values_of_their_sources(name):
    recipe = recipe_file.load(f"detection/{name}")
    train, image, augment = recipe.train, recipe.image, recipe.augment
    epochs, drop_path = DETECTORS[name]
    assert epochs_of(recipe, COCO) == pytest.approx(epochs, rel=1e-3)
    assert recipe.batch.images * train.accumulate == 16
    milestones = (63, 69) if epochs == 72 else (27, 33)
    assert train.schedule.model_dump() == {
        "name": "multi_step",
        "lr": 1e-4,
        "warmup_steps": 500,
        "milestones": tuple(epoch * 7330 for epoch in milestones),
        "gamma": 0.1,
    }
    optimizer = train.optimizer
    assert (optimizer.name, optimizer.beta1, optimizer.beta2) == ("adamw", 0.9, 0.999)
    assert (optimizer.weight_decay, optimizer.decay_biases, train.clip_norm) == (0.05, True, None)
    assert recipe.model.backbone.drop_path_rate == drop_path
    if epochs == 72:
        assert (min(augment.short_sides), max(augment.short_sides), image.long_side) == (400, 1400, 1600)
        assert (augment.crop_branch, recipe.inference.soft_nms) == (None, True)
        assert recipe.init.from_.endswith("_patch4_window7_224_22k")
    else:
        assert augment.short_sides == tuple(range(480, 801, 32))
        assert augment.crop_branch.model_dump() == {
            "probability": 0.5,
            "short_sides": (400, 500, 600),
            "crop": (384, 600),
        }
        assert (image.short_side, image.long_side, recipe.inference.soft_nms) == (800, 1333, False)
        assert recipe.init.from_.endswith("_patch4_window7_224")
    assert (augment.flip, augment.copy_paste, augment.jitter) == (0.5, 0.0, None)


@pytest.mark.parametrize("name", DETECTORS)
def test_detectors_are_the_published_ones(name):
    model = recipe_file.load(f"detection/{name}").model
    architecture = DETECTION_ARCHITECTURES[name.removesuffix("_coco")].model
    own = {"drop_path_rate": 0.0, "gradient_checkpointing": False}
    backbones = (one.backbone.model_copy(update=own) for one in (model, architecture))
    assert len({backbone.model_dump_json() for backbone in backbones}) == 1
    assert model.model_copy(update={"backbone": architecture.backbone}) == architecture


@pytest.mark.parametrize("name", [name for name in DETECTORS if name.startswith("htc")])
def test_htc_learns_from_maps_of_stuff(name):
    recipe = recipe_file.load(f"detection/{name}")
    assert (recipe.model.semantic, recipe.model.semantic_weight, recipe.data.semantic_classes) == ("maps", 0.2, 183)
    assert recipe.data.train.semantic == "stuffthingmaps/train2017"
    assert recipe.inference.score_threshold == 0.001


@pytest.mark.parametrize("name", [name for name in DETECTORS if not name.startswith("htcpp")])
def test_imported_detectors_are_trained_as_the_shipped_ones(name):
    recipe = recipe_file.load(f"detection/{name}")
    tuning = detector_tuning(recipe.model)
    assert (tuning.recipe.train, tuning.recipe.augment, tuning.recipe.batch) == (
        recipe.train,
        recipe.augment,
        recipe.batch,
    )
    assert tuning.drop_path_rate == recipe.model.backbone.drop_path_rate


def test_detectors_on_resnet_are_trained_as_mmdetection_s():
    tuning = detector_tuning(MaskRcnnConfig(backbone=ResNetConfig(name="resnet")))
    train = tuning.recipe.train
    assert train.optimizer.model_dump() == {"name": "sgd", "momentum": 0.9, "nesterov": False, "weight_decay": 1e-4}
    assert (train.schedule.lr, train.schedule.milestones) == (0.02, (8 * 7330, 11 * 7330))
    assert (train.steps, tuning.recipe.batch.images * train.accumulate) == (12 * 7330, 16)
    assert (tuning.recipe.augment.short_sides, tuning.recipe.augment.crop_branch, tuning.drop_path_rate) == (
        None,
        None,
        0.0,
    )


@pytest.mark.parametrize("name", ["mask_rcnn_swin_t_coco", "cascade_mask_rcnn_swin_t_coco"])
def test_the_short_schedule_can_be_set_as_it_is_written(name):
    (line,) = (line for line in text_of(f"detection/{name}").splitlines() if "--set train.steps" in line)
    overrides = [word for word in shlex.split(line.removeprefix("#")) if word != "--set"]
    recipe = recipe_file.load(f"detection/{name}", overrides)
    assert epochs_of(recipe, COCO) == pytest.approx(12, rel=1e-3)
    assert recipe.train.schedule.milestones == (8 * 7330, 11 * 7330)
    assert recipe.model.backbone.drop_path_rate == (0.0 if name.startswith("cascade") else 0.1)


def test_the_other_cifar_archive_can_be_set():
    overrides = ["data.format=cifar", "data.path=cifar-10-python.tar.gz"]
    assert recipe_file.load("classification/vit_lite_cifar10", overrides).data.classes == 10
