"""Where recipes lie: a path, or the name of one that ships with attnkit."""

from difflib import get_close_matches
from pathlib import Path

import attnkit
from attnkit.errors import RecipeError

_SCHEMA = "yaml-language-server: $schema="
_SHIPPED_SCHEMA = "../schema.json"


def shipped_folder() -> Path:
    """The folder of the shipped recipes: inside the installed package, or beside it in a checkout."""
    package = Path(attnkit.__file__).parent
    installed = package / "shipped_recipes"
    return installed if installed.is_dir() else package.parent / "recipes"


def shipped_recipes() -> list[str]:
    """The names of all shipped recipes, `translation/toy` and so on, sorted."""
    folder = shipped_folder()
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.glob("*/*.yaml"))


def find_recipe(source: str | Path) -> Path:
    """Find a recipe's file: the path itself, else the shipped recipe of that name, with or without `.yaml`.

    Raises:
        RecipeError: there is none, or the path is a folder.
    """
    path = Path(source)
    if path.is_dir():
        hint = f"{path / 'recipe.yaml'}" if (path / "recipe.yaml").is_file() else "one in it"
        raise RecipeError(f"{source}: a folder; expected a recipe file; name {hint}")
    if path.exists():
        return path
    name = str(source).removesuffix(".yaml")
    if name in shipped_recipes():
        return shipped_folder() / f"{name}.yaml"
    raise RecipeError(
        f"{source}: no such recipe; looked in {Path.cwd()} and among the shipped recipes in {shipped_folder()}; "
        f"{_suggest(name)}"
    )


def _suggest(name: str) -> str:
    names = shipped_recipes()
    last = name.rpartition("/")[2]
    same_last = [known for known in names if known.rpartition("/")[2] == last]
    close = same_last or get_close_matches(name, names, n=1) or _close_last(last, names)
    if close:
        return f"did you mean {' or '.join(close)}?"
    return "see them by attnkit recipe list"


def _close_last(last: str, names: list[str]) -> list[str]:
    by_last = {name.rpartition("/")[2]: name for name in names}
    return [by_last[match] for match in get_close_matches(last, by_last, n=1)]


def title(name: str) -> str:
    """What a shipped recipe is, in one line: the first comment of its file that says something."""
    with find_recipe(name).open(encoding="utf-8") as lines:
        comments = (line.removeprefix("#").strip() for line in lines if line.startswith("#"))
        return next((line for line in comments if line and not line.startswith(_SCHEMA)), "")


def with_schema_line(text: str) -> str:
    """A shipped recipe's text for another folder: the line that tells editors the schema leads to the shipped one."""
    return text.replace(f"{_SCHEMA}{_SHIPPED_SCHEMA}", f"{_SCHEMA}{(shipped_folder() / 'schema.json').resolve()}")
