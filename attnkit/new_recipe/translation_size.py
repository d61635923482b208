"""How large a translation recipe should be for an amount of text, and why. Free of torch.

Three amounts of text have published recipes: Multi30k (29 thousand pairs; Wu et al. 2021, arXiv:2105.14462), IWSLT14
(160 thousand; fairseq's example) and WMT14 (4.5 million; Vaswani et al. 2017). Between them the limits are judgement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from attnkit.data.text.parallel_text import Pair
from attnkit.new_recipe.sizing import two_digits

PIECES_PER_WORD = 1.3
SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese, whose words no spaces part."""
PADDING = 1.1
"""Tokens with padding over tokens, in batches of like lengths."""
ENOUGH_WORDS = 70_000
"""Different words are counted up to here: then any vocabulary that is asked for can be learned."""
SMALL_BATCHES = ((50_000, 1024, 2e-3), (200_000, 2048, 3e-3))
"""Up to so many target pieces, batches of so many tokens and that learning rate: a small text has too few sentences for
many different large batches. Tried on 3000 short English-German pairs in batches of 1024: after 575 steps the training
perplexity was 27.0, 23.5 and 34.6 with 1e-3, 2e-3 and the 5e-3 of the larger batches."""
VOCABULARIES = (
    (20_000, 500),
    (60_000, 1000),
    (150_000, 2000),
    (500_000, 4000),
    (20_000_000, 10_000),
    (60_000_000, 16_000),
)
"""Up to so many words, so many pieces. Multi30k (0.7 million words) and IWSLT14 (6) are published with 10,000."""
LARGEST_VOCABULARY = 32_000
LARGEST_ALPHABET = 1500
"""From more different characters on (Chinese, Japanese), the rare ones are spelt as bytes."""
LEAST_FOR_LARGE_ALPHABETS = 8000
SPECIAL_PIECES = 5
"""Padding, unknown, begin, end, and the mark of a word's beginning."""


@dataclass
class SideSize:
    """What was counted on one side."""

    words: int = 0
    characters: int = 0
    spaceless: int = 0
    """Characters of scripts that part no words."""

    @property
    def has_spaces(self) -> bool:
        """Whether words are parted by spaces."""
        return 2 * self.spaceless <= self.characters

    @property
    def length(self) -> int:
        """In words, or in pairs of characters where there are no spaces."""
        return self.words if self.has_spaces else self.characters // 2


@dataclass
class TextSize:
    """What was counted in parallel text."""

    pairs: int = 0
    src: SideSize = field(default_factory=SideSize)
    tgt: SideSize = field(default_factory=SideSize)
    alphabet: set[str] = field(default_factory=set)
    vocabulary: set[str] = field(default_factory=set)
    """Different words of both sides, not more than ENOUGH_WORDS or so."""

    @property
    def tgt_pieces(self) -> int:
        """About how many subword pieces the target will have, end of sentence counted."""
        return int(PIECES_PER_WORD * self.tgt.length) + self.pairs


def measure(pairs: Iterable[Pair]) -> TextSize:
    """Count, reading once; memory does not grow with the text."""
    size = TextSize()
    for pair in pairs:
        size.pairs += 1
        for side, line in ((size.src, pair.src), (size.tgt, pair.tgt)):
            words = line.split()
            side.words += len(words)
            side.characters += len(line)
            if not line.isascii():
                side.spaceless += len(SPACELESS.findall(line))
            size.alphabet.update(line)
            if len(size.vocabulary) < ENOUGH_WORDS:
                size.vocabulary.update(words)
    return size


@dataclass(frozen=True)
class Preset:
    """A published recipe, at the amount of text that it was made for."""

    name: str
    embed_dim: int
    depth: int
    num_heads: int
    mlp_dim: int
    norm: str
    dropout: float
    sampling: float
    batch_tokens: int
    accumulate: int
    epochs: int
    least_steps: int
    most_steps: int
    optimizer: str
    schedule: str
    lr: float | None
    warmup_steps: int
    validations: int
    average_last: int
    patience: int | None
    decode: str
    why: str
    why_dropout: str


ADAM = "{name: adam, beta1: 0.9, beta2: 0.98, eps: 1e-9}"
ADAMW = "{name: adamw, beta1: 0.9, beta2: 0.98, eps: 1e-8, weight_decay: 1e-4}"
BEAM_5 = "{method: beam, beam_size: 5, length_penalty: {form: power, alpha: 1.0}}"
BEAM_4 = "{method: beam, beam_size: 4, length_penalty: {form: gnmt, alpha: 0.6}}"

TINY = Preset(
    name="tiny",
    embed_dim=128,
    depth=4,
    num_heads=4,
    mlp_dim=256,
    norm="pre",
    dropout=0.3,
    sampling=0.1,
    batch_tokens=4096,
    accumulate=1,
    epochs=65,
    least_steps=1500,
    most_steps=10_000,
    optimizer=ADAM,
    schedule="cosine",
    lr=4e-3,
    warmup_steps=600,
    validations=16,
    average_last=10,
    patience=None,
    decode=BEAM_5,
    why="under 100 thousand pairs small wins: on the 29 thousand of Multi30k this one is published with 41 BLEU, "
    "the paper's base with 38, and plain attempts at base with 26 to 31",
    why_dropout="strong, for a few pairs are soon known by heart",
)
IWSLT = Preset(
    name="iwslt",
    embed_dim=512,
    depth=6,
    num_heads=4,
    mlp_dim=1024,
    norm="post",
    dropout=0.3,
    sampling=0.0,
    batch_tokens=4096,
    accumulate=1,
    epochs=45,
    least_steps=20_000,
    most_steps=100_000,
    optimizer=ADAMW,
    schedule="inverse_sqrt",
    lr=5e-4,
    warmup_steps=4000,
    validations=25,
    average_last=10,
    patience=8,
    decode=BEAM_5,
    why="between 100 thousand and a million pairs, the size that is usual for the 160 thousand of IWSLT14; "
    "base has more weights than so few pairs can settle",
    why_dropout="strong, as is usual for IWSLT14",
)
BASE = Preset(
    name="base",
    embed_dim=512,
    depth=6,
    num_heads=8,
    mlp_dim=2048,
    norm="post",
    dropout=0.1,
    sampling=0.0,
    batch_tokens=6250,
    accumulate=4,
    epochs=40,
    least_steps=40_000,
    most_steps=100_000,
    optimizer=ADAM,
    schedule="inverse_sqrt",
    lr=None,
    warmup_steps=4000,
    validations=33,
    average_last=5,
    patience=None,
    decode=BEAM_4,
    why="from a million pairs on the paper's base, made for 4.5 million, pays",
    why_dropout="as in the paper",
)


@dataclass(frozen=True)
class Sizing:
    """The numbers of a recipe that depend on the amount of text."""

    preset: Preset
    vocab_size: int
    byte_fallback: bool
    batch_tokens: int
    """On each side, in one batch."""
    steps: int
    warmup_steps: int
    lr: float | None
    """None is the paper's, which follows from the width."""
    validate_every: int
    save_every: int
    reasons: tuple[str, ...]
    """One line per choice: what, and why."""


def size_recipe(size: TextSize) -> Sizing:
    """Choose a preset by the number of pairs, and what depends on the text within it."""
    preset = TINY if size.pairs < 100_000 else IWSLT if size.pairs < 1_000_000 else BASE
    vocab_size, byte_fallback, why_vocabulary = _vocabulary(size)
    batch_tokens, lr = preset.batch_tokens, preset.lr
    for limit, small_batch, small_lr in reversed(SMALL_BATCHES):
        if size.tgt_pieces < limit and preset is TINY:
            batch_tokens, lr = small_batch, small_lr
    epoch = max(1, round(size.tgt_pieces * PADDING / (batch_tokens * preset.accumulate)))
    steps = two_digits(min(max(preset.epochs * epoch, preset.least_steps), preset.most_steps))
    warmup_steps = min(preset.warmup_steps, steps // 4)
    save_every = two_digits(min(max(epoch, steps // 60), steps // (2 * preset.average_last)))
    return Sizing(
        preset=preset,
        vocab_size=vocab_size,
        byte_fallback=byte_fallback,
        batch_tokens=batch_tokens,
        steps=steps,
        warmup_steps=warmup_steps,
        lr=lr,
        validate_every=two_digits(steps // preset.validations),
        save_every=save_every,
        reasons=(
            f"model: {preset.name}, {preset.embed_dim} wide, {preset.depth}+{preset.depth} layers: {preset.why}",
            f"dropout: {preset.dropout}: {preset.why_dropout}"
            + ("; BPE dropout for the same reason, it cuts the words anew in every epoch" if preset.sampling else ""),
            why_vocabulary,
            f"steps: {steps:,} of {batch_tokens * preset.accumulate:,} tokens a side: "
            f"some {steps / epoch:.0f} times through the text",
            f"warm-up: {warmup_steps:,} steps, then the learning rate falls from "
            + (f"{lr:g}" if lr else "the paper's peak for this width"),
            f"averaging: the last {preset.average_last} checkpoints, {save_every:,} steps apart, make the final model",
        ),
    )


def _vocabulary(size: TextSize) -> tuple[int, bool, str]:
    """How many joint subword pieces; whether rare characters are spelt as bytes; and why."""
    words = size.src.length + size.tgt.length
    pieces = next((pieces for limit, pieces in VOCABULARIES if words < limit), LARGEST_VOCABULARY)
    why = f"both languages together, from {words:,} words of text"
    if len(size.alphabet) > LARGEST_ALPHABET:
        pieces = max(pieces, LEAST_FOR_LARGE_ALPHABETS)
        why += f"; of the {len(size.alphabet):,} different characters the rare ones are spelt as bytes"
        return pieces, True, f"vocabulary: {pieces:,} pieces: {why}"
    learnable = max(len(size.alphabet) + len(size.vocabulary) // 2, len(size.alphabet) + SPECIAL_PIECES, 16)
    if learnable < pieces:
        pieces = learnable
        why += f", only {len(size.vocabulary):,} of them different"
    pieces = max(pieces, min(2 * len(size.alphabet), learnable))
    return pieces, False, f"vocabulary: {pieces:,} pieces: {why}"
