"""Finding data files, reading them line by line without ever holding a whole one, and keeping what was made of them."""

import gzip
import hashlib
import io
import os
import shutil
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from importlib.resources.abc import Traversable
from pathlib import Path
from tempfile import mkdtemp
from typing import BinaryIO, TypeVar, cast

from attnkit.errors import DataError

_GZIP_MAGIC = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_BUFFER = 1 << 20
Opened = TypeVar("Opened")

_ABANDONED_AFTER = 3600.0
"""Seconds without a write, after which a half-made folder counts as left behind by a process that was killed."""


def cache_folder() -> Path:
    """Where attnkit keeps what it can make or fetch again: attnkit/ in $XDG_CACHE_HOME or in the platform's place."""
    if chosen := os.environ.get("XDG_CACHE_HOME"):
        return Path(chosen) / "attnkit"
    if sys.platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local) / "attnkit"
    caches = Path.home() / ("Library/Caches" if sys.platform == "darwin" else ".cache")
    return caches / "attnkit"


def find_file(name: str) -> Path:
    """Look a data file up in the working directory, in $ATTNKIT_DATA, then in the cache.

    Args:
        name: a path; `~` is the home folder. An absolute one is taken as it is.

    Raises:
        DataError: it is in none of them; the message lists where it was looked for.
    """
    return _find(name, Path.is_file, expected="a data file")


def find_file_or_folder(name: str) -> Path:
    """Look a data file or a folder of such files up, where `find_file` looks.

    Raises:
        DataError: it is in none of these places; the message lists where it was looked for.
    """
    return _find(name, Path.exists, expected="a folder or a data file")


def _find(name: str, fits: Callable[[Path], bool], *, expected: str) -> Path:
    path = Path(name).expanduser()
    if path.is_absolute():
        if fits(path):
            return path
        raise DataError(f"{name}: {_what_is_at(path)}; expected {expected}; correct the path")
    own = os.environ.get("ATTNKIT_DATA")
    places = [Path.cwd(), *([Path(own).expanduser()] if own else []), cache_folder() / "data"]
    for place in places:
        if fits(place / path):
            return place / path
    seen = next((place / path for place in places if (place / path).exists()), places[0] / path)
    looked = f"{places[0]}, $ATTNKIT_DATA ({own or 'not set'}), {places[-1]}"
    raise DataError(
        f"{name}: {_what_is_at(seen)}; looked in {looked}; "
        "correct the path, or set ATTNKIT_DATA to the folder that it starts from"
    )


def _what_is_at(path: Path) -> str:
    return "is a folder, not a file" if path.is_dir() else "no such file"


def read_lines(file: Traversable, name: str) -> Iterator[str]:
    """Read text lines one after the other; gzip is recognised by its first bytes, whatever the name.

    A line ends at a line feed and nowhere else (not at U+0085 or U+2028); carriage returns before it, and a byte order
    mark at the start of the file, are removed. The last line need not end.

    Raises:
        DataError: it cannot be opened, is not UTF-8, or its gzip stream is broken.
    """
    for number, raw in enumerate(raw_lines(file, name), start=1):
        try:
            yield (raw.removeprefix(BYTE_ORDER_MARK) if number == 1 else raw).decode("utf-8").rstrip("\r")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{name}:{number}: not UTF-8, byte 0x{raw[error.start]:02x} at column {error.start + 1}; "
                "expected UTF-8 text; convert the file, for instance with iconv -f latin1 -t utf-8"
            ) from error


def raw_lines(file: Traversable, name: str) -> Iterator[bytes]:
    """Read the bytes of one line after the other, unpacked, without the line feed.

    Raises:
        DataError: the file cannot be opened, or its gzip stream is broken.
    """
    try:
        with open_bytes(file) as stream:
            for raw in stream:
                yield raw.removesuffix(b"\n")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{name}: broken gzip stream ({error}); expected a whole .gz file; copy or fetch it again"
        ) from error
    except OSError as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: OSError) -> DataError:
    """What to raise where a file that was found cannot be read."""
    return DataError(
        f"{name}: cannot be read ({error.strerror or error}); expected a readable file; see its permissions"
    )


def open_bytes(file: Traversable) -> BinaryIO:
    """Open a file to read its bytes, unpacked if it is gzip."""
    raw = cast(BinaryIO, file.open("rb"))
    start = raw.read(len(_GZIP_MAGIC))
    raw.seek(0)
    if start != _GZIP_MAGIC:
        return raw
    return cast(BinaryIO, io.BufferedReader(_OwningGzip(raw), _BUFFER))


class _OwningGzip(gzip.GzipFile):
    """A gzip stream that closes the file beneath it."""

    def __init__(self, raw: BinaryIO) -> None:
        super().__init__(fileobj=raw, mode="rb")
        self._raw_file = raw

    def close(self) -> None:
        super().close()
        self._raw_file.close()


def hash_file(file: Traversable, name: str) -> str:
    """SHA-256 of a file's bytes as they lie on disk, in constant memory.

    Raises:
        DataError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with file.open("rb") as stream:
            while block := stream.read(_BUFFER):
                digest.update(block)
    except OSError as error:
        raise unreadable(name, error) from error
    return digest.hexdigest()


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
