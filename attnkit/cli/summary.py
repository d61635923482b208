"""attnkit summary: what a model costs."""

import json
from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from attnkit.cli.options import JsonOption, SetOption
from attnkit.errors import AttnkitError, RecipeError

Counting = Literal["paper", "fvcore", "mmcv"]


def summary(
    source: Annotated[
        str,
        typer.Argument(metavar="RECIPE_OR_RUN", help="A recipe, its name, a run folder, or an architecture: swin_t."),
    ],
    overrides: SetOption = None,
    convention: Annotated[
        Counting | None, typer.Option("--convention", help="How GMACs of images are counted  [default: paper]")
    ] = None,
    image_size: Annotated[
        int | None, typer.Option("--image-size", min=8, metavar="PIXELS", help="Of an architecture, not its own.")
    ] = None,
    speed: Annotated[
        bool | None,
        typer.Option("--speed/--no-speed", help="Measure images per second  [default: where it is quick]"),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Count what a model costs, beside the published numbers.

    Of text parameters and training FLOPs; of images parameters, GMACs, memory and speed.

    \b
    Examples:
      attnkit summary translation/wmt14_en_de_big
      attnkit summary runs/demo --json
      attnkit summary swin_t
      attnkit summary vit_b16_384 --convention fvcore
      attnkit summary upernet_swin_t
      attnkit summary htcpp_swin_l
    """
    from attnkit.recipes.tasks import ARCHITECTURE_NAMES, summarize_architecture

    if source in ARCHITECTURE_NAMES and not Path(source).exists():
        if overrides:
            raise AttnkitError(f"--set: {source} is an architecture, not a recipe; expected a recipe; leave it out")
        facts = summarize_architecture(source, image_size=image_size, convention=convention or "paper", speed=speed)
    elif image_size is not None:
        raise AttnkitError("--image-size: is for architectures; expected --set image.size=N for a recipe; write that")
    else:
        facts = _of_recipe(source, overrides or [], convention=convention, speed=speed)
    typer.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else "\n".join(table(facts)))


def _of_recipe(source: str, overrides: list[str], *, convention: Counting | None, speed: bool | None) -> dict[str, Any]:
    from attnkit import recipe_file
    from attnkit.recipes.tasks import summarize
    from attnkit.run_dir import open_run

    run = open_run(Path(source)) if Path(source).is_dir() else None
    try:
        recipe = recipe_file.load(run.recipe if run else source, overrides)
    except RecipeError as error:
        if not run and not Path(source).exists() and (close := _close_architecture(source)):
            raise RecipeError(f"{source}: no such recipe, run or architecture; did you mean {close}?") from error
        raise
    if recipe.task == "translation":
        if convention is not None or speed is not None:
            option = "--speed" if convention is None else "--convention"
            raise AttnkitError(f"{option}: is for images, but {source} is a {recipe.task} recipe; leave it out")
        return summarize(recipe)
    from attnkit.engine.checkpoint import load_tensors

    classes = load_tensors(run.weights())[1].get("classes") if run and (run.finished or run.steps()) else None
    num_classes = len(classes) if classes else None
    return summarize(recipe, num_classes=num_classes, convention=convention or "paper", speed=speed)


def _close_architecture(name: str) -> str | None:
    from attnkit.recipes.tasks import ARCHITECTURE_NAMES

    return next(iter(get_close_matches(name, ARCHITECTURE_NAMES, n=1, cutoff=0.7)), None)


def table(facts: Mapping[str, Any], *, indent: int = 0) -> list[str]:
    """Nested facts as aligned lines, numbers with their thousands apart."""
    width = max((len(str(name)) for name in facts), default=0)
    lines = []
    for name, value in facts.items():
        label = " " * indent + str(name)
        if isinstance(value, Mapping):
            lines += [label, *table(value, indent=indent + 2)]
        else:
            lines.append(f"{label:<{indent + width}}  {_written(value)}")
    return lines


def _written(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if abs(value) >= 1e9 else f"{value:,.4f}".rstrip("0").rstrip(".")
