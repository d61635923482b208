"""The files of an archive, read by number without unpacking it to files.

A plain .tar is read where it lies. What is compressed is unpacked once, into one file of the cache:

<cache>/archives/<SHA-256 of the archive>/
  index.json          names, starts and sizes of the members; written last
  members             their bytes, one after the other

So a member's name never becomes a path on disk, and cannot lead out of the folder.
"""

import json
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from attnkit.data.file_tree import FileTree, is_hidden
from attnkit.data.files import cache_folder, cached_folder, hash_file
from attnkit.errors import DataError
from attnkit.run_dir import write_json

_FORMAT = 1


class _Member(NamedTuple):
    """Where the bytes of a file lie."""

    name: str
    start: int
    size: int


class _Index(NamedTuple):
    """What an archive holds."""

    members: list[_Member]
    folders: list[str]


class ArchiveTree(FileTree):
    """The members of an archive that are plain files; links and devices are left out."""

    def __init__(self, path: Path) -> None:
        """Read the list of members, and unpack a compressed archive into the cache if that is not done yet.

        Raises:
            DataError: it is no archive, is broken or encrypted, or the disk is full.
        """
        self.path = path
        self._data, self._hash, index = _open_archive(path)
        last_of_name = {member.name: member for member in index.members if not is_hidden(member.name)}
        members = sorted(last_of_name.values())
        self.names = [member.name for member in members]
        self._starts = np.array([member.start for member in members], dtype=np.int64)
        self._sizes = np.array([member.size for member in members], dtype=np.int64)
        self.folders = sorted(_with_parents({name.rpartition("/")[0] for name in self.names}.union(index.folders)))

    def read(self, number: int) -> bytes:
        """All bytes of a member."""
        try:
            with self._data.open("rb") as file:  # opened anew, so that processes share no position
                file.seek(int(self._starts[number]))
                return file.read(int(self._sizes[number]))
        except OSError as error:
            raise DataError(
                f"{self.place(number)}: cannot be read ({error.strerror or error}); expected a readable archive; "
                "see that it is there, and its permissions"
            ) from error

    def size(self, number: int) -> int:
        """Bytes of a member."""
        return int(self._sizes[number])

    def place(self, number: int) -> str:
        """Archive and member."""
        return f"{self.path}:{self.names[number]}"

    def fingerprint(self, numbers: Iterable[int]) -> str:
        """A hash of the archive's bytes, whatever the numbers."""
        if self._hash is None:
            self._hash = hash_file(self.path, str(self.path))
        return self._hash


def _open_archive(path: Path) -> tuple[Path, str | None, _Index]:
    """The file that holds the members' bytes, the archive's hash if it was needed, and the members."""
    with _broken(path):
        if not zipfile.is_zipfile(path) and _is_plain_tar(path):
            with tarfile.open(path, "r:") as tar:
                members = [_Member(_clean(m.name), m.offset_data, m.size) for m in tar if m.isreg() and not m.sparse]
                return path, None, _Index(members, [_clean(m.name) for m in tar.getmembers() if m.isdir()])
    key = hash_file(path, str(path))
    folder = cache_folder() / "archives" / key
    index = cached_folder(folder, read=_read_index, write=lambda partial: _unpack(path, partial))
    return folder / "members", key, index


def _is_plain_tar(path: Path) -> bool:
    try:
        with tarfile.open(path, "r:"):
            return True
    except tarfile.ReadError:
        return False


@contextmanager
def _broken(path: Path) -> Iterator[None]:
    """Say in our words what is wrong with an archive."""
    try:
        yield
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise DataError(
            f"{path}: no archive, or a broken one ({error}); expected a folder or a whole .tar, .tar.gz, .tar.bz2, "
            ".tar.xz or .zip; correct the path, or copy or fetch the file again"
        ) from error
    except (RuntimeError, NotImplementedError) as error:
        raise DataError(
            f"{path}: cannot be unpacked ({error}); expected an archive without a password, of a usual kind; "
            "unpack it yourself, and name the folder"
        ) from error


def _unpack(path: Path, folder: Path) -> None:
    """Write the members one after the other, then the index."""
    members: list[_Member] = []
    folders: list[str] = []
    with (folder / "members").open("wb") as data, _broken(path):
        for name, content in _zip_entries(path) if zipfile.is_zipfile(path) else _tar_entries(path):
            if content is None:
                folders.append(name)
                continue
            start = data.tell()
            shutil.copyfileobj(content, data)
            members.append(_Member(name, start, data.tell() - start))
    size = (folder / "members").stat().st_size
    write_json(folder / "index.json", {"format": _FORMAT, "size": size, "members": members, "folders": folders})


def _tar_entries(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    """Names and contents in the order of the file; a folder has no content."""
    with tarfile.open(path, "r|*") as tar:
        for member in tar:
            if member.isdir():
                yield _clean(member.name), None
            elif member.isreg() and not member.sparse:
                yield _clean(member.name), tar.extractfile(member)


def _zip_entries(path: Path) -> Iterator[tuple[str, IO[bytes] | None]]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            if entry.is_dir():
                yield _clean(entry.filename), None
            else:
                with archive.open(entry) as content:
                    yield _clean(entry.filename), content


def _with_parents(folders: set[str]) -> set[str]:
    """Folders and all that they lie in; the root is none of them."""
    parts = [folder.split("/") for folder in folders if folder and not is_hidden(folder)]
    return {"/".join(names[: depth + 1]) for names in parts for depth in range(len(names))}


def _clean(name: str) -> str:
    """`./a//b/` as `a/b`."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _read_index(folder: Path) -> _Index:
    about = json.loads((folder / "index.json").read_text(encoding="utf-8"))
    if about["format"] != _FORMAT or about["size"] != (folder / "members").stat().st_size:
        raise ValueError(f"{folder} is not a whole unpacked archive of format {_FORMAT}")
    return _Index([_Member(*member) for member in about["members"]], about["folders"])
