"""Every kind of bad input, through the real command line: one clear line each, exit code 2, and nothing lost.

One test per sentence of what is promised. The many ways of each mistake are tested beside the code that finds it.
"""

import os
import re
import resource
import signal
import subprocess
import sys

import pytest
from safetensors import SafetensorError

from attnkit import __version__
from attnkit.engine import checkpoint
from attnkit.engine.checkpoint import load_tensors
from attnkit.run_dir import RunDir
from tests.command import attnkit
from tests.recipes.tiny import write_pairs

RECIPE = """\
name: mine
attnkit: "0.1"
data:
  format: text
  train: {src: train.en, tgt: train.de}
  valid: {src: valid.en, tgt: valid.de}
tokenizer:
  name: sentencepiece
  vocab_size: 90
model:
  embed_dim: 16
  encoder_depth: 1
  decoder_depth: 1
  num_heads: 2
  mlp_dim: 24
batch: {src_tokens: 256, tgt_tokens: 256}
train:
  steps: 4
  schedule: {name: inverse_sqrt, warmup_steps: 4, lr: 0.005}
  log_every: 2
  validate_every: 4
  save_every: 2
  keep_last: 2
  average_last: 2
decode: {method: greedy, max_length_extra: 4}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a recipe and its data, all of it sound."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my.yaml").write_text(RECIPE, encoding="utf-8")
    write_pairs(tmp_path, "train", 64)
    write_pairs(tmp_path, "valid", 5)
    return tmp_path


def lines_of(result):
    """What a mistake is answered with, behind what was said of the progress before it."""
    assert result.exit_code == 2, result.stderr
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    return result.stderr.splitlines()


def change(path, old, new):
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def nothing_was_made(folder):
    """A mistake in the input leaves nothing behind that the same command would trip over."""
    left = [path for path in (folder / "runs").rglob("*") if path.is_file()] if (folder / "runs").exists() else []
    return left == []


def test_the_input_without_a_mistake_is_fine(folder):
    result = attnkit("train", "my.yaml")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[-1].startswith("trained: runs/mine; ")
    assert RunDir(folder / "runs/mine").finished


# The recipe


@pytest.mark.parametrize("command", [("train",), ("recipe", "check"), ("summary",), ("data", "check")])
def test_a_misspelt_key(folder, command):
    change(folder / "my.yaml", "num_heads", "num_head")
    assert lines_of(attnkit(*command, "my.yaml")) == [
        "my.yaml:14: model.num_head: unknown key; did you mean num_heads?"
    ]
    assert nothing_was_made(folder)


def test_a_misspelt_key_of_set(folder):
    assert lines_of(attnkit("train", "my.yaml", "--set", "train.step=5")) == [
        "--set train.step=5: train.step: unknown key; did you mean steps?"
    ]


def test_a_wrong_type(folder):
    change(folder / "my.yaml", "steps: 4\n  schedule", "steps: many\n  schedule")
    assert lines_of(attnkit("train", "my.yaml")) == ["my.yaml:18: train.steps: expected an integer, got 'many'"]
    assert nothing_was_made(folder)


def test_two_equal_keys(folder):
    change(folder / "my.yaml", "  mlp_dim: 24\n", "  mlp_dim: 24\n  embed_dim: 32\n")
    assert lines_of(attnkit("train", "my.yaml")) == [
        "my.yaml:16: model.embed_dim: stands here twice, first at my.yaml:11; remove one of them"
    ]


def test_all_mistakes_of_a_recipe_at_once(folder):
    change(folder / "my.yaml", "num_heads", "num_head")
    change(folder / "my.yaml", "embed_dim: 16", "embed_dim: sixteen")
    assert len(lines_of(attnkit("train", "my.yaml", "--set", "train.seed=x"))) == 3


@pytest.mark.parametrize(
    ("version", "what"),
    [
        ("9.0", f"the recipe is for version 9.0, newer than this attnkit {__version__}; expected '0.1'; upgrade by "),
        ("0.0", f"the recipe is for version 0.0, older than this attnkit {__version__}; expected '0.1'; fix what "),
        ("new", "not a version, 'new'; expected '0.1'; write that"),
    ],
)
def test_a_recipe_of_another_version(folder, version, what):
    change(folder / "my.yaml", '"0.1"', f'"{version}"')
    (line,) = lines_of(attnkit("train", "my.yaml"))
    assert line.startswith(f"my.yaml:2: attnkit: {what}")


def test_a_recipe_that_is_not_there(folder):
    (line,) = lines_of(attnkit("train", "translation/toi"))
    assert line.startswith("translation/toi: no such recipe; looked in ")
    assert line.endswith("; did you mean translation/toy?")


def test_a_recipe_that_is_not_utf_8(folder):
    (folder / "my.yaml").write_bytes(RECIPE.encode().replace(b"mine", b"m\xefne"))
    assert lines_of(attnkit("train", "my.yaml")) == [
        "my.yaml:1: not UTF-8, byte 0xef; expected a text file; save it as UTF-8"
    ]


# The data


def test_misaligned_files(folder):
    with open("train.de", "a") as file:
        file.write("eine Zeile zu viel\n")
    assert lines_of(attnkit("train", "my.yaml"))[-1] == (
        "train.en: 64 lines, but train.de has 65; expected line n of one to translate line n of the other; "
        "see where they begin to differ"
    )
    assert nothing_was_made(folder)


@pytest.mark.parametrize("name", ["train", "valid"])
def test_empty_files(folder, name):
    for language in ("en", "de"):
        (folder / f"{name}.{language}").write_bytes(b"")
    assert lines_of(attnkit("train", "my.yaml"))[-1] == (
        f"{name}.en and {name}.de: both are empty; expected a sentence per line; see the data files"
    )
    assert nothing_was_made(folder)


def test_one_empty_file(folder):
    (folder / "train.de").write_bytes(b"")
    assert lines_of(attnkit("train", "my.yaml"))[-1].startswith("train.en: 64 lines, but train.de has 0; expected ")


def test_files_of_empty_lines(folder):
    for language in ("en", "de"):
        (folder / f"train.{language}").write_text("\n \n\n")
    assert lines_of(attnkit("train", "my.yaml"))[-1] == (
        "train.en and train.de: none of the 3 pairs checked is left after filtering; there is nothing to learn from; "
        "see what the lines hold, raise filter.max_length or filter.max_ratio"
    )


@pytest.mark.parametrize("name", ["train.en", "valid.de"])
def test_a_missing_file(folder, name):
    (folder / name).unlink()
    line = lines_of(attnkit("train", "my.yaml"))[-1]
    assert line.startswith(f"{name}: no such file; looked in {folder}, $ATTNKIT_DATA (not set), ")
    assert line.endswith("; correct the path, or set ATTNKIT_DATA to the folder that it starts from")
    assert nothing_was_made(folder)


def test_a_missing_test_file_is_found_before_the_training(folder):
    lines = lines_of(attnkit("train", "my.yaml", "--set", "data.test={src: test.en, tgt: test.de}"))
    assert [line.split(";")[0] for line in lines[-2:]] == ["test.en: no such file", "test.de: no such file"]
    assert not any(line.startswith("step ") for line in lines)
    assert nothing_was_made(folder)


@pytest.mark.parametrize("name", ["train.de", "valid.en"])
def test_bytes_that_are_not_utf_8(folder, name):
    content = (folder / name).read_bytes().split(b"\n")
    content[2] = "für".encode("latin1")
    (folder / name).write_bytes(b"\n".join(content))
    assert lines_of(attnkit("train", "my.yaml"))[-1] == (
        f"{name}:3: not UTF-8, byte 0xfc at column 2; expected UTF-8 text; "
        "convert the file, for instance with iconv -f latin1 -t utf-8"
    )
    assert nothing_was_made(folder)


def test_a_vocabulary_larger_than_the_data_supports(folder):
    line = lines_of(attnkit("train", "my.yaml", "--set", "tokenizer.vocab_size=30000"))[-1]
    found = re.fullmatch(
        r"tokenizer\.vocab_size: 30000 is more than the training text supports; expected at most (\d+); "
        r"set it to \1 or less, or train on more text",
        line,
    )
    assert found
    assert nothing_was_made(folder)
    assert attnkit("train", "my.yaml", "--set", f"tokenizer.vocab_size={found[1]}").exit_code == 0


def test_a_fixed_input_is_trained_by_the_same_command(folder):
    (folder / "train.de").rename(folder / "elsewhere")
    lines_of(attnkit("train", "my.yaml"))
    (folder / "elsewhere").rename(folder / "train.de")
    assert attnkit("train", "my.yaml").exit_code == 0


# Runs and checkpoints


@pytest.fixture
def run(folder):
    """A finished run."""
    assert attnkit("train", "my.yaml", "--device", "cpu").exit_code == 0
    return RunDir(folder / "runs/mine")


def test_a_run_folder_that_is_not_one(folder):
    (folder / "photos").mkdir()
    expected = [
        "photos: not a run folder: it has no recipe.yaml; "
        "expected a folder made by attnkit train; see what is under runs/"
    ]
    assert lines_of(attnkit("translate", "--run", "photos", stdin="a\n")) == expected
    assert lines_of(attnkit("eval", "--run", "photos", "--split", "valid")) == expected
    assert lines_of(attnkit("train", "--resume", "--run", "photos")) == expected
    assert lines_of(attnkit("translate", "--run", "none", stdin="a\n")) == [
        "none: no such folder; expected a folder made by attnkit train; see what is under runs/"
    ]
    assert lines_of(attnkit("translate", stdin="a\n")) == [
        "runs: no finished translation run here; expected one made by attnkit train; name a run folder with --run"
    ]


def test_a_run_that_is_there_is_not_overwritten(folder, run):
    before = run.model.read_bytes()
    assert lines_of(attnkit("train", "my.yaml", "--set", "train.seed=2")) == [
        "runs/mine: holds a run already; expected a new folder; go on with it by --resume, or name another with --run"
    ]
    assert run.model.read_bytes() == before


def test_a_truncated_result(folder, run):
    content = run.model.read_bytes()
    run.model.write_bytes(content[: len(content) // 2])
    for command in (["translate", "--run", str(run.path)], ["eval", "--run", str(run.path), "--split", "valid"]):
        (line,) = lines_of(attnkit(*command, stdin="a small dog\n"))
        assert re.fullmatch(
            rf"{re.escape(str(run.model))}: not a whole checkpoint \(.+\); "
            r"expected a safetensors file made by attnkit; use another of the run's checkpoints with --checkpoint",
            line,
        )
    earlier = attnkit("translate", "--run", str(run.path), "--checkpoint", str(run.step(2)), stdin="a small dog\n")
    assert earlier.exit_code == 0, earlier.stderr
    assert earlier.stdout.count("\n") == 1


def test_a_truncated_state(folder, run):
    """What resuming needs is damaged: that is said, nothing is overwritten, and the weights are still good."""
    run.model.unlink()
    content = run.resume.read_bytes()
    run.resume.write_bytes(content[:-100])
    before = {path.name: path.read_bytes() for path in run.checkpoints.iterdir()}
    line = lines_of(attnkit("train", "my.yaml", "--resume"))[-1]
    assert line.startswith("runs/mine/checkpoints/resume.safetensors: not a whole checkpoint (")
    assert {path.name: path.read_bytes() for path in run.checkpoints.iterdir()} == before
    assert attnkit("translate", "--run", str(run.path), stdin="a small dog\n").exit_code == 0
    run.resume.write_bytes(content)
    assert attnkit("train", "my.yaml", "--resume").exit_code == 0
    assert run.finished


def test_a_checkpoint_of_another_model(folder, run):
    assert attnkit("train", "my.yaml", "--run", "other", "--set", "model.embed_dim=18").exit_code == 0
    lines = lines_of(
        attnkit("translate", "--run", str(run.path), "--checkpoint", "other/model.safetensors", stdin="a\n")
    )
    assert lines[0] == (
        "other/model.safetensors: does not fit the model of the recipe; expected the weights of that model; "
        "use the recipe.yaml beside it"
    )
    assert "  shape of tgt_embedding.weight: (90, 18) in the file, (90, 16) in the model" in lines[1:]
    assert len(set(lines)) == len(lines)


def test_a_damaged_tokenizer(folder, run):
    (run.tokenizer / "joint" / "tokenizer.json").write_text('{"name": "sentencep')
    (line,) = lines_of(attnkit("translate", "--run", str(run.path), stdin="a\n"))
    assert re.fullmatch(r".+/tokenizer/joint: damaged tokenizer \(.+\); expected one saved by attnkit train; .+", line)


def test_lines_to_translate_that_are_not_utf_8(folder, run):
    result = attnkit("translate", "--run", str(run.path), stdin=b"a small dog\nf\xfcr\n")
    assert result.exit_code == 2
    assert result.stdout.count("\n") == 1, "the line before it is translated"
    assert result.stderr.startswith("stdin:2: not UTF-8, byte 0xfc at byte 2 of the line; expected UTF-8; ")
    assert result.stderr.count("\n") == 1


# A full disk


DISK_IS_FULL = SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")


def test_a_full_disk_while_saving(folder, monkeypatch):
    """The first checkpoint still fits, the second does not. With room again, the run goes on."""
    real, writes = checkpoint.save_file, iter(range(100))

    def fill_up(tensors, filename, metadata):
        if next(writes) >= 2:
            raise DISK_IS_FULL
        real(tensors, filename, metadata)

    monkeypatch.setattr(checkpoint, "save_file", fill_up)
    run = RunDir(folder / "runs/mine")
    assert lines_of(attnkit("train", "my.yaml"))[-1] == (
        "runs/mine/checkpoints/best.safetensors: cannot be written: the disk is full; expected room and permission to "
        "write there; what was saved before is intact: make room and train again, with --resume if a step was saved"
    )
    assert load_tensors(run.resume)[1]["step"] == 2
    assert attnkit("translate", "--run", "runs/mine", stdin="a small dog\n").exit_code == 0
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    result = attnkit("train", "my.yaml", "--resume")
    assert result.exit_code == 0, result.stderr
    assert any(line.startswith("resuming at step 2, ") for line in result.stderr.splitlines())


def test_a_disk_that_is_full_from_the_first_checkpoint_on(folder, monkeypatch):
    def fail(tensors, filename, metadata):
        raise DISK_IS_FULL

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, "save_file", fail)
        line = lines_of(attnkit("train", "my.yaml"))[-1]
    assert "step_00000002.safetensors: cannot be written: the disk is full; " in line
    again = ["--resume"] if (folder / "runs/mine/recipe.yaml").exists() else []
    assert attnkit("train", "my.yaml", *again).exit_code == 0


def test_a_file_that_may_not_grow(folder):
    """The operating system's own refusal, in a process of its own: files may have 20 kB, a checkpoint needs more."""

    def limit():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    assert attnkit("train", "my.yaml", "--set", "train.steps=2").exit_code == 0
    run = RunDir(folder / "runs/mine")
    before = {path.name: path.read_bytes() for path in run.checkpoints.iterdir()}
    assert len(before["resume.safetensors"]) > 20_000
    done = subprocess.run(
        [sys.executable, "-m", "attnkit", "train", "my.yaml", "--resume", "--set", "train.steps=4"],
        preexec_fn=limit, capture_output=True, text=True, env=os.environ, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert done.stderr.splitlines()[-1].startswith("runs/mine/checkpoints/")
    assert ": cannot be written: " in done.stderr.splitlines()[-1]
    assert "File too large" in done.stderr.splitlines()[-1]
    assert {path.name: path.read_bytes() for path in run.checkpoints.iterdir()} == before
    assert run.finished
