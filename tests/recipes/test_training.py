"""The wiring that trainings on images share: what comes first, what is said, and which parts are asked for."""

import pytest
import torch

from attnkit.data.finding import DataReport, Finding
from attnkit.engine.checkpoint import load_tensors
from attnkit.engine.config import TrainConfig
from attnkit.errors import DataError
from attnkit.recipes.training import ImageTraining, train_on_images
from attnkit.run_dir import RunDir, create_run
from tests.engine.line_task import LineTask, PointBatches, make_points


class Images(list):
    """So many images of two classes."""

    class_names = ("a", "b")


class SixBatches(PointBatches):
    """Of 11 points."""

    batches_per_epoch = 6


CONFIG = TrainConfig.model_validate(
    {
        "steps": 4,
        "accumulate": 2,
        "schedule": {"name": "cosine", "lr": 0.05},
        "precision": "float32",
        "log_every": 2,
        "validate_every": 2,
        "save_every": 2,
    }
)


class Trained:
    """A training of a line, which remembers in which order its parts were asked for."""

    def __init__(self, *findings):
        self.asked = []
        self.parts = ImageTraining(
            check=lambda progress: self.checked(progress, findings),
            expected="training pictures; name them",
            build_task=self.built,
            train_batches=self.batches,
            valid_batches=self.valid,
            embed_dim=512,
        )

    def checked(self, progress, findings):
        self.asked.append("check")
        progress("train", 1000, 2000)
        return DataReport(list(findings))

    def built(self, images, log, device):
        self.asked.append(("task", len(images), device))
        task = LineTask()
        task.facts = {"classes": list(images.class_names)}
        return task

    def batches(self, images, log):
        self.asked.append(("batches", len(images)))
        return SixBatches(11, 2)

    def valid(self, images):
        self.asked.append(("valid", len(images)))
        return [make_points(5, seed=6)]

    def run(self, folder, data):
        train_on_images(data, self.parts, CONFIG, create_run(folder), resume=False, device="cpu")


def finding(severity):
    return Finding(severity, "a.png", "broken", "it hurts", "mend it")


def test_parts_are_asked_for_in_their_order(tmp_path, capsys):
    training = Trained(finding("warning"))
    training.run(tmp_path / "run", {"train": Images(range(11)), "valid": Images(range(5))})
    assert training.asked == ["check", ("task", 11, torch.device("cpu")), ("batches", 11), ("valid", 5)]
    said = capsys.readouterr().err
    places = [
        said.index(line)
        for line in (
            "data: 1,000 of 2,000 train images checked\n",
            "a.png: broken; it hurts; mend it",
            "data: 11 training and 5 validation images, 2 classes\n",
            "model: 4 parameters, on cpu\n",
            "an epoch is 3 steps\n",
        )
    ]
    assert places == sorted(places)
    assert load_tensors(RunDir(tmp_path / "run").model)[1]["classes"] == ["a", "b"]


def test_without_validation(tmp_path, capsys):
    training = Trained()
    training.run(tmp_path / "run", {"train": Images(range(11)), "valid": None})
    assert "valid" not in [asked[0] for asked in training.asked]
    assert "data: 11 training and 0 validation images, 2 classes\n" in capsys.readouterr().err


def test_errors_of_the_data_stop_before_anything_is_built(tmp_path):
    training = Trained(finding("warning"), finding("error"))
    with pytest.raises(DataError, match=r"^a.png: broken; it hurts; mend it$"):
        training.run(tmp_path / "run", {"train": Images(range(11)), "valid": None})
    assert training.asked == ["check"]


def test_nothing_to_train_on(tmp_path):
    training = Trained()
    with pytest.raises(DataError, match=r"^data.train: none; expected training pictures; name them$"):
        training.run(tmp_path / "run", {"train": None, "valid": Images(range(5))})
    assert training.asked == ["check"]
