"""What a data set's json calls images, by the names of their files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from attnkit.errors import DataError


class CocoImageIds:
    """The ids of images. A file is found by its name, and by the folders above it where the json has some."""

    def __init__(self, path: Path) -> None:
        """Read a json of instances, or one that lists images alone.

        Raises:
            DataError: it is missing, or lists no images.
        """
        self._path = path
        self._ids = _by_name(path)
        self._folders = max(name.count("/") for name in self._ids)

    def find(self, name: str) -> int:
        """The id of a file.

        Raises:
            DataError: the json does not list it.
        """
        parts = Path(name).absolute().parts[1:]
        for folders in range(self._folders, -1, -1):
            found = self._ids.get("/".join(parts[-folders - 1 :]))
            if found is not None:
                return found
        raise DataError(
            f"{name}: not among the {len(self._ids)} images of {self._path}; expected a file that it lists; "
            "leave the image or --image-ids out"
        )


def _by_name(path: Path) -> dict[str, int]:
    if not path.is_file():
        raise DataError(f"--image-ids {path}: no such file; expected a json as COCO's; check the name")
    try:
        listed: list[dict[str, Any]] = json.loads(path.read_bytes())["images"]
        ids = {str(image["file_name"]).replace("\\", "/").removeprefix("./"): int(image["id"]) for image in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"--image-ids {path}: not as COCO's json is ({type(error).__name__}: {error}); expected images, each with "
            "an id and a file_name; name another"
        ) from error
    if not ids:
        raise DataError(f"--image-ids {path}: lists no images; expected those that are detected on; name another")
    return ids
