import errno
import json
import re
import stat
import struct

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from attnkit.engine import checkpoint
from attnkit.engine.checkpoint import (
    average_weights,
    fit_weights,
    load_tensors,
    load_weights,
    optimizer_tensors,
    restore_optimizer,
    save_tensors,
    save_weights,
)
from attnkit.engine.config import AdamConfig
from attnkit.engine.optimizer import build_optimizer
from attnkit.errors import CheckpointError


class Tied(nn.Module):
    """A matrix that stands in two places, a bias, and a buffer that is kept."""

    def __init__(self, *, width=3):
        super().__init__()
        self.embedding = nn.Embedding(5, width)
        self.output = nn.Linear(width, 5)
        self.output.weight = self.embedding.weight
        self.register_buffer("count", torch.tensor([7]))
        self.register_buffer("scratch", torch.zeros(2), persistent=False)


def names(path):
    return sorted(file.name for file in path.iterdir())


def test_there_and_back(tmp_path):
    path = tmp_path / "checkpoints" / "step_00000003.safetensors"
    model, other = Tied(), Tied()
    save_weights(path, model, {"step": 3, "scores": {"bleu": 1.5}})
    assert load_weights(path, other) == {"step": 3, "scores": {"bleu": 1.5}}
    assert torch.equal(other.embedding.weight, model.embedding.weight)
    assert other.output.weight is other.embedding.weight
    assert names(path.parent) == [path.name]


def test_tied_weights_are_saved_once(tmp_path):
    save_weights(tmp_path / "m", Tied(), {})
    assert sorted(load_tensors(tmp_path / "m")[0]) == ["count", "embedding.weight", "output.bias"]


def test_views_and_transposed_tensors(tmp_path):
    matrix = torch.arange(6.0).view(2, 3)
    save_tensors(tmp_path / "m", {"turned": matrix.t(), "row": matrix[1]}, {})
    tensors, facts = load_tensors(tmp_path / "m")
    assert tensors["turned"].tolist() == [[0.0, 3.0], [1.0, 4.0], [2.0, 5.0]]
    assert tensors["row"].tolist() == [3.0, 4.0, 5.0]
    assert facts == {}


def test_the_file_is_safetensors_and_needs_no_pickle(tmp_path, monkeypatch):
    save_weights(tmp_path / "m", Tied(), {"step": 3})
    content = (tmp_path / "m").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    assert header["__metadata__"] == {"facts": '{"step": 3}'}
    assert header["embedding.weight"]["dtype"] == "F32"
    assert header["embedding.weight"]["shape"] == [5, 3]
    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(f"pickle.{name}", lambda *_: pytest.fail("unpickled"))
    load_weights(tmp_path / "m", Tied())


def test_others_may_read_it(tmp_path):
    (tmp_path / "usual").touch()
    save_tensors(tmp_path / "m", {"a": torch.zeros(2)}, {})
    assert stat.S_IMODE((tmp_path / "m").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), "the disk is full"),
        # how safetensors says it
        (
            SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
            "the disk is full",
        ),
        (SafetensorError("Error while serializing: I/O error: File too large (os error 27)"), "File too large"),
        (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
    ],
)
def test_a_write_that_fails_leaves_the_old_file(tmp_path, monkeypatch, error, reason):
    path = tmp_path / "m.safetensors"
    save_tensors(path, {"a": torch.ones(3)}, {"step": 1})

    def fail(tensors, filename, metadata):
        filename.write_bytes(b"half of i")
        raise error

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(CheckpointError) as caught:
        save_tensors(path, {"a": torch.zeros(3)}, {"step": 2})
    message = str(caught.value)
    assert message.startswith(f"{path}: cannot be written: ")
    assert reason in message
    assert message.endswith(
        "; expected room and permission to write there; "
        "what was saved before is intact: make room and train again, with --resume if a step was saved"
    )
    assert "\n" not in message
    tensors, facts = load_tensors(path)
    assert (tensors["a"].tolist(), facts) == ([1.0, 1.0, 1.0], {"step": 1})
    assert names(tmp_path) == ["m.safetensors"]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    partial = tmp_path / "m.partial"
    partial.mkdir()
    (partial / ".tmpXYZ").write_bytes(b"half of i")
    save_tensors(tmp_path / "m", {"a": torch.ones(3)}, {})
    assert names(tmp_path) == ["m"]


def test_a_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(CheckpointError, match=r"file/m: cannot be written: \[Errno 20\] Not a directory"):
        save_tensors(tmp_path / "file" / "m", {"a": torch.ones(3)}, {})


@pytest.mark.parametrize("kept", [0, 5, 60, -1])
def test_a_truncated_file(tmp_path, kept):
    path = tmp_path / "m.safetensors"
    save_weights(path, Tied(), {"step": 3})
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(CheckpointError) as caught:
        load_tensors(path)
    assert re.fullmatch(
        rf"{re.escape(str(path))}: not a whole checkpoint \(.+\); expected a safetensors file made by attnkit; "
        r"use another of the run's checkpoints with --checkpoint",
        str(caught.value),
    )


def test_a_file_of_another_kind(tmp_path):
    torch.save({"a": torch.zeros(2)}, tmp_path / "model.pt")
    with pytest.raises(CheckpointError, match=r"model\.pt: not a whole checkpoint"):
        load_tensors(tmp_path / "model.pt")


def test_no_file(tmp_path):
    with pytest.raises(
        CheckpointError,
        match=r"none: no such file; expected a checkpoint made by attnkit train; look into the run folder",
    ):
        load_tensors(tmp_path / "none")


def test_weights_that_do_not_fit_are_all_named_once(tmp_path):
    path = tmp_path / "m"
    tensors = {"embedding.weight": torch.zeros(5, 4), "output.scale": torch.zeros(2), "count": torch.zeros(1)}
    save_tensors(path, tensors, {})
    model = Tied()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    with pytest.raises(CheckpointError) as caught:
        load_weights(path, model)
    assert str(caught.value).split("\n") == [
        f"{path}: does not fit the model of the recipe; expected the weights of that model; "
        "use the recipe.yaml beside it",
        "  missing: output.bias (5,)",
        "  shape of embedding.weight: (5, 4) in the file, (5, 3) in the model",
        "  unexpected: output.scale (2,)",
    ]
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_mean_of_checkpoints(tmp_path):
    for number, value in enumerate([1.0, 2.0, 6.0]):
        save_tensors(tmp_path / str(number), {"a": torch.full((2,), value), "b": torch.tensor([number])}, {})
    mean = average_weights([tmp_path / str(number) for number in range(3)])
    assert mean["a"].tolist() == [3.0, 3.0]
    assert mean["a"].dtype == torch.float32
    assert mean["b"].tolist() == [1.0]


def test_the_mean_is_summed_in_float64(tmp_path):
    for number, value in enumerate([2.0**25, 1.0, 1.0, -(2.0**25)]):
        save_tensors(tmp_path / str(number), {"a": torch.tensor([value])}, {})
    assert average_weights([tmp_path / str(number) for number in range(4)])["a"].item() == 0.5


def test_the_mean_of_one_is_itself(tmp_path):
    model = Tied()
    save_weights(tmp_path / "m", model, {})
    other = Tied()
    fit_weights(tmp_path / "m", average_weights([tmp_path / "m"]), other)
    assert torch.equal(other.output.bias, model.output.bias)
    assert other.count.tolist() == [7]


def test_the_optimizers_memory_comes_back(tmp_path):
    def trained(steps):
        torch.manual_seed(1)
        model = Tied()
        return model, build_optimizer(AdamConfig(), model), steps

    def train(model, optimizer, steps):
        for number in steps:
            optimizer.zero_grad()
            x = model.embedding(torch.tensor([number % 5, 2]))
            model.output(x).square().sum().backward()
            optimizer.param_groups[0]["lr"] = 0.05
            optimizer.step()

    whole, optimizer, _ = trained(6)
    train(whole, optimizer, range(6))

    half, optimizer, _ = trained(3)
    train(half, optimizer, range(3))
    save_tensors(tmp_path / "o", optimizer_tensors(optimizer, half), {})
    save_weights(tmp_path / "m", half, {})

    resumed = Tied()
    load_weights(tmp_path / "m", resumed)
    optimizer = build_optimizer(AdamConfig(), resumed)
    restore_optimizer(optimizer, resumed, load_tensors(tmp_path / "o")[0])
    train(resumed, optimizer, range(3, 6))
    for name, tensor in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], tensor), name
