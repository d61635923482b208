"""The task of translation: a Transformer with its loss, its predictions and its score."""

import torch
from torch import Tensor

from attnkit.data.text.batching import Batch
from attnkit.decoding.config import DecodeConfig
from attnkit.decoding.search import search
from attnkit.engine.task import Loss, Task
from attnkit.metrics.text import score_text
from attnkit.models.decoder_state import DecoderState
from attnkit.models.layers.cross_entropy import linear_cross_entropy
from attnkit.models.transformer import Transformer
from attnkit.recipes.translation.recipe import BleuConfig, TranslationRecipe
from attnkit.tokenizers.tokenizer import Tokenizer


class TranslationTask(Task):
    """Predict the next target token; translate by search; score by BLEU."""

    model: Transformer
    score = "bleu"

    def __init__(
        self, recipe: TranslationRecipe, model: Transformer, tokenizer: Tokenizer, references: list[str] | None = None
    ) -> None:
        """Put a model to work.

        Args:
            recipe: says how to smooth the loss, how to search and how to score.
            model: the Transformer.
            tokenizer: of the target language.
            references: raw target lines of the validation set; the `indices` of its batches are their places.
        """
        super().__init__()
        self.model = model
        self.recipe = recipe
        self.tokenizer = tokenizer
        self.references = references or []

    def forward(self, batch: Batch) -> Loss:
        """Smoothed cross entropy of the target tokens, and their plain negative log-likelihood beside it."""
        hidden = self.model(batch.src, batch.tgt_in)  # (B, T, C)
        is_real = batch.tgt_out != batch.pad_id
        smoothed, nll = linear_cross_entropy(
            hidden[is_real],
            self.model.output_weight,
            batch.tgt_out[is_real],
            label_smoothing=self.recipe.loss.label_smoothing,
            form=self.recipe.loss.smoothing_form,
        )
        count = batch.num_tgt_tokens
        return Loss({"cross_entropy": smoothed / count}, count, {"nll": nll / count})

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[str]:
        """Translate the sources of a batch as the recipe says."""
        tokenizer = self.tokenizer
        found = search(
            DecoderState(self.model, batch.src),
            self.recipe.decode,
            max_lengths=max_output_lengths(self.model, self.recipe.decode, batch.src),
            bos_id=tokenizer.bos_id,
            eos_id=tokenizer.eos_id,
            pad_id=tokenizer.pad_id,
            unk_id=tokenizer.unk_id,
        )
        return tokenizer.decode([hypotheses[0].tokens for hypotheses in found])

    def new_metric(self) -> "Bleu":
        """BLEU against the references."""
        return Bleu(self.references, self.recipe.bleu)


def max_output_lengths(model: Transformer, decode: DecodeConfig, src: Tensor) -> Tensor:
    """(B,) the most tokens of each output: what `decode` allows, and what a learned table has positions for.

    Args:
        src: (B, S) source tokens with the end of sentence, padded on the right.
    """
    allowed = decode.max_lengths((src != model.pad_id).sum(dim=1) - 1)
    return allowed.clamp(max=model.config.max_positions) if model.config.positions == "learned" else allowed


class Bleu:
    """Collects translations, in whatever order they come, and scores them against the raw references."""

    def __init__(self, references: list[str], config: BleuConfig) -> None:
        self._references = references
        self._config = config
        self._translations: dict[int, str] = {}

    def update(self, batch: Batch, predictions: list[str]) -> None:
        """Take the translations of a batch."""
        self._translations.update(zip(map(int, batch.indices), predictions, strict=True))

    def compute(self) -> dict[str, float]:
        """The corpus score of the lines that were translated."""
        lines = sorted(self._translations)
        score = score_text(
            "bleu",
            [self._translations[line] for line in lines],
            [[self._references[line] for line in lines]],
            tokenize=self._config.tokenize,
            lowercase=self._config.lowercase,
            resamples=0,
        )
        return {"bleu": score.value}


def build_task(recipe: TranslationRecipe, src_tokenizer: Tokenizer, tgt_tokenizer: Tokenizer) -> TranslationTask:
    """A model with fresh weights, which depend on the seed alone, in its task."""
    torch.manual_seed(recipe.train.seed)
    model = Transformer(
        recipe.model,
        src_vocab_size=src_tokenizer.vocab_size,
        tgt_vocab_size=tgt_tokenizer.vocab_size,
        pad_id=tgt_tokenizer.pad_id,
    )
    return TranslationTask(recipe, model, tgt_tokenizer)
