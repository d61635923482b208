"""Run folders: made once, reopened, and the newest of a task found."""

import errno
import json
import os

import pytest

from attnkit.errors import CheckpointError
from attnkit.run_dir import RunDir, create_run, latest_run, open_run, write_json, write_whole


def finished(path, *, task="translation", when):
    run = create_run(path)
    run.recipe.write_text(f"task: {task}\nname: x\n")
    run.model.write_bytes(b"")
    os.utime(run.model, (when, when))
    return run


def test_create_makes_the_folder(tmp_path):
    run = create_run(tmp_path / "a" / "b")
    assert run.checkpoints.is_dir()
    assert not run.finished


def test_create_refuses_a_run_that_is_there(tmp_path):
    create_run(tmp_path / "a").recipe.write_text("task: translation\n")
    with pytest.raises(CheckpointError) as caught:
        create_run(tmp_path / "a")
    assert str(caught.value) == (
        f"{tmp_path}/a: holds a run already; expected a new folder; "
        "go on with it by --resume, or name another with --run"
    )


def test_open(tmp_path):
    create_run(tmp_path / "a").recipe.write_text("task: translation\n")
    assert open_run(tmp_path / "a") == RunDir(tmp_path / "a")


def test_open_refuses_what_is_no_run(tmp_path):
    end = "expected a folder made by attnkit train; see what is under runs/"
    with pytest.raises(CheckpointError) as caught:
        open_run(tmp_path / "a")
    assert str(caught.value) == f"{tmp_path}/a: no such folder; {end}"
    with pytest.raises(CheckpointError) as caught:
        open_run(tmp_path)
    assert str(caught.value) == f"{tmp_path}: not a run folder: it has no recipe.yaml; {end}"


def test_latest_is_the_newest_finished_one_of_the_task(tmp_path):
    finished(tmp_path / "older", when=1000)
    newest = finished(tmp_path / "newer", when=2000)
    finished(tmp_path / "other", task="detection", when=3000)
    create_run(tmp_path / "unfinished").recipe.write_text("task: translation\n")
    assert latest_run(("translation",), tmp_path) == newest
    assert latest_run(("translation", "detection"), tmp_path).path == tmp_path / "other"
    assert latest_run(None, tmp_path).path == tmp_path / "other"


def test_latest_says_where_it_looked(tmp_path):
    finished(tmp_path / "other", task="detection", when=3000)
    with pytest.raises(CheckpointError) as caught:
        latest_run(("translation",), tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no finished translation run here; expected one made by attnkit train; "
        "name a run folder with --run"
    )
    with pytest.raises(CheckpointError, match=r": no finished translation, segmentation or classification run here; "):
        latest_run(("translation", "segmentation", "classification"), tmp_path)
    with pytest.raises(CheckpointError, match=r": no finished run here; expected one made"):
        latest_run(None, tmp_path / "other")


def test_weights_are_the_result_or_the_best_or_the_newest(tmp_path):
    run = create_run(tmp_path / "a")
    for path in (run.step(5), run.step(11), run.best, run.model):
        path.write_bytes(b"")
    assert run.steps() == [run.step(5), run.step(11)]
    found = []
    for _ in range(4):
        found.append(run.weights())
        found[-1].unlink()
    assert found == [run.model, run.best, run.step(11), run.step(5)]
    with pytest.raises(
        CheckpointError, match=r"a: no weights yet; expected model.safetensors or checkpoints/; train it"
    ):
        run.weights()


def test_write_whole_replaces_or_leaves(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "file.txt"
    write_whole(path, "före\n")
    assert path.read_text(encoding="utf-8") == "före\n"

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_whole(path, "after")
    assert path.read_text(encoding="utf-8") == "före\n"
    assert list(path.parent.iterdir()) == [path]


def test_write_json(tmp_path):
    write_json(tmp_path / "x.json", {"ü": [1, 2]})
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text) == {"ü": [1, 2]}
    assert '"ü"' in text
