"""attnkit recipe: find, read, copy and check recipes."""

import json
from pathlib import Path
from typing import Annotated

import typer

from attnkit.cli import recipe_new
from attnkit.cli.options import JsonOption, RecipeArgument, SetOption
from attnkit.errors import RecipeError

app = typer.Typer(help="Find, read, copy, check and write recipes.", no_args_is_help=True, rich_markup_mode=None)
app.command("new")(recipe_new.new)


@app.command("list")
def list_recipes(as_json: JsonOption = False) -> None:
    """List the recipes that come with attnkit, with a title for each.

    \b
    Example:
      attnkit recipe list
    """
    from attnkit.recipe_file import shipped_recipes, title

    titles = {name: title(name) for name in shipped_recipes()}
    if as_json:
        typer.echo(json.dumps(titles, indent=2, ensure_ascii=False))
        return
    width = max(map(len, titles))
    for name, words in titles.items():
        typer.echo(f"{name:<{width}}  {words}")


@app.command("show")
def show(
    recipe: RecipeArgument,
    overrides: SetOption = None,
    resolved: Annotated[
        bool, typer.Option("--resolved", help="Every value, defaults included, as a run keeps it.")
    ] = False,
) -> None:
    """Print a recipe, as written or with every value.

    \b
    Examples:
      attnkit recipe show translation/wmt14_en_de_base
      attnkit recipe show translation/toy --resolved --set model.norm=pre
    """
    from attnkit import recipe_file

    if resolved or overrides:
        typer.echo(recipe_file.dump(recipe_file.load(recipe, overrides or [])), nl=False)
    else:
        typer.echo(recipe_file.find_recipe(recipe).read_text(encoding="utf-8"), nl=False)


@app.command("copy")
def copy(
    recipe: RecipeArgument,
    target: Annotated[
        Path | None, typer.Argument(metavar="FILE", help="The copy; by default its own name in this folder.")
    ] = None,
) -> None:
    """Copy a recipe to a file of your own, for changes.

    \b
    Example:
      attnkit recipe copy translation/multi30k_en_de my.yaml
    """
    from attnkit import recipe_file
    from attnkit.run_dir import write_whole

    source = recipe_file.find_recipe(recipe)
    file = target or Path(source.name)
    if file.is_dir():
        file = file / source.name
    if file.exists():
        raise RecipeError(f"{file}: exists already; expected a new file; name another, or remove it")
    write_whole(file, recipe_file.with_schema_line(source.read_text(encoding="utf-8")))
    typer.echo(f"wrote {file}; next: attnkit recipe check {file}", err=True)


@app.command("check")
def check(
    recipes: Annotated[list[str], typer.Argument(metavar="RECIPE...", help="Recipe files, or names of shipped ones.")],
    overrides: SetOption = None,
) -> None:
    """Report every mistake in recipes, with its line.

    Their data is checked by attnkit data check. Exit code 0 means that all recipes are valid, 2 that one is not.

    \b
    Examples:
      attnkit recipe check my.yaml
      attnkit recipe check translation/toy --set train.schedule.lr=1e-4
    """
    from attnkit.recipe_file import load

    wrong = []
    for name in recipes:
        try:
            loaded = load(name, overrides or [])
        except RecipeError as error:
            wrong.append(str(error))
        else:
            typer.echo(f"{name}: valid, a {loaded.task} recipe named {loaded.name}")
    if wrong:
        raise RecipeError("\n".join(wrong))


@app.command("schema")
def schema() -> None:
    """Print the JSON schema of recipes, for editors.

    \b
    Example:
      attnkit recipe schema > recipe.schema.json
    """
    from attnkit import recipe_file

    typer.echo(recipe_file.schema_text(), nl=False)
