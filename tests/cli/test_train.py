"""attnkit train: what it does around training. Training itself is tested in engine/ and recipes/."""

import json
import sys
from types import ModuleType

import pytest
from typer.testing import CliRunner

from attnkit import __version__, recipe_file
from attnkit.cli import app
from attnkit.errors import DataError, Interrupted
from attnkit.run_dir import RunDir

MINIMAL = "name: mine\ntrain: {steps: 7}\ndata: {format: tsv, train: a.tsv, test: b.tsv}\n"


class FakeTraining:
    """Stands for the module that trains: remembers what it was asked, saves a checkpoint or fails."""

    def __init__(self):
        self.calls = []
        self.error = None
        self.saves = True

    def train(self, recipe, run, data, *, resume, device):
        self.calls.append((recipe, run, resume, device))
        run.metrics.write_text("{}\n")
        (run.tokenizer / "joint").mkdir(parents=True, exist_ok=True)
        if self.saves:
            run.resume.write_bytes(b"state")
        if self.error:
            raise self.error


@pytest.fixture
def training(tmp_path, monkeypatch):
    """A working directory with my.yaml and its data, and a training that only seems to train."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(MINIMAL)
    for name in ("a.tsv", "b.tsv"):
        (tmp_path / name).write_text("a\tb\n")
    fake, module = FakeTraining(), ModuleType("attnkit.recipes.translation.train")
    module.train = fake.train
    monkeypatch.setitem(sys.modules, module.__name__, module)
    fake.scored = []
    kept = ("run", "device", "as_json")

    def score(task, request):
        fake.scored.append({name: getattr(request, name) for name in kept})

    monkeypatch.setattr("attnkit.evaluation.evaluate", score)
    return fake


def run(*arguments):
    return CliRunner().invoke(app, ["train", *arguments], prog_name="attnkit")


def test_a_run_keeps_its_resolved_recipe_and_its_environment(training, tmp_path):
    result = run("my.yaml", "--set", "model.embed_dim=64")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr == "trained: runs/mine; use it: attnkit translate --run runs/mine < input.txt\n"
    recipe = recipe_file.load("my.yaml", ["model.embed_dim=64"])
    assert training.calls == [(recipe, RunDir(tmp_path.__class__("runs/mine")), False, "auto")]
    assert (tmp_path / "runs/mine/recipe.yaml").read_text(encoding="utf-8") == recipe_file.dump(recipe)
    environment = json.loads((tmp_path / "runs/mine/environment.json").read_text(encoding="utf-8"))
    assert environment["versions"]["attnkit"] == __version__
    assert set(environment) == {"command", "started", "processor", "cores", "versions"}


def test_the_test_set_is_scored(training, tmp_path):
    run("my.yaml", "--run", "there", "--device", "cpu", "--json")
    assert training.scored == [{"run": tmp_path.__class__("there"), "device": "cpu", "as_json": True}]


def test_without_a_test_set_nothing_is_scored(training):
    assert run("my.yaml", "--set", "data.test=null").exit_code == 0
    assert training.scored == []


def test_a_second_run_in_the_same_folder_is_refused(training):
    run("my.yaml")
    result = run("my.yaml")
    assert result.exit_code == 2
    assert result.stderr == (
        "runs/mine: holds a run already; expected a new folder; go on with it by --resume, or name another with --run\n"
    )
    assert len(training.calls) == 1


def test_mistakes_come_before_the_folder(training, tmp_path):
    result = run("my.yaml", "--set", "train.steps=0")
    assert (result.exit_code, result.stderr) == (2, "--set train.steps=0: train.steps: expected at least 1, got 0\n")
    assert not (tmp_path / "runs").exists()


def test_a_run_that_saved_nothing_may_be_begun_again(training, tmp_path):
    training.saves, training.error = False, DataError("a.tsv:1: wrong; expected right; mend it")
    result = run("my.yaml")
    assert (result.exit_code, result.stderr) == (2, "a.tsv:1: wrong; expected right; mend it\n")
    assert [path for path in (tmp_path / "runs/mine").rglob("*") if path.name != "checkpoints"] == []
    training.saves, training.error = True, None
    assert run("my.yaml").exit_code == 0


def test_an_interrupted_run_stays_and_is_resumed(training, tmp_path):
    training.error = Interrupted("stopped at step 3; go on with --resume")
    result = run("my.yaml")
    assert (result.exit_code, result.stderr) == (130, "stopped at step 3; go on with --resume\n")
    assert training.scored == []
    training.error = None
    assert run("my.yaml", "--resume").exit_code == 0
    assert [resume for _, _, resume, _ in training.calls] == [False, True]


def test_resume_takes_the_recipe_of_the_run(training, tmp_path):
    run("my.yaml", "--set", "model.embed_dim=64")
    (tmp_path / "my.yaml").write_text(MINIMAL.replace("7", "99"))
    run("my.yaml", "--resume")
    recipe = training.calls[1][0]
    assert (recipe.train.steps, recipe.model.embed_dim) == (7, 64)


def test_resume_by_run_alone(training):
    run("my.yaml", "--run", "there")
    assert run("--resume", "--run", "there").exit_code == 0
    assert len(training.calls) == 2


def test_resume_to_train_longer_is_kept(training):
    run("my.yaml", "--set", "model.embed_dim=64")
    run("my.yaml", "--resume", "--set", "model.embed_dim=64", "--set", "train.steps=11")
    assert training.calls[1][0].train.steps == 11
    run("my.yaml", "--resume")
    assert training.calls[2][0].train.steps == 11


def test_resume_with_another_model_is_refused(training):
    run("my.yaml")
    result = run("my.yaml", "--resume", "--set", "model.embed_dim=64")
    assert result.exit_code == 2
    assert result.stderr == (
        "--set model: runs/mine/recipe.yaml was trained with other values; "
        "expected changes of train, decode, bleu only; leave the option out, or train a new run\n"
    )


def test_resume_of_what_is_not_there(training):
    result = run("my.yaml", "--resume")
    assert result.exit_code == 2
    assert result.stderr == (
        "runs/mine: no such folder; expected a folder made by attnkit train; see what is under runs/\n"
    )


def test_nothing_to_train(training):
    result = run()
    assert result.exit_code == 2
    assert result.stderr == ("RECIPE: missing; expected a recipe, or --resume --run DIR; see: attnkit recipe list\n")


def test_a_failed_resume_takes_nothing_back(training, tmp_path):
    run("my.yaml")
    training.error = DataError("x")
    run("my.yaml", "--resume")
    assert (tmp_path / "runs/mine/recipe.yaml").is_file()


@pytest.fixture
def launched(monkeypatch):
    """Stands for the processes that train together: remembers how many were asked for, and does the work here."""
    asked = []

    def launch(work, count, *, device):
        asked.append((count, device))
        work(device="cpu")

    monkeypatch.setattr("attnkit.engine.processes.launch", launch)
    return asked


def test_several_processes(training, launched):
    assert run("my.yaml", "--nproc", "3", "--set", "train.accumulate=6").exit_code == 0
    assert run("my.yaml", "--resume", "--nproc", "2", "--device", "cuda").exit_code == 0
    assert launched == [(3, "auto"), (2, "cuda")]
    assert [(resume, device) for _, _, resume, device in training.calls] == [(False, "cpu"), (True, "cpu")]
    assert [scoring["device"] for scoring in training.scored] == ["auto", "cuda"]


def test_one_process_is_this_one(training, launched):
    assert run("my.yaml", "--nproc", "1").exit_code == 0
    assert launched == []


@pytest.mark.parametrize("resume", [False, True])
def test_steps_that_cannot_be_shared(training, tmp_path, resume):
    if resume:
        run("my.yaml")
    result = run("my.yaml", "--nproc", "2", *(["--resume", "--set", "train.steps=9"] if resume else []))
    assert result.exit_code == 2
    assert result.stderr == (
        "train.accumulate: 1 batches a step cannot be dealt out to --nproc 2; expected a multiple of 2; use --set "
        "train.accumulate=2 with batches of 1/2 the size (batch.images, or batch.src_tokens and batch.tgt_tokens), "
        "which makes the same steps\n"
    )
    assert (tmp_path / "runs/mine").exists() == resume
    if resume:
        assert recipe_file.load("runs/mine/recipe.yaml").train.steps == 7, "what is refused changes nothing"


def test_no_process_at_all(training):
    assert run("my.yaml", "--nproc", "0").exit_code == 2
