"""What `attnkit segment` does between reading and printing; knows a segmenter only by what it can do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from attnkit.predict.decode_ahead import Decoded
from attnkit.report.growing_table import GrowingTable, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Area:
    """How much of an image is of one class."""

    index: int
    name: str
    pixels: int
    share: float
    """From 0 to 1."""


@dataclass(frozen=True)
class Answer:
    """What is said of one image: its size and its areas, largest first, or what was wrong with it."""

    name: str
    size: tuple[int, int] = (0, 0)
    areas: Sequence[Area] = ()
    files: Sequence[Path] = ()
    """The mask and the overlay, where they were written."""
    problem: str | None = None


class Segmenter(Protocol):
    """What finds the class of each pixel."""

    class_names: tuple[str, ...]

    def segment(self, pixels: Any) -> NDArray[np.uint8]:
        """From uint8 (3, H, W) to numbers of classes, (H, W)."""


class Saver(Protocol):
    """What keeps masks."""

    def save(self, name: str, pixels: Any, labels: NDArray[np.uint8], areas: Sequence[Area]) -> tuple[Path, Path]:
        """Write the mask and the overlay of an image."""


def segment_images(
    segmenter: Segmenter, groups: Iterable[Sequence[Decoded[Any]]], saver: Saver | None
) -> Iterator[Answer]:
    """Segment images, and give what is said of each as soon as it is known, in order; its files lie there by then."""
    for group in groups:
        for one in group:
            yield Answer(one.name, problem=one.problem) if one.problem else _segmented(segmenter, one, saver)


def _segmented(segmenter: Segmenter, one: Decoded[Any], saver: Saver | None) -> Answer:
    from attnkit.engine.memory import is_out_of_memory

    assert one.image is not None
    height, width = one.image.shape[1:]
    try:
        labels = segmenter.segment(one.image)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        problem = (
            f"{one.name}: {height}x{width} pixels need more memory than there is; expected room for one window; "
            "name a smaller one with --window"
        )
        return Answer(one.name, problem=problem)
    areas = areas_of(labels, segmenter.class_names)
    files = saver.save(one.name, one.image, labels, areas) if saver else ()
    return Answer(one.name, (height, width), areas, files)


def areas_of(labels: NDArray[np.uint8], class_names: Sequence[str]) -> list[Area]:
    """The area of each class that is there, largest first."""
    from PIL import Image

    counts = Image.fromarray(labels).histogram()  # unlike numpy's it makes no wider copy of the pixels
    areas = [Area(k, name, counts[k], counts[k] / labels.size) for k, name in enumerate(class_names) if counts[k]]
    return sorted(areas, key=lambda area: -area.pixels)


def as_json(answer: Answer) -> str:
    """A JSON object on a line."""
    return json.dumps(_plain(answer), ensure_ascii=False) + "\n"


def _plain(answer: Answer) -> dict[str, Any]:
    if answer.problem is not None:
        return {"input": answer.name, "error": answer.problem}
    areas = [
        {"class": area.name, "index": area.index, "pixels": area.pixels, "share": float(f"{area.share:.6g}")}
        for area in answer.areas
    ]
    height, width = answer.size
    files = dict(zip(("mask", "overlay"), map(str, answer.files), strict=False))
    return {"input": answer.name, "height": height, "width": width, "areas": areas, **files}


class AreaTable:
    """Writes areas as aligned text, a line per class. An image that could not be read has no line here."""

    def __init__(self) -> None:
        self._table = GrowingTable(right=(2, 3))
        self._started = False

    def write(self, answer: Answer) -> str:
        """The lines of an image; the first time behind a line of headings."""
        rows = [
            [shown(answer.name) if number == 0 else "", shown(area.name), percent(area.share), str(area.pixels)]
            for number, area in enumerate(answer.areas)
        ]
        if rows and not self._started:
            self._started = True
            rows.insert(0, ["file", "class", "area", "pixels"])
        return self._table.lines(rows)


def percent(share: float) -> str:
    """A share for people: two digits, and never 0.00 % of what is there."""
    return "<0.01 %" if 0 < share < 0.00005 else f"{100 * share:.2f} %"
