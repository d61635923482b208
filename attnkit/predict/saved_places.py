"""Where the files go that are written for each image, and that nothing is lost on the way."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, Protocol

from attnkit.errors import AttnkitError
from attnkit.predict.image_inputs import ImageInput, image_inputs


class SavedPlaces:
    """Names in a folder, of several files for each image.

    Images that a folder led to keep their place below it. Of two inputs of one name the second becomes `name_2`.
    """

    def __init__(self, folder: Path, inputs: Sequence[str], *, done: str, written: str) -> None:
        """Take a folder, which need not exist.

        Args:
            folder: where the files go.
            inputs: what the user named: folders among them are mirrored.
            done: what happens to images, for messages, such as segmented.
            written: what the files are, such as masks.

        Raises:
            AttnkitError: it lies in a folder of inputs: what is written would be taken for images the next time.
        """
        self._folder = folder
        self._roots = [Path(name) for name in inputs if name != "-" and Path(name).is_dir()]
        self._taken: set[str] = set()
        for root in self._roots:
            if folder.resolve().is_relative_to(root.resolve()):
                raise AttnkitError(
                    f"--save {folder}: lies in {root}, whose images are {done}; expected a folder outside, "
                    f"for {written} would be taken for images the next time; name another"
                )

    def spare(self, names: Iterable[str]) -> None:
        """Never give these files away."""
        self._taken |= {_key(Path(name)) for name in names}

    def take(self, name: str, endings: Sequence[str]) -> list[Path]:
        """Files for an image that no other image of this call has.

        Args:
            name: of the image, which is spared.
            endings: of the files, behind the image's own name.
        """
        self.spare([name])
        place = self._place(Path(name))
        number = 1
        while True:
            stem = place.name if number == 1 else f"{place.name}_{number}"
            files = [place.with_name(stem + ending) for ending in endings]
            keys = {_key(file) for file in files}
            if not keys & self._taken:
                self._taken |= keys
                return files
            number += 1

    def _place(self, path: Path) -> Path:
        """Where the files of an image go, without an ending."""
        roots = [root for root in self._roots if path.is_relative_to(root)]
        if not roots:
            return self._folder / path.stem
        root = max(roots, key=lambda root: len(root.parts))
        of_several = root.resolve().name if len(self._roots) > 1 else ""
        return self._folder / of_several / path.relative_to(root).with_suffix("")


class Spares(Protocol):
    """What writes files, but not over these."""

    def spare(self, names: Iterable[str]) -> None:
        """Never write over them."""


def spared_inputs(names: Sequence[str], stdin: BinaryIO, saver: Spares | None) -> Iterator[ImageInput]:
    """The inputs; where files are saved, all of them are known before the first file could take one's place.

    Args:
        names: as `image_inputs` takes them.
        stdin: where `-` reads paths; those are known one by one.
        saver: None where nothing is saved.
    """
    listed = image_inputs(names, stdin)
    if saver is None or "-" in names:
        return listed
    every = list(listed)
    saver.spare(one.name for one in every if one.problem is None)
    return iter(every)


def _key(path: Path) -> str:
    """The same for names that some file systems hold to be the same."""
    return str(path.resolve()).casefold()
