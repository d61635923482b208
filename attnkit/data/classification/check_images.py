"""A linter for labelled images: what in them will hurt training or scoring, why, and how to mend it."""

from __future__ import annotations

from collections.abc import Callable

from attnkit.data.classification.check_image_split import ImageSplitCheck, ImageStats
from attnkit.data.classification.image_folder import ImageFolders, find_image_folders
from attnkit.data.config import SPLITS, ImageFolderConfig, ImagesConfig, Split
from attnkit.data.finding import DataReport, Finding
from attnkit.data.images.check_equal_images import shared_images
from attnkit.data.open import open_data
from attnkit.errors import DataError

_WHY_HELD_OUT = {
    "valid": "the best checkpoint cannot be chosen, nor training stopped early",
    "test": "the model cannot be scored on images that it has not seen",
}


def check_images(
    config: ImagesConfig, *, quick: bool = False, progress: Callable[[Split, int, int], None] | None = None
) -> DataReport[ImageStats]:
    """Look for everything in a recipe's data that makes training fail or its scores misleading.

    Args:
        config: the data of the recipe.
        quick: read only the headers of image files; what is cut off later, and what stands twice, goes unseen.
        progress: called now and then with a split, how many of its images have been looked at, and how many it has.
    """
    found: list[Finding] = []
    report = DataReport[ImageStats]()
    checks: dict[Split, ImageSplitCheck] = {}
    try:
        if isinstance(config, ImageFolderConfig):
            found += _left_out(find_image_folders(config))
        for split in SPLITS:
            images = open_data(config, split)
            if images is None:
                found += _missing(split, quick=quick)
                continue
            check = checks[split] = ImageSplitCheck(split, images)
            check.look(quick=quick, progress=progress)
            found += check.findings(trained=checks["train"].stats)
            report.stats[split] = check.stats
    except DataError as error:
        found += map(Finding.from_error, str(error).splitlines())
    if not quick:
        found += shared_images(checks)
    report.findings = sorted(found, key=lambda finding: finding.severity)
    return report


def _missing(split: Split, *, quick: bool) -> list[Finding]:
    if quick and split == "test":
        return []
    fix = f"add a folder of {split} images, or set data.hold_back.{split}=0.1"
    return [Finding("warning", f"data.{split}", "no images", _WHY_HELD_OUT[split], fix)]


def _left_out(folders: ImageFolders) -> list[Finding]:
    """Files that no split takes, and class folders without an image."""
    found = []
    tree = folders.tree
    for files in folders.splits.values():
        where = f"{tree.path}/{files.folder}".rstrip("/")
        for name in sorted(name for name, numbers in files.classes.items() if not numbers):
            what, why = "class folder without an image", "there is no such class for this split"
            found.append(Finding("warning", f"{where}/{name}", what, why, "add images, or remove the folder"))
        for numbers, what, fix in (
            (files.strays, "an image in no class folder", "move it into the folder of its class"),
            (files.others, "no image by the end of its name", "remove it, or convert it to JPEG or PNG"),
        ):
            if numbers:
                more = f", and so {'are' if len(numbers) > 2 else 'is'} {len(numbers) - 1} more" if numbers[1:] else ""
                found.append(Finding("warning", tree.place(numbers[0]), f"{what}{more}", "it is left out", fix))
    return found
