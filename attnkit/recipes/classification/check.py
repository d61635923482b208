"""The data check of a classification recipe: its images and their classes."""

from collections.abc import Callable, Mapping

from attnkit.data.classification.check_images import ImageStats, check_images
from attnkit.data.classification.image_set import ImageSet
from attnkit.data.config import Split
from attnkit.recipes.base import CheckedData, progress_of_check, sizes_between
from attnkit.recipes.classification.recipe import ClassificationRecipe

_MOST_CLASSES = 20
"""More are not listed one by one."""


def check(
    recipe: ClassificationRecipe, data: Mapping[Split, ImageSet | None], *, decode: bool, say: Callable[[str], None]
) -> CheckedData:
    """Look at all images of a recipe.

    Args:
        recipe: names the images.
        data: its opened splits.
        decode: decode each, which finds damage and duplicates; else read the headers of files alone.
        say: takes a line of progress.
    """
    report = check_images(data, quick=not decode, progress=progress_of_check(say))
    return CheckedData(report, _split_lines)


def _split_lines(split: str, stats: ImageStats) -> list[str]:
    """Size and balance of a split; class by class where there are not too many."""
    head = f"{split}: {stats.images:,} images of {len(stats.per_class):,} classes, {stats.broken:,} broken"
    head += sizes_between(stats.smallest, stats.largest)
    width = max(map(len, stats.per_class), default=0)
    if len(stats.per_class) <= _MOST_CLASSES:
        return [head, *(f"    {name:<{width}}  {count:>7,}" for name, count in stats.per_class.items())]
    ordered = sorted(stats.per_class.items(), key=lambda item: item[1])
    (least, fewest), (most, largest) = ordered[0], ordered[-1]
    return [head, f"    {fewest:,} of {least} to {largest:,} of {most}"]
