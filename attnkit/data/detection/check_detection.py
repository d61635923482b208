"""A linter for images and their objects: what in them will hurt training or scoring, why, and how to fix it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from attnkit.data.config import SPLITS, Split
from attnkit.data.detection.check_detection_split import DetectionSplitCheck, DetectionStats
from attnkit.data.detection.config import DetectionDataConfig, DetectionShapesConfig
from attnkit.data.detection.detection_set import DetectionSet
from attnkit.data.detection.enough_detections import USUAL_LIMITS, DetectionLimits
from attnkit.data.finding import DataReport, Finding
from attnkit.data.images.check_equal_images import shared_images
from attnkit.errors import DataError

_WHY_HELD_OUT = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on images that it has not seen",
}


def check_detection(
    config: DetectionDataConfig,
    data: Mapping[Split, DetectionSet | None],
    *,
    quick: bool = False,
    limits: DetectionLimits = USUAL_LIMITS,
    progress: Callable[[Split, int, int], None] | None = None,
) -> DataReport[DetectionStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        config: the data of the recipe.
        data: its opened splits; none is opened before the one before it was looked at.
        quick: draw the outlines of some images of each split, and read no more than the headers of images; what is cut
            off later, what stands twice, and outlines that do not fit their boxes go unseen. Where images are held
            back, files that are of one size and begin alike are read whole, as in training: equal ones stay together.
        limits: how many objects of an image the detector of the recipe finds.
        progress: called now and then with a split, how many of its images have been looked at, and how many it has.
    """
    found: list[Finding] = []
    report = DataReport[DetectionStats]()
    checks: dict[Split, DetectionSplitCheck] = {}
    try:
        for split in SPLITS:
            images = data[split]
            if images is None:
                found += [] if quick and split == "test" else [_missing(config, split, of=len(checks["train"].images))]
                continue
            found += images.left_out()
            check = checks[split] = DetectionSplitCheck(
                split, images, with_areas=config.format == "coco", limits=limits
            )
            check.look(quick=quick, progress=progress)
            found += check.findings(trained=checks["train"].images)
            report.stats[split] = check.stats
    except DataError as error:
        found += map(Finding.from_error, str(error).splitlines())
    found += shared_images(checks)
    report.findings = sorted(dict.fromkeys(found), key=lambda finding: finding.severity)  # two splits may leave one out
    return report


def _missing(config: DetectionDataConfig, split: Split, *, of: int) -> Finding:
    """Nothing is named, and no share of so many training images is held back, or one that is none of them."""
    share = 0.0 if isinstance(config, DetectionShapesConfig) else getattr(config.hold_back, split)
    what, fix = "no images", f"name {split} images and their annotations as data.{split}"
    if share:
        what += f", for data.hold_back.{split}={share:g} of {of} is none"
    fix += f", or set data.hold_back.{split}={max(0.1, 1 / of):.1g}" if of > 1 else ", or add images"
    return Finding("warning", f"data.{split}", what, _WHY_HELD_OUT[split], fix)
