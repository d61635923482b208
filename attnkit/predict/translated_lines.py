"""What `attnkit translate` does between reading and printing; knows a translator only by what it can do."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from typing import TYPE_CHECKING, Protocol

from attnkit.errors import DataError

if TYPE_CHECKING:
    from attnkit.decoding.config import DecodeConfig


class Translation(Protocol):
    """One translation of one line."""

    @property
    def text(self) -> str:
        """Without an end of line."""

    @property
    def score(self) -> float:
        """What the search ranked it by."""

    @property
    def log_prob(self) -> float:
        """Natural logarithm, of the whole translation with its end of sentence."""

    @property
    def pieces(self) -> Sequence[str]:
        """The tokens as the vocabulary writes them."""

    @property
    def token_log_probs(self) -> Sequence[float]:
        """Of each piece, and of the end of sentence."""


class Translator(Protocol):
    """What turns lines into translations. A blank line has one translation, which is blank."""

    def translate(
        self,
        lines: Sequence[str],
        *,
        decode: DecodeConfig,
        n_best: int,
        prefixes: Sequence[str] | None,
        batch_size: int | None,
        lines_before: int,
    ) -> Sequence[Sequence[Translation]]:
        """Translate lines; the answers are in the same order, each best first."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """How every line is translated."""

    decode: DecodeConfig
    n_best: int = 1
    batch_size: int | None = None


Write = Callable[[int, str, Sequence[Translation]], str]
"""Makes the output of one line from its number (counted from 1), itself, and its translations."""


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
        DataError: there are more or fewer prefixes than lines; the lines that have one have been answered.
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
    _refuse_left_over(prefixes, done)


def _refuse_left_over(prefixes: Iterator[str] | None, done: int) -> None:
    if prefixes is not None and not isinstance(prefixes, repeat) and next(prefixes, None) is not None:
        raise DataError(f"--prefix-file: more lines than the {done} of the input; expected a line for each")


def as_text(
    number: int, line: str, translations: Sequence[Translation], *, scores: bool = False, numbers: bool = False
) -> str:
    """Plain output: a line per translation; its text, behind what else is asked for and a tab each."""
    columns = [
        [str(number)] * numbers + [f"{translation.score:.4f}"] * scores + [translation.text]
        for translation in translations
    ]
    return "".join("\t".join(column) + "\n" for column in columns)


def as_json_line(number: int, line: str, translations: Sequence[Translation]) -> str:
    """A JSON object on one line, with all that is known."""
    answers = [
        {
            "text": one.text,
            "score": one.score,
            "log_prob": one.log_prob,
            "pieces": list(one.pieces),
            "token_log_probs": list(one.token_log_probs),
        }
        for one in translations
    ]
    return json.dumps({"line": number, "src": line, "translations": answers}, ensure_ascii=False) + "\n"
