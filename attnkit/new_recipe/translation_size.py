"""How large a translation recipe should be for an amount of text, and why. Free of torch.

Three amounts of text have published recipes: Multi30k (29 thousand pairs; Wu et al. 2021, arXiv:2105.14462), IWSLT14
(160 thousand; fairseq's example) and WMT14 (4.5 million; Vaswani et al. 2017). Between them the limits are judgement.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from attnkit.data.config import Split
from attnkit.data.text.config import PairOfFiles, TextPairsConfig
from attnkit.data.text.parallel_text import Pair, language_of
from attnkit.engine.config import TrainConfig
from attnkit.new_recipe.sizing import two_digits
from attnkit.recipe_file import load
from attnkit.recipes.translation.recipe import BatchConfig, BleuConfig, LossConfig, TranslationRecipe
from attnkit.tokenizers.config import SentencePieceConfig

PIECES_PER_WORD = 1.3
SPACELESS = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
"""Thai, Lao, Burmese, Khmer, Japanese and Chinese, which have no spaces between words."""
PADDING = 1.1
"""Tokens with padding over tokens, in batches of similar lengths."""
ENOUGH_WORDS = 70_000
"""Different words are counted up to here: from then on any vocabulary can be learned."""
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
"""From more different characters on (Chinese, Japanese), the rare ones are spelled as bytes."""
LEAST_FOR_LARGE_ALPHABETS = 8000
BYTE_COVERAGE = 0.9995
"""Of the characters; the rest are spelled as bytes where the alphabet is large."""
SPECIAL_PIECES = 5
"""Padding, unknown, begin, end, and the mark of a word's beginning."""


@dataclass
class SideSize:
    """What was counted on one side."""

    words: int = 0
    characters: int = 0
    spaceless: int = 0
    """Characters of scripts without spaces between words."""

    @property
    def has_spaces(self) -> bool:
        """Whether there are spaces between words."""
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
    """Different words of both sides, up to about ENOUGH_WORDS."""

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
    shipped: str
    """Its name among the shipped recipes."""
    accumulate: int
    """Batches that a published one is split into."""
    epochs: int
    least_steps: int
    most_steps: int
    validations: int
    patience: int | None
    why: str
    why_dropout: str

    @property
    def recipe(self) -> TranslationRecipe:
        """The published values."""
        recipe = load(self.shipped)
        assert isinstance(recipe, TranslationRecipe)
        return recipe


TINY = Preset(
    name="tiny",
    shipped="translation/multi30k_en_de",
    accumulate=1,
    epochs=65,
    least_steps=1500,
    most_steps=10_000,
    validations=16,
    patience=None,
    why="below 100 thousand pairs small models win: on the 29 thousand of Multi30k this one is published with 41 BLEU, "
    "the paper's base with 38, and plain attempts at base with 26 to 31",
    why_dropout="strong, because few pairs are soon memorised",
)
IWSLT = Preset(
    name="iwslt",
    shipped="translation/iwslt14_de_en",
    accumulate=1,
    epochs=45,
    least_steps=20_000,
    most_steps=100_000,
    validations=25,
    patience=8,
    why="between 100 thousand and a million pairs, the usual size for the 160 thousand of IWSLT14; base has more "
    "weights than so few pairs can determine",
    why_dropout="strong, as is usual for IWSLT14",
)
BASE = Preset(
    name="base",
    shipped="translation/wmt14_en_de_base",
    accumulate=4,
    epochs=40,
    least_steps=40_000,
    most_steps=100_000,
    validations=33,
    patience=None,
    why="from a million pairs on the paper's base, made for 4.5 million, pays off",
    why_dropout="as in the paper",
)


@dataclass(frozen=True)
class SizedTranslation:
    """A recipe whose numbers follow from the amount of text."""

    recipe: TranslationRecipe
    preset: Preset
    reasons: tuple[str, ...]
    """One line per choice: what, and why."""


def size_recipe(name: str, files: Mapping[Split, PairOfFiles], size: TextSize) -> SizedTranslation:
    """Choose a preset by the number of pairs, and what depends on the text within it.

    Args:
        name: of the recipe.
        files: of all three splits.
        size: what was counted in the training text.
    """
    preset = TINY if size.pairs < 100_000 else IWSLT if size.pairs < 1_000_000 else BASE
    published = preset.recipe
    tokenizer, why_vocabulary = _tokenizer(size, published)
    batch_tokens, lr = published.batch.tgt_tokens // preset.accumulate, published.train.schedule.lr
    for limit, small_batch, small_lr in reversed(SMALL_BATCHES):
        if size.tgt_pieces < limit and preset is TINY:
            batch_tokens, lr = small_batch, small_lr
    epoch = max(1, round(size.tgt_pieces * PADDING / (batch_tokens * preset.accumulate)))
    steps = two_digits(min(max(preset.epochs * epoch, preset.least_steps), preset.most_steps))
    recipe = TranslationRecipe(
        name=name,
        data=TextPairsConfig(train=files["train"], valid=files["valid"], test=files["test"]),
        tokenizer=tokenizer,
        model=published.model,
        loss=LossConfig(label_smoothing=0.1),
        batch=BatchConfig(src_tokens=batch_tokens, tgt_tokens=batch_tokens),
        train=_train(preset, published.train, steps=steps, epoch=epoch, lr=lr),
        decode=published.decode,
        bleu=BleuConfig.model_validate({"tokenize": _bleu_tokenizer(files["test"].tgt, size)}),
    )
    return SizedTranslation(recipe, preset, _reasons(recipe, preset, why_vocabulary, epochs=steps / epoch))


def _train(preset: Preset, published: TrainConfig, *, steps: int, epoch: int, lr: float | None) -> TrainConfig:
    """Checkpoints are saved about once an epoch, so that those that are averaged come from the second half."""
    average_last = published.average_last
    warmup_steps = min(published.schedule.warmup_steps, steps // 4)
    return TrainConfig(
        steps=steps,
        accumulate=preset.accumulate,
        optimizer=published.optimizer,
        schedule=published.schedule.changed(warmup_steps=warmup_steps, lr=lr),
        validate_every=two_digits(steps // preset.validations),
        save_every=two_digits(min(max(epoch, steps // 60), steps // (2 * average_last))),
        keep_last=average_last,
        average_last=average_last,
        patience=preset.patience,
    )


def _reasons(recipe: TranslationRecipe, preset: Preset, why_vocabulary: str, *, epochs: float) -> tuple[str, ...]:
    model, train = recipe.model, recipe.train
    depths, lr = f"{model.encoder_depth}+{model.decoder_depth}", train.schedule.lr
    has_bpe_dropout = isinstance(recipe.tokenizer, SentencePieceConfig) and recipe.tokenizer.sampling
    return (
        f"model: {preset.name}, {model.embed_dim} wide, {depths} layers: {preset.why}",
        f"dropout: {model.dropout}: {preset.why_dropout}"
        + ("; BPE dropout for the same reason: it splits the words anew in every epoch" if has_bpe_dropout else ""),
        why_vocabulary,
        f"steps: {train.steps:,} of {recipe.batch.tgt_tokens * train.accumulate:,} tokens a side: "
        f"about {epochs:.0f} times through the text",
        f"warm-up: {train.schedule.warmup_steps:,} steps, then the learning rate falls from "
        + (f"{lr:g}" if lr else "the paper's peak for this width"),
        f"averaging: the last {train.average_last} checkpoints, {train.save_every:,} steps apart, make the final model",
    )


def _bleu_tokenizer(tgt_file: str, size: TextSize) -> str:
    """How BLEU finds words: as sacreBLEU does in Chinese; by character in other text without spaces."""
    if language_of(tgt_file) == "zh":
        return "zh"
    return "13a" if size.tgt.has_spaces else "char"


def _tokenizer(size: TextSize, published: TranslationRecipe) -> tuple[SentencePieceConfig, str]:
    """The tokenizer, and why its vocabulary is as large as it is."""
    assert isinstance(published.tokenizer, SentencePieceConfig)
    words, characters, different = size.src.length + size.tgt.length, len(size.alphabet), len(size.vocabulary)
    pieces = next((pieces for limit, pieces in VOCABULARIES if words < limit), LARGEST_VOCABULARY)
    why = f"both languages together, from {words:,} words of text"
    rare_as_bytes = characters > LARGEST_ALPHABET
    if rare_as_bytes:
        pieces = max(pieces, LEAST_FOR_LARGE_ALPHABETS)
        why += f"; of the {characters:,} different characters the rare ones are spelled as bytes"
    else:
        learnable = max(characters + different // 2, characters + SPECIAL_PIECES, 16)
        if learnable < pieces:
            pieces = learnable
            why += f", only {different:,} of them different"
        pieces = max(pieces, min(2 * characters, learnable))
    tokenizer = SentencePieceConfig(
        vocab_size=pieces,
        sampling=published.tokenizer.sampling,
        byte_fallback=rare_as_bytes,
        character_coverage=BYTE_COVERAGE if rare_as_bytes else 1.0,
    )
    return tokenizer, f"vocabulary: {pieces:,} pieces: {why}"
