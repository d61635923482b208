"""Sets of images in memory, drawn by their number, whose objects are bright rectangles on black."""

import torch

from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.object_files import objects_of
from attnkit.data.detection.object_image import ObjectImage
from attnkit.data.formats.annotations import Annotation
from attnkit.errors import DataError
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects

SIZES = [(40, 60), (60, 40), (40, 60)]
"""Of the images, in turn."""


def rectangles(*boxes, size=(40, 60), labels=None, crowd=(), masks=True, difficult=None):
    """Objects that fill their boxes."""
    bitmaps = torch.zeros(len(boxes), *size, dtype=torch.bool)
    for bitmap, (x1, y1, x2, y2) in zip(bitmaps, boxes, strict=True):
        bitmap[y1:y2, x1:x2] = True
    return Objects(
        boxes=torch.tensor(boxes, dtype=torch.float32).view(-1, 4),
        labels=torch.tensor(list(labels or range(len(boxes))), dtype=torch.int64),
        areas=bitmaps.sum((1, 2)).float(),
        crowd=torch.tensor([row in crowd for row in range(len(boxes))], dtype=torch.bool),
        masks=Masks.from_bitmaps(bitmaps) if masks else None,
        difficult=None if difficult is None else torch.tensor(difficult),
    )


def lit(objects, size, *, bright=255):
    """Black, and bright where there is an object; the classes as a map, 9 for none."""
    pixels, semantic = torch.zeros(3, *size, dtype=torch.uint8), torch.full(size, 9, dtype=torch.uint8)
    for (x1, y1, x2, y2), label in zip(objects.boxes.int().tolist(), objects.labels.tolist(), strict=True):
        pixels[:, y1:y2, x1:x2] = bright
        semantic[y1:y2, x1:x2] = label
    return ObjectImage(pixels, objects, semantic)


def image_of(*boxes, size=(40, 60), bright=255, **about):
    return lit(rectangles(*boxes, size=size, **about), size, bright=bright)


class ListedObjects(DetectionSet):
    """Two objects on every image, whose places follow from its number; some images are broken, some have none."""

    class_names = ("a", "b", "c")
    category_ids = (1, 2, 3)

    def __init__(self, count=23, *, sizes=SIZES, broken=(), unread=(), empty=(), crowds=(), masks=True, semantic=False):
        self._count, self._sizes = count, sizes
        self._broken, self._unread, self._empty, self._crowds = map(frozenset, (broken, unread, empty, crowds))
        self.has_masks, self.semantic_classes = masks, 10 if semantic else None

    def __len__(self):
        return self._count

    def place(self, index):
        return f"images/{index}.png"

    def annotation_place(self, index):
        return f"notes/{index}.txt"

    def name(self, index):
        return str(index)

    def image_id(self, index):
        return index + 1

    def size(self, index):
        return self._sizes[index % len(self._sizes)]

    def header_size(self, index):
        return self.size(index)

    def read(self, index):
        if index in self._broken:
            raise DataError(f"images/{index}.png: broken")
        return lit(self.read_objects(index), self.size(index)).pixels, self.read_objects(index)

    def read_objects(self, index):
        place = self.annotation_place(index)
        return objects_of(self.annotations(index), self.size(index), masks=self.has_masks, difficult=False, place=place)

    def annotations(self, index):
        if index in self._unread:
            raise DataError(f"notes/{index}.txt: broken")
        if index in self._empty:
            return []
        x, y = index % 7, index % 5
        boxes = [(x + 2, y + 3, x + 19, y + 14), (x + 21, y + 16, x + 30, y + 33)]
        return [
            Annotation(label, str(label), box, [rectangle(*box)], crowd=index in self._crowds)
            for label, box in enumerate(boxes, start=index % 2)
        ]

    def read_semantic(self, index):
        return None if self.semantic_classes is None else lit(self.read_objects(index), self.size(index)).semantic

    def select(self, rows):
        raise NotImplementedError


def rectangle(x1, y1, x2, y2):
    """A polygon of whole pixels."""
    return [x1, y1, x2, y1, x2, y2, x1, y2]
