"""A trained run at work: lines in, translations out."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from attnkit.data.config import Split
from attnkit.data.text.batching import make_batch
from attnkit.data.text.parallel_text import ParallelText
from attnkit.decoding.config import DecodeConfig
from attnkit.decoding.hypothesis import Hypothesis
from attnkit.decoding.search import search
from attnkit.engine.checkpoint import load_weights
from attnkit.engine.memory import keep_pages
from attnkit.engine.precision import find_device
from attnkit.errors import DataError
from attnkit.models.decoder_state import DecoderState
from attnkit.models.transformer import Transformer
from attnkit.recipes.translation.recipe import TranslationRecipe
from attnkit.recipes.translation.task import build_task, max_output_lengths
from attnkit.run_dir import RunDir
from attnkit.tokenizers.build import load_tokenizers
from attnkit.tokenizers.tokenizer import Tokenizer

_BATCH_SENTENCES = 128
_BATCH_TOKENS = 4096
"""Source tokens of a batch, padding counted: long sentences make small batches."""
_BETWEEN_SENTENCES = re.compile(r"(?<=[.!?;:]\s)|(?<=[。！？])")


@dataclass(frozen=True)
class Translation:
    """One translation of one line.

    Attributes:
        text: plain text, never with a line end in it.
        score: log-probability over the length penalty; what the beam is ordered by.
        log_prob: natural logarithm of the probability of the whole output, its end counted.
        pieces: the target tokens.
        token_log_probs: one per piece, then that of the end of sentence.
    """

    text: str
    score: float
    log_prob: float
    pieces: list[str]
    token_log_probs: list[float]


_BLANK = Translation("", 0.0, 0.0, [], [])


class Translator:
    """A model with its tokenizers. A line's translation does not depend on the lines around it."""

    def __init__(
        self,
        recipe: TranslationRecipe,
        model: Transformer,
        src_tokenizer: Tokenizer,
        tgt_tokenizer: Tokenizer,
        *,
        device: torch.device,
    ) -> None:
        self.recipe = recipe
        self.model = model.to(device).eval()
        self.src_tokenizer = src_tokenizer
        self.tgt_tokenizer = tgt_tokenizer
        self.device = device

    @torch.no_grad()
    def translate(
        self,
        lines: Sequence[str],
        *,
        decode: DecodeConfig | None = None,
        n_best: int = 1,
        prefixes: Sequence[str] | None = None,
        batch_size: int | None = None,
        lines_before: int = 0,
    ) -> list[list[Translation]]:
        """Translate lines.

        A line with more tokens than any of the training data is cut into shorter parts, at the ends of its sentences
        where it has them, and their translations are joined.

        Args:
            lines: source text. A blank line is not shown to the model; its translation is blank.
            decode: how to search; by default as the recipe says.
            n_best: how many translations of each line, best first.
            prefixes: what each translation must begin with; one per line.
            batch_size: sentences at a time; by default what is fast.
            lines_before: how many lines of the input came before these; samples of equal lines differ by their place.

        Returns:
            A list per line, in order.
        """
        decode = decode or self.recipe.decode
        parts = [self._cut(line) for line in lines]  # of each line
        flat = [(line, part) for line, of_line in enumerate(parts) for part in of_line]
        forced = self._encode_prefixes(prefixes, parts)
        found: list[list[Hypothesis]] = [[] for _ in flat]
        for rows in self._batches([part for _, part in flat], batch_size):
            batch = make_batch([flat[row][1] for row in rows], [[] for _ in rows]).to(self.device)
            hypotheses = search(
                DecoderState(self.model, batch.src),
                decode,
                max_lengths=max_output_lengths(self.model, decode, batch.src),
                bos_id=self.tgt_tokenizer.bos_id,
                eos_id=self.tgt_tokenizer.eos_id,
                pad_id=self.tgt_tokenizer.pad_id,
                unk_id=self.tgt_tokenizer.unk_id,
                prefixes=None if forced is None else [forced[row] for row in rows],
                n_best=n_best,
                stream_ids=[lines_before + flat[row][0] for row in rows],
            )
            for row, of_row in zip(rows, hypotheses, strict=True):
                found[row] = of_row
        return self._join(len(lines), flat, found, n_best)

    def _cut(self, line: str) -> list[list[int]]:
        """The source ids of a line, in parts that are no longer than those of the training; none of a blank line."""
        longest = self.recipe.filter.max_length
        if not line.strip():
            return []
        ids = self.src_tokenizer.encode([line])[0]
        if len(ids) <= longest:
            return [ids] if ids else []
        parts: list[list[int]] = [[]]
        for sentence in self.src_tokenizer.encode(_BETWEEN_SENTENCES.split(line)):
            if len(parts[-1]) + len(sentence) > longest and parts[-1]:
                parts.append([])
            parts[-1].extend(sentence)
            while len(parts[-1]) > longest:
                parts.append(parts[-1][longest:])
                del parts[-2][longest:]
        return [part for part in parts if part]

    def _encode_prefixes(self, prefixes: Sequence[str] | None, parts: list[list[list[int]]]) -> list[list[int]] | None:
        """Target ids that each part must begin with: the line's prefix for its first part, nothing for the others."""
        if prefixes is None:
            return None
        if len(prefixes) != len(parts):
            raise DataError(
                f"prefixes: {len(prefixes)} for {len(parts)} lines; expected one per line; a line may be blank"
            )
        forced = []
        longest = self.model.config.max_positions if self.model.config.positions == "learned" else math.inf
        for prefix, ids, of_line in zip(prefixes, self.tgt_tokenizer.encode(list(prefixes)), parts, strict=True):
            if len(ids) > longest:
                raise DataError(
                    f"prefix '{prefix[:40]}': {len(ids)} tokens, but the model has positions for {longest}; "
                    "expected no more than that; shorten the prefix"
                )
            forced += [ids if first else [] for first in [True] + [False] * (len(of_line) - 1) if of_line]
        return forced

    def _batches(self, sources: list[list[int]], batch_size: int | None) -> list[list[int]]:
        """Which sources go together: those of like length, longest first."""
        order = sorted(range(len(sources)), key=lambda row: -len(sources[row]))
        batches = []
        while order:
            width = len(sources[order[0]]) + 1
            rows = batch_size or max(1, min(_BATCH_SENTENCES, _BATCH_TOKENS // width))
            batches.append(order[:rows])
            order = order[rows:]
        return batches

    def _join(
        self, num_lines: int, flat: list[tuple[int, list[int]]], found: list[list[Hypothesis]], n_best: int
    ) -> list[list[Translation]]:
        """The translations of each line from those of its parts."""
        texts = self.tgt_tokenizer.decode([hypothesis.tokens for of_part in found for hypothesis in of_part])
        next_text = iter(texts)
        result: list[list[Translation]] = [[] for _ in range(num_lines)]
        for (line, _), of_part in zip(flat, found, strict=True):
            translations = [self._translation(hypothesis, next(next_text)) for hypothesis in of_part]
            before = result[line]
            result[line] = [_joined(*pair) for pair in zip(before, translations)] if before else translations  # noqa: B905 (fewer may be found)
        return [of_line or [_BLANK] * n_best for of_line in result]

    def _translation(self, hypothesis: Hypothesis, text: str) -> Translation:
        pieces = self.tgt_tokenizer.pieces(hypothesis.tokens)
        return Translation(text, hypothesis.score, hypothesis.log_prob, pieces, hypothesis.token_log_probs)


def _joined(first: Translation, second: Translation) -> Translation:
    """Two parts of a line behind each other."""
    return Translation(
        f"{first.text} {second.text}".strip(),
        first.score + second.score,
        first.log_prob + second.log_prob,
        first.pieces + second.pieces,
        first.token_log_probs + second.token_log_probs,
    )


def load_translator(
    recipe: TranslationRecipe, run: RunDir, *, device: str = "auto", weights: Path | None = None
) -> Translator:
    """Load what a run has learned.

    Args:
        recipe: that of the run.
        run: the run folder.
        device: auto, cpu, cuda...
        weights: which of the run's weights; None takes its result.

    Raises:
        CheckpointError: nothing was saved yet, or it is damaged.
    """
    chosen = find_device(device)
    keep_pages()
    src_tokenizer, tgt_tokenizer = load_tokenizers(run.tokenizer)
    model = build_task(recipe, src_tokenizer, tgt_tokenizer).model
    load_weights(weights or run.weights(), model)
    translator = Translator(recipe, model, src_tokenizer, tgt_tokenizer, device=chosen)
    translator.model.pack()  # from here on the weights stay as they are
    return translator


@dataclass(frozen=True)
class SplitTranslations:
    """A split of a run's data, and its translations."""

    sources: list[str]
    hypotheses: list[str]
    references: list[str]


def translate_split(
    translator: Translator,
    data: Mapping[Split, ParallelText | None],
    run: RunDir,
    split: Split,
    *,
    decode: DecodeConfig | None = None,
) -> SplitTranslations:
    """Translate the validation or test set of a run; see `Translator.translate` for `decode`.

    Raises:
        DataError: the recipe has no such split.
    """
    pairs = data[split]
    if pairs is None:
        raise DataError(
            f"{run.recipe}: data.{split}: none; expected a {split} set; name one in the recipe, or use --split"
        )
    sources, references = pairs.read()
    translations = translator.translate(sources, decode=decode)
    return SplitTranslations(sources, [best[0].text for best in translations], references)
