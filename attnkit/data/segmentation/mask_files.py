"""Images, and masks whose pixel values are classes: files of a folder or of an archive."""

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from attnkit.data.config import HoldBackConfig, Split
from attnkit.data.data_root import DataRoot
from attnkit.data.file_tree import FileTree
from attnkit.data.images.decode import Values, decode_image, decode_mask, fit, fitted, image_size, mask_colours
from attnkit.data.images.hold_back import ImageSplits, hold_files_back
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.data.segmentation.mask_classes import MaskClasses
from attnkit.data.segmentation.mask_pairs import Pairs, find_pairs
from attnkit.data.segmentation.named_ids import found_classes, given_classes, read_classes
from attnkit.data.segmentation.segmentation_set import LabelMap, SegmentationSet
from attnkit.errors import DataError
from attnkit.structures.arrays import ByteArray, IntArray

_HELD_OUT: tuple[Split, ...] = ("valid", "test")


class MaskFiles(SegmentationSet):
    """Images and masks that are decoded when they are read.

    An image is turned as its EXIF data says. Its mask is taken to be turned already if it has that size; if it has the
    size of the stored pixels, it is turned in the same way.
    """

    def __init__(self, pairs: Pairs, rows: IntArray, classes: MaskClasses) -> None:
        """Take the pairs, (N, 2) their numbers in the trees of images and of masks, and what pixel values mean."""
        self.pairs, self.rows, self.classes = pairs, rows, classes
        self.class_names, self.colours = classes.names, classes.colours
        self._left_out = pairs.left_out()

    def __len__(self) -> int:
        return len(self.rows)

    def place(self, index: int) -> str:
        """Its file, or archive and member."""
        return self.pairs.images.place(int(self.rows[index, 0]))

    def mask_place(self, index: int) -> str:
        """The file of its mask."""
        return self.pairs.masks.place(int(self.rows[index, 1]))

    def name(self, index: int) -> str:
        """The name of its file, without folder and ending."""
        name = self.pairs.image_name(int(self.rows[index, 0]))
        return os.path.splitext(name.rpartition("/")[2])[0]

    def read(self, index: int) -> tuple[Tensor, Tensor]:
        """Decode one image and its mask."""
        content = self.pairs.images.read(int(self.rows[index, 0]))
        values = self._fitted(index, content)
        labels = self.classes.labels(values, self.mask_place(index))
        return decode_image(content, self.place(index)), torch.from_numpy(labels)

    def read_labels(self, index: int) -> LabelMap:
        """Decode one mask; of the image only the header."""
        return self.classes.labels(self.read_values(index), self.mask_place(index))

    def read_values(self, index: int) -> Values:
        """The values of the pixels of one mask, of whatever class they are.

        Raises:
            DataError: the mask is broken, or has not the size of the image.
        """
        return self._fitted(index, self._image_source(index))

    def read_image(self, index: int) -> Tensor:
        """Decode one image alone."""
        return decode_image(self.pairs.images.read(int(self.rows[index, 0])), self.place(index))

    def size(self, index: int) -> tuple[int, int]:
        """Of the header of the image; that of the mask must fit."""
        source, place, mask_place = self._image_source(index), self.place(index), self.mask_place(index)
        mask = image_size(self.pairs.masks.source(int(self.rows[index, 1])), mask_place)
        return fit(mask, source, place=place, mask_place=mask_place)[0]

    def select(self, rows: IntArray) -> "MaskFiles":
        """Some of the images."""
        return MaskFiles(self.pairs, self.rows[rows], self.classes)

    def _image_source(self, index: int) -> Path | bytes:
        return self.pairs.images.source(int(self.rows[index, 0]))

    def _fitted(self, index: int, image: Path | bytes) -> Values:
        mask_place = self.mask_place(index)
        values = decode_mask(self.pairs.masks.read(int(self.rows[index, 1])), mask_place)
        return fitted(values, image, place=self.place(index), mask_place=mask_place)


class MaskFileSplits(ImageSplits[MaskFiles]):
    """The splits of files of masks."""

    def __init__(self, config: MaskFilesConfig) -> None:
        """Find the images and masks of every split, and the classes.

        Raises:
            DataError: the data is not found, has no masks or no classes, or another form than the recipe names.
        """
        super().__init__(config.hold_back)
        root = DataRoot(config.path)
        train = find_pairs(root, config, "train")
        if train is None:
            raise _no_training(root, config)
        self._classes = find_classes(root, config, train)
        held_out = {split: find_pairs(root, config, split) for split in _HELD_OUT}
        self._pairs: dict[Split, Pairs] = {"train": train}
        self._pairs |= {split: pairs for split, pairs in held_out.items() if pairs is not None}

    def has(self, split: Split) -> bool:
        """Whether there are pairs for it."""
        return split in self._pairs

    def read(self, split: Split) -> MaskFiles:
        """Take the pairs."""
        pairs = self._pairs[split]
        return MaskFiles(pairs, np.array(pairs.rows, dtype=np.int64).reshape(-1, 2), self._classes)

    def share_out(self, images: MaskFiles, config: HoldBackConfig, *, valid: bool, test: bool) -> dict[Split, IntArray]:
        """By the paths of the images; equal files stay together."""
        train, numbers = images.pairs, images.rows[:, 0]
        name = [train.image_name(number) for number in numbers.tolist()].__getitem__
        return hold_files_back(train.images, numbers, name, config, valid=valid, test=test)


def find_classes(root: DataRoot, config: MaskFilesConfig, train: Pairs) -> MaskClasses:
    """The classes of the recipe; where it names none, all up to the largest value of the training masks.

    Raises:
        DataError: there are none, too many, or the pixels of masks are not what pixels of masks are.
    """
    ignore = (*config.ignore, 0) if config.reduce_zero_label else config.ignore
    first = 1 if config.reduce_zero_label else 0
    place = "data.classes"
    masks = [mask for _, mask in train.rows]
    if isinstance(config.classes, str):
        content, place = root.read(config.classes, place)
        named = read_classes(content, place, first=first)
    elif config.classes is not None:
        named = given_classes(config.classes, first=first)
    else:
        named, place = found_classes(train.masks, masks, ignore), str(train.masks.path)
    if config.reduce_zero_label and 0 in named.names and config.classes is not None:
        raise DataError(
            f"{place}: class {named.names[0]} has id 0, which data.reduce_zero_label says is no class; expected ids "
            "from 1 on; correct one of the two"
        )
    return MaskClasses(named, ignore=ignore, place=place, palette_of_masks=_palette(train.masks, masks[0]))


def _palette(tree: FileTree, number: int) -> ByteArray | None:
    """Of a training mask, if it has one and is not broken."""
    try:
        return mask_colours(tree.read(number), tree.place(number))
    except DataError:
        return None


def _no_training(root: DataRoot, config: MaskFilesConfig) -> DataError:
    if config.valid or config.test:
        return DataError(
            "data.train: not given, but another split is; expected folders of training images and masks; name them: "
            "data.train={images: FOLDER, masks: FOLDER}"
        )
    return DataError(
        f"{root.path}: no folders of training images and masks by their usual names; expected such as images/train and "
        "masks/train, train/images and train/masks, or images and masks; name them: "
        "data.train={images: FOLDER, masks: FOLDER}"
    )
