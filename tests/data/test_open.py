"""The door to the data: each split is opened once by a command, and handed on."""

import json
import pkgutil
from collections import Counter
from pathlib import Path

import pytest
from typer.testing import CliRunner

from attnkit.cli.app import app
from attnkit.data import open as module
from attnkit.data.classification.config import ShapesConfig
from attnkit.data.open import OpenedData
from attnkit.data.text.config import PairOfFiles, TextPairsConfig
from attnkit.errors import DataError
from attnkit.recipe_file import dump
from tests.data.formats.coco_files import annotation, coco, pictures
from tests.data.image_files import png, write_files
from tests.data.scene_files import scenes
from tests.recipes.image_runs import colour_recipe
from tests.recipes.object_runs import object_recipe
from tests.recipes.scene_runs import scene_recipe
from tests.recipes.tiny import recipe_with, write_pairs

SPLITS = ("train", "valid", "test")


def coco_run(folder):
    splits, files, image = {}, {}, 0
    for split in SPLITS:
        images = range(image + 1, image + 4)
        image += 3
        objects = [annotation(number=number, image=number) for number in images]
        files |= pictures(images, folder=split, first_seed=image) | {f"{split}.json": coco(objects, images=images)}
        splits[split] = {"images": split, "annotations": f"{split}.json"}
    write_files(folder / "coco", files)
    return object_recipe({"format": "coco", "path": "coco", **splits})


def mask_run(folder):
    files, folders = {}, {}
    for split in SPLITS:
        files |= scenes("a", "b", images=f"images/{split}", masks=f"masks/{split}", first_seed=len(files))
        folders[split] = {"images": f"images/{split}", "masks": f"masks/{split}"}
    write_files(folder / "scenes", files)
    recipe = scene_recipe()
    data = {"format": "mask_files", "path": "scenes", **folders}
    return type(recipe).model_validate(recipe.model_dump() | {"data": data})


def folder_run(folder):
    names = [f"{split}/{name}/{number}.png" for split in SPLITS for name in "ab" for number in range(3)]
    write_files(folder / "photos", {name: png(seed=seed) for seed, name in enumerate(names)})
    recipe = colour_recipe()
    return type(recipe).model_validate(recipe.model_dump() | {"data": {"format": "image_folder", "path": "photos"}})


def text_run(folder):
    counts = {"train": 64, "valid": 7, "test": 5}
    return recipe_with(
        data={"format": "text", **{split: write_pairs(folder, split, count) for split, count in counts.items()}}
    )


OPENERS = {
    coco_run: "attnkit.data.images.hold_back.ImageSplits.open",
    mask_run: "attnkit.data.images.hold_back.ImageSplits.open",
    folder_run: "attnkit.data.images.hold_back.ImageSplits.open",
    text_run: "attnkit.data.open.TextPairs",
}


def train(recipe):
    Path("my.yaml").write_text(dump(recipe))
    result = CliRunner().invoke(app, ["train", "my.yaml", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert json.loads(Path("runs", recipe.name, "scores.json").read_text()).keys() == {"test"}


def counted_openings(make, monkeypatch):
    """How often each split is opened from here on."""
    opened = Counter()
    opener = pkgutil.resolve_name(OPENERS[make])

    def counted(data, last):
        opened[last if last in SPLITS else Path(data).stem] += 1
        return opener(data, last)

    monkeypatch.setattr(OPENERS[make], counted)
    return opened


@pytest.mark.parametrize("make", OPENERS)
def test_a_training_and_an_evaluation_open_each_split_once(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = counted_openings(make, monkeypatch)
    train(make(tmp_path))
    assert opened == {"train": 1, "valid": 1, "test": 1}
    opened.clear()
    result = CliRunner().invoke(app, ["evaluate", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert opened == {"test": 1}


def counting(name, monkeypatch):
    """Lets a function, or the making of an instance, tell how often it is called."""
    calls, called = [], pkgutil.resolve_name(name)

    def counted(*arguments, **options):
        calls.append(arguments)
        return called(*arguments, **options)

    monkeypatch.setattr(name, counted)
    return calls


HELD_BACK = {"valid": 0.3, "test": 0.3}


def coco_of_one_json(folder):
    images = range(1, 13)
    objects = [annotation(number=number, image=number) for number in images]
    files = pictures(images, folder="photos") | {"all.json": coco(objects, images=images)}
    write_files(folder / "coco", files)
    data = {"format": "coco", "path": "coco", "train": {"images": "photos", "annotations": "all.json"}}
    return object_recipe(data | {"hold_back": HELD_BACK})


def coco_with_one_json_twice(folder):
    recipe = coco_run(folder)
    return type(recipe).model_validate(recipe.model_dump() | {"data": recipe.data.changed(valid=recipe.data.test)})


def test_a_training_reads_each_json_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for make, jsons in ((coco_of_one_json, 1), (coco_with_one_json_twice, 2)):
        with monkeypatch.context() as patched:
            (tmp_path / make.__name__).mkdir()
            patched.chdir(tmp_path / make.__name__)
            read = counting("attnkit.data.formats.coco_files.read_coco_json", patched)
            train(make(tmp_path / make.__name__))
            assert len(read) == jsons


def held_back_masks(folder):
    write_files(folder / "scenes", scenes(*"abcdefghij", images="images", masks="masks"))
    recipe = scene_recipe()
    data = {"format": "mask_files", "path": "scenes", "hold_back": HELD_BACK}
    return type(recipe).model_validate(recipe.model_dump() | {"data": data})


def held_back_photos(folder):
    names = [f"{name}/{number}.png" for name in "ab" for number in range(10)]
    write_files(folder / "photos", {name: png(seed=seed) for seed, name in enumerate(names)})
    recipe = colour_recipe()
    data = {"format": "image_folder", "path": "photos", "hold_back": HELD_BACK}
    return type(recipe).model_validate(recipe.model_dump() | {"data": data})


def held_back_yolo(folder):
    files = {f"{name}.png": png(seed=seed) for seed, name in enumerate("abcdefghij")}
    labels = {f"{name}.txt": b"0 0.5 0.5 0.6 0.6" for name in "abcdefghij"}
    write_files(folder / "yolo", files | labels | {"data.yaml": b"names: [cat, dog]"})
    return object_recipe({"format": "yolo", "path": "yolo", "hold_back": HELD_BACK})


@pytest.mark.parametrize("make", [coco_of_one_json, held_back_masks, held_back_photos, held_back_yolo])
def test_a_training_lists_a_folder_once(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    recipe = make(tmp_path)
    listed = counting("attnkit.data.data_root.FolderTree", monkeypatch)
    train(recipe)
    assert len(listed) == len(set(listed)) == 1


def test_a_split_is_opened_when_it_is_asked_for_and_never_again(monkeypatch):
    data_config = ShapesConfig(format="shapes", train_images=3, valid_images=2, size=16)
    data = OpenedData(data_config)
    asked = []

    def told(config):
        return lambda split: asked.append(split) or opener(split)

    opener = module.opener_of(data_config)
    monkeypatch.setattr(module, "opener_of", told)
    assert data["valid"] is data["valid"]
    assert asked == ["valid"]
    assert [len(images) for images in data.values()] == [3, 2, 200]
    assert asked == ["valid", "train", "test"]


def test_a_split_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    data = OpenedData(TextPairsConfig(train=PairOfFiles(src="a.en", tgt="a.de")))
    assert list(data) == ["train", "valid", "test"]
    assert data["valid"] is None
    with pytest.raises(DataError, match=r"a\.en: no such file"):
        data["train"]
