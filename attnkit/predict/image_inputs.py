"""Images that a user names: files, folders, globs, and `-` for paths on stdin. In order, one after the other."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from attnkit.errors import DataError
from attnkit.predict.line_stream import available, lines_of


@dataclass(frozen=True)
class ImageInput:
    """A file to look at; or a name that leads to none, and why."""

    name: str
    """The path, as it was named."""
    problem: str | None = None


def image_inputs(names: Iterable[str], stdin: BinaryIO) -> Iterator[ImageInput]:
    """The images that names lead to, in their order; a folder gives those inside, at any depth, sorted.

    In a folder or a glob an ending such as .jpg makes an image; a file that is named itself may have any name.

    A name that leads nowhere gives one input with a problem, so that the others go on.

    Args:
        names: paths and globs; `-` stands for paths on stdin, one per line.
        stdin: where those come from.
    """
    for name in names:
        if name == "-":
            for line in lines_of([Path("-")], stdin):
                if line.strip():
                    yield from _of_name(line)
        else:
            yield from _of_name(name)


def in_groups(inputs: Iterator[ImageInput], *, size: int, wait: bool) -> Iterator[list[ImageInput]]:
    """Cut inputs into batches.

    Args:
        inputs: to be cut.
        size: of each batch but the last.
        wait: fill every batch; otherwise one goes as soon as no further input is there, for whoever writes slowly.
    """
    if not wait:
        yield from available(inputs, limit=size)
        return
    while group := list(islice(inputs, size)):
        yield group


def _of_name(name: str) -> Iterator[ImageInput]:
    if os.path.isdir(name):  # these two never raise, whatever stdin holds
        yield from _nonempty(_inside(Path(name)), name, "a folder without images")
    elif os.path.exists(name):
        yield ImageInput(name)
    elif glob.has_magic(name):
        matches = map(Path, sorted(glob.iglob(name, recursive=True)))
        yield from _nonempty((one for match in matches for one in _of_match(match)), name, "matches no image")
    else:
        expected = "expected an image, a folder of images or a glob; check the name"
        yield ImageInput(name, f"{name}: no such file; {expected}")


def _nonempty(inputs: Iterator[ImageInput], name: str, otherwise: str) -> Iterator[ImageInput]:
    empty = True
    for one in inputs:
        empty = False
        yield one
    if empty:
        yield ImageInput(name, f"{name}: {otherwise}; expected files such as .jpg or .png; check the name")


def _of_match(path: Path) -> Iterator[ImageInput]:
    from attnkit.data.file_tree import is_image

    if path.is_dir():
        yield from _inside(path)
    elif is_image(path.name):
        yield ImageInput(str(path))


def _inside(folder: Path) -> Iterator[ImageInput]:
    from attnkit.data.file_tree import FolderTree, is_image

    try:
        names = FolderTree(folder).names
    except DataError as error:
        yield ImageInput(str(folder), str(error))
        return
    for name in names:
        if is_image(name):
            yield ImageInput(str(folder / name))
