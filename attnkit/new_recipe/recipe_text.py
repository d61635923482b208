"""A new recipe as YAML: its reasons on top, then what differs from the schema's defaults. Free of torch."""

import io
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill, wrap
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.nodes import ScalarNode
from ruamel.yaml.representer import RoundTripRepresenter

from attnkit import __version__
from attnkit.config import Config
from attnkit.errors import RecipeError
from attnkit.recipe_file import Override, load
from attnkit.recipe_file.form import fields_of, slot_of
from attnkit.recipes import Recipe
from attnkit.run_dir import write_whole

_WIDTH = 118
_HEAD = ("task", "name", "attnkit")
_KINDS = ("format", "name")
_LAST = "train"
"""The one section that all tasks share; it follows the parts that are trained."""
_SHOWN = frozenset(f"train.{key}" for key in ("validate_every", "save_every", "keep_last", "average_last"))
"""What every task chooses."""
_ONE_LINE = 90
"""Characters up to which a section inside another one is written on one line."""


@dataclass(frozen=True)
class NewRecipe:
    """What was written."""

    file: Path
    reasons: tuple[str, ...]
    """One line per choice."""
    warnings: tuple[str, ...]
    """What the data has too little of, or what is wrong with it."""


def name_recipe(source: str, *, file: Path | None, name: str | None, otherwise: str) -> tuple[Path, str]:
    """The file and the name of a recipe; what is not given follows from a name of the data.

    Args:
        source: path of the data, or another name.
        file: that the user named.
        name: that the user gave.
        otherwise: for sources without a letter in their names.

    Raises:
        RecipeError: a recipe may not have that name.
    """
    if name is not None:  # any recipe will do to ask the schema, before anything takes time
        load("translation/toy", options=[Override(f"--name {name}", "name", json.dumps(name))])
    file = file or Path(f"{_name_of(Path(source.rstrip('/')), otherwise=otherwise)}.yaml")
    return file, name or _name_of(file, otherwise=otherwise)


def _name_of(file: Path, *, otherwise: str) -> str:
    stem = file.name.partition(".tar")[0] if ".tar" in file.name else file.stem
    return allowed_name(stem) or otherwise


def allowed_name(name: str) -> str:
    """A name without anything that a recipe's name may not have; it may be empty."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", name).lstrip("._-")


def refuse_to_overwrite(*files: Path) -> None:
    """Leave files alone that somebody has written.

    Raises:
        RecipeError: one of them is there.
    """
    existing = next((file for file in files if file.exists()), None)
    if existing is not None:
        what = "a new file" if len(files) == 1 else f"{len(files)} new files"
        raise RecipeError(
            f"{existing}: exists already; expected to write {what}; name another --output, or add --force"
        )


def write_recipe(
    output: Path,
    recipe: Recipe,
    reasons: Sequence[str],
    warnings: Iterable[str],
    *,
    shown: Collection[str],
    comments: Mapping[str, str] | None = None,
    not_measured: str = "What it scores",
) -> NewRecipe:
    """Write a recipe to a file, as `recipe_text` has it."""
    text = recipe_text(recipe, reasons, comments=comments, shown=shown, not_measured=not_measured)
    write_whole(output, text)
    return NewRecipe(output, tuple(reasons), tuple(warnings))


def init_comment(model: str, *, lr: str | None = None) -> dict[str, str]:
    """A comment above `model` on how to start from pretrained weights.

    Args:
        model: what their run then determines.
        lr: the learning rate that suits them, where it is lower.
    """
    return {
        "model": "To start from pretrained weights (attnkit import), uncomment this; "
        f"{model} is then the model of their run.\n"
        f"{f'Lower lr to {lr}.' if lr else ''}\ninit: {{from: runs/imported}}"
    }


def recipe_text(
    recipe: Recipe,
    reasons: Sequence[str],
    *,
    comments: Mapping[str, str] | None = None,
    shown: Collection[str] = (),
    not_measured: str = "What it scores",
) -> str:
    """A recipe as YAML; `load` reads an equal recipe back.

    Args:
        recipe: whose values that differ from the defaults are written.
        reasons: one line per choice, for the comment on top.
        comments: by dotted key, the lines above it, wrapped where long. Such a key is written even with its default.
        shown: more dotted keys that are written even with their defaults.
        not_measured: what nobody should expect of the recipe.
    """
    comments = comments or {}
    sections = _differing(recipe, "", _SHOWN.union(shown, comments))
    for key in _HEAD:
        sections.pop(key, None)
    sections.move_to_end(_LAST)
    for key, words in comments.items():
        _comment(sections, key.split("."), words)
    for section in sections.values():
        if isinstance(section, CommentedMap):
            _lay_out(section)
    body = io.StringIO()
    _yaml().dump(sections, body)
    return f"{_head(recipe, reasons, not_measured)}\n{body.getvalue()}"


def _head(recipe: Recipe, reasons: Sequence[str], not_measured: str) -> str:
    """The reasons as a comment, then task, name and version."""
    why = "\n".join(fill(reason, _WIDTH, initial_indent="# - ", subsequent_indent="#   ") for reason in reasons)
    return f"""\
# Made by attnkit recipe new {recipe.task}. Why it is as it is:
#
{why}
#
# {not_measured} was not measured.
task: {recipe.task}
name: {json.dumps(recipe.name)}
attnkit: "{".".join(__version__.split(".")[:2])}\""""


def _differing(section: Config, path: str, shown: frozenset[str], *, tag: str | None = None) -> CommentedMap:
    """The values of a section that differ from their defaults, or are shown anyway; `tag` says of which kind it is.

    `path` is the dotted key of the section with a dot behind it, and empty for the recipe.
    """
    found = CommentedMap()
    for key, field in fields_of(type(section)).items():
        value = getattr(section, _attribute(section, key))
        dotted = f"{path}{key}"
        wanted = key == tag or any(name == dotted or name.startswith(f"{dotted}.") for name in shown)
        if not wanted and value == field.default:
            continue
        if isinstance(value, Config):
            found[key] = _differing(value, f"{dotted}.", shown, tag=slot_of(field).tag_key)
        else:
            found[key] = _plain(value)
    return found


def _attribute(section: Config, key: str) -> str:
    """The name of a key as Python has it: `from` is no attribute's name."""
    return next(name for name, field in type(section).model_fields.items() if (field.alias or name) == key)


def _plain(value: Any) -> Any:
    """Lists and mappings, which are written on one line."""
    if isinstance(value, tuple | list):
        items = CommentedSeq(map(_plain, value))
        items.fa.set_flow_style()
        return items
    if isinstance(value, Mapping):
        pairs = CommentedMap((key, _plain(item)) for key, item in value.items())
        pairs.fa.set_flow_style()
        return pairs
    return value


def _lay_out(section: CommentedMap) -> None:
    """Put its kind first and nested sections last; a section of a few scalars inside it gets one line."""
    for key, value in list(section.items()):
        if not isinstance(value, CommentedMap):
            continue
        flat = not any(isinstance(item, CommentedMap | CommentedSeq) for item in value.values())
        if not flat:
            _lay_out(value)
            section.move_to_end(key)
        elif len(str(dict(value))) <= _ONE_LINE:
            value.fa.set_flow_style()
    for key in _KINDS:
        if key in section:
            section.move_to_end(key, last=False)


def _comment(section: CommentedMap, path: Sequence[str], words: str) -> None:
    """Put words above a key."""
    *sections, key = path
    for name in sections:
        section = section[name]
    indent = 2 * len(sections)
    lines = [line for paragraph in words.splitlines() for line in wrap(paragraph, _WIDTH - 2 - indent)]
    section.yaml_set_comment_before_after_key(key, before="\n".join(lines), indent=indent)


def _yaml() -> YAML:
    yaml = YAML()
    yaml.width = _WIDTH
    yaml.Representer = _Representer
    return yaml


class _Representer(RoundTripRepresenter):
    """Writes null as a word, and 1e-5 where Python has 1e-05."""

    def null(self, value: None) -> ScalarNode:
        """None."""
        return self.represent_scalar("tag:yaml.org,2002:null", "null")

    def number(self, value: float) -> ScalarNode:
        """A float."""
        return self.represent_scalar("tag:yaml.org,2002:float", re.sub(r"e([+-])0", r"e\1", repr(value)))


_Representer.add_representer(type(None), _Representer.null)
_Representer.add_representer(float, _Representer.number)
