"""From YAML and --set to a typed recipe, or to every mistake at its line; and back. Free of torch.

find.py knows where recipes lie, tree.py what the file says, form.py what the schema expects, mistakes.py how to say it.
"""

import io
import json
import re
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from ruamel.yaml import YAML

from attnkit import __version__
from attnkit.errors import RecipeError
from attnkit.recipe_file.find import find_recipe, shipped_folder, shipped_recipes, title, with_schema_line
from attnkit.recipe_file.form import Slot, fill_in, root_slot
from attnkit.recipe_file.mistakes import mistakes_of
from attnkit.recipe_file.overrides import Override, apply_overrides, parse_overrides
from attnkit.recipe_file.tree import Mistake, Node, parse_file
from attnkit.recipes import Recipe

__all__ = [
    "Override",
    "dump",
    "find_recipe",
    "load",
    "schema_text",
    "shipped_folder",
    "shipped_recipes",
    "title",
    "with_schema_line",
]


def load(source: str | Path, overrides: Sequence[str] = (), *, options: Sequence[Override] = ()) -> Recipe:
    """Read a recipe.

    Args:
        source: a file, or the name of a shipped recipe (`translation/toy`).
        overrides: what --set gave, each `dotted.key=value`, the value in YAML.
        options: values of other options of the command line.

    Raises:
        RecipeError: there is no such recipe, or it has mistakes; one line for each of them.
    """
    tree, mistakes = parse_file(find_recipe(source))
    assignments, malformed = parse_overrides(overrides)
    root = root_slot(Recipe)
    apply_overrides(tree, root, [*assignments, *options])
    _refuse_other_version(tree)
    recipe, wrong = _validate(tree, root)
    mistakes += malformed + wrong
    if mistakes or recipe is None:
        raise RecipeError("\n".join(str(mistake) for mistake in sorted(mistakes)))
    return recipe


def dump(recipe: Recipe) -> str:
    """Write a recipe as YAML, with every value; the task comes first. `load` reads the same recipe back."""
    values = recipe.model_dump(mode="json", by_alias=True)
    opening = {key: values.pop(key) for key in ("task", "name", "attnkit")}
    yaml = YAML()
    yaml.width = 4096
    yaml.representer.add_representer(
        type(None), lambda representer, _: representer.represent_scalar("tag:yaml.org,2002:null", "null")
    )
    text = io.StringIO()
    yaml.dump(opening | values, text)
    return text.getvalue()


def schema_text() -> str:
    """The JSON schema of recipes, for editors; recipes/schema.json is this."""
    return json.dumps(TypeAdapter(Recipe).json_schema(), indent=2, ensure_ascii=False) + "\n"


def _validate(tree: Node, root: Slot) -> tuple[Recipe | None, list[Mistake]]:
    fill_in(tree, root)
    try:
        # Through JSON, because only there is pydantic strict about 'no' and '12' without refusing lists for tuples.
        return TypeAdapter(Recipe).validate_json(json.dumps(tree.plain()), strict=True), []
    except ValidationError as error:
        return None, mistakes_of(error, tree, root)


def _refuse_other_version(tree: Node) -> None:
    """Stop at a recipe of another version: its other mistakes would only be echoes of that."""
    node = tree.keys.get("attnkit")
    if node is None or not isinstance(node.value, str):
        return
    ours = tuple(int(part) for part in __version__.split(".")[:2])
    expected = f"expected '{ours[0]}.{ours[1]}'"
    written = re.fullmatch(r"(\d+)\.(\d+)(\.\d+)*", node.value)
    if written is None:
        raise RecipeError(f"{node.place}: attnkit: not a version, {node.value!r}; {expected}; write that")
    theirs = (int(written[1]), int(written[2]))
    if theirs > ours:
        raise RecipeError(
            f"{node.place}: attnkit: the recipe is for version {node.value}, newer than this attnkit {__version__}; "
            f"{expected}; upgrade by pip install -U attnkit"
        )
    if theirs < ours:
        raise RecipeError(
            f"{node.place}: attnkit: the recipe is for version {node.value}, older than this attnkit {__version__}; "
            f"{expected}; fix what CHANGELOG.md lists under Breaking, then write that"
        )
