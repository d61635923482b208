"""The data check of a detection recipe: its images, their objects and the classes of these."""

from collections.abc import Callable, Iterable, Mapping

from attnkit.data.config import Split
from attnkit.data.detection.check_detection import DetectionStats, check_detection
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.enough_detections import DetectionLimits
from attnkit.recipes.base import CheckedData, progress_of_check, sizes_between
from attnkit.recipes.detection.recipe import DetectionRecipe

_MOST_CLASSES = 40
"""More are not listed one by one."""
_SIZES = ("small", "medium", "large")


def check(
    recipe: DetectionRecipe, data: Mapping[Split, DetectionSet | None], *, decode: bool, say: Callable[[str], None]
) -> CheckedData:
    """Look at all images and objects of a recipe.

    Args:
        recipe: names them.
        data: its opened splits.
        decode: decode each, which finds damage and duplicates; else read headers, and decode some masks.
        say: takes a line of progress.
    """
    progress = progress_of_check(say)
    report = check_detection(recipe.data, data, quick=not decode, limits=limits_of(recipe), progress=progress)
    return CheckedData(report, _split_lines)


def limits_of(recipe: DetectionRecipe) -> DetectionLimits:
    """How many objects of an image the detector of a recipe finds."""
    return DetectionLimits(detections=recipe.inference.max_detections, proposals=recipe.model.rpn.proposals)


def _split_lines(split: str, stats: DetectionStats) -> list[str]:
    """Size of a split, how large and how many its objects are, and of each class where there are not too many."""
    head = f"{split}: {_counted(stats.images, 'image')}, {stats.broken:,} broken"
    head += sizes_between(stats.smallest, stats.largest)
    objects = sum(stats.objects.values())
    if not objects:
        return [f"{head}; no objects"]
    head += f"; {_counted(objects, 'object')} {'with' if stats.has_masks else 'without'} masks"
    return [head, f"    {_of_the_objects(stats, objects)}", *_of_the_classes(stats)]


def _of_the_objects(stats: DetectionStats, objects: int) -> str:
    """How many an image has, and what COCO calls their sizes."""
    images = max(1, stats.images - stats.broken)
    parts = [f"{objects / images:.3g} objects an image, {stats.most_objects:,} at most"]
    if stats.empty_images:
        parts.append(f"{_counted(stats.empty_images, 'image')} without any")
    if stats.crowds:
        parts.append(f"{_counted(stats.crowds, 'crowd')} beside them")
    shares = (f"{count / objects:.0%} {size}" for size, count in zip(_SIZES, stats.by_size, strict=True) if count)
    parts.append(", ".join(shares))
    if stats.usual_sides is not None:
        low, middle, high = (round(side) for side in stats.usual_sides)
        mostly = f"{low} to {high} pixels a side, half of at most {middle}" if low < high else f"{low} pixels a side"
        parts.append(f"boxes mostly of {mostly}")
    return "; ".join(parts)


def _of_the_classes(stats: DetectionStats) -> Iterable[str]:
    counts = stats.objects
    if len(counts) > _MOST_CLASSES:
        least, most = min(counts, key=counts.__getitem__), max(counts, key=counts.__getitem__)
        yield f"    {len(counts):,} classes, {least} {counts[least]:,} to {most} {counts[most]:,} objects"
        return
    width, digits = max(map(len, counts)), len(f"{max(counts.values()):,}")
    for name, count in counts.items():
        yield f"    {name:<{width}}  {count:>{digits},} objects, on {stats.images_with[name]:>{digits},} images"


def _counted(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
