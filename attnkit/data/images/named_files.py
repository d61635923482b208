"""Images, folders and lists of a data set that are found by usual names, or by those that a recipe or a list has."""

from __future__ import annotations

from collections.abc import Sequence

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, Files
from attnkit.errors import DataError

SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training", "train2017"),
    "valid": ("val", "valid", "validation", "dev", "val2017"),
    "test": ("test", "testing", "test2017"),
}


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
            raise DataError(
                f"{place}:{row}: {name} is not in {files.place}; expected a path from there; fix the list, or add the "
                "file"
            )
        found.append(number)
    return found
