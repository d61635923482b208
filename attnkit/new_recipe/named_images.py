"""In which folder the images lie that COCO's json names.

The json is searched for names and not parsed, which would take as long as opening the data does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence

from attnkit.data.data_root import Files
from attnkit.data.images.named_files import find_image
from attnkit.errors import DataError

_ASKED = 20
"""Names that each folder is searched for, evenly chosen."""
_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
_NO_IMAGES = re.compile(rb'"images"\s*:\s*\[\s*\]')


def image_names(content: bytes, place: str) -> list[str]:
    """The names of the images; none where the json is of another form, which is told when it is opened.

    Args:
        content: bytes of the json.
        place: its name in errors.

    Raises:
        DataError: its list of images is empty.
    """
    names = list(_names(content))
    if not names and _NO_IMAGES.search(content):
        raise DataError(
            f"{place}: lists no images; expected COCO's json of images and the objects on them; correct the path, or "
            "mend the file"
        )
    return names


def _names(content: bytes) -> Iterator[str]:
    for found in _NAME.finditer(content):
        try:
            yield str(json.loads(found[1]))
        except ValueError:  # so is the whole json
            return


def folder_of(names: Sequence[str], folders: Sequence[Files]) -> Files | None:
    """The folder with most of the images, by some of their names; of equal ones the first. None if no folder has any.

    A folder in which a whole path is found comes before one in which its beginning has to be left out.
    """
    there = {_last(files.tree.names[number]) for files in folders for number in files.numbers}
    known = [name for name in names if _last(name.replace("\\", "/")) in there]
    if not known:
        return None
    asked = known[:: max(1, len(known) // _ASKED)]
    found = [_found(asked, files) for files in folders]
    return folders[max(range(len(folders)), key=found.__getitem__)]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _found(names: Sequence[str], files: Files) -> tuple[int, int]:
    """How many files are meant by names, and how many names are paths from the folder as they stand."""
    numbers = [find_image(files, name) for name in names]
    whole = sum(files.find(name) is not None for name in names)
    return len({number for number in numbers if number is not None}), whole


def has_one(names: Sequence[str], files: Files) -> bool:
    """Whether any image is there."""
    return any(find_image(files, name) is not None for name in names)
