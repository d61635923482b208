"""--set and other options: values from the command line, put over those of the file."""

from collections.abc import Sequence
from typing import NamedTuple

from attnkit.recipe_file.form import Slot, fields_of
from attnkit.recipe_file.tree import OPTION_LINE, Mistake, Node, Place, parse_value


class Override(NamedTuple):
    """One value of the command line."""

    option: str
    """As the user typed it, for messages: `--beam-size 5`."""
    key: str
    """Dotted: `decode.beam_size`."""
    value: str
    """In YAML."""


def parse_overrides(assignments: Sequence[str]) -> tuple[list[Override], list[Mistake]]:
    """Take apart what --set gave.

    Returns:
        The overrides, and the mistakes in those that are none.
    """
    overrides, mistakes = [], []
    for assignment in assignments:
        key, equals, value = (part.strip() for part in assignment.partition("="))
        option = f"--set {assignment}"
        if equals and all(key.split(".")):
            overrides.append(Override(option, key, value))
        else:
            what = "not an assignment; expected KEY=VALUE, such as --set train.steps=100"
            mistakes.append(Mistake(Place(OPTION_LINE, option), what))
    return overrides, mistakes


def apply_overrides(tree: Node, root: Slot, overrides: Sequence[Override]) -> None:
    """Put overrides into the tree, in order.

    Choosing another kind of section (`train.schedule.name=cosine`) drops those keys of the file that it does not have.
    """
    for override in overrides:
        value = parse_value(override.value, Place(OPTION_LINE, override.option), override.key)
        _put(tree, root, override.key.split("."), value)


def _put(node: Node, slot: Slot, path: list[str], value: Node) -> None:
    key, *rest = path
    if rest:
        child = node.keys.get(key)
        if child is None or child.kind != "section":
            child = node.keys[key] = Node(value.place, kind="section")
        _put(child, slot.child(key, node), rest, value)
        return
    before = slot.section_at(node)
    node.keys[key] = value
    after = slot.section_at(node)
    if key == slot.tag_key and after is not None and after is not before:
        for old in list(node.keys):
            if old not in fields_of(after) and not node.keys[old].place.is_option:
                del node.keys[old]
