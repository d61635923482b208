"""A linter for labelled images: what in them will hurt training or scoring, why, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attnkit.data.classification.check_image_split import ImageSplitCheck, ImageStats
from attnkit.data.classification.image_set import ImageSet
from attnkit.data.config import SPLITS, Split
from attnkit.data.finding import DataReport, Finding
from attnkit.data.images.check_equal_images import shared_images
from attnkit.errors import DataError

_WHY_HELD_OUT = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on images that it has not seen",
}


def check_images(
    data: Mapping[Split, ImageSet | None],
    *,
    quick: bool = False,
    progress: Callable[[Split, int, int], None] | None = None,
) -> DataReport[ImageStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        data: the opened splits; none is opened before the one before it was looked at.
        quick: read only the headers of image files; what is cut off later, and what stands twice, goes unseen.
        progress: called now and then with a split, how many of its images have been looked at, and how many it has.
    """
    found: list[Finding] = []
    left_out: list[Finding] = []
    report = DataReport[ImageStats]()
    checks: dict[Split, ImageSplitCheck] = {}
    try:
        for split in SPLITS:
            images = data[split]
            if images is None:
                found += _missing(split, quick=quick)
                continue
            left_out += images.left_out()
            check = checks[split] = ImageSplitCheck(split, images)
            check.look(quick=quick, progress=progress)
            found += check.findings(trained=checks["train"].stats)
            report.stats[split] = check.stats
    except DataError as error:
        found += map(Finding.from_error, str(error).splitlines())
    if not quick:
        found += shared_images(checks)
    report.findings = sorted([*dict.fromkeys(left_out), *found], key=lambda finding: finding.severity)
    return report


def _missing(split: Split, *, quick: bool) -> list[Finding]:
    if quick and split == "test":
        return []
    fix = f"add a folder of {split} images, or set data.hold_back.{split}=0.1"
    return [Finding("warning", f"data.{split}", "no images", _WHY_HELD_OUT[split], fix)]
