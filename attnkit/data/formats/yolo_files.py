"""What a YOLO data set consists of: data.yaml, the images of each split, and the labels of each image."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from attnkit.data.config import Split
from attnkit.data.data_root import DataRoot, Files, listed
from attnkit.data.detection.config import YoloConfig
from attnkit.data.detection.split_folders import find_listed, named_folder, read_list, usual_folder
from attnkit.errors import DataError

_KEYS: dict[Split, tuple[str, ...]] = {"train": ("train",), "valid": ("val", "valid"), "test": ("test",)}
_FORMS = ("images/{}", "{}/images", "{}")
_YAML_SUFFIXES = (".yaml", ".yml")
NAME_FILES = ("classes.txt", "obj.names")
"""A name per line, where there is no data.yaml."""
_IMAGES, _LABELS = "images", "labels"


class YoloAbout:
    """What data.yaml says; nothing where there is none."""

    def __init__(self, root: DataRoot) -> None:
        """Find and read it: the first file of yaml, nearest to the root, that has names.

        Raises:
            DataError: one called data.yaml is no yaml.
        """
        self.place, self.said = str(root.path), dict[str, Any]()
        tree = root.tree
        ends = [number for number, name in enumerate(tree.names) if name.lower().endswith(_YAML_SUFFIXES)]
        for number in sorted(ends, key=lambda number: tree.names[number].count("/")):
            said = _read_yaml(tree.read(number), tree.place(number), named=tree.names[number].endswith("data.yaml"))
            if "names" in said:
                self.place, self.said = tree.place(number), said
                return

    def folders(self, split: Split) -> list[str]:
        """Where the images of a split are: folders, or lists of images."""
        value: Any = next((self.said[key] for key in _KEYS[split] if self.said.get(key)), [])
        return [str(one) for one in value] if isinstance(value, list) else [str(value)]


def find_names(root: DataRoot, config: YoloConfig, about: YoloAbout) -> tuple[tuple[str, ...], str]:
    """Names by number, and where they are said: the recipe, data.yaml, or classes.txt.

    Raises:
        DataError: they are nowhere, or have gaps.
    """
    if config.classes is not None:
        return config.classes, "data.classes"
    if about.said:
        return _names_of(about.said, about.place), about.place
    for number, name in enumerate(root.tree.names):
        if name.rpartition("/")[2].lower() in NAME_FILES:
            place = root.tree.place(number)
            return tuple(filter(None, read_list(root.tree.read(number), place, of="name"))), place
    raise DataError(
        f"{root.path}: no data.yaml with names; expected one, or classes.txt; add it, or name the classes as "
        "data.classes"
    )


def find_images(root: DataRoot, config: YoloConfig, about: YoloAbout, split: Split) -> list[int] | None:
    """The numbers of the images of a split in the tree, ascending; None if there is none.

    Raises:
        DataError: what the recipe names is not there, or the split has no image.
    """
    given: str | None = getattr(config, split)
    if given is not None:
        return _images_of(root, given, f"data.{split}")
    found = [files for name in about.folders(split) if (files := _said_by_yaml(root, name)) is not None]
    if found:
        return sorted({number for numbers in found for number in numbers})
    if (folder := usual_folder(root, split, _FORMS)) is not None:
        return _images_in(folder) or None
    if split == "train" and not any(usual_folder(root, other, _FORMS) for other in ("valid", "test")):
        return _images_in(named_folder(root, _IMAGES) or root.below(root.top)) or None
    return None


def find_label(root: DataRoot, image: int) -> int | None:
    """The number of the labels of an image: .txt where the last `images` of its path is `labels`, or beside it."""
    path = root.tree.names[image].rpartition(".")[0]
    parts = path.split("/")
    everything = root.below("")
    if _IMAGES in parts[:-1]:
        last = len(parts) - 2 - parts[-2::-1].index(_IMAGES)
        return everything.find("/".join([*parts[:last], _LABELS, *parts[last + 1 :]]) + ".txt")
    return everything.find(f"{path}.txt")


def _read_yaml(content: bytes, place: str, *, named: bool) -> dict[str, Any]:
    """What it says; another file that is not `named` data.yaml may be of whatever kind."""
    try:
        said = YAML(typ="safe", pure=True).load(content.decode("utf-8-sig"))
    except (YAMLError, ValueError, RecursionError) as error:  # of text or dates; and of thousands of brackets
        if not named:
            return {}
        reason = " ".join(str(error).split())
        raise DataError(f"{place}: no yaml ({reason}); expected names and folders, as YOLO has them; fix it") from error
    return said if isinstance(said, dict) else {}


def _names_of(said: dict[str, Any], place: str) -> tuple[str, ...]:
    names = said["names"]
    if isinstance(names, list):
        names = dict(enumerate(names))
    if not isinstance(names, dict):
        raise DataError(f"{place}: names is {names!r}; expected a list of names, or names by number; fix it")
    by_number = {int(number) if str(number).isdecimal() else -1: str(name) for number, name in names.items()}
    if sorted(by_number) != list(range(len(names))):
        raise DataError(
            f"{place}: names have the numbers {listed([str(number) for number in names])}; expected 0 to "
            f"{len(names) - 1}; fix it"
        )
    count = said.get("nc", len(names))
    if count != len(names):
        raise DataError(f"{place}: nc is {count}, but there are {len(names)} names; expected as many; fix one of them")
    return tuple(by_number[number] for number in range(len(names)))


def _images_of(root: DataRoot, name: str, option: str) -> list[int]:
    """Of a folder or a list that the recipe names."""
    if (folder := named_folder(root, name)) is not None:
        if images := _images_in(folder):
            return images
        raise DataError(f"{folder.place}: has no image; expected JPEG, PNG or the like; correct {option}")
    if not name.endswith(".txt"):
        return _images_in(root.folder(name, option))  # which says what is there instead
    content, place = root.read(name, option)
    return sorted(set(find_listed(root.below(root.top), read_list(content, place), place)))


def _said_by_yaml(root: DataRoot, name: str) -> list[int] | None:
    """Of a folder or a list that data.yaml names from a place of its own: what stands in front is dropped.

    Not all of it: `../valid/images` is not the folder images.
    """
    parts = [part for part in name.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    for start in range(max(1, len(parts) - 1)):
        path = "/".join(parts[start:])
        if (folder := named_folder(root, path)) is not None:
            return _images_in(folder) or None
        number = root.below("").find(path) or root.below(root.top).find(path)
        if number is not None and path.endswith(".txt"):
            place = root.tree.place(number)
            return find_listed(root.below(root.top), read_list(root.tree.read(number), place), place)
    return None


def _images_in(files: Files) -> list[int]:
    return [number for number in files.numbers if files.is_image(number)]
