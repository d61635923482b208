"""From a recipe's files to a set of images with objects: of COCO, YOLO and Pascal VOC."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from attnkit.data.config import SPLITS, HoldBackConfig, Split
from attnkit.data.data_root import DataRoot
from attnkit.data.detection.config import CocoConfig, CocoSplitConfig, VocConfig, YoloConfig
from attnkit.data.detection.object_files import ObjectFiles
from attnkit.data.detection.semantic_maps import SemanticMaps
from attnkit.data.formats.annotations import AnnotatedImages, Annotation, Annotations, Box, check_names
from attnkit.data.formats.coco import CocoJson, open_coco_files
from attnkit.data.formats.voc import VocAnnotations, find_pairs, found_names
from attnkit.data.formats.yolo import YoloYaml, find_images, find_labels, find_names
from attnkit.errors import DataError
from attnkit.structures.arrays import Size


class CocoAnnotations(Annotations):
    """The annotations of a json."""

    def __init__(self, about: CocoJson, json_place: str, *, masks: bool) -> None:
        """Take the json.

        Args:
            about: its content.
            json_place: its name in errors.
            masks: False leaves the outlines out.

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


def open_coco(config: CocoConfig, split: Split) -> ObjectFiles | None:
    """Open one split; None if there is none and nothing is held back for it.

    Raises:
        DataError: a folder or json is not found, or has not COCO's form; or no image of the json is there.
    """
    root = DataRoot(config.path)
    given: Mapping[Split, CocoSplitConfig | None] = {other: getattr(config, other) for other in SPLITS}
    if given[split] is None and not getattr(config.hold_back, split, 0.0):
        return None
    coco, own = open_coco_files(root, given, split), given[split] or config.train
    annotations = CocoAnnotations(coco.about, coco.place, masks=config.masks)
    images = AnnotatedImages(annotations, coco.files.tree, coco.numbers, coco.rows, coco.left_out)
    semantic = None
    if own.semantic is not None and config.semantic_classes is not None:
        semantic = SemanticMaps(root.folder(own.semantic, f"{coco.option}.semantic"), config.semantic_classes)
    return _part_of(ObjectFiles(images, semantic=semantic), split, given, config.hold_back)


def open_yolo(config: YoloConfig, split: Split) -> ObjectFiles | None:
    """Open one split; None if there is none and nothing is held back for it.

    Raises:
        DataError: the data is not found, has no names, no images or no labels.
    """
    root = DataRoot(config.path)
    yaml = YoloYaml(root)
    names, names_place = find_names(root, config.classes, yaml)
    check_names(names, names_place)
    images = {other: find_images(root, getattr(config, other), yaml, other) for other in SPLITS}
    train, own = images["train"], images[split]
    if train is None:
        raise DataError(
            f"{root.path}: no folder of training images by its usual names; expected such as images/train and "
            "labels/train, or train/images and train/labels; name it as data.train"
        )
    found = ObjectFiles(find_labels(root, train if own is None else own, names, masks=config.masks))
    return _part_of(found, split, images, config.hold_back)


def open_voc(config: VocConfig, split: Split) -> ObjectFiles | None:
    """Open one split; None if there is none and nothing is held back for it.

    Raises:
        DataError: the data is not found, or has no images with xml.
    """
    root = DataRoot(config.path)
    pairs = {other: find_pairs(root, getattr(config, other), other) for other in SPLITS}
    train, own = pairs["train"], pairs[split]
    if train is None:
        raise DataError(
            f"{root.path}: no list or folder of training images by its usual name; expected ImageSets/Main/train.txt, "
            "or a folder train; name it as data.train"
        )
    names = config.classes or found_names(root.tree, [xml for _, xml in train.rows])
    check_names(names, str(root.path) if config.classes is None else "data.classes")
    pairs_read = train if own is None else own
    rows = np.array(pairs_read.rows, dtype=np.int64)
    annotations = VocAnnotations(root.tree, rows, names, difficult=config.difficult or split != "train")
    images = AnnotatedImages(annotations, root.tree, rows[:, 0], np.arange(len(rows)), pairs_read.left_out)
    return _part_of(ObjectFiles(images), split, pairs, config.hold_back)


def _part_of(
    found: ObjectFiles, split: Split, own: Mapping[Split, object | None], hold_back: HoldBackConfig
) -> ObjectFiles | None:
    """What a split gets: all images of its own, or its share of the training images."""
    if split != "train" and own[split] is not None:
        return found
    return found.part(split, hold_back, has_valid=own["valid"] is not None, has_test=own["test"] is not None)
