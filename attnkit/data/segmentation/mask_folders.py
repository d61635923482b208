"""Where the images and the masks of each split are: as the recipe says, or by the usual names.

    images/train         annotations/train       ADE20K (training, validation), and its like
    train/images         train/masks
    train                trainannot, train_labels, ...
    images               masks                   one set, parts of which are held back

All may lie in one more folder; other folders may lie beside them and below.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, listed
from attnkit.data.segmentation.config import MaskFilesConfig, MaskSplitConfig
from attnkit.data.segmentation.mask_pairs import Pairs, pair, pair_by_list
from attnkit.errors import DataError

_Kind = Literal["images", "masks"]
_SPLIT_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("training", "train"),
    "valid": ("validation", "valid", "val", "dev"),
    "test": ("testing", "test"),
}
_KINDS: dict[_Kind, tuple[str, ...]] = {
    "images": ("images", "image", "imgs", "img", "img_dir", "leftimg8bit", "jpegimages"),
    "masks": (
        *("masks", "mask", "annotations", "annots", "annot", "labels", "label"),
        *("ann_dir", "gtfine", "gt", "seg", "segmentation", "segmentationclass"),
    ),
}


class _Role(NamedTuple):
    """What a folder is by its name."""

    split: Split | None
    holds: Literal["images", "masks", "either"]


_ByRole = dict[_Role, list[str]]


def find_pairs(root: DataRoot, config: MaskFilesConfig, split: Split) -> Pairs | None:
    """The images of a split with their masks; None if there is no folder or list for it.

    Raises:
        DataError: what the recipe names is not there, or no image has a mask.
    """
    given: MaskSplitConfig | None = getattr(config, split)
    if given is not None:
        return _given(root, given, f"data.{split}")
    if config.train or config.valid or config.test:  # all are named, or none
        return None
    folders = _usual_folders(root, split)
    return pair(*map(root.below, folders), option=f"data.{split}") if folders else None


def _given(root: DataRoot, given: MaskSplitConfig, option: str) -> Pairs:
    if given.list is not None:
        content, place = root.read(given.list, f"{option}.list")
        images, masks = (
            root.folder(folder, f"{option}.{kind}") if folder else root.below(root.top)
            for kind, folder in (("images", given.images), ("masks", given.masks))
        )
        return pair_by_list(content, place, images, masks)
    if given.images is None or given.masks is None:
        missing = "images" if given.images is None else "masks"
        raise DataError(f"{option}.{missing}: not given; expected images and masks, or list; add it")
    images, masks = root.folder(given.images, f"{option}.images"), root.folder(given.masks, f"{option}.masks")
    return pair(images, masks, option=option)


def _usual_folders(root: DataRoot, split: Split) -> tuple[str, str] | None:
    """Folders of images and of masks by their names; where none is named for a split, they are for training."""
    start = len(root.top) + 1 if root.top else 0
    by_role: _ByRole = {}
    for folder in root.tree.folders:
        if len(folder) > start and (role := _role(folder[start:])):
            by_role.setdefault(role, []).append(folder)
    if all(role.split is None for role in by_role):
        return _two_folders(root, by_role, None) if split == "train" else None
    return _two_folders(root, by_role, split)


def _two_folders(root: DataRoot, by_role: _ByRole, split: Split | None) -> tuple[str, str] | None:
    """A folder named by its split alone holds images if there is none that says so."""
    images = by_role.get(_Role(split, "images")) or by_role.get(_Role(split, "either"), [])
    masks = by_role.get(_Role(split, "masks"), [])
    if not images or not masks:
        return None
    option = f"data.{split or 'train'}"
    for kind, folders in (("images", images), ("masks", masks)):
        if len(folders) > 1:
            raise DataError(
                f"{root.path}: {listed(folders)} could each be {option}.{kind}; expected one; name images and masks "
                f"as {option}"
            )
    return images[0], masks[0]


def _role(path: str) -> _Role | None:
    """What a folder is by the parts of its path; None where a part says nothing, or two say different things."""
    splits: set[Split] = set()
    kinds: set[_Kind] = set()
    for part in path.lower().split("/"):
        split, rest = _split_in(part)
        kind = next((kind for kind, names in _KINDS.items() if rest in names), None)
        if kind is None and (split is None or rest):
            return None
        splits |= {split} if split else set()
        kinds |= {kind} if kind else set()
    if len(splits) > 1 or len(kinds) > 1:
        return None
    return _Role(splits.pop() if splits else None, kinds.pop() if kinds else "either")


def _split_in(part: str) -> tuple[Split | None, str]:
    """The split that a name begins or ends with, and what is left: trainannot, train_masks, masks-train."""
    for split, names in _SPLIT_NAMES.items():
        for name in names:
            if part.startswith(name):
                return split, part[len(name) :].lstrip("_-. ")
            if part.endswith((f"_{name}", f"-{name}")):
                return split, part[: -len(name) - 1]
    return None, part
