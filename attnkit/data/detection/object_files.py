"""Images in files, with what a format of annotations says about them."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from attnkit.data.config import HoldBackConfig, Split
from attnkit.data.detection.annotation import Annotation, objects_of
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.semantic_maps import SemanticMaps
from attnkit.data.file_tree import FileTree
from attnkit.data.finding import Finding
from attnkit.data.images.decode import decode_image, stored_and_seen
from attnkit.data.images.hold_back import hold_files_back
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray
from attnkit.structures.objects import Objects


class Notes(ABC):
    """What is written about images, by their rows there."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    has_masks: bool
    """Whether nine tenths of the objects have an outline, and the recipe does not leave outlines out."""
    masks_wanted: bool = True
    """Whether it does not."""
    has_difficult: bool = False
    """Whether objects may be marked as difficult."""

    @abstractmethod
    def place(self, row: int) -> str:
        """What to call it in messages."""

    @abstractmethod
    def image_name(self, row: int) -> str:
        """The path of the image below its folder, the same wherever the data lies."""

    @abstractmethod
    def image_id(self, row: int) -> int:
        """What an image is called in a json of results."""

    @abstractmethod
    def size(self, row: int) -> tuple[int, int] | None:
        """Height and width of the image that boxes are for; None: as people see it, whatever they are."""

    @abstractmethod
    def annotations(self, row: int, size: tuple[int, int]) -> list[Annotation]:
        """The objects on an image of a size.

        Raises:
            DataError: they cannot be read.
        """


class ObjectFiles(DetectionSet):
    """Images that are decoded when they are read, and their annotations likewise.

    Where the annotations say for which size they are, that tells whether they are for the pixels as they are stored or
    for the image as its EXIF data turns it, and the image is read so; for the stored pixels where both have that size,
    as COCO means it.
    """

    def __init__(
        self,
        notes: Notes,
        images: FileTree,
        numbers: IntArray,
        rows: IntArray,
        *,
        semantic: SemanticMaps | None = None,
        left_out: Sequence[Finding] = (),
    ) -> None:
        """Take what was found.

        Args:
            notes: the annotations.
            images: where the images are.
            numbers: (N,) of each image there.
            rows: (N,) of each image in the notes.
            semantic: maps of a class per pixel.
            left_out: what is not used, or may be missing.
        """
        self.notes, self.images, self.numbers, self.rows = notes, images, numbers, rows
        self.class_names, self.category_ids, self.has_masks = notes.class_names, notes.category_ids, notes.has_masks
        self.masks_wanted = notes.masks_wanted
        self.semantic_classes = None if semantic is None else semantic.num_classes
        self._semantic, self._left_out = semantic, tuple(left_out)

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """Its file, or archive and member."""
        return self.images.place(int(self.numbers[index]))

    def annotation_place(self, index: int) -> str:
        """Its file, and which image there, if it is of several."""
        return self.notes.place(int(self.rows[index]))

    def name(self, index: int) -> str:
        """The name of its file, without folder and ending."""
        return os.path.splitext(self.images.names[int(self.numbers[index])].rpartition("/")[2])[0]

    def image_id(self, index: int) -> int:
        """As the annotations have it."""
        return self.notes.image_id(int(self.rows[index]))

    def size(self, index: int) -> tuple[int, int]:
        """As the annotations say; else of the header of the file."""
        return self.notes.size(int(self.rows[index])) or self.header_size(index)

    def header_size(self, index: int) -> tuple[int, int]:
        """Of the header of the file."""
        return self._size_and_turn(index, self.images.source(int(self.numbers[index])))[0]

    def read(self, index: int) -> tuple[Tensor, Objects]:
        """Decode one image, and draw its objects."""
        content = self.images.read(int(self.numbers[index]))
        size, turned = self._size_and_turn(index, content)
        return decode_image(content, self.place(index), turned=turned), self._objects(index, size)

    def read_objects(self, index: int) -> Objects:
        """Draw the objects of one image."""
        return self._objects(index, self.size(index))

    def annotations(self, index: int) -> list[Annotation]:
        """What is written about one image."""
        return self.notes.annotations(int(self.rows[index]), self.size(index))

    def read_semantic(self, index: int) -> Tensor | None:
        """Decode the map of one image."""
        if self._semantic is None:
            return None
        labels = self._semantic.read(self.notes.image_name(int(self.rows[index])), self.size(index))
        return torch.from_numpy(labels)

    def select(self, rows: IntArray) -> ObjectFiles:
        """Some of the images."""
        return ObjectFiles(
            self.notes,
            self.images,
            self.numbers[rows],
            self.rows[rows],
            semantic=self._semantic,
            left_out=self._left_out,
        )

    def left_out(self) -> list[Finding]:
        """Images without annotations, annotations without an image, and the like."""
        return list(self._left_out)

    def part(self, split: Split, config: HoldBackConfig, *, has_valid: bool, has_test: bool) -> ObjectFiles | None:
        """What a split gets of these, which are all training images; None if it gets none.

        Args:
            split: train, or one that the data has no own images for.
            config: the shares.
            has_valid: whether the data has validation images of its own.
            has_test: whether it has test images of its own.
        """
        rows = hold_files_back(
            self.images,
            self.numbers,
            split,
            config,
            has_valid=has_valid,
            has_test=has_test,
            name=lambda index: self.notes.image_name(int(self.rows[index])),
        )
        return self.select(rows) if len(rows) else None

    def _objects(self, index: int, size: tuple[int, int]) -> Objects:
        return objects_of(
            self.notes.annotations(int(self.rows[index]), size),
            size,
            masks=self.has_masks,
            difficult=self.notes.has_difficult,
            place=self.annotation_place(index),
        )

    def _size_and_turn(self, index: int, source: Path | bytes) -> tuple[tuple[int, int], bool]:
        """Height and width that boxes are for, and whether the EXIF data is to be followed."""
        stored, seen = stored_and_seen(source, self.place(index))
        size = self.notes.size(int(self.rows[index]))
        if size is None:
            return seen, True
        if size == stored:
            return stored, False
        if size == seen:
            return seen, True
        raise DataError(
            f"{self.annotation_place(index)}: for {size[1]} x {size[0]} pixels, but its image {self.place(index)} has "
            f"{stored[1]} x {stored[0]}; expected the same size; correct the annotations, or remove the image"
        )
