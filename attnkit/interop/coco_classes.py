"""The classes of COCO, for detectors that do not name theirs."""

from collections.abc import Sequence

COCO = 80
TORCHVISION = 90
"""Rows of its detectors: one for every number up to the largest, though ten of these belong to no class."""

_UNUSED = "N/A"


def coco_classes() -> dict[str, int]:
    """The 80 names in their usual order, and the number that COCO's files have for each, from 1 to 90."""
    return {name: number for number, name in enumerate(_numbered()) if number and name != _UNUSED}


def torchvision_classes() -> tuple[str, ...]:
    """A name for each of torchvision's 90 rows; rows of no class are called by their numbers."""
    return tuple(f"{name} {number}" if name == _UNUSED else name for number, name in enumerate(_numbered()) if number)


def category_ids(names: Sequence[str]) -> list[int]:
    """What files of results call classes: COCO's numbers for COCO's 80, for others their places, from 1."""
    coco = coco_classes()
    return list(coco.values()) if list(names) == list(coco) else list(range(1, len(names) + 1))


def assumed_names(num_classes: int) -> tuple[tuple[str, ...] | None, str | None]:
    """Names for that many classes where a file has none, and a note about them."""
    if num_classes != COCO:
        return None, None
    return tuple(coco_classes()), (
        f"names of the classes: the file has none; taken to be COCO's, since there are {COCO}; where they are others, "
        "import with --classes"
    )


def _numbered() -> list[str]:
    """COCO's names by their numbers; the first is that of the background."""
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    return list(MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta["categories"])
