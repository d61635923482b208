"""Files that drawings of scores are written to, or their numbers as CSV."""

import csv
import io
import warnings
from collections.abc import Iterable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from attnkit.errors import AttnkitError
from attnkit.report.growing_table import shown

SUFFIXES = (".png", ".svg", ".pdf", ".csv")
_LONGEST_NAME = 24


def check_picture(option: str, path: Path) -> None:
    """Refuse a file that could not be drawn, before anything takes long.

    Args:
        option: that names the file.
        path: the file.

    Raises:
        AttnkitError: an ending that is not known, or matplotlib is missing.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise AttnkitError(
            f"{option} {path}: no known ending; expected {', '.join(SUFFIXES)}; rename it, to {option[2:]}.png say"
        )
    if not is_csv(path) and find_spec("matplotlib") is None:
        raise AttnkitError(
            f"{option} {path}: drawing needs matplotlib, which is not installed; expected it; "
            "pip install 'attnkit[plot]', or name a .csv file"
        )


def is_csv(path: Path) -> bool:
    """Whether the file holds numbers, and no drawing."""
    return path.suffix.lower() == ".csv"


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a table whose first line names the columns."""
    from attnkit.run_dir import write_whole

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    write_whole(path, text.getvalue())


def write_figure(path: Path, figure: Any) -> None:
    """Write a matplotlib Figure in the form that the file's ending says."""
    from attnkit.run_dir import write_whole

    picture = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")  # a name in letters that the font lacks
        figure.savefig(picture, format=path.suffix[1:].lower(), dpi=120, bbox_inches="tight")
    write_whole(path, picture.getvalue())


def short(name: str) -> str:
    """The name of a class as there is room for it."""
    name, half = shown(name), _LONGEST_NAME // 2
    return name if len(name) <= _LONGEST_NAME else f"{name[:half]}…{name[-half:]}"
