"""A folder of images with objects in which nothing is wrong but what a test adds, and what its check finds."""

from attnkit.data.detection.check_detection import check_detection
from attnkit.data.detection.config import CocoConfig
from attnkit.data.open import OpenedData
from tests.data.formats.coco_files import annotation, coco, pictures
from tests.data.image_files import write_files

SPLITS = {"train": range(1, 11), "valid": range(11, 14), "test": range(14, 16)}


BOTH = ((0, 0, 7, 6), 3), ((5, 4, 12, 9), 8)
"""A box of each category."""


def objects(image, *more):
    """A cat and a dog, and what else there is."""
    usual = [
        annotation(box, number=10 * image + number, image=image, category=category)
        for number, (box, category) in enumerate(BOTH)
    ]
    return [*usual, *more]


def folder(tmp_path, *, more=None, files=None, **about):
    """Splits in which nothing is wrong but what is added: `more` annotations by image, files, other categories."""
    content = {}
    for split, images in SPLITS.items():
        content |= pictures(images, folder=split)
        annotations = [one for image in images for one in objects(image, *(more or {}).get(image, ()))]
        content[f"a/{split}.json"] = coco(annotations, images=images, **about)
    return write_files(tmp_path, content | (files or {}))


def check(root, *, quick=False, **options):
    splits = {split: {"images": split, "annotations": f"a/{split}.json"} for split in SPLITS}
    return check_detection(
        CocoConfig(path=str(root), **(splits | options)),
        OpenedData(CocoConfig(path=str(root), **(splits | options))),
        quick=quick,
    )


def lines(report, root):
    return [f"{one.severity} {one}".replace(f"{root}/", "") for one in report.findings]


def of_one(tmp_path, *more, quick=False, image=12, **options):
    """What is found where an image has more objects than its two."""
    marked = [one | {"image_id": image} for one in more]
    return lines(check(folder(tmp_path, more={image: marked}), quick=quick, **options), tmp_path)
