"""What the schema expects at each place of a recipe: the form that a recipe file fills in.

Pydantic validates; this walks beside it, to find the keys a section may have, its choices, and the words for them.
"""

import types
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from attnkit.config import Config
from attnkit.recipe_file.tree import Node


@dataclass(frozen=True)
class Slot:
    """What is expected at one place."""

    annotation: Any
    tag_key: str | None = None
    """The key that says which of several sections is meant (pydantic's discriminator)."""
    default: Any = PydanticUndefined

    @property
    def members(self) -> tuple[Any, ...]:
        """The types that are allowed here."""
        annotation = _bare(self.annotation)
        if get_origin(annotation) in (Union, types.UnionType):
            return tuple(_bare(member) for member in get_args(annotation))
        return (annotation,)

    @property
    def sections(self) -> list[type[Config]]:
        """The sections that are allowed here."""
        return [member for member in self.members if isinstance(member, type) and issubclass(member, Config)]

    @property
    def choices(self) -> dict[str, type[Config]]:
        """The sections to choose from by `tag_key`; empty where there is no choice."""
        if self.tag_key is None or len(self.sections) < 2:
            return {}
        return {tag: section for section in self.sections for tag in _tags(section, self.tag_key)}

    def default_tag(self) -> str | None:
        """The choice that is meant where the recipe does not say."""
        if self.tag_key is None:
            return None
        if isinstance(self.default, Config):
            return str(getattr(self.default, self.tag_key))
        named = [section.model_fields[self.tag_key].default for section in self.sections]
        defaults = [tag for tag in named if tag is not PydanticUndefined]
        return str(defaults[0]) if len(defaults) == 1 else None

    def section_at(self, node: Node) -> type[Config] | None:
        """The section that `node` fills in, None where it names no known one."""
        if self.choices:
            assert self.tag_key is not None
            tag = node.keys.get(self.tag_key)
            return self.choices.get(str(tag.value) if tag else self.default_tag() or "")
        return self.sections[0] if self.sections else None

    def child(self, key: str | int, node: Node) -> "Slot":
        """What is expected at a key of a section, or at a position of a list."""
        if isinstance(key, int):
            lists = [member for member in self.members if get_origin(member) in (list, tuple)]
            return Slot(get_args(lists[0])[0]) if lists else Slot(Any)
        section = self.section_at(node)
        fields = fields_of(section) if section else {}
        return slot_of(fields[key]) if key in fields else Slot(Any)


def root_slot(recipe: Any) -> Slot:
    """What a whole recipe is: one schema, or several told apart by a key."""
    if get_origin(recipe) is Annotated:
        annotation, *metadata = get_args(recipe)
        keys = [_tag_key(item) for item in metadata if isinstance(item, FieldInfo)]
        return Slot(annotation, keys[0] if keys else None)
    return Slot(recipe)


def fields_of(section: type[Config]) -> dict[str, FieldInfo]:
    """The keys that a section may have in a file; `from` is one, though no attribute can have that name."""
    return {field.alias or name: field for name, field in section.model_fields.items()}


def slot_of(field: FieldInfo) -> Slot:
    """What is expected of one field."""
    return Slot(field.annotation, _tag_key(field), field.default)


def fill_in(node: Node, slot: Slot) -> None:
    """Say what a recipe leaves unsaid, and fix what is only a matter of spelling.

    A section without its choice gets the default one: `optimizer: {beta2: 0.997}` means the default optimizer. 1e5 is
    an integer where one is expected, and --set name=2024 a text.
    """
    if node.kind == "section":
        tag = slot.default_tag()
        if slot.choices and slot.tag_key not in node.keys and tag is not None:
            assert slot.tag_key is not None
            node.keys[slot.tag_key] = Node(node.place, value=tag, text=tag)
        for key, child in node.keys.items():
            fill_in(child, slot.child(key, node))
    for position, item in enumerate(node.items):
        fill_in(item, slot.child(position, node))
    if int in slot.members and float not in slot.members and isinstance(node.value, float) and node.value.is_integer():
        node.value = int(node.value)
    if str in slot.members and node.place.is_option and isinstance(node.value, int | float):
        node.value = node.text


def expected(slot: Slot) -> str:
    """Say what is expected at a place, to follow the word `expected`."""
    if slot.choices:
        return f"a section with {slot.tag_key}: {one_of(list(slot.choices))}"
    words = [_word(member) for member in slot.members]
    return " or ".join(dict.fromkeys(words))


def one_of(names: list[str]) -> str:
    """List names: `a`, `a or b`, `a, b or c`."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"


def _word(member: Any) -> str:
    if get_origin(member) is Literal:
        return one_of([str(value) for value in get_args(member)])
    if isinstance(member, type) and issubclass(member, Config):
        return "a section of keys"
    if get_origin(member) in (list, tuple):
        return "a list"
    return _WORDS.get(member, "another value")


_WORDS = {
    int: "an integer",
    float: "a number",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}


def _bare(annotation: Any) -> Any:
    """A type without what is said of its values."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _tags(section: type[Config], key: str) -> tuple[str, ...]:
    return get_args(section.model_fields[key].annotation)


def _tag_key(field: FieldInfo) -> str | None:
    return field.discriminator if isinstance(field.discriminator, str) else None
