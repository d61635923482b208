"""Scoring lines of text as the options of `attnkit evaluate` say. Free of torch."""

from __future__ import annotations

import io
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

import typer

from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.request import refuse_unknown

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from attnkit.metrics.moses import Compat
    from attnkit.metrics.text import TextMetricName, TextScore

TOKENISED_LINES = 0.1
"""From this part of lines that end in a spaced full stop, text looks tokenised."""


@dataclass(frozen=True)
class Lines:
    """Lines of text, and what to call them in an error."""

    name: str
    lines: Sequence[str]


@dataclass(frozen=True)
class Scoring:
    """How to score."""

    metrics: tuple[str, ...]
    tokenize: str
    lowercase: bool
    compat: str | None
    language: str | None
    raw_references: bool


def check_scoring(metrics: Sequence[str], *, tokenize: str | None, compat: str | None, raw_references: bool) -> None:
    """Refuse options that name nothing, or that do not go together.

    Raises:
        AttnkitError: the first of them.
    """
    from attnkit.metrics.moses import COMPATS

    if raw_references and compat is None:
        raise AttnkitError("--raw-ref: says how --compat reads references; expected --compat too; add it")
    if compat is None:
        return
    if compat not in COMPATS:
        refuse_unknown("--compat", compat, COMPATS)
    if tokenize is not None:
        raise AttnkitError(f"--tokenize: --compat {compat} tokenises already; expected one of the two; leave one out")
    if set(metrics) != {"bleu"}:
        raise AttnkitError(
            f"--compat: {compat} is a form of BLEU; expected --metric bleu alone; score others without it"
        )


def read_text(name: str) -> Lines:
    """Read a text file, `.gz` or not, or stdin for `-`. A line ends at a line feed and nowhere else.

    Raises:
        DataError: it is missing, empty, or not UTF-8.
    """
    from attnkit.data.files import find_file, read_lines

    if name == "-":
        lines = list(read_lines(cast("Traversable", _Stdin()), "stdin"))
    else:
        lines = list(read_lines(find_file(name), name))
    if not lines:
        raise DataError(f"{name}: empty; expected a sentence per line; see the file")
    return Lines("stdin" if name == "-" else name, lines)


class _Stdin:
    """Standard input as a file that can be opened."""

    def open(self, mode: str) -> BinaryIO:
        return io.BytesIO(sys.stdin.buffer.read())


def score_lines(
    scoring: Scoring, hypotheses: Lines, references: Sequence[Lines], baseline: Lines | None
) -> dict[str, TextScore]:
    """Score by every metric.

    Raises:
        DataError: files of different lengths, or references in the wrong form.
        AttnkitError: what the scoring needs is not known, or not installed.
    """
    for other in (*references, *([baseline] if baseline else [])):
        if len(other.lines) != len(hypotheses.lines):
            raise DataError(
                f"{hypotheses.name}: {len(hypotheses.lines)} lines, but {other.name} has {len(other.lines)}; "
                "expected line n of both to belong to one sentence; see where they begin to differ"
            )
    if scoring.compat is not None:
        return {"bleu": _score_compat(scoring, hypotheses, references, baseline)}
    from attnkit.metrics.text import score_text

    _note_tokenised(scoring, hypotheses)
    return {
        metric: score_text(
            cast("TextMetricName", metric),
            hypotheses.lines,
            [lines.lines for lines in references],
            baseline=baseline.lines if baseline else None,
            tokenize=scoring.tokenize,
            lowercase=scoring.lowercase,
        )
        for metric in scoring.metrics
    }


def _score_compat(
    scoring: Scoring, hypotheses: Lines, references: Sequence[Lines], baseline: Lines | None
) -> TextScore:
    from attnkit.metrics.moses import check_tokenised, score_compat

    compat = cast("Compat", scoring.compat)
    if not scoring.raw_references:
        for lines in references:
            check_tokenised(lines.lines, place=lines.name, compat=compat)
    return score_compat(
        compat,
        hypotheses.lines,
        [lines.lines for lines in references],
        language=scoring.language or _language_of(references[0].name),
        raw_references=scoring.raw_references,
        baseline=baseline.lines if baseline else None,
    )


def _language_of(name: str) -> str:
    from attnkit.data.text.parallel_text import language_of

    language = language_of(name)
    if language is None:
        raise AttnkitError(
            f"--compat: the language of {name} is unknown; expected it by option; add --language de, say"
        )
    return language


def _note_tokenised(scoring: Scoring, hypotheses: Lines) -> None:
    """Say so if text looks tokenised that is about to be tokenised: the mistake behind most BLEU that is off."""
    spaced = sum(line.endswith(" .") for line in hypotheses.lines)
    if "bleu" in scoring.metrics and scoring.tokenize != "none" and spaced > TOKENISED_LINES * len(hypotheses.lines):
        typer.echo(
            f"{hypotheses.name}: {spaced} of {len(hypotheses.lines)} lines end in a full stop with a space before it, "
            "which looks tokenised; expected plain text; detokenise it, or add --tokenize none",
            err=True,
        )
