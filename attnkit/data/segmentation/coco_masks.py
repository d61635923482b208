"""COCO's annotations made into a class per pixel, when an image is read.

Of instances the smaller ones lie on top, as a person lies on a couch; crowds are of their class like any other. What
no instance covers is a class of its own, the first, or ignored. Stuff and panoptic annotations cover nearly everything:
the rest of an image is ignored.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import CocoMasksConfig, CocoMasksSplitConfig, Split
from attnkit.data.data_root import DataRoot, Files
from attnkit.data.file_tree import FileTree
from attnkit.data.finding import Finding, and_more
from attnkit.data.formats.coco_json import CocoImage, CocoJson, repeated_categories
from attnkit.data.formats.known_coco_json import known_coco_json
from attnkit.data.images.decode import decode_image
from attnkit.data.images.hold_back import hold_files_back
from attnkit.data.segmentation.coco_drawing import draw_instances, segments_of
from attnkit.data.segmentation.mask_image import fit, fitted
from attnkit.data.segmentation.palette import palette
from attnkit.data.segmentation.segmentation_set import LabelMap, SegmentationSet, check_names
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE, IntArray

_BACKGROUND = "background"


class CocoMasks(SegmentationSet):
    """Images with annotations of a json."""

    def __init__(
        self,
        about: CocoJson,
        json_place: str,
        images: FileTree,
        numbers: IntArray,
        rows: IntArray,
        *,
        background: bool,
        panoptic: Files | None = None,
        left_out: Sequence[Finding] = (),
    ) -> None:
        """Take what `open_coco_masks` found.

        Args:
            about: the json.
            json_place: its name in errors.
            images: where the images are.
            numbers: (N,) of each image there.
            rows: (N,) of each image in the json.
            background: whether pixels of no instance are a class.
            panoptic: where the PNGs are.
            left_out: what is not used.

        Raises:
            DataError: there are no classes, too many, or two of one name.
        """
        self._about, self._json_place, self._panoptic = about, json_place, panoptic
        self.images, self.numbers, self.rows, self._background = images, numbers, rows, background
        self._left_out = tuple(left_out)
        first = 1 if background and about.kind == "instances" else 0
        self._first = first
        self.class_names = (_BACKGROUND,) * first + about.names
        check_names(self.class_names, json_place)
        self.colours = palette(len(self.class_names))
        for row, colour in enumerate(about.colours, start=first):
            self.colours[row] = self.colours[row] if colour is None else colour

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """Its file, or archive and member."""
        return self.images.place(int(self.numbers[index]))

    def mask_place(self, index: int) -> str:
        """The json and the id of the image in it."""
        return f"{self._json_place}: image {self._image(index).id}"

    def name(self, index: int) -> str:
        """The name of its file, without folder and ending."""
        return os.path.splitext(self._image(index).file_name.rpartition("/")[2])[0]

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Decode one image, and draw its annotations."""
        content = self.images.read(int(self.numbers[index]))
        return decode_image(content, self.place(index)), torch.from_numpy(self._labels(index, content))

    def read_labels(self, index: int) -> LabelMap:
        """Draw the annotations of one image; of its file only the header is decoded."""
        return self._labels(index, self.images.source(int(self.numbers[index])))

    def select(self, rows: IntArray) -> CocoMasks:
        """Some of the images."""
        return CocoMasks(
            self._about,
            self._json_place,
            self.images,
            self.numbers[rows],
            self.rows[rows],
            background=self._background,
            panoptic=self._panoptic,
            left_out=self._left_out,
        )

    def left_out(self) -> list[Finding]:
        """Images that the json does not name, and those it names that are not there."""
        return list(self._left_out)

    def size(self, index: int) -> tuple[int, int]:
        """Of the file's header; what the json says must fit."""
        image, source = self._image(index), self.images.source(int(self.numbers[index]))
        size = image.height, image.width
        return fit(size, source, place=self.place(index), mask_place=self.mask_place(index))[0]

    def _image(self, index: int) -> CocoImage:
        return self._about.images[self.rows[index]]

    def _labels(self, index: int, content: Path | bytes) -> LabelMap:
        image, mask_place = self._image(index), self.mask_place(index)
        if self._about.kind == "panoptic":
            labels = segments_of(image, self._panoptic, mask_place)
        else:
            labels = np.full((image.height, image.width), 0 if self._first else IGNORE, dtype=np.uint8)
            drawn = [(one.category, one.segmentation) for one in image.objects()]
            draw_instances(labels, drawn, self._first, mask_place)
        return fitted(labels, content, place=self.place(index), mask_place=mask_place)


def open_coco_masks(config: CocoMasksConfig, split: Split) -> CocoMasks | None:
    """Open one split; None if there is none and nothing is held back for it.

    Raises:
        DataError: a folder or json is not found, or has not COCO's form; or no image of the json is there.
    """
    root = DataRoot(config.path)
    given: CocoMasksSplitConfig | None = getattr(config, split)
    if given is not None and split != "train":
        return _open_split(root, given, f"data.{split}", background=config.background)
    share = getattr(config.hold_back, split, 0.0)
    if split != "train" and not share:
        return None
    found = _open_split(root, config.train, "data.train", background=config.background)
    rows = hold_files_back(
        found.images,
        found.numbers,
        split,
        config.hold_back,
        has_valid=config.valid is not None,
        has_test=config.test is not None,
        name=found.name,
    )
    return found.select(rows) if len(rows) else None


def _open_split(root: DataRoot, given: CocoMasksSplitConfig, option: str, *, background: bool) -> CocoMasks:
    """Read the json of a split, and find its images.

    Raises:
        DataError: as `open_coco_masks`.
    """
    content, json_place = root.read(given.annotations, f"{option}.annotations")
    about = known_coco_json(content, json_place)
    files = root.folder(given.images, f"{option}.images")
    panoptic = _panoptic_folder(root, given, about, option)
    found = [files.find(image.file_name) for image in about.images]
    rows = [row for row, number in enumerate(found) if number is not None]
    if not rows:
        example = about.images[0].file_name if about.images else "none"
        raise DataError(
            f"{json_place}: none of its {len(about.images)} images is in {files.place}, such as {example}; expected "
            f"the images there; correct {option}.images"
        )
    numbers = [number for number in found if number is not None]
    return CocoMasks(
        about,
        json_place,
        files.tree,
        np.array(numbers, dtype=np.int64),
        np.array(rows, dtype=np.int64),
        background=background,
        panoptic=panoptic,
        left_out=_left_out(about, json_place, files, found),
    )


def _left_out(about: CocoJson, json_place: str, files: Files, found: list[int | None]) -> list[Finding]:
    missing = [image.file_name for image, number in zip(about.images, found, strict=True) if number is None]
    taken = set(found)
    alone = [files.tree.place(number) for number in files.numbers if number not in taken and files.is_image(number)]
    findings = repeated_categories(about, json_place)
    if missing:
        what = f"{missing[0]} is not in {files.place}{and_more(len(missing))}"
        findings.append(Finding("warning", json_place, what, "its annotations are left out", "copy the images again"))
    if alone:
        what = f"an image that {json_place} does not name{and_more(len(alone))}"
        findings.append(Finding("warning", alone[0], what, "it is left out", "remove it, or annotate it"))
    return findings


def _panoptic_folder(root: DataRoot, given: CocoMasksSplitConfig, about: CocoJson, option: str) -> Files | None:
    """The folder of the PNGs: as the recipe says, or named as the json."""
    if about.kind != "panoptic":
        return None
    return root.folder(given.panoptic or given.annotations.removesuffix(".json"), f"{option}.panoptic")
