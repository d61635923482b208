"""Training on generated objects, from data to result."""

import pytest

from attnkit.data.detection.enough_detections import DetectionLimits
from attnkit.data.open import OpenedData
from attnkit.errors import DataError
from attnkit.recipes.detection.train import train
from attnkit.run_dir import create_run
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
