"""The files of `attnkit segment --save`: the class of each pixel, and the classes over the photograph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.data.formats.mask_png import mask_png
from attnkit.predict.drawn_page import png
from attnkit.predict.mask_overlay import draw_overlay
from attnkit.predict.saved_places import SavedPlaces

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from attnkit.predict.segmented_images import Area


class MaskFolder:
    """A folder that gets two files for each image: `name.png`, the class of each pixel, and `name_overlay.png`."""

    def __init__(self, folder: Path, inputs: Sequence[str], colours: NDArray[np.uint8], *, alpha: float) -> None:
        """Take a folder, which need not exist.

        Args:
            folder: where the files go; see SavedPlaces.
            inputs: what the user named.
            colours: uint8 (K, 3).
            alpha: how much of an overlay is colour, from 0 to 1.

        Raises:
            AttnkitError: it lies in a folder of inputs.
        """
        self._places = SavedPlaces(folder, inputs, done="segmented", written="masks")
        self._colours, self._alpha = colours, alpha

    def spare(self, names: Iterable[str]) -> None:
        """Never write over these files."""
        self._places.spare(names)

    def save(self, name: str, pixels: Any, labels: NDArray[np.uint8], areas: Sequence[Area]) -> tuple[Path, Path]:
        """Write the mask and the overlay of an image, each whole or not at all.

        Args:
            name: of the image.
            pixels: a tensor, uint8 (3, H, W).
            labels: uint8 (H, W).
            areas: of the classes that are there.
        """
        from attnkit.run_dir import write_whole

        mask, overlay = self._places.take(name, (".png", "_overlay.png"))
        photo = pixels.permute(1, 2, 0).numpy()
        write_whole(mask, mask_png(labels, self._colours))
        write_whole(overlay, png(draw_overlay(photo, labels, areas, self._colours, alpha=self._alpha)))
        return mask, overlay
