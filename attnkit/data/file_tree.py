"""Many files under one root, be it a folder or an archive, read by number."""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from attnkit.errors import DataError

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jfif", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"}
)
"""Endings, in small letters, that files of images have."""


class FileTree(ABC):
    """Files by number, in the order of their names. Names of hidden files and folders are left out."""

    path: Path
    """The folder or the archive."""
    names: Sequence[str]
    """Paths below the root, sorted, parts divided by a slash."""
    folders: Sequence[str]
    """Every folder below the root, the empty ones too."""

    @abstractmethod
    def read(self, number: int) -> bytes:
        """All bytes of a file.

        Raises:
            DataError: it cannot be read.
        """

    def source(self, number: int) -> Path | bytes:
        """Where the beginning of a file can be read without all of it, if it lies in a folder; else its bytes."""
        return self.read(number)

    @abstractmethod
    def size(self, number: int) -> int:
        """Bytes of a file; 0 of one that is not there any more."""

    @abstractmethod
    def place(self, number: int) -> str:
        """What to call a file in messages."""

    @abstractmethod
    def fingerprint(self, numbers: Iterable[int]) -> str:
        """A hash that changes when one of these files does."""


class FolderTree(FileTree):
    """The files of a folder and of all folders below, links followed."""

    def __init__(self, path: Path) -> None:
        """List the files.

        Raises:
            DataError: a folder cannot be listed.
        """
        self.path = path
        files: list[str] = []
        folders: list[str] = []
        try:
            for name, is_folder in _walk(path, "", set()):
                (folders if is_folder else files).append(name)
        except OSError as error:
            raise DataError(
                f"{error.filename or path}: cannot be listed ({error.strerror or error}); expected a readable folder; "
                "see its permissions"
            ) from error
        self.names, self.folders = sorted(files), sorted(folders)

    def read(self, number: int) -> bytes:
        """All bytes of a file."""
        try:
            return (self.path / self.names[number]).read_bytes()
        except OSError as error:
            raise DataError(
                f"{self.place(number)}: cannot be read ({error.strerror or error}); expected a readable file; "
                "see that it is there, and its permissions"
            ) from error

    def source(self, number: int) -> Path | bytes:
        """The path of a file."""
        return self.path / self.names[number]

    def size(self, number: int) -> int:
        """Bytes of a file."""
        try:
            return (self.path / self.names[number]).stat().st_size
        except OSError:
            return 0

    def place(self, number: int) -> str:
        """The path of a file."""
        return str(self.path / self.names[number])

    def fingerprint(self, numbers: Iterable[int]) -> str:
        """A hash of names, sizes and times of change: a hash of the bytes would take as long as reading them all."""
        digest = hashlib.sha256(str(self.path.resolve()).encode(errors="surrogateescape"))
        for number in numbers:
            try:
                stat = (self.path / self.names[number]).stat()
                about = f"{stat.st_size} {stat.st_mtime_ns}"
            except OSError:
                about = "missing"
            digest.update(f"{self.names[number]}\0{about}\0".encode(errors="surrogateescape"))
        return digest.hexdigest()


def is_hidden(name: str) -> bool:
    """Whether a file is what systems leave behind: .DS_Store, __MACOSX, Thumbs.db and the like."""
    return any(part.startswith((".", "__MACOSX")) or part in ("Thumbs.db", "desktop.ini") for part in name.split("/"))


def is_image(name: str) -> bool:
    """Whether a file ends as images do."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def _walk(folder: Path, below: str, above: set[tuple[int, int]]) -> Iterator[tuple[str, bool]]:
    """Names of files and folders; a link to a folder that we are in is not followed."""
    stat = folder.stat()
    here = stat.st_dev, stat.st_ino
    if here in above and stat.st_ino:
        return
    with os.scandir(folder) as entries:
        for entry in entries:
            name = f"{below}{entry.name}"
            if is_hidden(entry.name):
                continue
            if entry.is_dir():
                yield name, True
                yield from _walk(folder / entry.name, f"{name}/", above | {here})
            elif entry.is_file() or entry.is_symlink():
                yield name, False
