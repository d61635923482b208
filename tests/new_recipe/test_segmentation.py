"""attnkit recipe new segmentation: the sizing, and through the command line, on folders of images and masks."""

import json
from dataclasses import replace

import numpy as np
import pytest

from attnkit import recipe_file
from attnkit.data.open import OpenedData
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.models.build import build_model
from attnkit.new_recipe import segmentation as new_segmentation
from attnkit.new_recipe.networks import SEGMENTER_BASE as BASE
from attnkit.new_recipe.networks import SEGMENTER_FLAT as FLAT
from attnkit.new_recipe.networks import SEGMENTER_MICRO as MICRO
from attnkit.new_recipe.networks import SEGMENTER_NANO as NANO
from attnkit.new_recipe.networks import SEGMENTER_TINY as TINY
from attnkit.new_recipe.networks import segmenter_bytes
from attnkit.new_recipe.segmentation import MaskSurvey, size_recipe
from attnkit.new_recipe.sizing import Machine
from tests.command import attnkit, refused
from tests.data.image_files import write_files
from tests.data.scene_files import labels, mask, scenes

CORES = Machine("2 processor cores", is_gpu=False, memory=8 << 30)
GPU = Machine("a GPU", is_gpu=True, memory=80 << 30)
STREETS = MaskSurvey("streets", train=500, valid=0, test=0, side=360, shares={"sky": 0.3, "road": 0.55, "pole": 0.15})


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(new_segmentation, "segmenter_speed", lambda config, crop, num_classes: 50.0)
    monkeypatch.setattr(new_segmentation, "this_machine", lambda: CORES)
    return tmp_path


def write_scenes(folder, *, images="photos", masks="masks", count=20, **options):
    write_files(folder, scenes(*map(str, range(count)), images=images, masks=masks, size=(37, 53), **options))


def new(*arguments, images="photos", masks="masks"):
    given = [*(("--images", images) if images else ()), *(("--masks", masks) if masks else ())]
    return attnkit("recipe", "new", "segmentation", *given, *arguments)


# from folders to a recipe


def test_from_two_folders(folder):
    write_scenes(folder)
    result = new()
    assert (result.exit_code, result.stdout) == (0, "photos.yaml\n"), result.output
    recipe = recipe_file.load("photos.yaml")
    assert (recipe.name, recipe.data.path) == ("photos", ".")
    assert (recipe.data.train.images, recipe.data.train.masks) == ("photos", "masks")
    assert recipe.data.classes == ("class 0", "class 1", "class 2")
    assert recipe.image.crop == (32, 32)
    splits = [OpenedData(recipe.data)[split] for split in ("train", "valid", "test")]
    assert [len(split) for split in splits] == [16, 2, 2]
    assert recipe.model == FLAT.config(32)
    model = build_model(recipe.model, num_classes=3, image_size=32)
    assert model.head.out_channels == 3


def test_every_choice_is_explained_in_the_recipe_and_on_stderr(folder):
    write_scenes(folder)
    result = new("-o", "out/my.yaml", "--name", "mine", "--minutes", "7", "--image-size", "48")
    lines = result.stderr.splitlines()
    starts = [
        "photos: 20 training, 0 validation and 0 test images with masks of 3 classes",
        "names: as many classes as the masks have numbers; give them their names in data.classes",
        "held back: 0.1 of the images for validation and 0.1 of the images for test, chosen by a hash of the file",
        "crop: 48 x 48 pixels: as you ask",
        "network: UperNet of 32 channels on a Swin of 24: small images have few details; a Swin needs fewer",
        "classes: ",
        "augmentation: sizes, crops, mirroring, colours; --set augment.flip=0 where left and right matter",
        "batch: 4 images; an epoch is 4 steps",
        "steps: 1,600, 400 times through the images: more would not help with so few images",
        "time: about 2 minutes at 50 images a second, the measured training speed of this network on 2 processor cores",
        "photos: 20 images are few for attention; expected 2,000 or more, or pretrained weights; attnkit import FILE",
        "next: attnkit train out/my.yaml",
    ]
    assert len(lines) == len(starts), lines
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True)), lines
    text = (folder / "out/my.yaml").read_text()
    comments = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert all(" ".join(line.split()) in comments.replace("- ", "") for line in lines[:10])
    assert recipe_file.load("out/my.yaml").name == "mine"


def test_splits_that_are_there_are_used(folder):
    for name, count in (("training", 12), ("validation", 3)):
        write_scenes(folder, images=f"ade/images/{name}", masks=f"ade/masks/{name}", count=count)
    result = new(images="ade/images", masks=str(folder / "ade/masks"))
    assert result.stderr.startswith("ade/images: 12 training, 3 validation and 0 test images with masks of 3 classes\n")
    recipe = recipe_file.load("images.yaml")
    assert recipe.data.path == f"{folder}/ade"
    assert recipe.data.valid.masks == "masks/validation"
    assert [len(OpenedData(recipe.data)[split]) for split in ("train", "valid", "test")] == [11, 3, 1]


def test_names_of_a_file(folder):
    write_scenes(folder, images="d/x", masks="d/y")
    about = [{"id": 0, "name": "sky", "colour": [1, 2, 3]}, {"id": 1, "name": "a: b"}, {"id": 2, "name": "road"}]
    (folder / "names.json").write_text(json.dumps(about))
    result = new("--classes", "names.json", images="d/x", masks="d/y")
    assert "names: " not in result.stderr
    data = recipe_file.load("x.yaml").data
    assert (data.path, data.classes) == ("d", "../names.json")
    train = OpenedData(data)["train"]
    assert train.class_names == ("sky", "a: b", "road")
    assert train.colours[0].tolist() == [1, 2, 3]


def test_black_and_white_masks(folder):
    write_scenes(folder)
    for i in range(20):
        (folder / f"masks/{i}.png").write_bytes(mask((labels(i, size=(37, 53)) > 0).astype(np.uint8) * 255))
    result = new()
    assert "masks: black and white, so 0 is taken for background and 255 for object: data.classes and data.ignore" in (
        result.stderr.splitlines()
    )
    data = recipe_file.load("photos.yaml").data
    assert (data.classes, data.ignore) == ({0: "background", 255: "object"}, ())
    assert OpenedData(data)["train"].class_names == ("background", "object")


def test_images_and_masks_in_one_folder(folder):
    write_scenes(folder, images="d", masks="d")
    assert new(images="d", masks="d").exit_code == 0
    assert len(OpenedData(recipe_file.load("d.yaml").data)["train"]) == 16


def test_what_is_wrong_with_some_is_said(folder):
    write_scenes(folder)
    (folder / "masks/3.png").write_bytes(b"no image")
    (folder / "masks/4.png").unlink()
    lines = new().stderr.splitlines()
    assert (
        "photos: 1 of 19 sampled masks are broken or do not fit their images; see attnkit data check photos.yaml"
        in (lines)
    )
    assert any(
        line.endswith("4.jpg: an image without a mask; it is left out; add its mask, or remove it") for line in lines
    )
    (folder / "names.txt").write_text("a\nb\nc\nd\ne")
    lines = new("--force", "--classes", "names.txt").stderr.splitlines()
    assert any(line.startswith("photos: no pixel of d, e on 19 sampled masks; expected every class") for line in lines)


# mistakes


def test_files_that_are_there_are_not_written_over(folder):
    write_scenes(folder)
    (folder / "photos.yaml").write_text("mine")
    message = "photos.yaml: exists already; expected to write a new file; name another --output, or add --force\n"
    assert refused(new()) == message
    assert (folder / "photos.yaml").read_text() == "mine"
    assert new("--force").exit_code == 0


def test_mistakes(folder):
    write_scenes(folder)
    write_scenes(folder, images="few", masks="few_masks", count=9)
    write_scenes(folder, images="a/val", masks="b/val")
    write_scenes(folder, images="one", masks="one_masks", classes=1)
    before = sorted(folder.rglob("*.yaml"))
    assert refused(new(masks="nowhere")) == "nowhere: no such folder; expected a folder of masks; correct --masks\n"
    assert refused(new(images="nowhere")) == "nowhere: no such folder; expected a folder of images; correct --images\n"
    few = "few: 9 training images with masks are too few; expected at least 10, and hundreds for a useful model; "
    assert refused(new(images="few", masks="few_masks")).startswith(few)
    none = "a: has val, as b has, but nothing for training; expected a folder train in both; rename one\n"
    assert refused(new(images="a", masks="b")) == none
    assert "20 sampled masks hold only one class; expected at least two" in refused(
        new(images="one", masks="one_masks")
    )
    assert "few/0.jpg: a JPEG, which does not keep pixel values as they were; " in refused(new(masks="few"))
    write_files(folder, {"other/x.png": mask(labels())})
    assert refused(new(masks="other")).endswith("rename the masks, or name a list of both as data.train.list\n")
    needs = "--masks: not given; expected --images and --masks for segmentation; add it\n"
    assert refused(new(masks=None)) == needs
    assert refused(new("--data", "photos")).startswith(
        "--data: not an option of segmentation; expected --images, --masks, "
    )
    assert refused(new("--classes", "none.txt")).startswith("none.txt: no such file; ")
    assert sorted(folder.rglob("*.yaml")) == before


# sizing


def sized(seen=STREETS, machine=CORES, rate=50.0, *, minutes=60.0, crop=None):
    tried = []

    def speed(config, size, num_classes):
        assert num_classes == len(seen.shares)
        tried.append((config.backbone.embed_dim, size))
        return rate if isinstance(rate, float) else rate[config.backbone.embed_dim, size]

    data = MaskFilesConfig(format="mask_files", path="streets")
    return size_recipe("x", data, seen, machine, speed, minutes=minutes, crop=crop), tried


def test_windows_divide_the_maps():
    for network, crop, patch, window, scales in (
        (FLAT, 64, 2, 8, (1, 2, 3, 6)),
        (FLAT, 32, 2, 4, (1, 2)),
        (NANO, 320, 4, 10, (1, 2, 3, 6)),
        (MICRO, 256, 4, 8, (1, 2, 3, 6)),
        (TINY, 512, 4, 7, (1, 2, 3, 6)),
    ):
        config = network.config(crop)
        assert (config.backbone.patch_size, config.backbone.window_size) == (patch, window)
        assert config.backbone.mlp_convolution == (network != TINY)
        assert config.pool_scales == scales


@pytest.mark.parametrize(
    ("side", "crop", "short_side"),
    [(37, 32, None), (90, 80, None), (100, 128, None), (360, 320, None), (3000, 320, 480)],
)
def test_crops_on_cores(side, crop, short_side):
    sizing, _ = sized(replace(STREETS, side=side))
    assert (sizing.recipe.image.crop, sizing.recipe.image.short_side) == ((crop, crop), short_side)


@pytest.mark.parametrize(("side", "crop", "short_side"), [(360, 352, None), (1024, 512, None), (1025, 512, 768)])
def test_crops_on_a_gpu(side, crop, short_side):
    sizing, _ = sized(replace(STREETS, side=side), GPU)
    assert (sizing.recipe.image.crop, sizing.recipe.image.short_side) == ((crop, crop), short_side)


def test_slow_machines_get_smaller_networks_and_crops():
    rates = {(width, size): 0.1 for width in (48, 32) for size in (320, 256, 192, 128)}
    sizing, tried = sized(rate=rates)
    assert tried == [(48, 320), (32, 320), (48, 256), (32, 256), (48, 192), (32, 192), (48, 128), (32, 128)]
    assert (sizing.recipe.image.crop, sizing.recipe.image.short_side) == ((128, 128), 192)
    assert sizing.recipe.model.backbone.embed_dim == 32
    assert "anything larger would go through them fewer than 30 times" in sizing.reasons[0]
    assert sizing.reasons[1].startswith("size: images are brought to a shorter side of 192 pixels")
    sizing, tried = sized(rate=rates | {(32, 320): 4.2})  # 60 minutes, 500 images 30 times: 4.17 a second
    assert (sizing.recipe.model.backbone.embed_dim, sizing.recipe.image.crop) == (32, (320, 320))


@pytest.mark.parametrize(
    ("images", "side", "network"),
    [(10, 64, FLAT), (1999, 512, MICRO), (2000, 512, TINY), (50_000, 512, BASE)],
)
def test_more_images_bear_larger_networks(images, side, network):
    sizing, _ = sized(replace(STREETS, train=images, side=side), GPU, 1e9)
    assert sizing.recipe.model == network.config(sizing.recipe.image.crop[0])


def test_steps_follow_the_time_or_the_images():
    sizing, _ = sized(rate=10.0, minutes=30)  # 18,000 images at most
    assert (sizing.recipe.batch.images, sizing.recipe.train.steps) == (8, 2200)
    assert "what fits into 30 minutes" in sizing.reasons[5]
    assert sizing.recipe.train.schedule.warmup_steps == 220
    sizing, _ = sized(rate=1e6)
    assert sizing.recipe.train.steps == 400 * 50  # 400 images that are not held back
    assert "more would not help with so few images" in sizing.reasons[5]
    assert sizing.recipe.train.schedule.warmup_steps == 1500


def test_batches_fit_into_memory_and_are_two_at_least():
    sizing, _ = sized(machine=replace(CORES, memory=1 << 20))
    assert sizing.recipe.batch.images == 2
    needed = segmenter_bytes(MICRO.config(320), 320, 3)
    sizing, _ = sized(machine=replace(CORES, memory=2 * 5 * needed))
    assert sizing.recipe.batch.images == 4
    assert sizing.recipe.train.schedule.lr == 5e-4  # 1e-3 at 16, by the root


def test_balance_decides_weights_and_crops():
    sizing, _ = sized()
    assert (sizing.recipe.loss.class_weights, sizing.recipe.augment.most_of_one_class) == ("none", 0.75)
    assert sizing.reasons[2] == (
        "classes: 55 % of the pixels are road, 15 % pole: all have the same weight; if rare ones are missed, --set "
        "loss.class_weights=median_frequency"
    )
    sizing, _ = sized(replace(STREETS, shares={"ground": 0.996, "tree": 0.004, "house": 0.0}))
    assert (sizing.recipe.loss.class_weights, sizing.recipe.augment.most_of_one_class) == ("median_frequency", 1.0)
    assert sizing.reasons[2] == (
        "classes: 99.6 % of the pixels are ground, 0.4 % tree: rare ones get more weight, "
        "loss.class_weights=median_frequency"
    )
    assert "one class is most of the pixels, so crops may be all of it" in sizing.reasons[3]


def test_what_is_unusual_reaches_the_recipe(folder):
    write_scenes(folder)
    rare = np.zeros((37, 53), dtype=np.uint8)
    for i in range(20):
        rare[0, 0] = i == 0
        (folder / f"masks/{i}.png").write_bytes(mask(rare))
    assert new("--image-size", "128").exit_code == 0
    recipe = recipe_file.load("photos.yaml")
    assert recipe.loss.class_weights == "median_frequency"
    assert recipe.augment.most_of_one_class == 1.0
    assert recipe.data.hold_back.test == 0.1
    large = replace(STREETS, side=3000)
    sizing, _ = sized(large)
    assert sizing.recipe.image.short_side == 480
