"""What a YAML file says, each value with the place it came from.

ruamel.yaml reads YAML 1.2: 1e-4 is a number and no is a text. Equal keys are mistakes, not a silent choice of the last.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, ScalarNode, SequenceNode
from ruamel.yaml.nodes import Node as YamlNode

from attnkit.errors import RecipeError

_MOST_BYTES = 10_000_000
"""Of a recipe's file; with pixel values of all classes a recipe has some thousands."""
_MOST_VALUES = 100_000
"""Of a recipe, those that aliases repeat counted each time: a few lines of them can stand for billions."""
_MOST_SHOWN = 60
"""Characters of a value that a message repeats."""
_TAG = "tag:yaml.org,2002:"
OPTION_LINE = 1_000_000_000
"""The line of what the command line says: behind every line of a file."""


@dataclass(frozen=True, order=True)
class Place:
    """Where something was said: a line of a file, or an option of the command line."""

    line: int
    """Counted from 1; OPTION_LINE for options."""
    name: str

    @property
    def is_option(self) -> bool:
        """Whether the command line said it."""
        return self.line == OPTION_LINE

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, order=True)
class Mistake:
    """One thing wrong with a recipe. Sorted, they follow the file."""

    place: Place
    text: str

    def __str__(self) -> str:
        return f"{self.place}: {self.text}"


@dataclass
class Node:
    """A value of a recipe: a section (`keys`), a list (`items`) or a scalar (`value`)."""

    place: Place
    kind: str = "scalar"
    value: Any = None
    text: str = ""
    """A scalar as it was written."""
    keys: "dict[str, Node]" = field(default_factory=dict)
    items: "list[Node]" = field(default_factory=list)

    def plain(self) -> Any:
        """The same as dicts, lists and scalars."""
        if self.kind == "section":
            return {key: node.plain() for key, node in self.keys.items()}
        if self.kind == "list":
            return [node.plain() for node in self.items]
        return self.value


def parse_file(path: Path) -> tuple[Node, list[Mistake]]:
    """Read a YAML file.

    Returns:
        Its top section, and the keys that stand in it twice.

    Raises:
        RecipeError: it cannot be read, is not UTF-8, not YAML, not a section of keys, or too large.
    """
    source = _Source(str(path), None)
    node = _compose(_read(path), source)
    if not isinstance(node, MappingNode):
        what = "empty" if node is None else "not a section of keys"
        raise RecipeError(f"{path}:1: {what}; expected a recipe; start from one: attnkit recipe copy translation/toy")
    return _converted(node, source, ()), source.mistakes


def parse_value(text: str, place: Place, key: str = "") -> Node:
    """Read the value that an option gives to a dotted key, as YAML; what is not YAML is taken as it is.

    Raises:
        RecipeError: a section in it has a key twice, or it is too large.
    """
    source = _Source(place.name, place)
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except RecursionError:
        raise source.too_deep() from None
    except (YAMLError, *_OF_THE_PARSER):
        return Node(place, value=text, text=text)
    if node is None:
        return Node(place)
    value = _converted(node, source, tuple(key.split(".")))
    if source.mistakes:
        raise RecipeError("\n".join(map(str, source.mistakes)))
    return value


_OF_THE_PARSER = (ValueError, OverflowError, TypeError, KeyError, IndexError, AttributeError)
"""What ruamel.yaml lets through of Python's own errors, at numbers, escapes and tags that cannot be."""


def _read(path: Path) -> str:
    with path.open("rb") as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise RecipeError(
            f"{path}: more than {_MOST_BYTES:,} bytes; expected a recipe; start from one: attnkit recipe copy "
            "translation/toy"
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{path}:{line}: not UTF-8, byte 0x{content[error.start]:02x}; expected a text file; save it as UTF-8"
        ) from None


def _compose(text: str, source: "_Source") -> YamlNode | None:
    name = source.name
    try:
        return YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        detail = ", ".join(part for part in (error.context, error.problem) if part)
        raise RecipeError(f"{name}:{line}: not YAML, {detail}; expected key: value; fix this line") from None
    except YAMLError as error:
        raise RecipeError(f"{name}:1: not YAML, {' '.join(str(error).split())}; expected key: value") from None
    except RecursionError:
        raise source.too_deep() from None
    except _OF_THE_PARSER as error:
        raise RecipeError(
            f"{name}: not YAML, a number, an escape or a tag that cannot be ({error}); expected key: value; fix it"
        ) from None


@dataclass
class _Source:
    """Where nodes come from: the lines of a file, or one fixed place; and how many there were."""

    name: str
    fixed: Place | None
    mistakes: list[Mistake] = field(default_factory=list)
    values: int = 0

    def place(self, node: YamlNode) -> Place:
        line = node.start_mark.line + 1
        return self.fixed or Place(line, f"{self.name}:{line}")

    def count(self) -> None:
        self.values += 1
        if self.values > _MOST_VALUES:
            raise RecipeError(
                f"{self.name}: more than {_MOST_VALUES:,} values; expected a recipe; write fewer aliases (*name)"
            )

    def too_deep(self) -> RecipeError:
        return RecipeError(f"{self.name}: sections or lists inside each other without end; expected a recipe; fix it")


def _converted(node: YamlNode, source: _Source, path: tuple[str, ...]) -> Node:
    try:
        return _convert(node, source, path)
    except RecursionError:
        raise source.too_deep() from None


def _convert(node: YamlNode, source: _Source, path: tuple[str, ...]) -> Node:
    place = source.place(node)
    source.count()
    if isinstance(node, MappingNode):
        return _convert_section(node, source, path)
    if isinstance(node, SequenceNode):
        return Node(place, kind="list", items=[_convert(item, source, path) for item in node.value])
    return Node(place, value=_scalar(node, place), text=node.value)


def _convert_section(node: MappingNode, source: _Source, path: tuple[str, ...]) -> Node:
    section = Node(source.place(node), kind="section")
    for key_node, value_node in node.value:
        place = source.place(key_node)
        if not isinstance(key_node, ScalarNode):
            raise RecipeError(f"{place}: a list or a section as a key; expected a name; fix this line")
        key = str(key_node.value)
        if key in section.keys:
            dotted = ".".join((*path, key))
            first = "" if source.fixed else f", first at {section.keys[key].place}"
            source.mistakes.append(Mistake(place, f"{dotted}: stands here twice{first}; remove one of them"))
            continue
        section.keys[key] = _convert(value_node, source, (*path, key))
        section.keys[key].place = place  # a mistake in a section is shown at its key, not at its first line
    return section


def _scalar(node: YamlNode, place: Place) -> Any:
    """The value of a scalar; dates and unknown tags stay text."""
    kind = str(node.tag).removeprefix(_TAG)
    if kind not in ("null", "bool", "int", "float"):
        return node.value
    try:
        return YAML(typ="safe", pure=True).constructor.construct_object(node)
    except (YAMLError, *_OF_THE_PARSER):
        words = {"int": "an integer", "float": "a number", "bool": "true or false", "null": "null"}[kind]
        raise RecipeError(f"{place}: expected {words}, got {shortened(node.value, quoted=True)}; fix it") from None


def shortened(text: str, *, quoted: bool = False) -> str:
    """A text as a message shows it, not longer than a line."""
    shown = text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."
    return repr(shown) if quoted else shown
