"""A linter for images and masks: what in them will hurt training or scoring, why, and how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attnkit.data.config import SPLITS, Split
from attnkit.data.finding import DataReport, Finding
from attnkit.data.images.check_equal_images import shared_images
from attnkit.data.segmentation.check_segmentation_split import SegmentationSplitCheck, SegmentationStats
from attnkit.data.segmentation.segmentation_set import SegmentationSet
from attnkit.errors import DataError

_WHY_HELD_OUT = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on images that it has not seen",
}


def check_segmentation(
    data: Mapping[Split, SegmentationSet | None],
    *,
    quick: bool = False,
    progress: Callable[[Split, int, int], None] | None = None,
) -> DataReport[SegmentationStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        data: the opened splits; none is opened before the one before it was looked at.
        quick: decode some masks of each split, and read no more than the headers of images and of the other masks; what
            is cut off later, what stands twice, and what other masks hold goes unseen.
        progress: called now and then with a split, how many of its images have been looked at, and how many it has.
    """
    found: list[Finding] = []
    report = DataReport[SegmentationStats]()
    checks: dict[Split, SegmentationSplitCheck] = {}
    try:
        for split in SPLITS:
            images = data[split]
            if images is None:
                found += _missing(split, quick=quick)
                continue
            found += images.left_out()
            check = checks[split] = SegmentationSplitCheck(split, images)
            check.look(quick=quick, progress=progress)
            found += check.findings(trained=checks["train"].images.class_names)
            report.stats[split] = check.stats
    except DataError as error:
        found += map(Finding.from_error, str(error).splitlines())
    found += shared_images(checks)
    report.findings = sorted(dict.fromkeys(found), key=lambda finding: finding.severity)  # two splits may leave one out
    return report


def _missing(split: Split, *, quick: bool) -> list[Finding]:
    if quick and split == "test":
        return []
    fix = f"name folders of {split} images and masks as data.{split}, or set data.hold_back.{split}=0.1"
    return [Finding("warning", f"data.{split}", "no images", _WHY_HELD_OUT[split], fix)]
