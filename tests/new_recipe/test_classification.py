"""attnkit recipe new classification: the sizing, and through the command line, on folders of images."""

import zipfile
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from attnkit import recipe_file
from attnkit.data.open import OpenedData
from attnkit.models.build import build_model
from attnkit.new_recipe import classification as new_classification
from attnkit.new_recipe.classification import FolderSurvey, size_recipe
from attnkit.new_recipe.networks import CLASSIFIER_BASE as BASE
from attnkit.new_recipe.networks import CLASSIFIER_MICRO as MICRO
from attnkit.new_recipe.networks import CLASSIFIER_NANO as NANO
from attnkit.new_recipe.networks import CLASSIFIER_SEVEN as SEVEN
from attnkit.new_recipe.networks import CLASSIFIER_SMALL as SMALL
from attnkit.new_recipe.networks import CLASSIFIER_TINY as TINY
from attnkit.new_recipe.networks import classifier_bytes
from attnkit.new_recipe.recipe_text import recipe_text
from attnkit.new_recipe.sizing import Machine, held_back_share, hold_back, two_digits
from tests.command import attnkit, refused

CORES = Machine("2 processor cores", is_gpu=False, memory=8 << 30)
GPU = Machine("a GPU", is_gpu=True, memory=80 << 30)
PHOTOS = FolderSurvey("photos", train=2000, valid=0, test=0, classes=5, rarest=("tulip", 300), side=500)


def write_images(folder, *, classes=("daisy", "rose", "tulip"), count=11, size=(37, 29)):
    """Noise, different in every image; width and height."""
    rng = np.random.default_rng(3)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = rng.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{number}.png")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ATTNKIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(new_classification, "classifier_speed", lambda config, image_size: 200.0)
    monkeypatch.setattr(new_classification, "this_machine", lambda: CORES)
    return tmp_path


def new(*arguments):
    return attnkit("recipe", "new", "classification", *arguments)


# from a folder to a recipe


def test_from_a_folder(folder):
    write_images(folder / "photos")
    result = new("--data", "photos")
    assert (result.exit_code, result.stdout) == (0, "photos.yaml\n")
    recipe = recipe_file.load("photos.yaml")
    assert (recipe.name, recipe.data.path, recipe.image.size) == ("photos", "photos", 32)
    assert (recipe.data.hold_back.valid, recipe.data.hold_back.test) == (0.1, 0.1)
    assert (recipe.augment.crop, recipe.augment.auto) == ("shift", "trivial")
    splits = [len(OpenedData(recipe.data)[split]) for split in ("train", "valid", "test")]
    assert splits == [27, 3, 3]
    model = build_model(recipe.model, num_classes=3, image_size=recipe.image.size)
    assert model.head.out_features == 3


def test_every_choice_is_explained_in_the_recipe_and_on_stderr(folder):
    write_images(folder / "photos", count=9)
    result = new("--data", "photos", "-o", "out/my.yaml", "--name", "mine", "--minutes", "7", "--image-size", "40")
    lines = result.stderr.splitlines()
    starts = ["photos: 27 training, 0 validation and 0 test images of 3 classes", "held back: 0.1 of each class for "]
    starts += ["image size: 40 pixels, as you ask", "network: a Swin of 48 channels, patches of 2, windows of 5: "]
    starts += [
        "augmentation: strong",
        "batch: 16 images; an epoch is 1 step",
        "steps: 300, 300 times through the images: ",
    ]
    starts += ["time: under a minute at 200 images a second, the measured training speed of this network on 2 proc"]
    starts += [
        "photos: class daisy has 9 training images; expected at least 10",
        "photos: 27 images are few for attention",
    ]
    starts += ["next: attnkit train out/my.yaml"]
    assert len(lines) == len(starts)
    assert all(line.startswith(start) for line, start in zip(lines, starts, strict=True)), lines
    text = (folder / "out/my.yaml").read_text()
    comments = " ".join(line.lstrip("# ") for line in text.splitlines() if line.startswith("#"))
    assert all(" ".join(line.removeprefix("- ").split()) in comments for line in lines[:8])
    assert recipe_file.load("out/my.yaml").name == "mine"


def test_splits_that_are_there_are_used(folder):
    for split, count in (("train", 12), ("val", 3), ("test", 5)):
        write_images(folder / "flowers" / split, count=count)
    result = new("--data", "flowers")
    assert result.stderr.startswith("flowers: 36 training, 9 validation and 15 test images of 3 classes\n")
    assert "held back" not in result.stderr
    recipe = recipe_file.load("flowers.yaml")
    assert [len(OpenedData(recipe.data)[split]) for split in ("train", "valid", "test")] == [36, 9, 15]


def test_from_an_archive_with_an_odd_name(folder):
    write_images(folder / "raw")
    name = 'my "photos": #1.zip'
    with zipfile.ZipFile(folder / name, "w") as archive:
        for path in sorted((folder / "raw").rglob("*.png")):
            archive.write(path, path.relative_to(folder / "raw"))
    assert new("--data", name).stdout == "my_photos_1.yaml\n"
    assert recipe_file.load("my_photos_1.yaml").data.path == name


def test_broken_images_are_said(folder):
    write_images(folder / "photos")
    (folder / "photos" / "rose" / "4.png").write_bytes(b"no image")
    assert (
        "photos: 1 of 33 sampled images are broken; see attnkit data check photos.yaml"
        in new("--data", "photos").stderr.splitlines()
    )


# mistakes


def test_files_that_are_there_are_not_written_over(folder):
    write_images(folder / "photos")
    (folder / "photos.yaml").write_text("mine")
    message = "photos.yaml: exists already; expected to write a new file; name another --output, or add --force\n"
    assert refused(new("--data", "photos")) == message
    assert (folder / "photos.yaml").read_text() == "mine"
    assert new("--data", "photos", "--force").exit_code == 0
    assert recipe_file.load("photos.yaml").task == "classification"


def test_mistakes(folder):
    write_images(folder / "one", classes=("rose",), count=30)
    write_images(folder / "few", count=6)
    (folder / "empty").mkdir()
    before = sorted(folder.rglob("*.yaml"))
    assert refused(new("--data", "nowhere")).startswith("nowhere: no such file; looked in ")
    assert refused(new("--data", "empty")).startswith(
        f"{folder}/empty: has no image; expected a folder of images per class"
    )
    one = "one: only one class, rose; expected a folder per class, at least two; add the others\n"
    assert refused(new("--data", "one")) == one
    assert refused(new("--data", "few")).startswith(
        "few: 18 training images are too few; expected at least 20, and hundreds"
    )
    assert refused(new()) == "--data: not given; expected --data for classification; add it\n"
    assert refused(new("--data", "few", "--src", "a.en")).startswith(
        "--src: not an option of classification; expected --data,"
    )
    assert sorted(folder.rglob("*.yaml")) == before


# sizing


def sized(folder=PHOTOS, machine=CORES, rate=100.0, *, minutes=60.0, image_size=None):
    tried = []

    def speed(config, size):
        tried.append((config.embed_dim, len(config.depths), size))
        return rate if isinstance(rate, float) else rate[size]

    sizing = size_recipe("x", folder, machine, speed, minutes=minutes, image_size=image_size)
    return sizing, tried


def test_windows_divide_the_maps():
    for network, size, patch, window in (
        (NANO, 32, 2, 4),
        (NANO, 48, 2, 6),
        (NANO, 64, 4, 4),
        (MICRO, 128, 4, 4),
        (TINY, 224, 4, 7),
    ):
        config = network.config(size)
        assert (config.patch_size, config.window_size) == (patch, window)
        assert size // patch // 2 ** (len(config.depths) - 1) == window


@pytest.mark.parametrize(("side", "size"), [(28, 32), (32, 32), (45, 48), (65, 64), (100, 96), (160, 128), (3000, 128)])
def test_image_size_on_cores(side, size):
    assert sized(replace(PHOTOS, side=side))[0].recipe.image.size == size


@pytest.mark.parametrize(("side", "size"), [(32, 32), (100, 96), (180, 160), (3000, 224)])
def test_image_size_on_a_gpu(side, size):
    assert sized(replace(PHOTOS, side=side), GPU)[0].recipe.image.size == size


def test_slow_machines_get_smaller_images():
    sizing, tried = sized(rate={128: 5.0, 96: 5.5, 64: 6.0})
    assert [size for _, _, size in tried] == [128, 96, 64]
    assert sizing.recipe.image.size == 64
    assert "anything larger would go through them fewer than 10 times" in sizing.reasons[0]
    sizing, tried = sized(rate={128: 5.6, 96: 5.5, 64: 6.0})  # 60 minutes, 2,000 images 10 times: 5.56 a second
    assert sizing.recipe.image.size == 128


@pytest.mark.parametrize(
    ("images", "side", "network"),
    [
        (2000, 32, NANO),
        (5000, 32, SEVEN),
        (19_999, 224, MICRO),
        (20_000, 224, TINY),
        (500_000, 224, SMALL),
        (3_000_000, 224, BASE),
    ],
)
def test_more_images_bear_larger_networks(images, side, network):
    sizing, _ = sized(replace(PHOTOS, train=images, side=side), GPU, 1e9)
    assert sizing.recipe.model == network.config(side)


def test_steps_follow_the_time_or_the_images():
    sizing, _ = sized(rate=100.0, minutes=10)  # 60,000 images at most
    assert (sizing.recipe.batch.images, sizing.length.epoch) == (64, 25)  # 1,600 that are not held back, over 20
    assert sizing.recipe.train.steps == two_digits(60_000 // 64) == 940
    assert "what fits into 10 minutes" in sizing.reasons[4]
    assert sizing.recipe.augment.auto == "trivial"
    sizing, _ = sized(rate=1e6)
    assert sizing.recipe.train.steps == 300 * 25
    assert "more would not help with so few images" in sizing.reasons[4]
    sizing, _ = sized(rate=6.0)
    assert sizing.recipe.train.steps / sizing.length.epoch < 30
    assert sizing.recipe.augment.auto == "none"


def test_batches_fit_into_memory():
    sizing, _ = sized(replace(PHOTOS, train=1_000_000, side=224), replace(GPU, memory=8 << 30), 1e4)
    assert sizing.recipe.batch.images * sizing.recipe.train.accumulate == 1024
    assert sizing.recipe.batch.images * classifier_bytes(sizing.recipe.model, 224) <= 4 << 30
    assert "parts that fit into memory" in sizing.reasons[3]
    assert sizing.recipe.train.schedule.lr == 1e-3


@pytest.mark.parametrize(("images", "share"), [(20, 0.1), (100_000, 0.1), (1_281_167, 0.008)])
def test_held_back_share(images, share):
    assert held_back_share(images) == share


def test_a_share_of_many_images_reaches_the_recipe():
    folder = replace(PHOTOS, train=1_000_000, valid=7)
    sizing, _ = sized(folder, GPU, 1e9)
    held_back = hold_back(folder.train, folder.valid, folder.test)
    assert (held_back.valid, held_back.test) == (0.0, 0.01)
    recipe = sizing.recipe
    text = recipe_text(recipe, sizing.reasons)
    assert "hold_back: {test: 0.01}" in text
    assert recipe.augment.scale == (0.08, 1.0)
