"""A linter for images and masks: what in them will hurt training or scoring, why, and how to fix it."""

from __future__ import annotations

from collections.abc import Callable

from attnkit.data.config import SPLITS, SegmentationDataConfig, Split
from attnkit.data.finding import DataReport, Finding
from attnkit.data.images.check_equal_images import shared_images
from attnkit.data.open import open_data
from attnkit.data.segmentation.check_segmentation_split import SegmentationSplitCheck, SegmentationStats
from attnkit.errors import DataError

_WHY_HELD_OUT = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on images that it has not seen",
}


def check_segmentation(
    config: SegmentationDataConfig, *, quick: bool = False, progress: Callable[[Split, int, int], None] | None = None
) -> DataReport[SegmentationStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        config: the data of the recipe.
        quick: decode some masks of each split, and read no more than the headers of images and of the other masks; what
            is cut off later, what stands twice, and what other masks hold goes unseen.
        progress: called now and then with a split, how many of its images have been looked at, and how many it has.
    """
    found: list[Finding] = []
    report = DataReport[SegmentationStats]()
    checks: dict[Split, SegmentationSplitCheck] = {}
    try:
        for split in SPLITS:
            data = open_data(config, split)
            if data is None:
                found += _missing(split, quick=quick)
                continue
            found += data.left_out()
            check = checks[split] = SegmentationSplitCheck(split, data)
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
