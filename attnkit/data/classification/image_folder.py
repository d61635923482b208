"""A folder, or an archive, that has a folder of images per class.

    train/daisy/1.jpg   val/daisy/2.jpg   test/daisy/3.jpg        splits by their usual names, or
    daisy/1.jpg         tulip/2.jpg                               one set of classes, parts of which are held back

Both may lie in one more folder. Below a class, folders may be nested. The classes are those of the training images.
"""

from dataclasses import dataclass, field

import numpy as np

from attnkit.data.classification.config import ImageFolderConfig
from attnkit.data.classification.image_set import DecodingProgress, FileImages, ImageSet, decoded
from attnkit.data.config import HoldBackConfig, Split
from attnkit.data.data_root import files_below, join, open_tree_once
from attnkit.data.file_tree import FileTree, is_image
from attnkit.data.files import find_file_or_folder
from attnkit.data.finding import Finding, listed, warning_at_first
from attnkit.data.images.hold_back import ImageSplits, hold_back
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray

_USUAL_NAMES: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


@dataclass
class SplitFiles:
    """What lies below the folder of one split."""

    folder: str
    """Below the root of the tree; the root itself is empty."""
    classes: dict[str, list[int]] = field(default_factory=dict)
    """Numbers of the image files of each class folder, the empty ones too."""
    strays: list[int] = field(default_factory=list)
    """Images that lie in no class folder."""
    others: list[int] = field(default_factory=list)
    """Files that do not end as images do."""

    def left_out(self, tree: FileTree) -> list[Finding]:
        """Files that the split does not take, and class folders without an image."""
        found = []
        where = f"{tree.path}/{self.folder}".rstrip("/")
        for name in sorted(name for name, numbers in self.classes.items() if not numbers):
            what, why = "class folder without an image", "there is no such class for this split"
            found.append(Finding("warning", f"{where}/{name}", what, why, "add images, or remove the folder"))
        for numbers, what, fix in (
            (self.strays, "an image in no class folder", "move it into the folder of its class"),
            (self.others, "no image by the end of its name", "remove it, or convert it to JPEG or PNG"),
        ):
            found += warning_at_first([tree.place(number) for number in numbers], what, "it is left out", fix)
        return found

    @property
    def class_names(self) -> tuple[str, ...]:
        """Of the classes that have images, sorted."""
        return tuple(sorted(name for name, numbers in self.classes.items() if numbers))

    @property
    def numbers(self) -> list[int]:
        """Of all images in class folders, class by class."""
        return [number for name in self.class_names for number in self.classes[name]]


@dataclass
class ImageFolders:
    """What a folder of images holds."""

    tree: FileTree
    splits: dict[Split, SplitFiles]
    """`train` is always there."""

    def images(self, split: Split) -> FileImages:
        """The images of a folder, with the classes of the training images.

        Raises:
            DataError: there are classes that training does not have.
        """
        names, files = self.splits["train"].class_names, self.splits[split]
        if unknown := sorted(set(files.class_names) - set(names)):
            number = files.classes[unknown[0]][0]
            raise DataError(
                f"{self.tree.place(number)}: class {listed(unknown)} has no training image; expected the classes of "
                f"training: {listed(names)}; add training images, or remove this folder"
            )
        labels = np.repeat(np.arange(len(names)), [len(files.classes.get(name, [])) for name in names])
        numbers = np.array(files.numbers, dtype=np.int64)
        return FileImages(self.tree, numbers, labels, names, left_out=files.left_out(self.tree))


class ImageFolderSplits(ImageSplits[ImageSet]):
    """The splits of a folder of images. Small images of one size are decoded once, into the cache."""

    def __init__(self, config: ImageFolderConfig, *, progress: DecodingProgress | None = None) -> None:
        """Find the folders.

        Args:
            progress: called while images are decoded into the cache.

        Raises:
            DataError: there is no such folder, or it has no class folders.
        """
        super().__init__(config.hold_back)
        self._found, self._progress = find_image_folders(config), progress

    def has(self, split: Split) -> bool:
        """Whether there is a folder for it."""
        return split in self._found.splits

    def read(self, split: Split) -> ImageSet:
        """Open a folder."""
        return decoded(self._found.images(split), progress=self._progress)

    def share_out(self, images: ImageSet, config: HoldBackConfig, *, valid: bool, test: bool) -> dict[Split, IntArray]:
        """By the class and the path below the folder."""
        training = self._found.splits["train"]
        below = [self._found.tree.names[number][len(training.folder) :].lstrip("/") for number in training.numbers]
        return hold_back(images.labels, below.__getitem__, config, valid=valid, test=test)


def find_image_folders(config: ImageFolderConfig) -> ImageFolders:
    """Find the splits and their classes.

    Raises:
        DataError: the folder is not found, or has no class folders.
    """
    tree = open_tree_once(find_file_or_folder(config.path))
    top = _top(tree)
    folders = {split: _find_split(tree, top, split, getattr(config, split)) for split in _USUAL_NAMES}
    named = {split: folder for split, folder in folders.items() if folder is not None}
    if "train" not in named:
        if named:
            raise DataError(
                f"{tree.path}: has {listed(sorted(named.values()))}, but no folder of training images; expected one "
                "named train; rename it, or name it as data.train"
            )
        named = {"train": top}
    found = ImageFolders(tree, {split: _split_files(tree, folder) for split, folder in named.items()})
    if not found.splits["train"].class_names:
        raise _no_classes(tree, found.splits["train"])
    return found


def _top(tree: FileTree) -> str:
    """Go down while there is only one folder, and no image beside it or directly in it."""
    top = ""
    while True:
        inside = _folders_in(tree, top)
        if (
            len(inside) != 1
            or _has_images(tree, top)
            or _has_images(tree, inside[0])
            or not _folders_in(tree, inside[0])
        ):
            return top
        if any(_last(inside[0]).lower() in names for names in _USUAL_NAMES.values()):
            return top
        top = inside[0]


def _find_split(tree: FileTree, top: str, split: Split, given: str | None) -> str | None:
    """The folder of a split: as the recipe says, or by its usual names."""
    if given is not None:
        clean = given.strip("/")
        for folder in (clean, join(top, clean)):
            if folder in tree.folders:
                return folder
        raise DataError(
            f"{tree.path}: has no folder {given!r} for data.{split}; expected one of "
            f"{listed([name[len(top) :].lstrip('/') for name in _folders_in(tree, top)])}; correct data.{split}"
        )
    usual = [folder for folder in _folders_in(tree, top) if _last(folder).lower() in _USUAL_NAMES[split]]
    if len(usual) > 1:
        raise DataError(
            f"{tree.path}: {listed(usual)} could each be data.{split}; expected one; name it as data.{split}"
        )
    return usual[0] if usual else None


def _split_files(tree: FileTree, folder: str) -> SplitFiles:
    """Sort the files below a folder by class."""
    found = SplitFiles(folder, {_last(name): [] for name in _folders_in(tree, folder)})
    start = len(folder) + 1 if folder else 0
    for number in files_below(tree, folder):
        parts = tree.names[number][start:].split("/")
        if not is_image(parts[-1]):
            found.others.append(number)
        elif len(parts) == 1:
            found.strays.append(number)
        else:
            found.classes[parts[0]].append(number)
    return found


def _no_classes(tree: FileTree, files: SplitFiles) -> DataError:
    where = f"{tree.path}/{files.folder}".rstrip("/")
    seen = "images, but none in a folder of its class" if files.strays else "no image"
    return DataError(
        f"{where}: has {seen}; expected a folder of images per class, such as {where}/daisy/1.jpg; "
        "sort the images into folders"
    )


def _folders_in(tree: FileTree, folder: str) -> list[str]:
    """The folders directly inside one."""
    return [name for name in tree.folders if _parent(name) == folder]


def _has_images(tree: FileTree, folder: str) -> bool:
    return any(_parent(name) == folder and is_image(name) for name in tree.names)


def _parent(name: str) -> str:
    return name.rpartition("/")[0]


def _last(name: str) -> str:
    return name.rpartition("/")[2]
