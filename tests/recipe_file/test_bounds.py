"""Every number of every config has bounds, and `attnkit recipe check` holds them: at, below and above each.

The forms are walked as they are declared, so that a number which somebody adds is tested, or found to have no bounds.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import pytest
from annotated_types import Ge, Gt, Le, Lt, MinLen
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from pydantic_core import PydanticUndefined

from attnkit.config import Config
from attnkit.errors import RecipeError
from attnkit.recipe_file import load
from attnkit.recipes import Recipe

FORMS = {get_args(form.model_fields["task"].annotation)[0]: form for form in get_args(get_args(Recipe)[0])}
BOUND = re.compile(r"^[^ ]+?\.json: (\S+): expected (?:at least|at most|above|below) ")
TAGS = ("task", "name", "format")
MOST_CHOICES = 6
"""As many as the section with the most kinds has: the n-th recipe takes the n-th kind of every section."""


@dataclass(frozen=True)
class Number:
    """A number that a recipe may set, and what it may be."""

    path: str
    """As messages say it: `model.depths[0]`."""
    keys: tuple[str | int, ...]
    is_integer: bool
    low: float | None
    high: float | None
    takes_low: bool
    takes_high: bool

    @property
    def at(self) -> list[float]:
        """The least and the largest number that may be."""
        assert self.low is not None
        assert self.high is not None
        return [
            self.low if self.takes_low else self._beside(self.low, math.inf),
            self.high if self.takes_high else self._beside(self.high, -math.inf),
        ]

    @property
    def outside(self) -> list[float]:
        """The nearest numbers that may not be."""
        assert self.low is not None
        assert self.high is not None
        return [
            self._beside(self.low, -math.inf) if self.takes_low else self.low,
            self._beside(self.high, math.inf) if self.takes_high else self.high,
        ]

    def _beside(self, bound: float, toward: float) -> float:
        return int(bound + math.copysign(1, toward)) if self.is_integer else math.nextafter(bound, toward)

    def allows(self, value: float) -> bool:
        """Whether it is between the bounds."""
        assert self.low is not None
        assert self.high is not None
        above = value >= self.low if self.takes_low else value > self.low
        return above and (value <= self.high if self.takes_high else value < self.high)

    def drawn(self) -> st.SearchStrategy[float]:
        """At, near and far from the bounds."""
        far = st.integers(-(10**30), 10**30) if self.is_integer else st.floats(allow_nan=False, allow_infinity=False)
        inside = st.integers(*map(int, self.at)) if self.is_integer else st.floats(*self.at)
        return st.sampled_from(self.at + self.outside) | inside | far


def smallest(annotation: Any, number: int, metadata: tuple[Any, ...] = ()) -> Any:
    """A value that fits an annotation; of several sections the `number`-th, counted round."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        return smallest(inner, number, (*metadata, *more))
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return smallest(members[number % len(members)], number, metadata)
    if get_origin(annotation) is Literal:
        return get_args(annotation)[number % len(get_args(annotation))]
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return {
            field.alias or name: (
                get_args(field.annotation)[0]  # the tag of a section is the section's own, wherever it stands
                if field.annotation and get_origin(field.annotation) is Literal and name in TAGS
                else smallest(field.annotation, number, tuple(field.metadata))
            )
            for name, field in annotation.model_fields.items()
            if name in TAGS or not _is_optional_text(field)
        }
    if get_origin(annotation) is tuple:
        parts = get_args(annotation)
        least = next((item.min_length for item in metadata if isinstance(item, MinLen)), 1)
        inner = parts[:1] * max(1, least) if parts[-1] is Ellipsis else parts
        return [smallest(part, number) for part in inner]
    if get_origin(annotation) is dict:
        return {"1": "one"}
    if annotation in (int, float):
        low, high, takes_low, takes_high = limits(metadata)
        found = Number("", (), annotation is int, low, high, takes_low, takes_high)
        return found.at[0] if low is not None and high is not None else 1
    return {str: "x", bool: True}.get(annotation, "x")


def _is_optional_text(field: Any) -> bool:
    """What says nothing of numbers may stay unsaid; the rest is written out, so that its numbers are there."""
    return field.default is not PydanticUndefined and not list(_inside(field.annotation, (), tuple(field.metadata), 0))


def limits(metadata: tuple[Any, ...]) -> tuple[float | None, float | None, bool, bool]:
    """Lowest, highest, and whether each may be taken."""
    low = high = None
    takes_low = takes_high = True
    for item in metadata:
        for single in getattr(item, "metadata", [item]) or [item]:
            if isinstance(single, Ge | Gt):
                low, takes_low = (single.ge, True) if isinstance(single, Ge) else (single.gt, False)
            if isinstance(single, Le | Lt):
                high, takes_high = (single.le, True) if isinstance(single, Le) else (single.lt, False)
    return low, high, takes_low, takes_high


def _inside(
    annotation: Any, keys: tuple[str | int, ...], metadata: tuple[Any, ...], number: int
) -> Iterator[tuple[tuple[str | int, ...], bool, tuple[Any, ...]]]:
    """The numbers inside a value: where they are, whether whole, and what is said of them."""
    if get_origin(annotation) is Annotated:
        inner, *more = get_args(annotation)
        yield from _inside(inner, keys, (*metadata, *more), number)
    elif get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        yield from _inside(members[number % len(members)], keys, metadata, number)
    elif isinstance(annotation, type) and issubclass(annotation, Config):
        for name, field in annotation.model_fields.items():
            yield from _inside(field.annotation, (*keys, field.alias or name), tuple(field.metadata), number)
    elif get_origin(annotation) is tuple:
        parts = get_args(annotation)
        for position, part in enumerate(parts[:1] if parts[-1] is Ellipsis else parts):
            yield from _inside(part, (*keys, position), (), number)
    elif annotation in (int, float):
        yield keys, annotation is int, metadata


def numbers(task: str, number: int) -> list[Number]:
    """The numbers of the `number`-th recipe of a task."""
    found = []
    for keys, is_integer, metadata in _inside(FORMS[task], (), (), number):
        path = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys).removeprefix(".")
        found.append(Number(path, keys, is_integer, *limits(metadata)))
    return found


def complaints(folder: Any, recipe: Any) -> set[str]:
    """The numbers that checking a recipe finds outside of their bounds."""
    file = folder / "recipe.json"
    file.write_text(json.dumps(recipe))
    try:
        load(file)
    except RecipeError as error:
        return {
            found[1] for line in str(error).splitlines() if (found := BOUND.match(re.sub(r"json:\d+:", "json:", line)))
        }
    return set()


def put(recipe: Any, keys: tuple[str | int, ...], value: float) -> None:
    """Set a value that is there."""
    for key in keys[:-1]:
        recipe = recipe[key]
    recipe[keys[-1]] = value


CASES = [(task, number) for task in FORMS for number in range(MOST_CHOICES)]


def filled(task: str, number: int, choose: Callable[[Number], float]) -> tuple[Any, dict[str, float]]:
    """A recipe with a chosen value for each of its numbers, and these values by their paths."""
    recipe = smallest(FORMS[task], number)
    values = {}
    for one in numbers(task, number):
        values[one.path] = choose(one)
        put(recipe, one.keys, values[one.path])
    return recipe, values


def test_every_number_has_bounds():
    unbounded = {one.path for task, number in CASES for one in numbers(task, number) if None in (one.low, one.high)}
    assert unbounded == set()


def test_the_walk_meets_all_kinds_of_sections():
    seen = {(task, number): smallest(FORMS[task], number) for task, number in CASES}
    models = {recipe["model"].get("name") for recipe in seen.values()}
    assert models >= {"transformer", "vit", "swin", "resnet", "upernet", "mask_rcnn", "cascade_mask_rcnn", "htc"}
    assert len({recipe["data"].get("format") for recipe in seen.values()}) >= 12
    assert "model.depths[0]" in {one.path for one in numbers("classification", 1)}


@pytest.mark.parametrize(("task", "number"), CASES)
def test_at_every_bound(task, number, tmp_path):
    for end in (0, 1):
        recipe, _ = filled(task, number, lambda one, end=end: one.at[end])
        assert complaints(tmp_path, recipe) == set()


@pytest.mark.parametrize(("task", "number"), CASES)
def test_beyond_every_bound(task, number, tmp_path):
    for end in (0, 1):
        recipe, values = filled(task, number, lambda one, end=end: one.outside[end])
        assert complaints(tmp_path, recipe) == set(values)


@pytest.mark.parametrize(("task", "number"), CASES)
@settings(max_examples=10, phases=[Phase.generate])
@given(data=st.data())
def test_any_numbers(task, number, data, tmp_path_factory):
    known = {one.path: one for one in numbers(task, number)}
    recipe, values = filled(task, number, lambda one: data.draw(one.drawn(), label=one.path))
    wrong = {path for path, value in values.items() if not known[path].allows(value)}
    assert complaints(tmp_path_factory.getbasetemp(), recipe) == wrong


def test_changed_settings_are_validated():
    from attnkit.recipes.detection.recipe import DetectionInferenceConfig

    inference = DetectionInferenceConfig(flip=True)
    assert inference.changed(max_detections=7) == DetectionInferenceConfig(flip=True, max_detections=7)
    with pytest.raises(ValidationError, match="short_sides"):
        inference.changed(short_sides=(0,))
