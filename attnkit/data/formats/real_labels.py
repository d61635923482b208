"""ImageNet-ReaL's labels (Beyer et al. 2020): all the classes that are really on each image."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attnkit.data.formats.class_list import file_name, match_inputs
from attnkit.errors import DataError

NEVER = -2
"""In place of a class that no prediction names."""
_IMAGENET = re.compile(r"ILSVRC2012_val_(\d{8})\.", re.IGNORECASE)
_FORM = "expected a list of lists of classes, or an object from path to list; get real.json of google-research"


def read_real_labels(
    name: str,
    inputs: Sequence[str],
    class_names: Sequence[str],
    *,
    own_numbers: Mapping[int, int] | None = None,
    warn: Callable[[str], None],
) -> list[set[int]]:
    """The classes of each image; an empty set where it has none.

    The file is JSON: a list with a list of classes per image, as ImageNet-ReaL's real.json, or an object from path to
    list. A class is a number from 0 or a name. Images find their list by the number in ImageNet's file names, by their
    path, or by their order.

    Args:
        own_numbers: the place in `class_names` of each numbered class, where not all classes are there; a class that
            is missing was never predicted. None where a class's number is its place.
        warn: called with a message where only their order assigns the lists to the images.

    Raises:
        DataError: the file is something else, an image is not in it, or a class does not exist.
    """
    from attnkit.data.files import find_file, read_lines

    try:
        value = json.loads("\n".join(read_lines(find_file(name), name)))
    except ValueError as error:
        raise DataError(f"{name}: not JSON ({error}); {_FORM}") from error
    if not isinstance(value, dict | list) or not all(isinstance(one, list) for one in _lists(value)):
        raise DataError(f"{name}: neither of the two forms; {_FORM}")
    places = {class_name: k for k, class_name in enumerate(class_names)}
    known = own_numbers is None
    numbers = {k: k for k in range(len(class_names))} if own_numbers is None else own_numbers
    found = _of_inputs(value, inputs, name, warn)
    return [{_place_of(one, places, numbers, name, all_known=known) for one in listed} for listed in found]


def _lists(value: dict[str, Any] | list[Any]) -> list[Any]:
    return list(value.values()) if isinstance(value, dict) else value


def _of_inputs(
    value: dict[str, Any] | list[Any], inputs: Sequence[str], name: str, warn: Callable[[str], None]
) -> list[list[Any]]:
    if isinstance(value, dict):
        lists = _lists(value)
        places = match_inputs(inputs, list(value))
    else:
        lists = value
        numbers = [_IMAGENET.match(file_name(one)) for one in inputs]
        if all(numbers):
            places = [int(found[1]) - 1 for found in numbers if found]
        elif len(value) == len(inputs):
            warn(f"{name}: taken in the order of the images, whose names are not ImageNet's")
            places = list(range(len(value)))
        else:
            raise DataError(
                f"{name}: lists for {len(value)} images, but there are {len(inputs)}, such as '{inputs[0]}'; "
                "expected ImageNet's file names, or as many lists as images; see both"
            )
    for one, place in zip(inputs, places, strict=True):
        if place is None or not 0 <= place < len(lists):
            raise DataError(f"{name}: nothing about '{one}'; expected a list of classes for each image; see the file")
    return [lists[place] for place in places if place is not None]


def _place_of(label: Any, places: Mapping[str, int], numbers: Mapping[int, int], name: str, *, all_known: bool) -> int:
    """The number of a class that the file names or numbers; NEVER where no prediction can name it."""
    place = places.get(label) if isinstance(label, str) else numbers.get(label) if isinstance(label, int) else None
    if place is not None:
        return place
    if all_known or not isinstance(label, str | int):
        raise DataError(
            f"{name}: there is no class {label!r}; expected a name, or a number below {len(places)}, the number of "
            "classes; see that the file belongs to these classes"
        )
    if not numbers and not isinstance(label, str):
        raise DataError(
            f"{name}: class {label} is a number, but the predictions have names only; expected numbers there, too; "
            "add the column index"
        )
    return NEVER
