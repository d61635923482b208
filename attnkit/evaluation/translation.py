"""attnkit evaluate, of translations: those of a run on its test set, or any file against references."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.request import Request, keep_scores
from attnkit.evaluation.text_scoring import Lines, Scoring, check_scoring, read_text, score_lines
from attnkit.report.score_table import print_scores
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.data.open import OpenedData
    from attnkit.data.text.parallel_text import ParallelText
    from attnkit.metrics.text import TextScore
    from attnkit.recipes.translation.recipe import BleuConfig, TranslationRecipe
    from attnkit.run_dir import RunDir


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


def evaluate_translation(request: Request, options: TranslationOptions) -> None:
    """Score translations, print the scores, and keep those of a run.

    Raises:
        AttnkitError: options do not go together, or what they name cannot be scored.
    """
    wanted = tuple(request.metrics) or ("bleu",)
    check_scoring(wanted, tokenize=options.tokenize, compat=options.compat, raw_references=options.raw_ref)
    references = [read_text(name) for name in options.ref or []]
    baseline = None if options.baseline is None else read_text(options.baseline)
    if options.hyp is None:
        _evaluate_run(request, options, wanted, references, baseline)
        return
    _check_files_alone(request, references)
    scoring = Scoring(
        wanted,
        options.tokenize or "13a",
        bool(options.lowercase),
        options.compat,
        options.language,
        options.raw_ref,
    )
    scores = score_lines(scoring, read_text(options.hyp), references, baseline)
    about = {"hyp": options.hyp, "ref": options.ref or None, "baseline": options.baseline}
    _print(scores, about, as_json=request.as_json)


def _check_files_alone(request: Request, references: list[Lines]) -> None:
    if request.uses_a_run():
        raise AttnkitError(
            "--hyp: scores a file, no run; expected no --run, --checkpoint, --beam-size, --length-penalty or --save; "
            "leave them out, or --hyp"
        )
    if not references:
        raise AttnkitError("--hyp: nothing to compare with; expected the references too; add --ref FILE")


def _evaluate_run(
    request: Request,
    options: TranslationOptions,
    wanted: tuple[str, ...],
    references: list[Lines],
    baseline: Lines | None,
) -> None:
    from attnkit import recipe_file

    run = chosen_run(request.run, task="translation")
    recipe = cast("TranslationRecipe", recipe_file.load(run.recipe, options=request.overrides))
    data = request.opened_data(recipe.data)
    if data[request.split] is None:
        raise DataError(
            f"{run.recipe}: data.{request.split}: not set, so there is nothing to score on; "
            f"expected a {request.split} set; choose another --split, or score a file with --hyp and --ref"
        )
    weights = chosen_weights(run, request.checkpoint)
    hypotheses, own = _translate(recipe, run, data, request, weights)
    scoring = Scoring(
        wanted,
        options.tokenize or recipe.bleu.tokenize,
        recipe.bleu.lowercase if options.lowercase is None else options.lowercase,
        options.compat,
        options.language or (None if references else _target_language(recipe, request.split)),
        options.raw_ref or not references,
    )
    scores = score_lines(scoring, hypotheses, references or [own], baseline)
    decode = recipe.decode.model_dump(mode="json")
    about = {"weights": str(weights), "decode": decode, "ref": options.ref or None, "baseline": options.baseline}
    _print(scores, {"run": str(run.path), "split": request.split, **about}, as_json=request.as_json)
    variant = _variant(scoring, recipe.bleu)
    keep_scores(run, request.split, {name + variant: score.as_dict() | about for name, score in scores.items()})


def _translate(
    recipe: TranslationRecipe, run: RunDir, data: OpenedData[ParallelText], request: Request, weights: Path
) -> tuple[Lines, Lines]:
    """The run's translations of a split, saved if asked for, and the references."""
    from attnkit.recipes.translation.translator import load_translator, translate_split
    from attnkit.run_dir import write_whole

    translator = load_translator(recipe, run, device=request.device, weights=weights)
    result = translate_split(translator, data, run, request.split)
    if request.save is not None:
        write_whole(request.save, "".join(f"{line}\n" for line in result.hypotheses))
        typer.echo(f"{request.save}: {len(result.hypotheses)} translations", err=True)
    name = f"{run.path} ({request.split})"
    return Lines(name, result.hypotheses), Lines(name, result.references)


def _target_language(recipe: TranslationRecipe, split: str) -> str | None:
    """What the recipe's data tells of the target language."""
    from attnkit.data.text.parallel_text import language_of

    if recipe.data.format == "tatoeba_en_de":
        return "de"
    files = getattr(recipe.data, split) if recipe.data.format == "text" else None
    return language_of(files.tgt) if files else None


def _variant(scoring: Scoring, usual: BleuConfig) -> str:
    """What tells these scores from those that the recipe asks for, in scores.json."""
    if scoring.compat:
        return f".{scoring.compat}"
    tokenizer = "" if scoring.tokenize == usual.tokenize else f".{scoring.tokenize}"
    case = "" if scoring.lowercase == usual.lowercase else ".lc" if scoring.lowercase else ".cased"
    return tokenizer + case


def _print(scores: dict[str, TextScore], about: dict[str, Any], *, as_json: bool) -> None:
    from attnkit.metrics.text import reading

    if not as_json:
        print_scores(list(scores.values()))
        return
    values = {name: score.as_dict() for name, score in scores.items()}
    if "bleu" in scores:
        values["bleu"]["reading"] = reading(scores["bleu"].value)
    typer.echo(json.dumps({**about, "scores": values}, indent=2, ensure_ascii=False))
