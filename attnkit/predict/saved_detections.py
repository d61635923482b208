"""The files of `attnkit detect --save`: what was found, drawn over each photograph; and all of it as COCO's json."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.data.formats.coco_results import CocoResult, CocoResultsWriter
from attnkit.predict.drawn_page import png
from attnkit.predict.object_overlay import draw_objects
from attnkit.predict.saved_places import SavedPlaces

if TYPE_CHECKING:
    from types import TracebackType

    from attnkit.predict.detected_images import FoundObject
    from attnkit.structures.detections import Detections

RESULTS = "results.json"


class DetectionFolder:
    """A folder that gets `name_overlay.png` for each image; and results.json, once its context is left."""

    def __init__(
        self,
        folder: Path,
        inputs: Sequence[str],
        *,
        mask_threshold: float | None,
        alpha: float,
        find_id: Callable[[str], int] | None = None,
    ) -> None:
        """Take a folder, which need not exist.

        Args:
            folder: where the files go; see SavedPlaces.
            inputs: what the user named.
            mask_threshold: a pixel belongs to an object from this probability on; None where there are no masks.
            alpha: how much of a mask is colour, from 0 to 1.
            find_id: what results call an image, by its name; by default its number in the order of the inputs, from 1.

        Raises:
            AttnkitError: it lies in a folder of inputs.
        """
        self._places = SavedPlaces(folder, inputs, done="looked at", written="overlays")
        self._results = CocoResultsWriter(folder / RESULTS)
        self._mask_threshold, self._alpha = mask_threshold, alpha
        self._find_id = find_id

    def __enter__(self) -> DetectionFolder:
        self._results.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._results.__exit__(kind, error, at)

    def spare(self, names: Iterable[str]) -> None:
        """Never write over these files."""
        self._places.spare(names)

    def save(self, name: str, number: int, pixels: Any, found: Detections, objects: Sequence[FoundObject]) -> Path:
        """Write the overlay of an image, whole or not at all, and add what was found to the results.

        Args:
            name: of the image.
            number: of the image among the inputs, from 1.
            pixels: a tensor, uint8 (3, H, W).
            found: in its pixels.
            objects: the same in plain numbers.

        Raises:
            DataError: the image has no id.
        """
        from attnkit.run_dir import write_whole

        image_id = number if self._find_id is None else self._find_id(name)
        (overlay,) = self._places.take(name, ("_overlay.png",))
        picture = draw_objects(
            pixels.permute(1, 2, 0).numpy(),
            found,
            objects,
            mask_threshold=self._mask_threshold,
            alpha=self._alpha,
        )
        write_whole(overlay, png(picture))
        results = (CocoResult(one.category_id, one.score, one.box, one.code) for one in objects)
        self._results.add(image_id, name, results)
        return overlay
