"""Training that is stopped or killed, and goes on: through the real command, in processes of their own.

Everything that is random is on: dropout, subword sampling, shuffling; and accumulation and averaging with it. What is
killed in exactly which step or write is tested in engine/test_loop.py.
"""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest
from typer.testing import CliRunner

from attnkit.cli import app
from attnkit.engine.checkpoint import load_tensors
from attnkit.recipe_file import dump
from attnkit.run_dir import RunDir
from tests.recipes.tiny import text_recipe

STEPS = 32
TIMES = {"targets_per_second"}


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    folder = tmp_path_factory.mktemp("resume")
    made = text_recipe(
        folder,
        tokenizer={"name": "sentencepiece", "algorithm": "bpe", "vocab_size": 90, "sampling": 0.1},
        model__dropout=0.1,
        train__steps=STEPS,
        train__accumulate=2,
        train__ema_decay=0.9,
        train__log_every=2,
        train__validate_every=16,
        train__save_every=8,
    )
    (folder / "tiny.yaml").write_text(dump(made), encoding="utf-8")
    return folder / "tiny.yaml"


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def one_cache(cache, monkeypatch):
    """The tests share the tokenised text."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache))


@pytest.fixture(scope="module")
def uninterrupted(recipe, cache, tmp_path_factory):
    run = RunDir(tmp_path_factory.mktemp("uninterrupted") / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(cache))
        train_here(recipe, run)
    return run


def train_here(recipe, run, *options):
    result = CliRunner().invoke(app, ["train", str(recipe), "--run", str(run.path), "--device", "cpu", *options])
    assert result.exit_code == 0, result.stderr
    return result.stderr


def start(recipe, run, *options, before="pass"):
    """The real command in a process of its own; `before` is code that it runs first."""
    code = f"{before}\nfrom attnkit.cli import main\nmain()"
    arguments = ["train", str(recipe), "--run", str(run.path), "--device", "cpu", *options]
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )


def wait_for_a_step(process, run, count=1):
    while process.poll() is None and (not run.metrics.exists() or run.metrics.read_text().count("\n") < count):
        time.sleep(0.005)


KILL_ITSELF = """
import os, signal
from attnkit.engine.log import RunLog
real = RunLog.step
def step(self, step, **options):
    real(self, step, **options)
    if step.step == {step}:
        os.kill(os.getpid(), signal.SIGKILL)
RunLog.step = step
"""


def numbers(run):
    entries = [json.loads(line) for line in run.metrics.read_text().splitlines()]
    return [{key: value for key, value in entry.items() if key not in TIMES} for entry in entries]


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_killed_early_and_again_at_a_random_moment(recipe, uninterrupted, tmp_path):
    run = RunDir(tmp_path / "run")
    process = start(recipe, run, before=KILL_ITSELF.format(step=5))  # in the first epoch, before the first checkpoint
    assert process.wait() == -signal.SIGKILL
    process.stderr.close()
    assert len(run.metrics.read_text().splitlines()) == 2
    assert list(run.checkpoints.iterdir()) == []

    process = start(recipe, run, "--resume")
    wait_for_a_step(process, run, count=random.randrange(1, 14))
    time.sleep(0.02 * random.random())
    process.kill()
    process.wait()
    process.stderr.close()

    train_here(recipe, run, "--resume")
    assert digest(run.model) == digest(uninterrupted.model)
    assert digest(run.best) == digest(uninterrupted.best)
    assert numbers(run) == numbers(uninterrupted)
    steps = [entry["step"] for entry in numbers(run) if entry["kind"] == "train"]
    assert steps == list(range(2, STEPS + 1, 2))
    assert sorted(path.name for path in run.checkpoints.iterdir()) == [
        "best.safetensors", "resume.safetensors", "step_00000024.safetensors", "step_00000032.safetensors"
    ]  # fmt: skip


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_and_says_how_to_go_on(recipe, tmp_path, number):
    run = RunDir(tmp_path / "run")
    process = start(recipe, run, "--set", "train.steps=1000000", "--set", "train.validate_every=1000000")
    wait_for_a_step(process, run)
    os.kill(process.pid, number)
    said = process.communicate()[1]
    assert process.returncode == 130, said
    assert "Traceback" not in said
    step = load_tensors(run.resume)[1]["step"]
    assert said.splitlines()[-1] == (
        f"stopped at step {step} of 1000000; everything is saved; go on with: attnkit train --resume --run {run.path}"
    )
    assert run.step(step).is_file()
    assert not run.finished
    assert not list(run.checkpoints.glob("*.partial"))

    said = train_here(run.recipe, run, "--resume", "--set", f"train.steps={step + 2}")
    assert f"resuming at step {step}, after 0:00:" in said
    steps = [entry["step"] for entry in numbers(run) if entry["kind"] == "train"]
    assert len(steps) == len(set(steps))
    assert steps[-1] == step + 2
    assert run.finished
