"""attnkit evaluate, of translations: those of a run on its test set, or any file against references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from attnkit.cli.options import search_overrides
from attnkit.errors import AttnkitError, DataError
from attnkit.evaluation.asked import Evaluation, TextOptions
from attnkit.evaluation.kept_scores import keep_scores
from attnkit.evaluation.text_scoring import Lines, Scoring, check_scoring, read_text, score_lines
from attnkit.report.score_table import print_scores
from attnkit.run_dir import chosen_run, chosen_weights

if TYPE_CHECKING:
    from attnkit.data.config import Split
    from attnkit.metrics.text import TextScore
    from attnkit.recipes.translation.recipe import BleuConfig, TranslationRecipe
    from attnkit.run_dir import RunDir


def evaluate_translation(asked: Evaluation, options: TextOptions) -> None:
    """Score translations, print the scores, and keep those of a run."""
    wanted = tuple(asked.metrics) or ("bleu",)
    check_scoring(wanted, tokenize=options.tokenize, compat=options.compat, raw_references=options.raw_ref)
    references = [read_text(name) for name in options.ref or []]
    other = None if options.baseline is None else read_text(options.baseline)
    if options.hyp is None:
        _evaluate_run(asked, options, wanted, references, other)
        return
    _check_files_alone(asked, options, references)
    scoring = Scoring(
        wanted,
        options.tokenize or "13a",
        bool(options.lowercase),
        options.compat,
        options.language,
        options.raw_ref,
    )
    scores = score_lines(scoring, read_text(options.hyp), references, other)
    _print(scores, {"hyp": options.hyp, "ref": options.ref, "baseline": options.baseline}, as_json=asked.as_json)


def _evaluate_run(
    asked: Evaluation, options: TextOptions, wanted: tuple[str, ...], references: list[Lines], other: Lines | None
) -> None:
    folder, recipe = _open_run(asked, options)
    weights = chosen_weights(folder, asked.checkpoint)
    hypotheses, own = _translate(recipe, folder, asked, weights)
    scoring = Scoring(
        wanted,
        options.tokenize or recipe.bleu.tokenize,
        recipe.bleu.lowercase if options.lowercase is None else options.lowercase,
        options.compat,
        options.language or (None if references else _target_language(recipe, asked.split)),
        options.raw_ref or not references,
    )
    scores = score_lines(scoring, hypotheses, references or [own], other)
    decode = recipe.decode.model_dump(mode="json")
    about = {"weights": str(weights), "decode": decode, "ref": options.ref, "baseline": options.baseline}
    _print(scores, {"run": str(folder.path), "split": asked.split, **about}, as_json=asked.as_json)
    variant = _variant(scoring, recipe.bleu)
    keep_scores(folder, asked.split, {name + variant: score.as_dict() | about for name, score in scores.items()})


def _check_files_alone(asked: Evaluation, options: TextOptions, references: list[Lines]) -> None:
    of_runs = (asked.run, asked.checkpoint, options.beam_size, options.length_penalty, asked.save)
    if any(option is not None for option in of_runs):
        raise AttnkitError(
            "--hyp: scores a file, no run; expected no --run, --checkpoint, --beam-size, --length-penalty or --save; "
            "leave them out, or --hyp"
        )
    if not references:
        raise AttnkitError("--hyp: nothing to compare with; expected the references too; add --ref FILE")


def _open_run(asked: Evaluation, options: TextOptions) -> tuple[RunDir, TranslationRecipe]:
    """The run and its recipe, which must have the split."""
    from attnkit import recipe_file

    run = chosen_run(asked.run, task="translation")
    method = None if options.beam_size is None else "beam"
    search = search_overrides({"method": method, "beam_size": options.beam_size}, options.length_penalty)
    recipe = cast("TranslationRecipe", recipe_file.load(run.recipe, options=search))
    if asked.opened_data(recipe.data)[cast("Split", asked.split)] is None:
        raise DataError(
            f"{run.recipe}: data.{asked.split}: not set, so there is nothing to score on; "
            f"expected a {asked.split} set; choose another --split, or score a file with --hyp and --ref"
        )
    return run, recipe


def _translate(recipe: TranslationRecipe, run: RunDir, asked: Evaluation, weights: Path) -> tuple[Lines, Lines]:
    """The run's translations of a split, saved if asked for, and the references."""
    from attnkit.recipes.translation.translator import load_translator, translate_split
    from attnkit.run_dir import write_whole

    translator = load_translator(recipe, run, device=asked.device, weights=weights)
    result = translate_split(translator, asked.opened_data(recipe.data), run, cast("Split", asked.split))
    if asked.save is not None:
        write_whole(asked.save, "".join(f"{line}\n" for line in result.hypotheses))
        typer.echo(f"{asked.save}: {len(result.hypotheses)} translations", err=True)
    name = f"{run.path} ({asked.split})"
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
