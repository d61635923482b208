"""COCO's json of instances as boxes and masks, when an image is read."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, Files
from attnkit.data.detection.annotation import Annotation, Box
from attnkit.data.detection.config import CocoConfig, CocoSplitConfig
from attnkit.data.detection.detection_set import check_names
from attnkit.data.detection.object_files import Notes, ObjectFiles
from attnkit.data.detection.semantic_maps import SemanticMaps
from attnkit.data.finding import Finding, and_more
from attnkit.data.formats.coco_json import CocoJson, repeated_categories
from attnkit.data.formats.known_coco_json import known_coco_json
from attnkit.data.images.file_names import find_image
from attnkit.errors import DataError


class CocoNotes(Notes):
    """What a json says."""

    def __init__(self, about: CocoJson, json_place: str, *, masks: bool) -> None:
        """Take the json.

        Args:
            about: what it says.
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

    def size(self, row: int) -> tuple[int, int]:
        """As the json has it."""
        image = self._about.images[row]
        return image.height, image.width

    def annotations(self, row: int, size: tuple[int, int]) -> list[Annotation]:
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
    given: CocoSplitConfig | None = getattr(config, split)
    if given is not None and split != "train":
        return _open_split(root, config, given, f"data.{split}")
    if split != "train" and not getattr(config.hold_back, split):
        return None
    found = _open_split(root, config, config.train, "data.train")
    return found.part(split, config.hold_back, has_valid=config.valid is not None, has_test=config.test is not None)


def _open_split(root: DataRoot, config: CocoConfig, given: CocoSplitConfig, option: str) -> ObjectFiles:
    """Read the json of a split, and find its images.

    Raises:
        DataError: as `open_coco`.
    """
    content, json_place = root.read(given.annotations, f"{option}.annotations")
    about = known_coco_json(content, json_place)
    notes = CocoNotes(about, json_place, masks=config.masks)
    files = root.folder(given.images, f"{option}.images")
    found = [find_image(files, image.file_name) for image in about.images]
    rows = [row for row, number in enumerate(found) if number is not None]
    if not rows:
        example = about.images[0].file_name if about.images else "none"
        raise DataError(
            f"{json_place}: none of its {len(about.images)} images is in {files.place}, such as {example}; expected "
            f"the images there; correct {option}.images"
        )
    splits = [one for one in (config.train, config.valid, config.test) if one is not None]
    shared = sum(one.images == given.images for one in splits) > 1
    return ObjectFiles(
        notes,
        files.tree,
        np.array([found[row] for row in rows], dtype=np.int64),
        np.array(rows, dtype=np.int64),
        semantic=_semantic(root, config, given, option),
        left_out=_left_out(about, json_place, files, found, shared=shared),
    )


def _semantic(root: DataRoot, config: CocoConfig, given: CocoSplitConfig, option: str) -> SemanticMaps | None:
    if given.semantic is None or config.semantic_classes is None:
        return None
    return SemanticMaps(root.folder(given.semantic, f"{option}.semantic"), config.semantic_classes)


def _left_out(
    about: CocoJson, json_place: str, files: Files, found: Sequence[int | None], *, shared: bool
) -> list[Finding]:
    """Images that are not there, that stand there twice, or that nothing is said about; categories of nothing."""
    named = [(image.file_name, number) for image, number in zip(about.images, found, strict=True)]
    missing = [name for name, number in named if number is None]
    findings = []
    if missing:
        what = f"{missing[0]} is not in {files.place}{and_more(len(missing))}"
        findings.append(Finding("warning", json_place, what, "its annotations are left out", "copy the images again"))
    if about.images_unknown:
        what = f"an annotation is of image {about.images_unknown[0]}, which it does not list"
        what += and_more(len(about.images_unknown))
        fix = "add the image to its images, or remove the annotation"
        findings.append(Finding("warning", json_place, what, "the annotation is left out", fix))
    findings += [*repeated_categories(about, json_place), *_twice(about, json_place, files, found)]
    taken = set(found)
    alone = [files.tree.place(number) for number in files.numbers if number not in taken and files.is_image(number)]
    if alone and not shared:
        what = f"an image that {json_place} does not name{and_more(len(alone))}"
        findings.append(Finding("warning", alone[0], what, "it is left out", "remove it, or annotate it"))
    return findings


def _twice(about: CocoJson, json_place: str, files: Files, found: Sequence[int | None]) -> list[Finding]:
    first: dict[int, int] = {}
    again = []
    for image, number in zip(about.images, found, strict=True):
        if number is not None and first.setdefault(number, image.id) != image.id:
            again.append((image.id, number))
    if not again:
        return []
    second, number = again[0]
    what = f"images {first[number]} and {second} are of one file, {files.below(number)}{and_more(len(again))}"
    fix = "name a file for each; the folders in front of their names may be missing"
    return [Finding("error", json_place, what, "the objects of one are not on the other", fix)]
