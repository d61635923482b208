"""The folder or archive that a data set lies in, and what is found in it: by a recipe, by a list, or by usual names."""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from attnkit.data.archive import ArchiveTree
from attnkit.data.config import Split
from attnkit.data.file_tree import FileTree, FolderTree, is_image
from attnkit.data.files import find_file_or_folder, unreadable
from attnkit.data.finding import listed
from attnkit.errors import DataError

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training", "train2017"),
    "valid": ("val", "valid", "validation", "dev", "val2017"),
    "test": ("test", "testing", "test2017"),
}


@dataclass(frozen=True)
class Files:
    """Files below a folder of a tree."""

    tree: FileTree
    folder: str
    """Without a slash at its end; the root is empty."""
    numbers: Sequence[int]

    def below(self, number: int) -> str:
        """A file's path below the folder."""
        return self.tree.names[number][len(self.folder) :].lstrip("/")

    def find(self, below: str) -> int | None:
        """The number of a file by its path below the folder; None if it is not there."""
        name = join(self.folder, below)
        number = bisect_left(self.tree.names, name)
        return number if number < len(self.tree.names) and self.tree.names[number] == name else None

    def images(self) -> list[int]:
        """The numbers of the files that end as images do."""
        return [number for number in self.numbers if self.is_image(number)]

    def is_image(self, number: int) -> bool:
        """Whether a file ends as images do."""
        return is_image(self.tree.names[number])

    @property
    def place(self) -> str:
        """What to call the folder in messages."""
        return f"{self.tree.path}/{self.folder}".rstrip("/")


class DataRoot:
    """The place of a data set. Paths in a recipe start there, or in the one folder that an archive has."""

    def __init__(self, path: str) -> None:
        """Find it.

        Raises:
            DataError: it is not there.
        """
        self.path = find_file_or_folder(path)
        self._trees: dict[Path, FileTree] = {}

    @property
    def tree(self) -> FileTree:
        """All its files, which are listed when they are asked for."""
        return self._open(self.path)

    @property
    def top(self) -> str:
        """The folder that holds everything, where there is only one at the root."""
        heads = {name.split("/")[0] for name in self.tree.names}
        only = heads.pop() if len(heads) == 1 else ""
        return only if only in self.tree.folders else ""

    def read(self, name: str, option: str) -> tuple[bytes, str]:
        """The bytes of a file that the recipe names, and what to call it in messages.

        Raises:
            DataError: it is not there.
        """
        file = self.path / name
        if self.path.is_dir() and file.is_file():
            return _bytes_of(file), str(file)
        clean = name.strip("/")
        for path in (clean, join(self.top, clean)):
            if (number := self.below("").find(path)) is not None:
                return self.tree.read(number), self.tree.place(number)
        raise DataError(f"{self.path}: has no file {name!r} for {option}; expected a path inside it; correct {option}")

    def folder(self, name: str, option: str) -> Files:
        """The files below a folder that the recipe names; in a root that is a folder, no other is listed.

        Raises:
            DataError: it is not there.
        """
        if (folder := self.folder_if_there(name)) is not None:
            return folder
        start = len(self.top)
        inside = [path[start:].lstrip("/") for path in self.tree.folders if path != self.top]
        raise DataError(
            f"{self.path}: has no folder {name!r} for {option}; expected one of {listed(inside)}; correct {option}"
        )

    def folder_if_there(self, name: str) -> Files | None:
        """The files below a folder, or None."""
        if self.path.is_dir() and (self.path / name).is_dir():
            tree = self._open(self.path / name)
            return Files(tree, "", range(len(tree.names)))
        clean = name.strip("/")
        for folder in (clean, join(self.top, clean)):
            if folder in self.tree.folders:
                return self.below(folder)
        return None

    def below(self, folder: str) -> Files:
        """The files below a folder of the tree."""
        return Files(self.tree, folder, files_below(self.tree, folder))

    def _open(self, path: Path) -> FileTree:
        if path not in self._trees:
            self._trees[path] = open_tree_once(path)
        return self._trees[path]


def open_tree(path: Path) -> FileTree:
    """Open a folder, or a .tar, .tar.gz, .tar.bz2, .tar.xz or .zip, recognised by their first bytes.

    Raises:
        DataError: it is neither, or broken.
    """
    if path.is_dir():
        return FolderTree(path)
    return ArchiveTree(path)


def open_tree_once(path: Path) -> FileTree:
    """As `open_tree`, but an archive that has not changed since this process opened it is not listed again.

    One command opens a set several times: to check it, and for each split.
    """
    if path.is_dir():
        return FolderTree(path)
    stat = path.stat()
    return _known_archive(path, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=3)
def _known_archive(path: Path, *state: int) -> FileTree:
    del state  # there to make a changed file another one; the time of change too, for that of writing can be set back
    return open_tree(path)


def files_below(tree: FileTree, folder: str) -> range:
    """The numbers of the files below a folder of a tree; the root is empty."""
    if not folder:
        return range(len(tree.names))
    return range(bisect_left(tree.names, f"{folder}/"), bisect_left(tree.names, f"{folder}0"))  # 0 comes after /


def join(folder: str, name: str) -> str:
    """A path below a folder of a tree; the root is empty."""
    return f"{folder}/{name}" if folder else name


def _bytes_of(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise unreadable(str(file), error) from error


def find_image(files: Files, name: str) -> int | None:
    """The number of a file by its path below a folder; None if it is not there.

    Folders in front are dropped one after the other until it is found: `train2017/1.jpg` is 1.jpg of the folder
    train2017, and so is `C:\\\\data\\\\train2017\\\\1.jpg`.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    starts = range(len(parts))
    return next((number for start in starts if (number := files.find("/".join(parts[start:]))) is not None), None)


def usual_folder(root: DataRoot, split: Split, forms: Sequence[str]) -> Files | None:
    """The first folder that is named in one of the forms, such as `images/{}`, with a usual name of the split."""
    start = len(root.top) + 1 if root.top else 0
    there = {folder[start:].lower(): folder for folder in root.tree.folders}
    names = [form.format(name) for form in forms for name in SPLIT_NAMES[split]]
    found = next((there[name] for name in names if name in there), None)
    return None if found is None else root.below(found)


def named_folder(root: DataRoot, name: str) -> Files | None:
    """A folder by its path below the root, or below the one folder that an archive has; None if it is not there."""
    clean = "/".join(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))
    if not clean:
        return root.below(root.top)
    for folder in (clean, f"{root.top}/{clean}"):
        if folder in root.tree.folders:
            return root.below(folder)
    return None


def read_list(content: bytes, place: str, *, of: str = "image") -> list[str]:
    """The lines of a text that names something in each, the empty ones too.

    Raises:
        DataError: it is no text, or names nothing.
    """
    expected = f"expected one {of} per line; fix it"
    try:
        lines = [line.strip() for line in content.decode("utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 ({error}); {expected}") from error
    if not any(lines):
        raise DataError(f"{place}: names nothing; {expected}")
    return lines


def find_listed(files: Files, names: Sequence[str], place: str) -> list[int]:
    """The numbers of images that a list names by paths.

    Raises:
        DataError: one is not there.
    """
    found = []
    for row, name in enumerate(names, start=1):
        if not name:
            continue
        number = find_image(files, name)
        if number is None:
            raise not_listed(f"{place}:{row}", name, files)
        found.append(number)
    return found


def not_listed(place: str, name: str, files: Files) -> DataError:
    """The error of a list that names what is not there."""
    return DataError(
        f"{place}: {name} is not in {files.place}; expected a path from there; fix the list, or add the file"
    )
