"""A translation recipe for somebody's own sentence pairs, and the sets held back for it. Free of torch."""

from collections.abc import Mapping
from pathlib import Path

from attnkit.data.config import Split
from attnkit.data.text.config import PairOfFiles
from attnkit.data.text.held_back import HeldBack, Kept, write_pairs
from attnkit.data.text.pair_files import TextPairs
from attnkit.data.text.parallel_text import ParallelText, language_of
from attnkit.errors import DataError
from attnkit.new_recipe.recipe_text import NewRecipe, refuse_to_overwrite, write_recipe
from attnkit.new_recipe.translation_size import TextSize, measure, size_recipe

FEWEST_PAIRS = 200
"""With fewer there is nothing to learn from, and nothing to hold back."""
FEW_PAIRS = 10_000
"""With fewer, translations are useful in a narrow domain at best."""
MOST_HELD_BACK = 2000
_SHOWN = (
    *("tokenizer.vocab_size", "model.name", "model.embed_dim", "model.encoder_depth", "model.decoder_depth"),
    *("model.num_heads", "model.mlp_dim", "model.norm", "model.dropout", "loss.label_smoothing"),
    *("batch.src_tokens", "batch.tgt_tokens", "bleu.tokenize"),
    *("train.optimizer.name", "train.schedule.warmup_steps", "decode.beam_size"),
)


def new_translation(given: Mapping[Split, PairOfFiles], *, output: Path, name: str, force: bool = False) -> NewRecipe:
    """Write a recipe sized to the data, and hold back the validation and test sets that are not given.

    Args:
        given: the files of the splits; train is needed. The source texts are read two or three times.
        output: the recipe's file. Held-back sets, and the training text without their sentences, are written beside it.
        name: of the recipe.
        force: whether files may be overwritten.

    Raises:
        DataError: a file is missing, misaligned or not text, or there are too few pairs.
        RecipeError: a file exists already.
    """
    opened = {split: TextPairs(files.src, files.tgt) for split, files in given.items()}
    missing: list[Split] = [split for split in ("valid", "test") if split not in given]
    written = _files_to_write(given["train"], output, missing)
    if not force:
        refuse_to_overwrite(output, *(Path(file) for pair in written.values() for file in (pair.src, pair.tgt)))
    size = measure(opened["train"])
    place, words = opened["train"].describe(), f"{size.src.words:,} source and {size.tgt.words:,} target words"
    warnings = _check_size(size, place)
    sized = size_recipe(name, {**given, **written}, size)
    held_back = _hold_back(opened, written, size.pairs) if missing else ()
    reasons = (f"{place}: {size.pairs:,} pairs, {words}", *held_back, *sized.reasons)
    not_measured = "What it scores and how long it takes"
    return write_recipe(output, sized.recipe, reasons, warnings, shown=_SHOWN, not_measured=not_measured)


def _check_size(size: TextSize, place: str) -> tuple[str, ...]:
    """A warning where there are few pairs; an error where there are too few."""
    needed = f"expected at least {FEWEST_PAIRS}, and {FEW_PAIRS:,} or more for good translations; add pairs"
    if size.pairs < FEWEST_PAIRS:
        raise DataError(f"{place}: {size.pairs} pairs are too few; {needed}")
    return (f"{place}: {size.pairs:,} pairs are few; {needed}",) if size.pairs < FEW_PAIRS else ()


def _files_to_write(train: PairOfFiles, output: Path, missing: list[Split]) -> dict[Split, PairOfFiles]:
    """Files for what is held back, and for the rest; named after the recipe, compressed if the training text is."""
    if not missing:
        return {}
    src, tgt = language_of(train.src), language_of(train.tgt)
    endings = (src, tgt) if src and tgt and src != tgt else ("src", "tgt")
    packed = [".gz" if file.endswith(".gz") else "" for file in (train.src, train.tgt)]

    def named(split: Split, side: int) -> str:
        return str(output.with_name(f"{output.stem}.{split}.{endings[side]}{packed[side]}"))

    return {split: PairOfFiles(src=named(split, 0), tgt=named(split, 1)) for split in ("train", *missing)}


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
    chosen = {split: pairs for split, pairs in (("valid", held.valid), ("test", held.test)) if split in written}
    if not all(chosen.values()):
        raise DataError(
            f"{train.describe()}: nothing left to hold back; expected many different sentences; "
            "look at the files, or give --valid-src, --valid-tgt, --test-src and --test-tgt"
        )
    sets = {**chosen, "train": held.training_pairs(train, kept)}
    write_pairs({(Path(files.src), Path(files.tgt)): sets[split] for split, files in written.items()})
    sizes = " and ".join(f"{len(pairs)} for {split}" for split, pairs in chosen.items())
    dropped = f"{kept.same_src:,} pairs with a source sentence of those sets, {kept.same_tgt:,} with a target sentence"
    return (
        f"held back: {sizes}, chosen by a hash of the lower-cased source sentence, so that no sentence is in two sets",
        f"training text: {kept.pairs:,} pairs; left out: {dropped} and {kept.empty:,} with an empty side",
    )
