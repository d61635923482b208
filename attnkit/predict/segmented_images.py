"""How much of an image is of each class, as a table or JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.predict.image_answers import AnswerTable, ImageAnswer, answer_pixels, json_lines
from attnkit.predict.image_inputs import Decoded
from attnkit.report.growing_table import shown

if TYPE_CHECKING:
    from attnkit.recipes.segmentation.segmenter import Segmenter
    from attnkit.structures.arrays import ByteArray

    SaveMask = Callable[[str, Any, ByteArray, Sequence["Area"]], Mapping[str, Path]]
    """Writes the files of an image: its name, its pixels, its labels (H, W) and the areas of the classes."""


@dataclass(frozen=True)
class Area:
    """How much of an image is of one class."""

    index: int
    name: str
    pixels: int
    share: float
    """From 0 to 1."""


def segment_images(
    segmenter: Segmenter, groups: Iterable[Sequence[Decoded[Any]]], save: SaveMask | None
) -> Iterator[list[ImageAnswer[Area]]]:
    """Segment images, and give the answers of each group as soon as they are known; their files are written by then.

    Args:
        segmenter: the model at work.
        groups: of images.
        save: None where nothing is saved.
    """

    def answer(name: str, _number: int, pixels: Any) -> ImageAnswer[Area]:
        labels = segmenter.segment(pixels)
        areas = areas_of(labels, segmenter.class_names)
        files = save(name, pixels, labels, areas) if save else {}
        return ImageAnswer(name, areas, tuple(pixels.shape[1:]), files)

    enough = "expected room for one window; name a smaller one with --window"
    return answer_pixels(groups, answer, enough_memory=enough)


def areas_of(labels: ByteArray, class_names: Sequence[str]) -> list[Area]:
    """The area of each class that is there, largest first."""
    from PIL import Image

    counts = Image.fromarray(labels).histogram()  # unlike numpy's it makes no wider copy of the pixels
    areas = [Area(k, name, counts[k], counts[k] / labels.size) for k, name in enumerate(class_names) if counts[k]]
    return sorted(areas, key=lambda area: -area.pixels)


def areas_as_json(answers: Iterable[ImageAnswer[Area]]) -> str:
    """A JSON object per image, one per line."""
    return json_lines(answers, "areas", _plain)


def _plain(area: Area) -> dict[str, Any]:
    return {"class": area.name, "index": area.index, "pixels": area.pixels, "share": float(f"{area.share:.6g}")}


def area_table() -> AnswerTable[Area]:
    """A table with a line per class."""
    return AnswerTable(["class", "area", "pixels"], _rows, right=(2, 3))


def _rows(answer: ImageAnswer[Area]) -> list[list[str]]:
    return [[shown(area.name), percent(area.share), str(area.pixels)] for area in answer.found]


def percent(share: float) -> str:
    """A share for people: two digits, and never 0.00 % of what is there."""
    return "<0.01 %" if 0 < share < 0.00005 else f"{100 * share:.2f} %"
