"""A translation recipe for somebody's own sentence pairs, and the sets held back for it. Free of torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from attnkit.data.config import Split
from attnkit.data.text.config import PairOfFiles
from attnkit.data.text.held_back import HeldBack, Kept, write_pairs
from attnkit.data.text.pair_files import TextPairs
from attnkit.data.text.parallel_text import ParallelText, language_of
from attnkit.errors import DataError, RecipeError
from attnkit.new_recipe.recipe_text import recipe_head
from attnkit.new_recipe.translation_size import Sizing, TextSize, measure, size_recipe
from attnkit.run_dir import write_whole

FEWEST_PAIRS = 200
"""With fewer there is nothing to learn from, and nothing to hold back."""
FEW_PAIRS = 10_000
"""With fewer, translations are of use in a narrow domain at best."""
MOST_HELD_BACK = 2000
BYTE_FALLBACK = """
  byte_fallback: true
  character_coverage: 0.9995"""


@dataclass(frozen=True)
class NewRecipe:
    """What was written."""

    file: Path
    reasons: tuple[str, ...]
    """One line per choice."""
    warning: str | None
    """What the data is too small for."""


def new_translation(given: Mapping[Split, PairOfFiles], *, output: Path, name: str, force: bool = False) -> NewRecipe:
    """Write a recipe sized to the data, and hold back the validation and test sets that are not given.

    Args:
        given: the files of the splits; train is needed. The source texts are read two or three times.
        output: the recipe's file. Held-back sets, and the training text without their sentences, are written beside it.
        name: of the recipe.
        force: whether files may be written over.

    Raises:
        DataError: a file is missing, misaligned or not text, or there are too few pairs.
        RecipeError: a file is there already.
    """
    opened = {split: TextPairs(files.src, files.tgt) for split, files in given.items()}
    missing: list[Split] = [split for split in ("valid", "test") if split not in given]
    written = _files_to_write(given["train"], output, missing)
    files = [output, *(Path(file) for pair in written.values() for file in (pair.src, pair.tgt))]
    if not force:
        _refuse_to_overwrite(files)
    size = measure(opened["train"])
    place, words = opened["train"].describe(), f"{size.src.words:,} source and {size.tgt.words:,} target words"
    warning = _check_size(size, place)
    sizing = size_recipe(size)
    held_back = _hold_back(opened, written, size.pairs) if missing else ()
    reasons = (f"{place}: {size.pairs:,} pairs, {words}", *held_back, *sizing.reasons)
    write_whole(output, _recipe_text(name, {**given, **written}, sizing, size, reasons))
    return NewRecipe(output, reasons, warning)


def _check_size(size: TextSize, place: str) -> str | None:
    needed = f"expected {FEWEST_PAIRS} at least, and {FEW_PAIRS:,} or more for translations worth reading; add pairs"
    if size.pairs < FEWEST_PAIRS:
        raise DataError(f"{place}: {size.pairs} pairs are too few; {needed}")
    return f"{place}: {size.pairs:,} pairs are few; {needed}" if size.pairs < FEW_PAIRS else None


def _files_to_write(train: PairOfFiles, output: Path, missing: list[Split]) -> dict[Split, PairOfFiles]:
    """Files for what is held back, and for the rest; named after the recipe, packed if the training text was."""
    if not missing:
        return {}
    src, tgt = language_of(train.src), language_of(train.tgt)
    endings = (src, tgt) if src and tgt and src != tgt else ("src", "tgt")
    packed = [".gz" if file.endswith(".gz") else "" for file in (train.src, train.tgt)]

    def named(split: Split, side: int) -> str:
        return str(output.with_name(f"{output.stem}.{split}.{endings[side]}{packed[side]}"))

    return {split: PairOfFiles(src=named(split, 0), tgt=named(split, 1)) for split in ("train", *missing)}


def _refuse_to_overwrite(files: list[Path]) -> None:
    there = [str(file) for file in files if file.exists()]
    if there:
        raise RecipeError(
            f"{there[0]}: exists already; expected to write {len(files)} new files; "
            "name another --output, or add --force to write over them"
        )


def _hold_back(
    opened: Mapping[Split, ParallelText], written: Mapping[Split, PairOfFiles], num_pairs: int
) -> tuple[str, ...]:
    """Write the held-back sets and the rest of the training text, and say what was done.

    A set gets a thirtieth of the pairs, but a hundred at least and 2000 at most; never over a tenth.
    """
    count = min(max(num_pairs // 30, 100), MOST_HELD_BACK, num_pairs // 10)
    held, kept = HeldBack(), Kept()
    for split in ("valid", "test"):
        if split in opened:
            held.add_known(opened[split])
    train = opened["train"]
    held.draw(train, valid=count if "valid" in written else 0, test=count if "test" in written else 0)
    drawn = {split: pairs for split, pairs in (("valid", held.valid), ("test", held.test)) if split in written}
    if not all(drawn.values()):
        raise DataError(
            f"{train.describe()}: nothing left to hold back; expected many different sentences; "
            "see the files, or give --valid-src, --valid-tgt, --test-src and --test-tgt"
        )
    sets = {**drawn, "train": held.training_pairs(train, kept)}
    write_pairs({(Path(files.src), Path(files.tgt)): sets[split] for split, files in written.items()})
    sizes = " and ".join(f"{len(pairs)} for {split}" for split, pairs in drawn.items())
    dropped = f"{kept.same_src:,} pairs with a source sentence of those sets, {kept.same_tgt:,} with a target sentence"
    return (
        f"held back: {sizes}, drawn by a hash of the lower-cased source sentence, so that no sentence is in two sets",
        f"training text: {kept.pairs:,} pairs; left out: {dropped} and {kept.empty:,} with an empty side",
    )


def _recipe_text(
    name: str, files: Mapping[Split, PairOfFiles], sizing: Sizing, size: TextSize, reasons: tuple[str, ...]
) -> str:
    """The recipe as YAML, its reasons on top."""
    preset = sizing.preset
    splits = "".join(f"\n  {split}: {_flow(files[split])}" for split in ("train", "valid", "test"))
    lr = "" if sizing.lr is None else f", lr: {sizing.lr}"
    head = recipe_head("translation", name, reasons, not_measured="What it scores and how long it takes")
    tokenize = _bleu_tokenizer(files["test"].tgt, size)
    return f"""\
{head}
data:
  format: text{splits}
tokenizer:
  name: sentencepiece
  algorithm: bpe
  vocab_size: {sizing.vocab_size}
  joint: true
  sampling: {preset.sampling}{BYTE_FALLBACK if sizing.byte_fallback else ""}
model:
  name: transformer
  embed_dim: {preset.embed_dim}
  encoder_depth: {preset.depth}
  decoder_depth: {preset.depth}
  num_heads: {preset.num_heads}
  mlp_dim: {preset.mlp_dim}
  norm: {preset.norm}
  tied_embeddings: all
  dropout: {preset.dropout}
loss:
  label_smoothing: 0.1
batch:
  src_tokens: {sizing.batch_tokens}
  tgt_tokens: {sizing.batch_tokens}
train:
  steps: {sizing.steps}
  accumulate: {preset.accumulate}
  optimizer: {preset.optimizer}
  schedule: {{name: {preset.schedule}, warmup_steps: {sizing.warmup_steps}{lr}}}
  validate_every: {sizing.validate_every}
  save_every: {sizing.save_every}
  keep_last: {preset.average_last}
  average_last: {preset.average_last}
  patience: {"null" if preset.patience is None else preset.patience}
decode: {preset.decode}
bleu:
  tokenize: {tokenize}
"""


def _flow(files: PairOfFiles) -> str:
    """Two paths in YAML, which reads text in JSON's quotes as JSON does."""
    return f"{{src: {json.dumps(files.src, ensure_ascii=False)}, tgt: {json.dumps(files.tgt, ensure_ascii=False)}}}"


def _bleu_tokenizer(tgt_file: str, size: TextSize) -> str:
    """How BLEU finds words: as sacreBLEU does in Chinese; by character in other text without spaces."""
    if language_of(tgt_file) == "zh":
        return "zh"
    return "13a" if size.tgt.has_spaces else "char"
