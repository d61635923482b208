"""Translations of lines, as text or JSON, in the order of the lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING

from attnkit.errors import DataError

if TYPE_CHECKING:
    from attnkit.decoding.config import DecodeConfig
    from attnkit.recipes.translation.translator import Translation, Translator

    Write = Callable[[int, str, Sequence[Translation]], str]
    """Makes the output of a line from its number (counted from 1), itself, and its translations."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How every line is translated."""

    decode: DecodeConfig
    n_best: int = 1
    batch_size: int | None = None


def translate_groups(
    translator: Translator,
    groups: Iterable[Sequence[str]],
    search: Search,
    *,
    prefixes: Iterator[str] | None,
    write: Write,
) -> Iterator[str]:
    """Translate groups of lines, and give the output of each group as soon as it is known.

    Raises:
        DataError: there are more or fewer prefixes than lines; the lines that have a prefix have been answered.
    """
    done = 0
    for group in groups:
        starts = None if prefixes is None else list(islice(prefixes, len(group)))
        lines = group if starts is None else group[: len(starts)]
        answers = translator.translate(
            lines,
            decode=search.decode,
            n_best=search.n_best,
            prefixes=starts,
            batch_size=search.batch_size,
            lines_before=done,
        )
        numbered = enumerate(zip(lines, answers, strict=True), start=done + 1)
        yield "".join(write(number, line, answer) for number, (line, answer) in numbered)
        done += len(lines)
        if len(lines) < len(group):
            raise DataError(f"--prefix-file: {done} lines, but the input has more; expected a line for each")
    _check_all_used(prefixes, done)


def _check_all_used(prefixes: Iterator[str] | None, done: int) -> None:
    if prefixes is not None and not isinstance(prefixes, repeat) and next(prefixes, None) is not None:
        raise DataError(f"--prefix-file: more lines than the {done} of the input; expected a line for each")


def as_text(
    number: int, line: str, translations: Sequence[Translation], *, scores: bool = False, numbers: bool = False
) -> str:
    """Plain output: a line per translation, its text behind the number and the score that are asked for, with tabs."""
    columns = [
        [str(number)] * numbers + [f"{translation.score:.4f}"] * scores + [translation.text]
        for translation in translations
    ]
    return "".join("\t".join(column) + "\n" for column in columns)


def as_json_line(number: int, line: str, translations: Sequence[Translation]) -> str:
    """A JSON object on a line, with all that is known."""
    answers = [
        {
            "text": translation.text,
            "score": translation.score,
            "log_prob": translation.log_prob,
            "pieces": list(translation.pieces),
            "token_log_probs": list(translation.token_log_probs),
        }
        for translation in translations
    ]
    return json.dumps({"line": number, "src": line, "translations": answers}, ensure_ascii=False) + "\n"
