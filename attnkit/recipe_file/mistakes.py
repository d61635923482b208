"""Pydantic's findings, said in one line each, at the line of the file or the option that they are about."""

import re
from difflib import get_close_matches
from typing import get_args

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from attnkit.recipe_file.form import Slot, expected, fields_of, one_of
from attnkit.recipe_file.tree import Mistake, Node, shortened

_LIMITS = {
    "greater_than": ("above", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("below", "lt"),
    "less_than_equal": ("at most", "le"),
}


def mistakes_of(error: ValidationError, tree: Node, root: Slot) -> list[Mistake]:
    """Every finding of a validation, at its place."""
    found = [_mistake(details, tree, root) for details in error.errors() if not _is_echo(details)]
    # of a value that may be of several kinds pydantic says what is wrong with it as each of them; one will do
    return list({(mistake.place, mistake.text.split(":")[0]): mistake for mistake in reversed(found)}.values())[::-1]


def _is_echo(details: ErrorDetails) -> bool:
    """Whether it only says that a list is short once its wrong values, which are told of too, are taken away."""
    return details["type"] == "too_short" and len(details["input"]) >= details["ctx"]["min_length"]


def _mistake(details: ErrorDetails, tree: Node, root: Slot) -> Mistake:
    path, node, slot, parent = _locate(details["loc"], tree, root)
    kind, context = details["type"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return Mistake(node.place, f"{path}: unknown key; {_suggest_key(path, parent)}")
    if kind == "missing":
        return Mistake(node.place, f"{path}: missing; expected {expected(slot)}; add it")
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _wrong_choice(path, node, slot)
    if kind == "value_error":
        return _broken_rule(path, str(context["error"]), node, tree)
    if kind in _LIMITS:
        word, key = _LIMITS[kind]
        return Mistake(node.place, f"{path}: expected {word} {_number(context[key])}, got {_shown(node)}")
    if kind == "finite_number":
        return Mistake(node.place, f"{path}: expected a finite number, got {_shown(node)}")
    if kind == "too_short":
        count = context["min_length"]
        return Mistake(node.place, f"{path}: expected {count} value{'s' * (count > 1)} or more, got {_shown(node)}")
    if kind == "string_pattern_mismatch":
        return Mistake(node.place, f"{path}: expected a text like {context['pattern']}, got {_shown(node)}")
    if kind == "literal_error":
        close = _did_you_mean(node.text, [str(value) for value in get_args(slot.annotation)])
        return Mistake(
            node.place, f"{path}: expected {expected(slot)}, got {_shown(node)}{f'; {close}' if close else ''}"
        )
    if kind.endswith(("_type", "_parsing")) or kind == "int_from_float":
        return Mistake(node.place, f"{path}: expected {expected(slot)}, got {_shown(node)}")
    return Mistake(node.place, f"{path}: {details['msg']}, got {_shown(node)}")


def _locate(loc: tuple[int | str, ...], tree: Node, root: Slot) -> tuple[str, Node, Slot, Slot]:
    """Follow pydantic's location: it names the chosen branch of a union, which the file does not.

    Returns:
        The dotted path; the node there, or the section that lacks it; what is expected there, and of the section.
    """
    path, node, slot, parent = "", tree, root, root
    for part in loc:
        if slot.choices:
            slot = Slot(slot.choices[str(part)])
            continue
        if node.kind == "scalar":
            break  # the rest is the kind of value that was tried
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
        parent, slot = slot, slot.child(part, node)
        below = node.items[part] if isinstance(part, int) else node.keys.get(part)
        if below is None:
            break
        node = below
    return path, node, slot, parent


def _wrong_choice(path: str, node: Node, slot: Slot) -> Mistake:
    assert slot.tag_key is not None
    names = list(slot.choices)
    key = f"{path}.{slot.tag_key}" if path else slot.tag_key
    chosen = node.keys.get(slot.tag_key)
    if chosen is None:
        return Mistake(node.place, f"{key}: missing; expected {one_of(names)}; add it")
    close = _did_you_mean(str(chosen.value), names)
    return Mistake(
        chosen.place, f"{key}: expected {one_of(names)}, got {_shown(chosen)}{f'; {close}' if close else ''}"
    )


def _broken_rule(path: str, message: str, section: Node, tree: Node) -> Mistake:
    """A rule about several keys: shown at the option that broke it, or at what the message names, or at the section."""
    if path:
        message = f"{path}: {message}"
    named = [_find(tree, words.split(".")) for words in re.findall(r"[a-z_]+(?:\.[a-z_]+)+", message)]
    named += [child for key, child in section.keys.items() if path and key in message]
    places = [node.place for node in named if node is not None]
    options = [place for place in places if place.is_option]
    if options:
        return Mistake(options[-1], message)
    return Mistake(section.place if path or not places else places[0], message)


def _find(node: Node | None, path: list[str]) -> Node | None:
    for key in path:
        node = node.keys.get(key) if node else None
    return node


def _suggest_key(path: str, section: Slot) -> str:
    known = [key for member in section.sections for key in fields_of(member)]
    return _did_you_mean(path.rpartition(".")[2], known) or f"expected {one_of(known)}"


def _did_you_mean(word: str, known: list[str]) -> str:
    close = get_close_matches(word, known, n=1)
    return f"did you mean {close[0]}?" if close else ""


def _number(bound: float) -> str:
    """A bound as somebody would write it: every digit of an integer, 1e-08 of what is small."""
    return str(bound) if isinstance(bound, int) else f"{bound:g}"


def _shown(node: Node) -> str:
    """A value as the one who wrote it knows it."""
    if node.kind != "scalar":
        return "a list" if node.kind == "list" else "a section of keys"
    if node.value is None:
        return "null"
    return shortened(node.value, quoted=True) if isinstance(node.value, str) else shortened(node.text)
