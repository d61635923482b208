"""Lists of classes: of those that there are, and of those of images, predicted or true. Free of torch.

The classes of images may be
- what `attnkit classify --json` or `--csv` printed;
- a table, .csv or .tsv, whose first line names its columns: `input`, and `label` or `class`; further ones may be
  `index`, `probability`, and `rank`, with a line per rank;
- lines of an image's path and its class, with a tab, a comma or blanks between them;
- lines of a class alone; line n is then the nth image of the other file, too;
- for labels also a folder that holds a folder of images per class.

A class is a name, or a number from 0.
"""

import csv
import io
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from attnkit.errors import DataError

_MOST_CLASSES = 1_000_000
"""No class has a larger number."""
_PATH_AND_CLASS = re.compile(
    r"(?P<path>.+?\.(?:jpe?g|jfif|png|bmp|gif|webp|tiff?|p[bgp]m))(?:\s*,\s*|\s+)(?P<label>\S.*)", re.IGNORECASE
)
CSV_HEADER = "input,rank,class,index,probability,error\n"
_EITHER = (
    "expected lines of 'path class', a table with the columns input and label, or what attnkit classify --json gave"
)


@dataclass(frozen=True)
class NamedClass:
    """A class as a file names it: by name, by number, or both."""

    name: str | None
    index: int | None
    probability: float | None = None


@dataclass(frozen=True)
class ImageClasses:
    """One image and its classes, the most probable first; none where it could not be read."""

    input: str | None
    """The image; None where the file holds classes alone."""
    classes: tuple[NamedClass, ...]
    problem: str | None = None
    """Why the image could not be read; None where it could, or where the file does not say why."""
    place: str = ""
    """The file and line that it was read from, for messages."""


def read_classes(name: str) -> list[ImageClasses]:
    """Read a file of predictions or labels, or a folder of images per class.

    Raises:
        DataError: it is missing, empty, or a line has another form; with file and line.
    """
    if Path(name).is_dir():
        return _of_folder(Path(name))
    from attnkit.data.files import find_file, read_lines

    lines = list(read_lines(find_file(name), name))
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise DataError(f"{name}: empty; {_EITHER}; see the file")
    if lines[0].lstrip().startswith("{"):
        rows = [_of_json(line, f"{name}:{number}") for number, line in enumerate(lines, start=1)]
    elif header := _header(lines[0]):
        rows = list(_of_table(lines, header, name))
    else:
        rows = list(_of_lines(lines, name))
    _refuse_twice(rows)
    return rows


def read_class_names(name: str, advice: str) -> tuple[str, ...]:
    """Read the names of classes, one per line in the order of their numbers.

    Args:
        name: the file.
        advice: what to do where it cannot be read.

    Raises:
        DataError: there is no such file, or a line is empty or occurs twice.
    """
    try:
        lines = Path(name).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{name}: no readable text file; expected class names, one per line; {advice}") from error
    names = tuple(line.strip() for line in lines)
    for number, class_name in enumerate(names, start=1):
        if not class_name or class_name in names[: number - 1]:
            what = f"'{class_name}' occurs twice" if class_name else "an empty line"
            raise DataError(f"{name}:{number}: {what}; expected one class name per line, each once; fix the file")
    if not names:
        raise DataError(f"{name}: empty; expected class names, one per line; fix the file")
    return names


def _of_folder(folder: Path) -> list[ImageClasses]:
    from attnkit.data.file_tree import FolderTree, is_image

    names = [name for name in FolderTree(folder).names if "/" in name and is_image(name)]
    if not names:
        raise DataError(f"{folder}: no images in folders; expected a folder of images per class; name the one above")
    number = {name: i for i, name in enumerate(sorted({name.partition("/")[0] for name in names}))}
    classes = [(name, name.partition("/")[0]) for name in names]
    return [
        ImageClasses(str(folder / name), (NamedClass(one, number[one]),), place=str(folder / name))
        for name, one in classes
    ]


def _of_json(line: str, place: str) -> ImageClasses:
    try:
        value = json.loads(line)
        if not isinstance(value, dict) or not isinstance(value["input"], str):
            raise ValueError("no object with an input")
        if "error" in value and "predictions" not in value:
            return ImageClasses(value["input"], (), place=place)
        listed = value.get("predictions", [value])
        return ImageClasses(value["input"], tuple(map(_json_class, listed)), place=place)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise DataError(
            f"{place}: no prediction ({reason}); expected a line of attnkit classify --json, such as "
            '{"input": "a.jpg", "predictions": [{"class": "cat", "probability": 0.9}]}; fix the line'
        ) from error


def _json_class(value: dict[str, Any]) -> NamedClass:
    name, index, probability = value.get("class", value.get("label")), value.get("index"), value.get("probability")
    if isinstance(name, int):
        name = str(name)
    if not isinstance(name, str | None) or not isinstance(index, int | None):
        raise ValueError(f"class {name!r}, index {index!r}")
    if not isinstance(probability, float | int | None):
        raise ValueError(f"probability {probability!r}")
    return _class(name, index, probability)


def _class(name: str | None, index: int | None, probability: float | None = None) -> NamedClass:
    """A class; a name of digits is its number, too."""
    if index is None and name is not None and is_number(name):
        index = int(name)
    if not name and index is None:
        raise ValueError("neither a class nor an index")
    if index is not None and not 0 <= index < _MOST_CLASSES:
        raise ValueError(f"index {index}")
    if probability is not None and not 0.0 <= probability <= 1.0 + 1e-6:
        raise ValueError(f"probability {probability}")
    return NamedClass(name, index, probability)


def is_number(name: str) -> bool:
    """Whether the name of a class is a plain number."""
    return name.isascii() and name.isdigit()


def _header(line: str) -> list[str] | None:
    """The columns of a table, if the line names them."""
    columns = next(csv.reader([line], delimiter="\t" if "\t" in line else ","), [])
    columns = [column.strip().lower() for column in columns]
    return columns if "input" in columns else None


def _of_table(lines: Sequence[str], header: list[str], name: str) -> Iterator[ImageClasses]:
    """The rows of a table; those of one image that have ranks belong together."""
    if not {"label", "class", "index"} & set(header):
        raise DataError(f"{name}:1: no column of classes; expected label or class beside input; name the columns")
    reader = csv.reader(lines, delimiter="\t" if "\t" in lines[0] else ",")
    next(reader)
    found: dict[str, list[NamedClass]] = {}
    places: dict[str, str] = {}
    for cells in reader:
        place = f"{name}:{reader.line_num}"
        if not cells:
            continue
        if len(cells) != len(header):
            raise DataError(
                f"{place}: {len(cells)} columns, but line 1 names {len(header)}; expected as many; quote commas"
            )
        row = dict(zip(header, cells, strict=True))
        of_image = found.setdefault(row["input"], [])
        first = places.setdefault(row["input"], place)
        if first != place and "rank" not in header:
            raise DataError(f"{place}: '{row['input']}' is in {first} too; expected each image once; remove one")
        if not row.get("error"):
            of_image.append(_table_class(row, place))
            if row.get("rank", str(len(of_image))) != str(len(of_image)):
                raise DataError(
                    f"{place}: rank {row['rank']}; expected {len(of_image)}, best first, none left out; sort the file"
                )
    for image, classes in found.items():
        yield ImageClasses(image, tuple(classes), place=places[image])


def _table_class(row: dict[str, str], place: str) -> NamedClass:
    label = row.get("label") or row.get("class") or None
    try:
        index = int(row["index"]) if row.get("index") else None
        probability = float(row["probability"]) if row.get("probability") else None
        return _class(label, index, probability)
    except ValueError as error:
        raise DataError(
            f"{place}: no class ({error}); expected a name or a number from 0, and probabilities from 0 to 1; "
            "fix the line"
        ) from error


def _of_lines(lines: Sequence[str], name: str) -> Iterator[ImageClasses]:
    """Lines of path and class, or of classes alone, whichever the first one is."""
    with_paths = _split(lines[0]) is not None
    for number, line in enumerate(lines, start=1):
        place, parts = f"{name}:{number}", _split(line)
        if not line.strip() or (parts is not None) != with_paths:
            what = "a path and a class" if with_paths else "a class alone"
            raise DataError(f"{place}: '{line.strip()}'; expected {what}, as in line 1; fix the line, or {_EITHER[9:]}")
        path, label = parts if parts is not None else (None, line.strip())
        yield ImageClasses(path, (_class(label, None),), place=place)


def _split(line: str) -> tuple[str, str] | None:
    """Path and class of a line, if it has both."""
    if "\t" in line:
        path, _, label = line.partition("\t")
        return (path, label.strip()) if path and label.strip() else None
    found = _PATH_AND_CLASS.fullmatch(line.strip())
    return (found["path"], found["label"].strip()) if found else None


def _refuse_twice(rows: Sequence[ImageClasses]) -> None:
    places: dict[str, str] = {}
    for row in rows:
        if row.input is None:
            continue
        first = places.setdefault(row.input, row.place)
        if first != row.place:
            raise DataError(f"{row.place}: '{row.input}' is in {first} too; expected each image once; remove one")


def format_json(rows: Iterable[ImageClasses]) -> str:
    """A JSON object per image, one per line."""
    return "".join(json.dumps(_plain(row), ensure_ascii=False) + "\n" for row in rows)


def _plain(row: ImageClasses) -> dict[str, Any]:
    if row.problem is not None:
        return {"input": row.input, "error": row.problem}
    predictions = [
        {"class": one.name, "index": one.index, "probability": _rounded(one.probability)} for one in row.classes
    ]
    return {"input": row.input, "predictions": predictions}


def format_csv(rows: Iterable[ImageClasses]) -> str:
    """A row per class; an image that could not be read has one row, with the error. Without CSV_HEADER."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for row in rows:
        if row.problem is not None:
            writer.writerow([row.input, "", "", "", "", row.problem])
        for rank, one in enumerate(row.classes, start=1):
            writer.writerow([row.input, rank, one.name, one.index, _rounded(one.probability), ""])
    return text.getvalue()


def _rounded(probability: float | None) -> float | None:
    """Six digits: more would be noise of the arithmetic."""
    return None if probability is None else float(f"{probability:.6g}")


def match_inputs(wanted: Sequence[str], known: Sequence[str]) -> list[int | None]:
    """For each wanted name its position among the known ones; None where it is not there.

    Names are compared as they are, then as paths from the working directory, then by folder and file name, then by file
    name alone; the first of these counts that keeps all names distinct and finds every wanted one.
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
