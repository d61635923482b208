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
from attnkit.data.open import OpenedData, open_data
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
    coco_run: "attnkit.data.detection.open_files.open_coco",
    mask_run: "attnkit.data.segmentation.mask_files.open_mask_files",
    folder_run: "attnkit.data.classification.image_folder.open_image_folder",
    text_run: "attnkit.data.open.TextPairs",
}


@pytest.mark.parametrize("make", OPENERS)
def test_a_training_opens_each_split_once(make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    opened = Counter()
    opener = pkgutil.resolve_name(OPENERS[make])

    def counted(data, last):
        opened[last if last in SPLITS else Path(data).stem] += 1
        return opener(data, last)

    monkeypatch.setattr(OPENERS[make], counted)
    Path("my.yaml").write_text(dump(make(tmp_path)))
    result = CliRunner().invoke(app, ["train", "my.yaml", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert json.loads(Path("runs", make(tmp_path).name, "scores.json").read_text()).keys() == {"test"}
    assert opened == {"train": 1, "valid": 1, "test": 1}


def test_a_split_is_opened_when_it_is_asked_for_and_never_again(monkeypatch):
    data = OpenedData(ShapesConfig(format="shapes", train_images=3, valid_images=2, size=16))
    asked = []

    def told(config, split):
        asked.append(split)
        return open_data(config, split)

    monkeypatch.setattr(module, "open_data", told)
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
