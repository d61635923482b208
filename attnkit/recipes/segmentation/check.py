"""The data check of a segmentation recipe: its images, its masks and their classes."""

from collections.abc import Callable, Mapping

from attnkit.data.config import Split
from attnkit.data.segmentation.check_segmentation import SegmentationStats, check_segmentation
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.recipes.base import CheckedData, progress_of_check, sizes_between
from attnkit.recipes.segmentation.recipe import SegmentationRecipe

_MOST_CLASSES = 40
"""More are not listed one by one."""


def check(
    recipe: SegmentationRecipe,
    data: Mapping[Split, SegmentationSet | None],
    *,
    decode: bool,
    say: Callable[[str], None],
) -> CheckedData:
    """Look at all images and masks of a recipe.

    Args:
        recipe: names them.
        data: its opened splits.
        decode: decode each, which finds damage and duplicates; else read headers, and some masks.
        say: takes a line of progress.
    """
    report = check_segmentation(data, quick=not decode, progress=progress_of_check(say))
    return CheckedData(report, _split_lines)


def _split_lines(split: str, stats: SegmentationStats) -> list[str]:
    """Size of a split, and the share of each class where there are not too many."""
    head = f"{split}: {stats.images:,} images, {stats.broken:,} broken"
    head += sizes_between(stats.smallest, stats.largest)
    total = sum(stats.pixels.values())
    if not total:
        return [head]
    ignored = stats.ignored_pixels / (total + stats.ignored_pixels)
    head += f"; classes by {stats.masks_read:,} masks, {ignored:.1%} of their pixels of no class"
    if len(stats.pixels) > _MOST_CLASSES:
        least, most = (choose(stats.pixels, key=stats.pixels.__getitem__) for choose in (min, max))
        return [
            head,
            f"    {len(stats.pixels):,} classes, {least} {stats.pixels[least] / total:.3%} to {most} "
            f"{stats.pixels[most] / total:.1%} of the pixels",
        ]
    width = max(map(len, stats.pixels))
    return [
        head,
        *(
            f"    {name:<{width}}  {count / total:>8.3%} of the pixels, in {stats.images_with[name]:>6,} images"
            for name, count in stats.pixels.items()
        ),
    ]
