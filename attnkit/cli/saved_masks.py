"""The files of `attnkit segment --save`: where they go, and that nothing is lost on the way."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.cli.overlay import draw_overlay, indexed
from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from PIL import Image

    from attnkit.cli.segmented_images import Area


class MaskFolder:
    """A folder that gets two files for each image: `name.png`, the class of each pixel, and `name_overlay.png`.

    Images that a folder led to keep their place below it. Of two inputs of one name the second becomes `name_2`.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], colours: NDArray[np.uint8], *, alpha: float) -> None:
        """Take a folder, which need not exist.

        Args:
            folder: where the files go.
            inputs: what the user named: folders among them are mirrored.
            colours: uint8 (K, 3).
            alpha: how much of an overlay is colour, from 0 to 1.

        Raises:
            AttnkitError: it lies in a folder of inputs: the masks would be taken for images the next time.
        """
        self._folder, self._colours, self._alpha = folder, colours, alpha
        self._roots = [Path(name) for name in inputs if name != "-" and Path(name).is_dir()]
        self._taken: set[str] = set()
        for root in self._roots:
            if folder.resolve().is_relative_to(root.resolve()):
                raise AttnkitError(
                    f"--save {folder}: lies in {root}, whose images are segmented; expected a folder outside, "
                    "for masks would be taken for images the next time; name another"
                )

    def spare(self, names: Iterable[str]) -> None:
        """Never write over these files."""
        self._taken |= {_key(Path(name)) for name in names}

    def save(self, name: str, pixels: Any, labels: NDArray[np.uint8], areas: Sequence[Area]) -> tuple[Path, Path]:
        """Write the mask and the overlay of an image, each whole or not at all.

        Args:
            name: of the image.
            pixels: a tensor, uint8 (3, H, W).
            labels: uint8 (H, W).
            areas: of the classes that are there.
        """
        from attnkit.run_dir import write_whole

        self.spare([name])
        mask, overlay = self._free(self._place(Path(name)))
        photo = pixels.permute(1, 2, 0).numpy()
        write_whole(mask, mask_png(labels, self._colours))
        write_whole(overlay, _png(draw_overlay(photo, labels, areas, self._colours, alpha=self._alpha)))
        return mask, overlay

    def _place(self, path: Path) -> Path:
        """Where the files of an image go, without an ending."""
        roots = [root for root in self._roots if path.is_relative_to(root)]
        if not roots:
            return self._folder / path.stem
        root = max(roots, key=lambda root: len(root.parts))
        of_several = root.resolve().name if len(self._roots) > 1 else ""
        return self._folder / of_several / path.relative_to(root).with_suffix("")

    def _free(self, place: Path) -> tuple[Path, Path]:
        """The names of two files that no other image of this call has."""
        number = 1
        while True:
            stem = place.name if number == 1 else f"{place.name}_{number}"
            files = place.with_name(f"{stem}.png"), place.with_name(f"{stem}_overlay.png")
            keys = {_key(file) for file in files}
            if not keys & self._taken:
                self._taken |= keys
                return files
            number += 1


def _key(path: Path) -> str:
    """The same for names that some file systems hold to be the same."""
    return str(path.resolve()).casefold()


def mask_png(labels: NDArray[np.uint8], colours: NDArray[np.uint8]) -> bytes:
    """A mask file: a palette image whose values are the numbers of the classes.

    Args:
        labels: (H, W).
        colours: (K, 3).
    """
    return _png(indexed(labels, colours))


def _png(picture: Image.Image) -> bytes:
    written = io.BytesIO()
    picture.save(written, "PNG")
    return written.getvalue()
