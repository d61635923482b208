"""The data check of a translation recipe: its parallel text, and what its tokenizer makes of that."""

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory

from attnkit.data.config import Split
from attnkit.data.finding import DataReport, Finding
from attnkit.data.text.check import check_parallel_text
from attnkit.data.text.check_split import SideStats, TextStats
from attnkit.data.text.parallel_text import ParallelText
from attnkit.errors import DataError
from attnkit.recipes.base import CheckedData
from attnkit.recipes.translation.recipe import TranslationRecipe
from attnkit.tokenizers.build import build_tokenizer
from attnkit.tokenizers.tokenizer import Tokenizer

Say = Callable[[str], None]


def check(
    recipe: TranslationRecipe, data: Mapping[Split, ParallelText | None], *, tokens: bool, say: Say
) -> CheckedData:
    """Look at all text of a recipe.

    Args:
        recipe: names the text, and how it is cut into tokens.
        data: its opened splits.
        tokens: learn the tokenizer too, to count tokens and unknown ones.
        say: takes a line of progress.
    """
    return CheckedData(_report(recipe, data, tokens=tokens, say=say), _split_lines)


def _report(
    recipe: TranslationRecipe, data: Mapping[Split, ParallelText | None], *, tokens: bool, say: Say
) -> DataReport[TextStats]:
    """The findings; with tokens those that need the tokenizer, which is learned where the files are sound."""
    run_check = partial(
        check_parallel_text,
        data,
        max_length=recipe.filter.max_length,
        max_ratio=recipe.filter.max_ratio,
    )

    def progress(split: str, pairs: int) -> None:
        say(f"{split}: {pairs:,} pairs checked")

    if not tokens or not run_check(quick=True).ok:
        return run_check(progress=progress)
    try:
        return run_check(tokenizers=_learn_tokenizers(recipe, data, say), progress=progress)
    except DataError as error:  # the vocabulary is larger than the text supports, say
        report = run_check(progress=progress)
        report.findings[:0] = [Finding.from_error(line) for line in str(error).splitlines()]
        return report


def _learn_tokenizers(
    recipe: TranslationRecipe, data: Mapping[Split, ParallelText | None], say: Say
) -> tuple[Tokenizer, Tokenizer]:
    """What training would learn, in a folder that is thrown away."""
    pairs, config = data["train"], recipe.tokenizer
    assert pairs is not None
    say(f"learning {config.name} from the training text")
    with TemporaryDirectory() as folder:
        if config.joint:
            joint = build_tokenizer(config, chain.from_iterable(pairs), Path(folder))
            return joint, joint
        return build_tokenizer(config, pairs.src_lines(), Path(folder)), build_tokenizer(
            config, pairs.tgt_lines(), Path(folder)
        )


def _split_lines(split: str, stats: TextStats) -> tuple[str, str, str]:
    head = "" if stats.complete else " (only the beginning was checked)"
    return (
        f"{split}: {stats.pairs:,} pairs{head}, {stats.duplicates:,} seen before, {stats.left_out:,} left out",
        f"    {_side_line(stats.src, stats.pairs)}",
        f"    {_side_line(stats.tgt, stats.pairs)}",
    )


def _side_line(side: SideStats, pairs: int) -> str:
    parts = [f"{side.words / max(pairs, 1):.1f} words a line", f"the longest has {side.longest:,} characters"]
    if side.tokens is not None and side.unknown is not None:
        parts.append(f"{side.tokens / max(pairs, 1):.1f} tokens a line")
        parts.append(f"{side.unknown / max(side.tokens, 1):.3%} unknown")
    return f"{side.name}: {', '.join(parts)}"
