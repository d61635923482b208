"""Batches of images and their objects for training and evaluation of detection.

What an epoch's batches hold depends on seed and epoch alone: not on the workers, nor on where an epoch is entered.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.detection_batch import DetectionBatch, EvalMaker, Semantic, TrainMaker
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.detection_transforms import DetectionVariation
from attnkit.data.detection.object_order import BatchLimit, ObjectOrder
from attnkit.data.finding import MOST_NAMED
from attnkit.data.formats.annotations import Annotation
from attnkit.data.formats.outlines import is_outline
from attnkit.data.images.batches import EpochBatches, EvalBatches
from attnkit.data.images.image_workers import Workers, num_workers
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray, Size


def train_detection(
    data: DetectionSet,
    image: DetectionImageConfig,
    augment: DetectionAugmentConfig,
    *,
    batch_size: int,
    pixels: int | None = None,
    seed: int,
    semantic: Semantic = "none",
    workers: Workers = 0,
    warn: Callable[[str], None] | None = None,
) -> EpochBatches[DetectionBatch]:
    """The batches of every epoch: shuffled, varied, images of alike shape together.

    An image without an object that is learned is left out: one of crowds alone, of boxes of no area, of nothing. Every
    epoch has as many batches, though sizes are drawn: see `ObjectOrder`. No image is decoded to know it, for a size
    follows from seed, epoch, number of the image, and the size in the annotations or in the header of the file.

    Args:
        batch_size: B at most.
        pixels: B x H x W at most: batches of large images have fewer. None: no bound.
        seed: of the order, and of what is drawn for each image.
        semantic: what batches hold of every pixel.
        workers: processes that make batches; 0 is this one; see `num_workers` for `auto`.
        warn: called once for each image that cannot be read; another of the epoch replaces it.

    Raises:
        DataError: no image has an object, or one has more pixels than a batch may have, or objects without masks
            are to be pasted.
    """
    if augment.copy_paste and not data.has_masks:
        raise DataError(
            f"augment.copy_paste: {augment.copy_paste}, but the objects of the data have no masks; expected masks, "
            "by which to cut them out; set it to 0"
        )
    vary = DetectionVariation(image, augment)
    indices, sizes = trained_images(data, warn)
    if pixels is not None:
        _check_pixels(pixels, vary.resizing.most_pixels(sizes), data, indices)
    order = ObjectOrder(indices, sizes, vary.padded_sizes, limit=BatchLimit(batch_size, pixels), seed=seed)
    making = TrainMaker(data, indices, order, vary, semantic)
    processes = num_workers(workers, decodes=True)
    return EpochBatches(making.make, order.batches_per_epoch, workers=processes, warn=warn)


def _check_pixels(pixels: int, most: IntArray, data: DetectionSet, indices: IntArray) -> None:
    largest = int(most.argmax())
    if most[largest] > pixels:
        raise DataError(
            f"batch.pixels: {pixels}, but {data.place(int(indices[largest]))} may have {most[largest]}, with padding, "
            "as it is shown; expected as many as one image needs; raise it, or lower the sides in image and augment"
        )


def trained_images(data: DetectionSet, warn: Callable[[str], None] | None) -> tuple[IntArray, IntArray]:
    """The images that have an object to be learned: no crowd, a pixel wide and high at least, not without an outline.

    An outline counts where the set has masks.

    Args:
        warn: called for each image whose size or annotations cannot be read; it is left out.

    Returns:
        (N,) their numbers, and (N, 2) their heights and widths.

    Raises:
        DataError: there are none.
    """
    indices, sizes, broken = [], [], []
    for index in range(len(data)):
        try:
            size = data.size(index)
            learned = any(_is_learned(one, size, masks=data.has_masks) for one in data.annotations(index))
        except DataError as error:
            broken.append(str(error))
            continue
        if learned:
            indices.append(index)
            sizes.append(size)
    if not indices:
        raise DataError("\n".join(broken[:MOST_NAMED]) if len(broken) == len(data) else _nothing(data))
    if warn is not None:
        for message in broken:
            warn(f"{message}; it is left out")
    return np.array(indices, dtype=np.int64), np.array(sizes, dtype=np.int64)


def _is_learned(annotation: Annotation, size: Size, *, masks: bool) -> bool:
    """By its box, where it has one; an outline is not drawn to find out."""
    if annotation.crowd or (masks and not is_outline(annotation.outline)):
        return False
    if annotation.box is None:
        return True
    (x1, y1, x2, y2), (height, width) = annotation.box, size
    return min(x2, width) - max(x1, 0) >= 1 and min(y2, height) - max(y1, 0) >= 1


def _nothing(data: DetectionSet) -> str:
    return (
        f"{data.annotation_place(0)}: no object to be learned, nor in any of the {len(data)} training images; expected "
        "boxes of a pixel or more that are no crowds; correct the annotations"
    )


def eval_detection(
    data: DetectionSet, image: DetectionImageConfig, *, batch_size: int, workers: Workers = 0
) -> EvalBatches[DetectionBatch]:
    """All images once, in their order, as they are used; again and again."""
    making, processes = EvalMaker(data, image), num_workers(workers, decodes=True)
    return EvalBatches(making.make, len(data), batch_size=batch_size, workers=processes)
