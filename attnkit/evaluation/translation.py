"""attnkit evaluate, of translations: those of a run on its test set, or any file against references."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, cast

import typer

from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.request import Request, keep_scores, refuse_unknown, run_to_score
from attnkit.report.score_tables import print_text_scores

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

    from attnkit.data.open import OpenedData
    from attnkit.data.text.parallel_text import ParallelText
    from attnkit.metrics.moses import Compat
    from attnkit.metrics.text import TextMetricName, TextScore
    from attnkit.recipes.translation.recipe import BleuConfig, TranslationRecipe
    from attnkit.run_dir import RunDir

_TOKENISED_LINES = 0.1
"""If a larger share of the lines ends in a spaced full stop, text looks tokenised."""
_TOKENIZE = "13a"
"""BLEU's tokenizer where neither an option nor a recipe names one."""


@dataclass(frozen=True, kw_only=True)
class TranslationOptions:
    """Options of translation alone."""

    hyp: Annotated[
        str | None, typer.Option("--hyp", metavar="FILE", help="Score this file of translations, no run; - is stdin.")
    ] = None
    ref: Annotated[
        list[str] | None,
        typer.Option("--ref", metavar="FILE", help="References; repeat for several. With a run: instead of its own."),
    ] = None
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="FILE", help="Another system's translations, for the paired bootstrap p."),
    ] = None
    tokenize: Annotated[
        str | None,
        typer.Option("--tokenize", metavar="NAME", help="BLEU's tokenizer: 13a (default), intl, char, none, zh..."),
    ] = None
    lowercase: Annotated[
        bool | None, typer.Option("--lowercase/--cased", help="Ignore case; by default as the recipe says, or cased.")
    ] = None
    compat: Annotated[
        str | None,
        typer.Option("--compat", metavar="NAME", help="lc-tok or paper: BLEU in the text form of older papers."),
    ] = None
    language: Annotated[
        str | None,
        typer.Option("--language", metavar="CODE", help="For --compat; by default the reference file's ending."),
    ] = None
    raw_ref: Annotated[
        bool, typer.Option("--raw-ref", help="For --compat: --ref is plain text, to be prepared like the translations.")
    ] = False

    tasks = frozenset({"translation"})


@dataclass(frozen=True)
class _Lines:
    """Lines of text, and what to call them in an error."""

    name: str
    lines: Sequence[str]


def evaluate_translation(request: Request, options: TranslationOptions) -> None:
    """Score translations, print the scores, and keep those of a run.

    Raises:
        AttnkitError: options do not go together, or what they name cannot be scored.
    """
    metrics = tuple(request.metrics) or ("bleu",)
    _check_compat(metrics, options)
    references = [_read_text(name) for name in options.ref or []]
    baseline = None if options.baseline is None else _read_text(options.baseline)
    if options.hyp is None:
        _evaluate_run(request, options, metrics, references, baseline)
        return
    request.refuse_run("--hyp", "a file", others="--beam-size or --length-penalty")
    if not references:
        raise AttnkitError("--hyp: nothing to compare with; expected the references too; add --ref FILE")
    scores = _score_lines(metrics, options, _read_text(options.hyp), references, baseline)
    about = {"hyp": options.hyp, "ref": options.ref or None, "baseline": options.baseline}
    _print(scores, about, as_json=request.as_json)


def _check_compat(metrics: Sequence[str], options: TranslationOptions) -> None:
    """Refuse options that do not go together with --compat."""
    from attnkit.metrics.moses import COMPATS

    compat = options.compat
    if options.raw_ref and compat is None:
        raise AttnkitError("--raw-ref: says how --compat reads references; expected --compat too; add it")
    if compat is None:
        return
    if compat not in COMPATS:
        refuse_unknown("--compat", compat, COMPATS)
    if options.tokenize is not None:
        raise AttnkitError(f"--tokenize: --compat {compat} tokenises already; expected one of the two; leave one out")
    if set(metrics) != {"bleu"}:
        raise AttnkitError(
            f"--compat: {compat} is a form of BLEU; expected --metric bleu alone; score others without it"
        )


def _read_text(name: str) -> _Lines:
    """Read a text file, `.gz` or not, or stdin for `-`. A line ends at a line feed and nowhere else."""
    from attnkit.data.files import find_file, read_lines

    if name == "-":
        lines = list(read_lines(cast("Traversable", _Stdin()), "stdin"))
    else:
        lines = list(read_lines(find_file(name), name))
    if not lines:
        raise DataError(f"{name}: empty; expected a sentence per line; see the file")
    return _Lines("stdin" if name == "-" else name, lines)


class _Stdin:
    """Standard input as a file that can be opened."""

    def open(self, mode: str) -> BinaryIO:
        return io.BytesIO(sys.stdin.buffer.read())


def _evaluate_run(
    request: Request,
    options: TranslationOptions,
    metrics: tuple[str, ...],
    references: list[_Lines],
    baseline: _Lines | None,
) -> None:
    run, recipe, weights = run_to_score(request, "translation")
    data = request.opened_data(recipe.data)
    if data[request.split] is None:
        raise DataError(
            f"{run.recipe}: data.{request.split}: not set, so there is nothing to score on; "
            f"expected a {request.split} set; choose another --split, or score a file with --hyp and --ref"
        )
    hypotheses, own = _translate(recipe, run, data, request, weights)
    scored_by = replace(
        options,
        tokenize=options.tokenize or recipe.bleu.tokenize,
        lowercase=recipe.bleu.lowercase if options.lowercase is None else options.lowercase,
        language=options.language or (None if references else _target_language(recipe, request.split)),
        raw_ref=options.raw_ref or not references,
    )
    scores = _score_lines(metrics, scored_by, hypotheses, references or [own], baseline)
    decode = recipe.decode.model_dump(mode="json")
    about = {"weights": str(weights), "decode": decode, "ref": options.ref or None, "baseline": options.baseline}
    _print(scores, {"run": str(run.path), "split": request.split, **about}, as_json=request.as_json)
    variant = _variant(scored_by, recipe.bleu)
    keep_scores(run, request.split, {name + variant: score.as_dict() | about for name, score in scores.items()})


def _translate(
    recipe: TranslationRecipe, run: RunDir, data: OpenedData[ParallelText], request: Request, weights: Path
) -> tuple[_Lines, _Lines]:
    """The run's translations of a split, saved if asked for, and the references."""
    from attnkit.recipes.translation.translator import load_translator, translate_split
    from attnkit.run_dir import write_whole

    translator = load_translator(recipe, run, device=request.device, weights=weights)
    result = translate_split(translator, data, run, request.split)
    if request.save is not None:
        write_whole(request.save, "".join(f"{line}\n" for line in result.hypotheses))
        typer.echo(f"{request.save}: {len(result.hypotheses)} translations", err=True)
    name = f"{run.path} ({request.split})"
    return _Lines(name, result.hypotheses), _Lines(name, result.references)


def _target_language(recipe: TranslationRecipe, split: str) -> str | None:
    """The target language, as far as the recipe's data names it."""
    from attnkit.data.text.parallel_text import language_of

    if recipe.data.format == "tatoeba_en_de":
        return "de"
    files = getattr(recipe.data, split) if recipe.data.format == "text" else None
    return language_of(files.tgt) if files else None


def _variant(options: TranslationOptions, usual: BleuConfig) -> str:
    """The suffix, in scores.json, of scores that were not computed as the recipe says."""
    if options.compat:
        return f".{options.compat}"
    tokenizer = "" if options.tokenize == usual.tokenize else f".{options.tokenize}"
    case = "" if options.lowercase == usual.lowercase else ".lc" if options.lowercase else ".cased"
    return tokenizer + case


def _score_lines(
    metrics: Sequence[str],
    options: TranslationOptions,
    hypotheses: _Lines,
    references: Sequence[_Lines],
    baseline: _Lines | None,
) -> dict[str, TextScore]:
    """Score by every metric."""
    for other in (*references, *([baseline] if baseline else [])):
        if len(other.lines) != len(hypotheses.lines):
            raise DataError(
                f"{hypotheses.name}: {len(hypotheses.lines)} lines, but {other.name} has {len(other.lines)}; "
                "expected line n of both to belong to one sentence; see where they begin to differ"
            )
    if options.compat is not None:
        return {"bleu": _score_compat(options, hypotheses, references, baseline)}
    from attnkit.metrics.text import score_text

    if "bleu" in metrics and options.tokenize != "none":
        _note_tokenised(hypotheses)
    return {
        metric: score_text(
            cast("TextMetricName", metric),
            hypotheses.lines,
            [lines.lines for lines in references],
            baseline=baseline.lines if baseline else None,
            tokenize=options.tokenize or _TOKENIZE,
            lowercase=bool(options.lowercase),
        )
        for metric in metrics
    }


def _score_compat(
    options: TranslationOptions, hypotheses: _Lines, references: Sequence[_Lines], baseline: _Lines | None
) -> TextScore:
    from attnkit.metrics.moses import check_tokenised, score_compat

    compat = cast("Compat", options.compat)
    if not options.raw_ref:
        for lines in references:
            check_tokenised(lines.lines, place=lines.name, compat=compat)
    return score_compat(
        compat,
        hypotheses.lines,
        [lines.lines for lines in references],
        language=options.language or _language_of(references[0].name),
        raw_references=options.raw_ref,
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


def _note_tokenised(hypotheses: _Lines) -> None:
    """Warn of text that looks tokenised before it is tokenised again: the mistake behind most wrong BLEU scores."""
    spaced = sum(line.endswith(" .") for line in hypotheses.lines)
    if spaced > _TOKENISED_LINES * len(hypotheses.lines):
        typer.echo(
            f"{hypotheses.name}: {spaced} of {len(hypotheses.lines)} lines end in a full stop with a space before it, "
            "which looks tokenised; expected plain text; detokenise it, or add --tokenize none",
            err=True,
        )


def _print(scores: dict[str, TextScore], about: dict[str, Any], *, as_json: bool) -> None:
    from attnkit.metrics.text import reading

    if not as_json:
        print_text_scores(list(scores.values()))
        return
    values = {name: score.as_dict() for name, score in scores.items()}
    if "bleu" in scores:
        values["bleu"]["reading"] = reading(scores["bleu"].value)
    typer.echo(json.dumps({**about, "scores": values}, indent=2, ensure_ascii=False))
