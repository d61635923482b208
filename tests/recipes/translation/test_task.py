"""A model in its task: loss, predictions, score."""

import math

import pytest
import torch
from torch import nn

from attnkit.data.open import OpenedData
from attnkit.data.text.batching import batches_in_order_of_length, make_batch
from attnkit.engine.evaluate import evaluate
from attnkit.models.config import TransformerConfig
from attnkit.models.decoder_state import DecoderState
from attnkit.recipes.translation.task import TranslationTask, build_task, max_output_lengths
from tests.recipes.tiny import recipe_with

CPU = torch.device("cpu")


class Reverser(nn.Module):
    """Stands for a Transformer that has learned to reverse lines, and is quite sure of it."""

    pad_id, eos_id = 0, 3

    def __init__(self, vocab_size, *, sure=8.0, always=None):
        super().__init__()
        self.config = TransformerConfig()
        self.vocab_size, self.sure, self.always = vocab_size, sure, always
        self.output_weight = torch.eye(vocab_size)

    def truth(self, src):
        """(B, S) the sources backwards, then the end of sentence."""
        if self.always is not None:
            return torch.full_like(src, self.always)
        lengths = (src != self.pad_id).sum(dim=1) - 1
        rows = [[*row[:length].flip(0).tolist(), self.eos_id] for row, length in zip(src, lengths, strict=True)]
        return torch.tensor([row + [self.eos_id] * (src.shape[1] - len(row)) for row in rows])

    def forward(self, src, tgt_in):
        return self.sure * torch.eye(self.vocab_size)[self.truth(src)[:, : tgt_in.shape[1]]]


class ReverserSteps:
    def __init__(self, model, src):
        self.model, self.truth, self.position = model, model.truth(src), 0

    def step(self, tokens):
        column = min(self.position, self.truth.shape[1] - 1)
        self.position += 1
        logits = self.model.sure * torch.eye(self.model.vocab_size)[self.truth[:, column]]
        logits[:, self.model.eos_id] *= 2  # or a beam would be full of early ends, all as unlikely as the rest
        logits[:, self.model.eos_id] -= self.model.sure
        return logits[:, None].expand(-1, tokens.shape[1], -1)

    def reorder(self, sentences, beams):
        self.truth = self.truth[sentences]


@pytest.fixture(autouse=True)
def decode_stand_ins(monkeypatch):
    def start(model, src):
        return (ReverserSteps if isinstance(model, Reverser) else DecoderState)(model, src)

    monkeypatch.setattr("attnkit.recipes.translation.task.DecoderState", start)


def score(recipe, *, batch_tokens=40, **model):
    """Evaluate a stand-in on the validation lines of a recipe."""
    src, tgt = OpenedData(recipe.data)["valid"].read()
    tokenizer = CHARACTERS
    task = TranslationTask(recipe, Reverser(tokenizer.vocab_size, **model), tokenizer, tgt)
    ids = tokenizer.encode(src), tokenizer.encode(tgt)
    batches = list(batches_in_order_of_length(*ids, batch_tokens=(batch_tokens, batch_tokens)))
    return evaluate(task, batches, device=CPU, precision="float32")


class Digits:
    """A tokenizer: digits and space."""

    pad_id, unk_id, bos_id, eos_id, vocab_size = 0, 1, 2, 3, 15
    characters = "0123456789 "

    def encode(self, lines):
        return [[4 + self.characters.index(character) for character in line] for line in lines]

    def decode(self, ids):
        return ["".join(self.characters[i - 4] for i in row) for row in ids]


CHARACTERS = Digits()


@pytest.mark.parametrize("method", ["greedy", "beam"])
def test_a_model_that_always_tells_the_truth_scores_100(method):
    scores = score(recipe_with(decode__method=method))
    assert scores["bleu"] == pytest.approx(100)
    assert scores["nll"] == pytest.approx(math.log1p(14 * math.exp(-8.0)), rel=1e-4)
    assert scores["perplexity"] == pytest.approx(1 + 14 * math.exp(-8.0), rel=1e-5)


def test_a_model_that_always_says_the_same_scores_nothing():
    scores = score(recipe_with(), always=4 + 7)
    assert scores["bleu"] < 5


def test_the_loss_by_hand_whatever_the_batches():
    """A model that knows nothing: every token costs log(15), smoothed or not."""
    for batch_tokens in (20, 500):
        scores = score(recipe_with(), sure=0.0, batch_tokens=batch_tokens)
        assert scores["nll"] == pytest.approx(math.log(15), rel=1e-6)
        assert scores["cross_entropy"] == pytest.approx(math.log(15), rel=1e-6)
        assert scores["perplexity"] == pytest.approx(15, rel=1e-5)


@pytest.mark.parametrize(
    ("form", "on_truth", "elsewhere"), [("paper", 0.9, 0.1 / 14), ("torch", 0.9 + 0.1 / 15, 0.1 / 15)]
)
def test_smoothing_by_hand(form, on_truth, elsewhere):
    scores = score(recipe_with(loss={"label_smoothing": 0.1, "smoothing_form": form}), sure=2.0)
    log_z = math.log(math.exp(2.0) + 14)
    assert scores["nll"] == pytest.approx(log_z - 2.0, rel=1e-5)
    assert scores["cross_entropy"] == pytest.approx(on_truth * (log_z - 2.0) + 14 * elsewhere * log_z, rel=1e-5)


def test_the_loss_is_a_mean_over_targets_with_the_end_of_sentence():
    recipe = recipe_with()
    task = build_task(recipe, CHARACTERS, CHARACTERS).eval()
    src, tgt = [[4, 5, 6], [7]], [[6, 5, 4], [7]]
    both = task(make_batch(src, tgt))
    alone = [task(make_batch([one], [other])) for one, other in zip(src, tgt, strict=True)]
    assert [loss.count for loss in alone] == [4, 2]
    assert both.count == 6
    for name in ("cross_entropy", "nll"):
        parts = [({**loss.terms, **loss.reported})[name] for loss in alone]
        torch.testing.assert_close(({**both.terms, **both.reported})[name], (4 * parts[0] + 2 * parts[1]) / 6)
    assert both.total.requires_grad
    assert not both.reported["nll"].requires_grad


def test_translations_find_their_references_in_any_order():
    references = ["1 2 3 4 5", "4 5 6 7 8", "7 8 9 1 2"]
    metric = TranslationTask(recipe_with(), Reverser(15), CHARACTERS, references).new_metric()
    batch = make_batch([[4]] * 3, [[4]] * 3)
    object.__setattr__(batch, "indices", batch.indices[::-1])
    metric.update(batch, references[::-1])
    assert metric.compute()["bleu"] == pytest.approx(100)


def test_fresh_weights_depend_on_the_seed_alone():
    def weight(seed):
        torch.rand(3)
        return build_task(recipe_with(train__seed=seed), CHARACTERS, CHARACTERS).model.output_weight

    assert torch.equal(weight(1), weight(1))
    assert not torch.equal(weight(1), weight(2))


def test_most_tokens_of_an_output():
    recipe = recipe_with(decode={"max_length_factor": 2.0, "max_length_extra": 3})
    src = make_batch([[4, 5, 6], [7]], [[], []]).src
    model = build_task(recipe, CHARACTERS, CHARACTERS).model
    assert max_output_lengths(model, recipe.decode, src).tolist() == [9, 5]
    short = recipe_with(filter__max_length=7, model__positions="learned", model__max_positions=8, decode=recipe.decode)
    model = build_task(short, CHARACTERS, CHARACTERS).model
    assert max_output_lengths(model, recipe.decode, src).tolist() == [8, 5]


def test_an_untrained_model_with_few_learned_positions_babbles_within_them():
    recipe = recipe_with(
        filter__max_length=7, model__positions="learned", model__max_positions=8, decode__max_length_extra=50
    )
    task = build_task(recipe, CHARACTERS, CHARACTERS).eval()
    with torch.no_grad():
        task.model.tgt_embedding.weight[task.tokenizer.eos_id] = -9.0  # it never wants to end
    texts = task.predict(make_batch([[4] * 7, [5]], [[], []]))
    assert max(map(len, texts)) == 8
