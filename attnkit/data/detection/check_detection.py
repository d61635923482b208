"""A linter for images and their objects: what in them will hurt training or scoring, why, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable

from attnkit.data.config import Split
from attnkit.data.detection.check_detection_split import DetectionSplitCheck, DetectionStats
from attnkit.data.detection.config import DetectionDataConfig
from attnkit.data.detection.detection_set import open_detection
from attnkit.data.finding import DataReport, Finding
from attnkit.data.images.check_equal_images import shared_images
from attnkit.errors import DataError

_SPLITS: tuple[Split, ...] = ("train", "valid", "test")
_WHY_HELD_OUT = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on images that it has not seen",
}


def check_detection(
    config: DetectionDataConfig, *, quick: bool = False, progress: Callable[[Split, int, int], None] | None = None
) -> DataReport[DetectionStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        config: the data of the recipe.
        quick: draw the outlines of some images of each split, and read no more than the headers of images; what is cut
            off later, what stands twice, and outlines that do not fit their boxes go unseen.
        progress: called now and then with a split, how many of its images have been looked at, and how many it has.
    """
    found: list[Finding] = []
    report = DataReport[DetectionStats]()
    checks: dict[Split, DetectionSplitCheck] = {}
    try:
        for split in _SPLITS:
            data = open_detection(config, split)
            if data is None:
                found += _missing(split, quick=quick)
                continue
            found += data.left_out()
            check = checks[split] = DetectionSplitCheck(split, data, with_areas=config.format == "coco")
            check.look(quick=quick, progress=progress)
            found += check.findings(trained=checks["train"].images)
            report.stats[split] = check.stats
    except DataError as error:
        found += map(Finding.from_error, str(error).splitlines())
    found += shared_images(checks)
    report.findings = sorted(dict.fromkeys(found), key=lambda finding: finding.severity)  # two splits may leave one out
    return report


def _missing(split: Split, *, quick: bool) -> list[Finding]:
    if quick and split == "test":
        return []
    fix = f"name {split} images and their annotations as data.{split}, or set data.hold_back.{split}=0.1"
    return [Finding("warning", f"data.{split}", "no images", _WHY_HELD_OUT[split], fix)]
