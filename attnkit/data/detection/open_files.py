"""From a recipe's files to a set of images with objects: of COCO, YOLO and Pascal VOC."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from attnkit.data.config import SPLITS, HoldBackConfig, Split
from attnkit.data.data_root import DataRoot
from attnkit.data.detection.config import CocoConfig, VocConfig, YoloConfig
from attnkit.data.detection.object_files import ObjectFiles, SemanticMaps
from attnkit.data.formats.annotations import AnnotatedImages, Annotation, Annotations, Box, check_names
from attnkit.data.formats.coco import CocoJson
from attnkit.data.formats.coco_files import CocoSplitFiles
from attnkit.data.formats.voc import VocAnnotations, find_pairs, found_names
from attnkit.data.formats.yolo import YoloYaml, find_images, find_labels, find_names
from attnkit.data.images.hold_back import ImageSplits, hold_files_back
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray, Size


class CocoAnnotations(Annotations):
    """The annotations of a json."""

    def __init__(self, about: CocoJson, json_place: str, *, masks: bool) -> None:
        """Take the json.

        Raises:
            DataError: it is of another kind, or its categories cannot be told apart.
        """
        if about.kind == "panoptic":
            raise DataError(
                f"{json_place}: a panoptic json, whose segments have no outlines; expected one of instances, as "
                "instances_val2017.json; correct the path"
            )
        check_names(about.names, json_place)
        self._about, self._json_place = about, json_place
        self.class_names, self.category_ids = about.names, about.ids
        self.masks_wanted, self.has_masks = masks, masks and about.has_outlines

    def place(self, row: int) -> str:
        """The json and the id of the image in it."""
        return f"{self._json_place}: image {self.image_id(row)}"

    def image_name(self, row: int) -> str:
        """As the json has it."""
        return self._about.images[row].file_name

    def image_id(self, row: int) -> int:
        """As the json has it."""
        return self._about.images[row].id

    def size(self, row: int) -> Size:
        """As the json has it."""
        image = self._about.images[row]
        return image.height, image.width

    def read(self, row: int, size: Size) -> list[Annotation]:
        """As the json has them."""
        return [
            Annotation(
                label=one.category,
                id=one.id,
                box=self._box(row, one.id, one.box),
                outline=one.segmentation,
                area=one.area,
                crowd=one.crowd,
            )
            for one in self._about.images[row].objects()
        ]

    def _box(self, row: int, annotation: str, box: Sequence[float] | None) -> Box | None:
        if box is None:
            return None
        if len(box) != 4:
            raise DataError(
                f"{self.place(row)}: annotation {annotation} has a bbox of {len(box)} numbers; expected left, top, "
                "width and height; fix the file"
            )
        left, top, width, height = box
        return left, top, left + width, top + height


class ObjectSplits(ImageSplits[ObjectFiles]):
    """The splits of images with objects, of whatever format; equal files are held back together."""

    def share_out(
        self, images: ObjectFiles, config: HoldBackConfig, *, valid: bool, test: bool
    ) -> dict[Split, IntArray]:
        """By the names of the images."""
        name = images.source.image_name
        rows = images.rows
        return hold_files_back(
            images.tree, images.numbers, lambda index: name(int(rows[index])), config, valid=valid, test=test
        )


class CocoSplits(ObjectSplits):
    """The splits of COCO's json."""

    def __init__(self, config: CocoConfig) -> None:
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

    def read(self, split: Split) -> ObjectFiles:
        """Read a json, and find its images and maps."""
        coco, config, folder = self._files.find(split), self._config, getattr(self._config, split).semantic
        annotations = CocoAnnotations(coco.about, coco.place, masks=config.masks)
        images = AnnotatedImages(annotations, coco.files.tree, coco.numbers, coco.rows, coco.left_out)
        semantic = None
        if folder is not None and config.semantic_classes is not None:
            semantic = SemanticMaps(self._root.folder(folder, f"{coco.option}.semantic"), config.semantic_classes)
        return ObjectFiles(images, semantic=semantic)


class YoloSplits(ObjectSplits):
    """The splits of YOLO's text files."""

    def __init__(self, config: YoloConfig) -> None:
        """List the images of every split.

        Raises:
            DataError: the data is not found, has no names or no training images.
        """
        super().__init__(config.hold_back)
        self._root, self._masks = DataRoot(config.path), config.masks
        yaml = YoloYaml(self._root)
        self._names, names_place = find_names(self._root, config.classes, yaml)
        check_names(self._names, names_place)
        found = {split: find_images(self._root, getattr(config, split), yaml, split) for split in SPLITS}
        self._images = {split: images for split, images in found.items() if images is not None}
        if "train" not in self._images:
            raise DataError(
                f"{self._root.path}: no folder of training images by its usual names; expected such as images/train "
                "and labels/train, or train/images and train/labels; name it as data.train"
            )

    def has(self, split: Split) -> bool:
        """Whether there are images for it."""
        return split in self._images

    def read(self, split: Split) -> ObjectFiles:
        """Find the labels of images."""
        return ObjectFiles(find_labels(self._root, self._images[split], self._names, masks=self._masks))


class VocSplits(ObjectSplits):
    """The splits of Pascal VOC's xml."""

    def __init__(self, config: VocConfig) -> None:
        """Find the images and the xml of every split, and the classes.

        Raises:
            DataError: the data is not found, or has no training images with xml.
        """
        super().__init__(config.hold_back)
        self._root, self._difficult = DataRoot(config.path), config.difficult
        found = {split: find_pairs(self._root, getattr(config, split), split) for split in SPLITS}
        self._pairs = {split: pairs for split, pairs in found.items() if pairs is not None}
        if "train" not in self._pairs:
            raise DataError(
                f"{self._root.path}: no list or folder of training images by its usual name; expected "
                "ImageSets/Main/train.txt, or a folder train; name it as data.train"
            )
        xmls = [xml for _, xml in self._pairs["train"].rows]
        self._names = config.classes or found_names(self._root.tree, xmls)
        check_names(self._names, str(self._root.path) if config.classes is None else "data.classes")

    def has(self, split: Split) -> bool:
        """Whether there are images for it."""
        return split in self._pairs

    def read(self, split: Split) -> ObjectFiles:
        """Take the images and the xml."""
        pairs, annotations = self._pairs[split], self._annotations(split, difficult=self._difficult)
        images, rows = np.array(pairs.rows, dtype=np.int64)[:, 0], np.arange(len(pairs.rows))
        return ObjectFiles(AnnotatedImages(annotations, self._root.tree, images, rows, pairs.left_out))

    def open(self, split: Split) -> ObjectFiles | None:
        """The images of a split; those of validation and test keep difficult objects, which are not scored."""
        found = super().open(split)
        if found is None or split == "train":
            return found
        annotations = self._annotations(split if self.has(split) else "train", difficult=True)
        return ObjectFiles(replace(found.images, annotations=annotations))

    def _annotations(self, split: Split, *, difficult: bool) -> VocAnnotations:
        rows = np.array(self._pairs[split].rows, dtype=np.int64)
        return VocAnnotations(self._root.tree, rows, self._names, difficult=difficult)
