"""Files and folders that an export writes: whole under their own name, or not there."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from attnkit.errors import AttnkitError


@contextmanager
def new_output(path: Path) -> Iterator[Path]:
    """Where to write a file or folder of this name; it is moved there, with what lies beside it, if no error is raised.

    Raises:
        AttnkitError: there is something at `path`.
    """
    if path.exists():
        raise AttnkitError(f"{path}: exists already; expected the name of a new file or folder; name another")
    partial = path.with_name(path.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        yield partial / path.name
        for written in partial.iterdir():
            written.replace(path.with_name(written.name))
    finally:
        shutil.rmtree(partial, ignore_errors=True)
