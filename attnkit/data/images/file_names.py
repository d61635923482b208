"""Which file an annotation means by a name that may have been written on another machine."""

from __future__ import annotations

from attnkit.data.data_root import Files


def find_image(files: Files, name: str) -> int | None:
    """The number of a file by its path below a folder; None if it is not there.

    Folders in front are dropped one after the other until it is found: `train2017/1.jpg` is 1.jpg of the folder
    train2017, and so is `C:\\\\data\\\\train2017\\\\1.jpg`.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".")]
    starts = range(len(parts))
    return next((number for start in starts if (number := files.find("/".join(parts[start:]))) is not None), None)
