"""attnkit evaluate: score a run on its test set, or anyone's output against references."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from attnkit.cli.chosen_run import chosen_run
from attnkit.cli.options import CheckpointOption, DeviceOption, JsonOption, RunOption
from attnkit.cli.score_table import print_scores
from attnkit.cli.scoring import Lines, Scoring, check_scoring, read_text, score_lines
from attnkit.cli.search_options import search_overrides
from attnkit.errors import AttnkitError, CheckpointError, DataError

if TYPE_CHECKING:
    from attnkit.data.parallel_text import Split
    from attnkit.metrics.text import TextScore
    from attnkit.recipe_file import Override
    from attnkit.recipes import Recipe
    from attnkit.recipes.translation import BleuConfig
    from attnkit.run_dir import RunDir


def evaluate(
    metrics: Annotated[
        list[str] | None, typer.Option("--metric", metavar="NAME", help="bleu (default), chrf or ter. Can be repeated.")
    ] = None,
    run: RunOption = None,
    split: Annotated[str, typer.Option("--split", help="test or valid.")] = "test",
    hyp: Annotated[
        str | None, typer.Option("--hyp", metavar="FILE", help="Score this file of translations, no run; - is stdin.")
    ] = None,
    ref: Annotated[
        list[str] | None,
        typer.Option("--ref", metavar="FILE", help="References; repeat for several. With a run: instead of its own."),
    ] = None,
    baseline: Annotated[
        str | None,
        typer.Option("--baseline", metavar="FILE", help="Another system's translations, for the paired bootstrap p."),
    ] = None,
    tokenize: Annotated[
        str | None,
        typer.Option("--tokenize", metavar="NAME", help="BLEU's tokenizer: 13a (default), intl, char, none, zh..."),
    ] = None,
    lowercase: Annotated[
        bool | None, typer.Option("--lowercase/--cased", help="Ignore case; by default as the recipe says, or cased.")
    ] = None,
    compat: Annotated[
        str | None,
        typer.Option("--compat", metavar="NAME", help="lc-tok or paper: BLEU in the text form of older papers."),
    ] = None,
    language: Annotated[
        str | None,
        typer.Option("--language", metavar="CODE", help="For --compat; by default the reference file's ending."),
    ] = None,
    raw_ref: Annotated[
        bool, typer.Option("--raw-ref", help="For --compat: --ref is plain text, to be prepared like the translations.")
    ] = False,
    checkpoint: CheckpointOption = None,
    beam_size: Annotated[int | None, typer.Option(metavar="K", help="Instead of the recipe's.")] = None,
    length_penalty: Annotated[
        str | None, typer.Option(metavar="FORM:ALPHA", help="Instead of the recipe's: gnmt:0.6, power:1, none.")
    ] = None,
    device: DeviceOption = "auto",
    save: Annotated[
        Path | None, typer.Option("--save", metavar="FILE", help="Keep the run's translations in this file.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Score translations: those of a run on its test set, or any file against references.

    \b
    Examples:
      attnkit eval --metric bleu
      attnkit eval --metric bleu --metric chrf --run runs/mine --split valid
      attnkit eval --metric bleu --hyp mine.txt --ref ref.txt --baseline theirs.txt
    """
    wanted = tuple(dict.fromkeys(metrics or ["bleu"]))
    check_scoring(wanted, tokenize=tokenize, compat=compat, raw_references=raw_ref)
    references = [read_text(name) for name in ref or []]
    other = None if baseline is None else read_text(baseline)
    if hyp is not None:
        _check_files_alone(references, run, checkpoint, beam_size, length_penalty, save)
        scoring = Scoring(wanted, tokenize or "13a", bool(lowercase), compat, language, raw_ref)
        scores = score_lines(scoring, read_text(hyp), references, other)
        _print(scores, {"hyp": hyp, "ref": ref, "baseline": baseline}, as_json=as_json)
        return
    method = None if beam_size is None else "beam"
    options = search_overrides({"method": method, "beam_size": beam_size}, length_penalty)
    folder, recipe = _open_run(run, split, options)
    weights = _weights(folder, checkpoint)
    hypotheses, own = _translate(recipe, folder, split, device=device, weights=weights, save=save)
    scoring = Scoring(
        wanted,
        tokenize or recipe.bleu.tokenize,
        recipe.bleu.lowercase if lowercase is None else lowercase,
        compat,
        language or (None if references else _target_language(recipe, split)),
        raw_ref or not references,
    )
    scores = score_lines(scoring, hypotheses, references or [own], other)
    about = {"weights": str(weights), "decode": recipe.decode.model_dump(mode="json"), "ref": ref, "baseline": baseline}
    _print(scores, {"run": str(folder.path), "split": split, **about}, as_json=as_json)
    variant = _variant(scoring, recipe.bleu)
    _keep(folder, split, {name + variant: score.as_dict() | about for name, score in scores.items()})


def _check_files_alone(references: list[Lines], *of_runs: object) -> None:
    if any(option is not None for option in of_runs):
        raise AttnkitError(
            "--hyp: scores a file, no run; expected no --run, --checkpoint, --beam-size, --length-penalty or --save; "
            "leave them out, or --hyp"
        )
    if not references:
        raise AttnkitError("--hyp: nothing to compare with; expected the references too; add --ref FILE")


def _open_run(path: Path | None, split: str, options: list[Override]) -> tuple[RunDir, Recipe]:
    """The run and its recipe, which must have the split."""
    from attnkit import recipe_file
    from attnkit.data.parallel_text import open_pairs

    if split not in ("test", "valid"):
        raise AttnkitError(f"--split: there is no '{split}' to score; expected test or valid; choose one of them")
    run = chosen_run(path, task="translation")
    recipe = recipe_file.load(run.recipe, options=options)
    if open_pairs(recipe.data, cast("Split", split)) is None:
        raise DataError(
            f"{run.recipe}: data.{split}: not set, so there is nothing to score on; expected a {split} set; "
            "choose another --split, or score a file with --hyp and --ref"
        )
    return run, recipe


def _weights(run: RunDir, checkpoint: Path | None) -> Path:
    if checkpoint is not None and not checkpoint.is_file():
        raise CheckpointError(
            f"{checkpoint}: no such file; expected weights of the run, such as {run.best}; see {run.checkpoints}"
        )
    return checkpoint or run.weights()


def _translate(
    recipe: Recipe, run: RunDir, split: str, *, device: str, weights: Path, save: Path | None
) -> tuple[Lines, Lines]:
    """The run's translations of a split, saved if asked for, and the references."""
    from attnkit.recipes.translator import translate_split
    from attnkit.run_dir import write_whole

    result = translate_split(recipe, run, cast("Split", split), device=device, checkpoint=weights)
    if save is not None:
        write_whole(save, "".join(f"{line}\n" for line in result.hypotheses))
        typer.echo(f"{save}: {len(result.hypotheses)} translations", err=True)
    return Lines(f"{run.path} ({split})", result.hypotheses), Lines(f"{run.path} ({split})", result.references)


def _target_language(recipe: Recipe, split: str) -> str | None:
    """What the recipe's data tells of the target language."""
    from attnkit.data.languages import language_of

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


def _keep(run: RunDir, split: str, scores: dict[str, dict[str, Any]]) -> None:
    """Put scores into the run's scores.json, beside what stands there of other splits and metrics."""
    from attnkit.run_dir import write_json

    try:
        kept = json.loads(run.scores.read_text(encoding="utf-8")) if run.scores.exists() else {}
        if not isinstance(kept, dict) or not isinstance(kept.get(split, {}), dict):
            raise ValueError("not an object of splits")
        write_json(run.scores, kept | {split: kept.get(split, {}) | scores})
    except (OSError, ValueError) as error:
        typer.echo(f"{run.scores}: the scores were not kept: {error}; mend or remove the file", err=True)
