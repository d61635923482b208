"""A folder of the cache that appears whole or not at all, and is made once."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import mkdtemp
from typing import TypeVar

from attnkit.errors import DataError

Opened = TypeVar("Opened")

_ABANDONED_AFTER = 3600.0
"""Seconds without a write, after which a half-made folder counts as left behind by a process that was killed."""


def cached_folder(final: Path, *, read: Callable[[Path], Opened], write: Callable[[Path], None]) -> Opened:
    """Open what an earlier run made, or make it.

    Args:
        final: where the folder is to be.
        read: opens a whole folder; raises OSError, ValueError, KeyError or TypeError where it is not whole.
        write: fills an empty folder.

    Raises:
        DataError: it cannot be written: no room, or no permission.
    """
    try:
        if final.is_dir():
            try:
                return read(final)
            except (OSError, ValueError, KeyError, TypeError):
                shutil.rmtree(final)
        final.parent.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(final)
        partial = Path(mkdtemp(prefix=f"{final.name}.partial-", dir=final.parent))
        try:
            write(partial)
            _put_in_place(partial, final)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return read(final)
    except OSError as error:
        raise DataError(
            f"{final.parent}: the cache cannot be written ({error.strerror or error}); expected room and permission to "
            "write; free some space, or set XDG_CACHE_HOME to another place"
        ) from error


def _put_in_place(partial: Path, final: Path) -> None:
    """Rename; if another process was faster, its folder is as good."""
    try:
        partial.replace(final)
    except OSError:
        if not final.is_dir():
            raise


def _remove_abandoned(final: Path) -> None:
    """Remove what killed processes left of the same folder."""
    for partial in final.parent.glob(f"{final.name}.partial-*"):
        written = [path.stat().st_mtime for path in (partial, *partial.glob("*")) if path.exists()]
        if written and time.time() - max(written) > _ABANDONED_AFTER:
            shutil.rmtree(partial, ignore_errors=True)
