"""Training on generated objects, from data to result."""

import pytest

from attnkit.data.detection.enough_detections import DetectionLimits
from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors
from attnkit.errors import DataError
from attnkit.recipes.detection.train import train
from attnkit.run_dir import create_run
from tests.data.formats.coco_files import annotation, coco, pictures
from tests.data.image_files import write_files
from tests.new_recipe.new_run import new_run
from tests.recipes.object_runs import object_recipe


def test_training_asks_with_the_numbers_of_its_recipe(tmp_path, monkeypatch):
    asked = []

    def stop(config, data, *, quick, limits, progress):
        asked.append((quick, limits))
        raise DataError("stop")

    monkeypatch.setattr("attnkit.recipes.detection.train.check_detection", stop)
    recipe = object_recipe(inference={"max_detections": 7})
    with pytest.raises(DataError, match="stop"):
        train(recipe, create_run(tmp_path / "run"), OpenedData(recipe.data), resume=False, device="cpu")
    assert asked == [(True, DetectionLimits(detections=7, proposals=30))]


@pytest.mark.parametrize("masks", [True, False])
def test_a_run_from_beginning_to_end(tmp_path, capsys, masks):
    annotations = [annotation(image=image, number=image) for image in range(1, 5)]
    if not masks:
        annotations = [one | {"segmentation": []} for one in annotations]
    files = pictures(range(1, 5)) | {"a/train.json": coco(annotations, images=range(1, 5))}
    split = {"images": "train", "annotations": "a/train.json"}
    recipe = object_recipe(
        {"format": "coco", "path": str(write_files(tmp_path / "data", files)), "train": split, "valid": split},
        train={"steps": 2, "validate_every": 2, "save_every": 2, "log_every": 1},
    )
    run = new_run(tmp_path / "run", recipe)
    train(recipe, run, OpenedData(recipe.data), resume=False, device="cpu")
    tensors, facts = load_tensors(run.model)
    assert (facts["classes"], facts["category_ids"], facts["masks"]) == (["cat", "dog"], [3, 8], masks)
    assert any(name.startswith("mask_head") for name in tensors) == masks
    said = capsys.readouterr().err
    assert ("data: boxes without masks; the detector has no mask head\n" in said) == (not masks)
    assert ("mask_ap" if masks else "box_ap") in run.metrics.read_text()
