"""COCO's json of results: a list of findings, as `attnkit evaluate --predictions` and COCO's server read them."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from attnkit.predict.detected_images import FoundObject


class ResultsJson:
    """The file while it grows, a line per finding, so that none has to stay in memory. Under its own name it is there
    only once it is whole: leave the context without an error.
    """

    def __init__(self, path: Path) -> None:
        """Begin with nothing written.

        Args:
            path: of the file; its folder need not exist.
        """
        self._path = path
        self._partial = path.with_name(path.name + ".partial")
        self._file: IO[str] | None = None
        self._empty = True

    def __enter__(self) -> ResultsJson:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._partial.open("w", encoding="utf-8")
        self._file.write("[")
        return self

    def add(self, image_id: int, file_name: str, objects: Sequence[FoundObject]) -> None:
        """Write what was found on an image.

        Args:
            image_id: what the json calls it.
            file_name: as it was named; a field that COCO's tools do not look at.
            objects: on it.
        """
        assert self._file is not None, "inside the context"
        for one in objects:
            line = json.dumps({"image_id": image_id, "file_name": file_name, **_result(one)})
            self._file.write(("\n" if self._empty else ",\n") + line)
            self._empty = False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._file is not None, "it was entered"
        try:
            with self._file as file:
                if error is None:
                    file.write("]\n" if self._empty else "\n]\n")
                    file.flush()
                    os.fsync(file.fileno())
            if error is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def _result(one: FoundObject) -> dict[str, Any]:
    x1, y1, x2, y2 = one.box
    result: dict[str, Any] = {
        "category_id": one.category_id,
        "bbox": [_digits(value) for value in (x1, y1, x2 - x1, y2 - y1)],
        "score": _digits(one.score),
    }
    if one.code is not None:
        result["segmentation"] = {"size": list(one.code["size"]), "counts": one.code["counts"].decode("ascii")}
    return result


def _digits(value: float) -> float:
    """As many as float32 has, so that results score as what was found does."""
    return float(f"{value:.9g}")
