"""Where the images and the masks of each split are, and which mask belongs to which image.

Folders are those that the recipe names, or have usual names:

    images/train         annotations/train       ADE20K (training, validation), and its like
    train/images         train/masks
    train                trainannot, train_labels, ...
    images               masks                   one set, parts of which are held back

All may lie in one more folder; other folders may lie beside them and below.

Masks belong to images by a list, or by their names, in the same folders below: x.jpg and x.png, or endings that
data sets add to one of the two or to both:

    x_leftImg8bit.png ~ x_gtFine_labelIds.png       x.png ~ x_L.png       x.jpg ~ x_mask.png
"""

import os
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, Files, not_listed
from attnkit.data.file_tree import FileTree
from attnkit.data.finding import Finding, listed, warning_at_first
from attnkit.data.images.decode import LOSSY, MASK_SUFFIXES
from attnkit.data.segmentation.config import MaskFilesConfig, MaskSplitConfig
from attnkit.errors import DataError

_OF_IMAGES = ("_leftImg8bit", "_image", "_img", "-image", "_rgb", "_sat")
_OF_MASKS = (
    "_gtFine_labelTrainIds",
    "_gtFine_labelIds",
    "_gtCoarse_labelTrainIds",
    "_gtCoarse_labelIds",
    "_labelTrainIds",
    "_labelIds",
    "_L",
    *(f"{mark}{word}" for word in ("mask", "masks", "label", "labels", "seg", "segmentation", "gt") for mark in "_-"),
    "_annotation",
    "_lab",
)
"""The first that is there is taken, but the image's own name comes before all of them."""
_NOT_MASKS = ("_gtFine_color", "_gtFine_instanceIds", "_gtCoarse_color", "_gtCoarse_instanceIds")
"""Images beside the masks that are not used."""
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


@dataclass
class Pairs:
    """Images with their masks, by their numbers in two trees, which may be one."""

    images: FileTree
    masks: FileTree
    folder: str
    """Of the images, in their tree."""
    rows: list[tuple[int, int]] = field(default_factory=list)
    images_alone: list[int] = field(default_factory=list)
    masks_alone: list[int] = field(default_factory=list)
    others: list[int] = field(default_factory=list)
    """Files beside the images that do not end as images do."""

    def image_name(self, number: int) -> str:
        """An image's path below its folder, the same wherever the data lies."""
        return self.images.names[number][len(self.folder) :].lstrip("/")

    def left_out(self) -> list[Finding]:
        """What is in no pair."""
        found: list[Finding] = []
        for numbers, tree, what, fix in (
            (self.images_alone, self.images, "an image without a mask", "add its mask, or remove it"),
            (self.masks_alone, self.masks, "a mask without an image", "add its image, or remove it"),
            (self.others, self.images, "no image by the end of its name", "remove it, or convert it to JPEG or PNG"),
        ):
            found += warning_at_first([tree.place(number) for number in numbers], what, "it is left out", fix)
        return found


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
    """A folder named by its split alone holds images if no folder is named so."""
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
    """What a folder is by the parts of its path; None where a part has no meaning, or two contradict each other."""
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


def pair(images: Files, masks: Files, *, option: str) -> Pairs:
    """Find the mask of each image; `option` is the split in the recipe.

    Raises:
        DataError: not one image has a mask.
    """
    found = Pairs(images.tree, masks.tree, images.folder)
    one_folder = images.tree is masks.tree and images.folder == masks.folder
    candidates = _by_stem(masks, lossy=not one_folder)
    for number in images.numbers:
        if not one_folder and _lies_in(number, images, masks):
            continue
        if not images.is_image(number):
            found.others.append(number)
        elif (mask := _mask_of(number, images, masks, candidates)) is None:
            found.images_alone.append(number)
        else:
            found.rows.append((number, mask))
    taken = {mask for _, mask in found.rows}
    if one_folder:  # masks were taken for images too
        found.rows = [row for row in found.rows if row[0] not in taken]
        found.images_alone = [number for number in found.images_alone if number not in taken]
    else:
        found.masks_alone = [number for number in masks.numbers if number not in taken and _is_mask(number, masks)]
    if not found.rows:
        raise _no_pair(images, masks, found, option)
    return found


def pair_by_list(content: bytes, place: str, images: Files, masks: Files) -> Pairs:
    """Pairs in the order of a list: image and mask, divided by a tab, a comma or spaces; or their common name.

    Raises:
        DataError: the list is empty or no text, or names what is not there.
    """
    found = Pairs(images.tree, masks.tree, images.folder)
    by_stem = {_stem(images.below(number)): number for number in images.numbers if images.is_image(number)}
    candidates = _by_stem(masks, lossy=True)
    for row, line in enumerate(_lines(content, place), start=1):
        parts = _parts(line)
        if not parts:
            continue
        image = images.find(parts[0])
        if image is None and (image := by_stem.get(parts[0])) is None:
            raise not_listed(f"{place}:{row}", parts[0], images)
        mask = masks.find(parts[1]) if len(parts) == 2 else _mask_of(image, images, masks, candidates)
        if mask is None:
            raise not_listed(f"{place}:{row}", parts[-1] if len(parts) == 2 else f"mask of {parts[0]}", masks)
        found.rows.append((image, mask))
    if not found.rows:
        raise DataError(f"{place}: names no image; expected a line per image: image and mask; fix the list")
    return found


def _mask_of(number: int, images: Files, masks: Files, candidates: dict[str, list[int]]) -> int | None:
    name = images.below(number)
    stem = _stem(name)
    bare = next((stem.removesuffix(end) for end in _OF_IMAGES if stem.endswith(end)), stem)
    same_tree = images.tree is masks.tree
    for base in dict.fromkeys((stem, bare)):
        for end in ("", *_OF_MASKS):
            for mask in candidates.get(f"{base}{end}", ()):
                if not (same_tree and mask == number):
                    return mask
    return None


def _parts(line: str) -> list[str]:
    """What a line of a list names; names may hold spaces where tabs or commas divide them."""
    mark = next((mark for mark in ("\t", ",") if mark in line), None)
    return [part.strip().lstrip("/") for part in line.split(mark, 1) if part.strip()]


def _lies_in(number: int, images: Files, masks: Files) -> bool:
    """Whether a file below the images is one of masks that lie below them too."""
    return f"{images.tree.path}/{images.tree.names[number]}".startswith(f"{masks.place}/")


def _by_stem(files: Files, *, lossy: bool) -> dict[str, list[int]]:
    """Masks by path without ending, those that keep their values first."""
    found: dict[str, list[int]] = {}
    for number in files.numbers:
        if _is_mask(number, files) and (lossy or not _ends(files.tree.names[number], LOSSY)):
            found.setdefault(_stem(files.below(number)), []).append(number)
    for numbers in found.values():
        numbers.sort(key=lambda number: not files.tree.names[number].lower().endswith(".png"))
    return found


def _is_mask(number: int, files: Files) -> bool:
    name = files.tree.names[number]
    return _ends(name, MASK_SUFFIXES) and not _stem(name).endswith(_NOT_MASKS)


def _no_pair(images: Files, masks: Files, found: Pairs, option: str) -> DataError:
    if not found.images_alone:
        there = f"has {'no image' if not found.others else 'files, but no image'}"
        return DataError(f"{images.place}: {there}; expected JPEG, PNG or the like; correct the folder of images")
    image = images.below(found.images_alone[0])
    count = len(found.masks_alone)
    there = f"{count} mask{'s' * (count > 1)}, such as {masks.below(found.masks_alone[0])}" if count else "none"
    return DataError(
        f"{images.place}: not one of {len(found.images_alone)} images has a mask in {masks.place}, which holds "
        f"{there}; expected {_stem(image)}.png for {image}; rename the masks, or name a list of both as {option}.list"
    )


def _lines(content: bytes, place: str) -> list[str]:
    try:
        return content.decode("utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise DataError(f"{place}: not UTF-8 ({error}); expected a line per image: image and mask; fix it") from error


def _ends(name: str, suffixes: frozenset[str]) -> bool:
    return os.path.splitext(name)[1].lower() in suffixes


def _stem(name: str) -> str:
    return os.path.splitext(name)[0]
