"""The same images under different names: paths from another folder, or file names alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence


def match_inputs(wanted: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """For each wanted name its place among the known ones; none where it is not there.

    Names are compared as they are, then as paths from the working directory, then by folder and file name, then by file
    name alone; the first of these counts that tells all names apart and finds every wanted one.
    """
    for key in _KEYS:
        places = {key(name): place for place, name in enumerate(known)}
        keys = [key(name) for name in wanted]
        if len(places) == len(known) and len(set(keys)) == len(keys) and all(one in places for one in keys):
            return [places[one] for one in keys]
    exactly = {os.path.normpath(name): place for place, name in enumerate(known)}
    return [exactly.get(os.path.normpath(name)) for name in wanted]


def file_name(name: str) -> str:
    """The last part of a path, or of a member of an archive."""
    return name.rpartition("/")[2].rpartition(":")[2]


def _folder_and_file(name: str) -> str:
    return "/".join(name.split("/")[-2:]).rpartition(":")[2]


_KEYS: tuple[Callable[[str], str], ...] = (os.path.normpath, os.path.abspath, _folder_and_file, file_name)
