"""Training a translation recipe from data to result, on a tiny model."""

import json
import re

import pytest
import torch

from attnkit import recipe_file
from attnkit.data.open import OpenedData
from attnkit.engine.checkpoint import load_tensors
from attnkit.errors import DataError
from attnkit.recipes.translation.train import train
from attnkit.tokenizers.build import load_tokenizers
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny import recipe_with, text_recipe, write_pairs


def entries(run, kind):
    lines = map(json.loads, run.metrics.read_text().splitlines())
    return [entry for entry in lines if entry["kind"] == kind]


@pytest.fixture
def run(tmp_path):
    def make(recipe, name="run"):
        run = new_run(tmp_path / name, recipe)
        train(recipe, run, OpenedData(recipe.data), resume=False, device="cpu")
        return run

    return make


def test_the_whole_way(run, capfd):
    made = run(recipe_with())
    assert sorted(path.name for path in made.path.iterdir()) == [
        "checkpoints", "metrics.jsonl", "model.safetensors", "recipe.yaml", "tokenizer"
    ]  # fmt: skip
    assert [path.name for path in made.tokenizer.iterdir()] == ["joint"]
    assert [entry["step"] for entry in entries(made, "train")] == [3, 6, 9, 12]
    valid = entries(made, "valid")
    assert [entry["step"] for entry in valid] == [6, 12]
    assert set(valid[0]) == {"kind", "step", "cross_entropy", "nll", "perplexity", "bleu", "best"}
    out, err = capfd.readouterr()
    assert out == "", "stdout is for results"
    lines = err.splitlines()
    assert lines[:3] == [
        "tokenizer: learning characters from the training text",
        "data: 300 of 300 training pairs (0 empty, 0 too long, 0 of uneven length left out)",
        "model: 8,360 parameters, on cpu",
    ]
    assert re.fullmatch(
        r"step 3  loss \d\.\d{3}  ppl \d+\.\d\d  [\d,]+ targets/s  lr 3\.75e-03  \d:\d\d:\d\d left", lines[3]
    )


def test_it_learns(run):
    made = run(recipe_with(train__steps=36, model__dropout=0.0, train__validate_every=36, train__save_every=36))
    losses = [entry["nll"] for entry in entries(made, "train")]
    assert losses[-1] < 0.8 * losses[0]


STORED = [3.101458, 3.094668, 2.964945, 2.961203, 3.136900, 2.746299, 2.702826, 2.683775]
"""A change of these is a change of numerics: say so in CHANGELOG.md."""


def test_the_losses_of_the_toy_are_those_that_are_stored(tmp_path):
    """A refactoring moves nothing: neither the batches nor dropout nor the optimizer."""
    recipe = recipe_file.load(
        "translation/toy",
        [
            "train.steps=8",
            "train.log_every=1",
            "train.precision=float32",
            "train.validate_every=8",
            "model.dropout=0.1",
            "data.valid_lines=5",
        ],
    )
    run = new_run(tmp_path / "run", recipe)
    train(recipe, run, OpenedData(recipe.data), resume=False, device="cpu")
    assert [entry["loss"] for entry in entries(run, "train")] == pytest.approx(STORED, abs=1e-4)


def test_separate_vocabularies(run, tmp_path):
    tokenizer = {"name": "whitespace", "joint": False}
    made = run(text_recipe(tmp_path, tokenizer=tokenizer, model__tied_embeddings="decoder", train__steps=2))
    assert sorted(path.name for path in made.tokenizer.iterdir()) == ["src", "tgt"]
    src, tgt = load_tokenizers(made.tokenizer)
    assert src.vocab_size != tgt.vocab_size
    weights, _ = load_tensors(made.model)
    assert weights["src_embedding.weight"].shape == (src.vocab_size, 16)
    assert weights["tgt_embedding.weight"].shape == (tgt.vocab_size, 16)


def test_without_validation(run, tmp_path):
    data = {"format": "text", "train": write_pairs(tmp_path, "train", 40)}
    made = run(recipe_with(data=data))
    assert entries(made, "valid") == []
    assert made.finished


def test_the_tokenizer_is_learned_once(run, tmp_path, capfd):
    recipe = text_recipe(tmp_path, train__steps=2)
    made = run(recipe)
    before = (made.tokenizer / "joint" / "tokenizer.json").stat().st_mtime_ns
    capfd.readouterr()
    train(recipe, made, OpenedData(recipe.data), resume=True, device="cpu")
    assert "learning" not in capfd.readouterr().err
    assert (made.tokenizer / "joint" / "tokenizer.json").stat().st_mtime_ns == before


def test_subword_sampling_cuts_the_text_anew_in_every_epoch(run, tmp_path):
    """With one batch an epoch, and no dropout nor learning, only the cut of the words changes the loss."""
    still = {"model__dropout": 0.0, "train__optimizer": {"name": "adam", "eps": 1e6}, "train__log_every": 1}
    big = {"batch": {"src_tokens": 4096, "tgt_tokens": 4096}, "train__steps": 4, **still}
    plain = run(text_recipe(tmp_path, **big), "plain")
    sampled = run(
        text_recipe(tmp_path, tokenizer={"name": "sentencepiece", "vocab_size": 90, "sampling": 0.2}, **big), "sampled"
    )
    losses = [entry["loss"] for entry in entries(plain, "train")]
    assert max(losses) - min(losses) < 1e-4
    losses = [entry["loss"] for entry in entries(sampled, "train")]
    assert max(losses) - min(losses) > 1e-3


def test_what_the_filter_leaves_out_is_said(run, tmp_path, capfd):
    recipe = text_recipe(tmp_path, filter__max_length=24, train__steps=1)
    with open(recipe.data.train.src, "a", encoding="utf-8") as src, open(recipe.data.train.tgt, "a") as tgt:
        src.write("\n" + "a man " * 50 + "\n")
        tgt.write("leer\nlang\n")
    run(recipe)
    said = capfd.readouterr().err
    assert re.search(
        r"^data: \d+ of 66 training pairs \(1 empty, \d+ too long, 0 of uneven length left out\)$", said, re.M
    )
    assert re.search(r"^warning: .*train\.en:65: empty line, but .*train\.de:65 has text; ", said, re.M)


def test_data_is_looked_at_before_anything_takes_long(tmp_path, capfd):
    recipe = text_recipe(tmp_path)
    with open(recipe.data.valid.tgt, "a") as file:
        file.write("one line too many\n")
    run = new_run(tmp_path / "run", recipe)
    with pytest.raises(DataError, match=r"valid\.en: 7 lines, but .*valid\.de has 8; expected line n of one to transl"):
        train(recipe, run, OpenedData(recipe.data), resume=False, device="cpu")
    assert "learning" not in capfd.readouterr().err
    assert not run.tokenizer.exists()


# Learned positions


def test_learned_positions_are_trained(run):
    made = run(recipe_with(filter__max_length=9, model__positions="learned", model__max_positions=10))
    assert load_tensors(made.model)[0]["src_positions.table"].shape == (10, 16)
    assert made.finished, "an untrained model babbles in validation, but not beyond the table"


def test_a_validation_sentence_beyond_the_table(tmp_path):
    recipe = text_recipe(
        tmp_path,
        tokenizer={"name": "whitespace"},
        filter__max_length=12,
        model__positions="learned",
        model__max_positions=13,
    )
    with open(recipe.data.valid.src, "a") as src, open(recipe.data.valid.tgt, "a") as tgt:
        src.write("a dog\n")
        tgt.write("ein Hund " * 7 + "\n")
    with pytest.raises(
        DataError,
        match=r"valid\.en:8: 15 tokens on one side, but model\.max_positions is 13; expected at most that; "
        r"take the pair out, or use sinusoidal positions$",
    ):
        train(recipe, new_run(tmp_path / "run", recipe), OpenedData(recipe.data), resume=False, device="cpu")


@pytest.mark.parametrize("positions", ["index", "fraction"])
def test_naive_positions_are_trained(run, positions):
    assert run(recipe_with(model__positions=positions, train__steps=2)).finished


def test_memory_that_runs_out_is_said_and_changes_nothing(run, monkeypatch, capfd):
    """The real task and the real batches, on a machine that holds four sentences."""
    from attnkit.recipes.translation.task import TranslationTask

    settings = {"train__steps": 3, "model__dropout": 0.0, "train__log_every": 1}
    roomy = run(recipe_with(**settings), "roomy")
    real = TranslationTask.forward

    def forward(self, batch):
        if self.training and len(batch) > 4:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, batch)

    capfd.readouterr()
    monkeypatch.setattr(TranslationTask, "forward", forward)
    tight = run(recipe_with(**settings), "tight")
    assert "warning: step 1: out of memory; trying again in 2 parts of at most " in capfd.readouterr().err
    expected, found = ([entry["loss"] for entry in entries(made, "train")] for made in (roomy, tight))
    assert found == pytest.approx(expected, rel=1e-5)
