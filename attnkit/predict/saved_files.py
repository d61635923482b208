"""The files that `--save` writes beside the answers: masks, overlays and results, none over another file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from attnkit.data.formats.coco_results import CocoResult, CocoResultsWriter
from attnkit.data.formats.mask_png import mask_png, png
from attnkit.errors import AttnkitError, DataError
from attnkit.predict.mask_overlay import draw_areas
from attnkit.predict.object_overlay import draw_objects
from attnkit.run_dir import write_whole

if TYPE_CHECKING:
    from types import TracebackType

    from attnkit.predict.detected_images import FoundObject
    from attnkit.predict.segmented_images import Area
    from attnkit.structures.arrays import ByteArray
    from attnkit.structures.detections import Detections

RESULTS = "results.json"


class FreeNames:
    """Names in a folder that are free, for several files of each image.

    Images that a folder led to keep their path below it. Of two inputs of one name the second becomes `name_2`.
    """

    def __init__(self, folder: Path, inputs: Sequence[str]) -> None:
        """Take a folder, which need not exist.

        Args:
            folder: where the files go.
            inputs: what the user named: folders among them are mirrored.

        Raises:
            AttnkitError: it lies in a folder of inputs: what is written would be read as images the next time.
        """
        self._folder = folder
        self._roots = [Path(name) for name in inputs if name != "-" and Path(name).is_dir()]
        self._taken: set[str] = set()
        for root in self._roots:
            if folder.resolve().is_relative_to(root.resolve()):
                raise AttnkitError(
                    f"--save {folder}: lies in {root}, whose images are read; expected a folder outside of it, "
                    "for the files written would be read as images the next time; name another"
                )

    def reserve(self, names: Iterable[str]) -> None:
        """Never give the names of these files away."""
        self._taken |= {_key(Path(name)) for name in names}

    def take(self, name: str, endings: Sequence[str]) -> list[Path]:
        """Files for an image that no other image of this call has.

        Args:
            name: of the image, which is reserved.
            endings: of the files, behind the image's own name.
        """
        self.reserve([name])
        base = self._mirrored(Path(name))
        number = 1
        while True:
            stem = base.name if number == 1 else f"{base.name}_{number}"
            files = [base.with_name(stem + ending) for ending in endings]
            keys = {_key(file) for file in files}
            if not keys & self._taken:
                self._taken |= keys
                return files
            number += 1

    def _mirrored(self, path: Path) -> Path:
        """The path of an image's files in the folder, without an ending."""
        roots = [root for root in self._roots if path.is_relative_to(root)]
        if not roots:
            return self._folder / path.stem
        root = max(roots, key=lambda root: len(root.parts))
        of_several = root.resolve().name if len(self._roots) > 1 else ""
        return self._folder / of_several / path.relative_to(root).with_suffix("")


def _key(path: Path) -> str:
    """Equal for names that are the same to a file system that ignores case."""
    return str(path.resolve()).casefold()


class MaskFolder:
    """A folder that gets two files for each image: `name.png`, the class of each pixel, and `name_overlay.png`."""

    def __init__(self, folder: Path, inputs: Sequence[str], colours: ByteArray, *, alpha: float) -> None:
        """Take a folder, which need not exist.

        Args:
            folder: where the files go; see FreeNames.
            inputs: what the user named.
            colours: uint8 (K, 3).
            alpha: how much of an overlay is colour, from 0 to 1.

        Raises:
            AttnkitError: it lies in a folder of inputs.
        """
        self._names = FreeNames(folder, inputs)
        self._colours, self._alpha = colours, alpha

    def reserve(self, names: Iterable[str]) -> None:
        """Never write over these files."""
        self._names.reserve(names)

    def save(self, name: str, pixels: Any, labels: ByteArray, areas: Sequence[Area]) -> Mapping[str, Path]:
        """Write the mask and the overlay of an image, each whole or not at all.

        Args:
            name: of the image.
            pixels: a tensor, uint8 (3, H, W).
            labels: uint8 (H, W).
            areas: of the classes that are there.
        """
        mask, overlay = self._names.take(name, (".png", "_overlay.png"))
        photo = pixels.permute(1, 2, 0).numpy()
        write_whole(mask, mask_png(labels, self._colours))
        write_whole(overlay, png(draw_areas(photo, labels, areas, self._colours, alpha=self._alpha)))
        return {"mask": mask, "overlay": overlay}


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
            folder: where the files go; see FreeNames.
            inputs: what the user named.
            mask_threshold: a pixel belongs to an object from this probability on; None where there are no masks.
            alpha: how much of a mask is colour, from 0 to 1.
            find_id: what results call an image, by its name; by default its number in the order of the inputs, from 1.

        Raises:
            AttnkitError: it lies in a folder of inputs.
        """
        self._names = FreeNames(folder, inputs)
        self._results = CocoResultsWriter(folder / RESULTS)
        self._mask_threshold, self._alpha = mask_threshold, alpha
        self._find_id = find_id

    def __enter__(self) -> DetectionFolder:
        self._results.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._results.__exit__(kind, error, at)

    def reserve(self, names: Iterable[str]) -> None:
        """Never write over these files."""
        self._names.reserve(names)

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
        image_id = number if self._find_id is None else self._find_id(name)
        (overlay,) = self._names.take(name, ("_overlay.png",))
        photo = pixels.permute(1, 2, 0).numpy()
        picture = draw_objects(photo, found, objects, mask_threshold=self._mask_threshold, alpha=self._alpha)
        write_whole(overlay, png(picture))
        results = (CocoResult(thing.category_id, thing.score, thing.box, thing.code) for thing in objects)
        self._results.add(image_id, name, results)
        return overlay


class CocoImageIds:
    """The ids that a COCO json gives to images, found by file name, and by folders where the json has them."""

    def __init__(self, path: Path) -> None:
        """Read a json of instances, or a list of images alone.

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
        raise DataError(f"--image-ids {path}: no such file; expected a COCO json; check the name")
    try:
        listed: list[dict[str, Any]] = json.loads(path.read_bytes())["images"]
        ids = {str(image["file_name"]).replace("\\", "/").removeprefix("./"): int(image["id"]) for image in listed}
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"--image-ids {path}: not a COCO json ({type(error).__name__}: {error}); expected images, each with "
            "an id and a file_name; name another"
        ) from error
    if not ids:
        raise DataError(f"--image-ids {path}: lists no images; expected the images that are given; name another")
    return ids
