"""COCO's polygons, run-length codes and panoptic PNGs made into a class per pixel, when an image is read.

Of instances the smaller ones lie on top, as a person lies on a couch; crowds are of their class like any other. What
no instance covers is a class of its own, the first, or ignored. Stuff and panoptic annotations cover nearly everything:
the rest of an image is ignored.
"""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import SPLITS, HoldBackConfig, Split
from attnkit.data.data_root import DataRoot, Files
from attnkit.data.formats.coco import CocoImage
from attnkit.data.formats.coco_fields import NOT_DRAWN
from attnkit.data.formats.coco_files import CocoFiles, CocoSplitFiles
from attnkit.data.formats.mask_png import palette
from attnkit.data.formats.outlines import runs_of
from attnkit.data.images.decode import decode_image, decode_mask, fit, fitted
from attnkit.data.images.hold_back import ImageSplits, hold_files_back
from attnkit.data.segmentation.config import CocoMasksConfig
from attnkit.data.segmentation.segmentation_set import LabelMap, SegmentationSet, check_classes
from attnkit.errors import DataError
from attnkit.structures.arrays import IGNORE, IntArray

_BACKGROUND = "background"


class CocoMasks(SegmentationSet):
    """Images with annotations of a json."""

    def __init__(self, coco: CocoFiles, *, background: bool, panoptic: Files | None = None) -> None:
        """Take a json and its images.

        Raises:
            DataError: there are no classes, too many, or two of one name.
        """
        self.coco, self._background, self._panoptic = coco, background, panoptic
        self._left_out = coco.left_out
        about = coco.about
        self._first = first = 1 if background and about.kind == "instances" else 0
        self.class_names = (_BACKGROUND,) * first + about.names
        check_classes(self.class_names, coco.place)
        self.colours = palette(len(self.class_names))
        for row, colour in enumerate(about.colours, start=first):
            self.colours[row] = self.colours[row] if colour is None else colour

    def __len__(self) -> int:
        return len(self.coco.rows)

    def place(self, index: int) -> str:
        """Its file, or archive and member."""
        return self.coco.files.tree.place(int(self.coco.numbers[index]))

    def mask_place(self, index: int) -> str:
        """The json and the id of the image in it."""
        return f"{self.coco.place}: image {self._image(index).id}"

    def name(self, index: int) -> str:
        """The name of its file, without folder and ending."""
        return os.path.splitext(self._image(index).file_name.rpartition("/")[2])[0]

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Decode one image, and draw its annotations."""
        content = self.coco.files.tree.read(int(self.coco.numbers[index]))
        return decode_image(content, self.place(index)), torch.from_numpy(self._labels(index, content))

    def read_labels(self, index: int) -> LabelMap:
        """Draw the annotations of one image; of its file only the header is decoded."""
        return self._labels(index, self.coco.files.tree.source(int(self.coco.numbers[index])))

    def select(self, rows: IntArray) -> "CocoMasks":
        """Some of the images."""
        coco = replace(self.coco, numbers=self.coco.numbers[rows], rows=self.coco.rows[rows])
        return CocoMasks(coco, background=self._background, panoptic=self._panoptic)

    def size(self, index: int) -> tuple[int, int]:
        """As the header of the file gives it; the size in the json must fit."""
        image, source = self._image(index), self.coco.files.tree.source(int(self.coco.numbers[index]))
        size = image.height, image.width
        return fit(size, source, place=self.place(index), mask_place=self.mask_place(index))[0]

    def _image(self, index: int) -> CocoImage:
        return self.coco.about.images[self.coco.rows[index]]

    def _labels(self, index: int, content: Path | bytes) -> LabelMap:
        image, mask_place = self._image(index), self.mask_place(index)
        if self.coco.about.kind == "panoptic":
            labels = segments_of(image, self._panoptic, mask_place)
        else:
            labels = np.full((image.height, image.width), 0 if self._first else IGNORE, dtype=np.uint8)
            drawn = [(one.category, one.segmentation) for one in image.objects()]
            draw_instances(labels, drawn, self._first, mask_place)
        return fitted(labels, content, place=self.place(index), mask_place=mask_place)


class CocoMaskSplits(ImageSplits[CocoMasks]):
    """The splits of COCO's json, made into a class per pixel."""

    def __init__(self, config: CocoMasksConfig) -> None:
        """Find the data.

        Raises:
            DataError: it is not there.
        """
        super().__init__(config.hold_back)
        self._config, self._root = config, DataRoot(config.path)
        self._files = CocoSplitFiles(self._root, {split: getattr(config, split) for split in SPLITS})

    def has(self, split: Split) -> bool:
        """Whether the recipe names files for it."""
        return self._files.has(split)

    def read(self, split: Split) -> CocoMasks:
        """Read a json, and find its images and PNGs."""
        coco, own, panoptic = self._files.find(split), getattr(self._config, split), None
        if coco.about.kind == "panoptic":  # the folder of the PNGs is named as the json, where the recipe names none
            folder = own.panoptic or own.annotations.removesuffix(".json")
            panoptic = self._root.folder(folder, f"{coco.option}.panoptic")
        return CocoMasks(coco, background=self._config.background, panoptic=panoptic)

    def share_out(self, images: CocoMasks, config: HoldBackConfig, *, valid: bool, test: bool) -> dict[Split, IntArray]:
        """By the names of the images; equal files stay together."""
        coco = images.coco
        return hold_files_back(coco.files.tree, coco.numbers, images.name, config, valid=valid, test=test)


def draw_instances(labels: LabelMap, annotations: Sequence[tuple[int, Any]], first: int, place: str) -> None:
    """Draw instances over a label map, the largest first.

    Args:
        labels: (H, W), changed in place.
        annotations: number of category, and polygons or run-length code, of each.
        first: the class of category 0.

    Raises:
        DataError: a code is broken, or of another size.
    """
    try:
        drawn = [(number, runs_of(segmentation, *labels.shape)) for number, segmentation in annotations]
        columns = labels.T.flatten()  # runs go down the columns, one after the other
        for number, runs in sorted(drawn, key=lambda one: -int(one[1][1::2].sum())):
            ends = runs.cumsum().tolist()
            for start, end in zip(ends[::2], ends[1::2], strict=False):
                columns[start:end] = number + first
        labels[:] = columns.reshape(labels.shape[::-1]).T
    except NOT_DRAWN as error:
        raise DataError(
            f"{place}: a segmentation cannot be drawn ({type(error).__name__}: {error}); expected polygons, or a "
            f"run-length code of {labels.shape[0]} x {labels.shape[1]}; fix the file"
        ) from error


def segments_of(image: CocoImage, folder: Files | None, mask_place: str) -> LabelMap:
    """The label map of a panoptic PNG: its colours are numbers of segments, red the lowest byte; 0 is of none.

    Raises:
        DataError: the PNG is missing or broken, or holds other segments.
    """
    if image.panoptic_file is None or folder is None:
        return np.full((image.height, image.width), IGNORE, dtype=np.uint8)
    number = folder.find(image.panoptic_file)
    if number is None:
        raise DataError(
            f"{mask_place}: its PNG {image.panoptic_file} is not in {folder.place}; expected it there; copy the folder "
            "again, or name the right one as panoptic of the split"
        )
    place = folder.tree.place(number)
    values = decode_mask(folder.tree.read(number), place).astype(np.int64)
    colours = values if values.ndim == 3 else np.repeat(values[..., None], 3, axis=-1)  # a grey is a colour here
    segments, where = np.unique(colours @ np.array([1, 1 << 8, 1 << 16]), return_inverse=True)
    known = image.segments() | {0: IGNORE}
    if unknown := [segment for segment in segments.tolist() if segment not in known]:
        raise DataError(
            f"{place}: segment {unknown[0]} is not in {mask_place}; expected the segments of its segments_info; copy "
            "both again"
        )
    return np.array([known[one] for one in segments.tolist()], dtype=np.uint8)[where].reshape(colours.shape[:2])
