"""From what somebody names on the command line to the data of a detection recipe. Nothing is held back yet."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from attnkit.data.config import SPLITS, HoldBackConfig, Split
from attnkit.data.data_root import DataRoot, listed
from attnkit.data.detection.config import CocoConfig, CocoSplitConfig, VocConfig, YoloConfig
from attnkit.data.images.named_files import SPLIT_NAMES, usual_folder
from attnkit.errors import DataError
from attnkit.new_recipe.named_images import folder_of, has_one, image_names

OwnData = CocoConfig | YoloConfig | VocConfig

_NOTHING = HoldBackConfig(valid=0.0, test=0.0)
_WORD = re.compile(r"(?<![a-z])(train(?:ing)?)(?=\d|[^a-z]|$)", re.IGNORECASE)
"""Of training, in a name such as instances_train2017.json."""
_YOLO, _VOC, _COCO = ("data.yaml", "classes.txt", "obj.names"), ".xml", ".json"
_FORMS = ("{}/images", "images/{}", "{}")


def coco_data(images: str, annotations: str) -> CocoConfig:
    """A json and its images; validation and test sets whose names differ in the word alone are taken too.

    Args:
        images: a folder, which may have folders for training, validation and test.
        annotations: the json.

    Raises:
        DataError: one of the two is not there, or no image that a json names.
    """
    if not Path(images).is_dir():
        raise DataError(f"{images}: no such folder; expected a folder of images; correct --images")
    if not Path(annotations).is_file():
        raise DataError(f"{annotations}: no such file; expected COCO's json of objects; correct --annotations")
    named: dict[Split, tuple[str, str]] = {"train": (_folder_of(images, "train"), annotations)}
    for split in SPLITS[1:]:
        if (json := _other(Path(annotations), split)) is not None:
            named[split] = _folder_of(images, split), str(json)
    for split, pair in named.items():
        _check_images(split, *pair)
    if any(os.path.isabs(path) for pair in named.values() for path in pair):
        named = {split: (os.path.abspath(folder), os.path.abspath(json)) for split, (folder, json) in named.items()}
    folders = [
        os.path.normpath(one) for folder, json in named.values() for one in (folder, os.path.dirname(json) or ".")
    ]
    root = os.path.commonpath(folders) or "."
    return _coco(
        Path(root).as_posix(), {split: (_below(root, one), _below(root, json)) for split, (one, json) in named.items()}
    )


def found_data(path: str) -> OwnData:
    """A folder or archive of YOLO, Pascal VOC or COCO, told apart by the files in it.

    Raises:
        DataError: it is not there, or is of no such kind.
    """
    root = DataRoot(path)
    names = root.tree.names
    ends = {name.rpartition("/")[2].lower() for name in names}
    if not ends.isdisjoint(_YOLO) or any("labels" in name.split("/")[:-1] for name in names):
        return YoloConfig(format="yolo", path=path, hold_back=_NOTHING)
    if any(name.lower().endswith(_VOC) for name in names):
        return VocConfig(format="voc", path=path, hold_back=_NOTHING)
    jsons = [name for name in names if name.lower().endswith(_COCO)]
    if jsons:
        return _coco_in(root, path, jsons)
    raise DataError(
        f"{path}: {len(names)} files, none of which says where objects are; expected data.yaml and labels as YOLO has "
        "them, xml as Pascal VOC, or json as COCO; correct --data"
    )


def _folder_of(images: str, split: Split) -> str:
    """The images of a split: below the folder, beside it, or the folder itself."""
    folder = Path(images)
    inside = [folder / name for name in SPLIT_NAMES[split]]
    beside = [] if split == "train" else [folder.with_name(name) for name in _renamed(folder.name, split)]
    return str(next((path for path in (*inside, *beside) if path.is_dir()), folder))


def _other(annotations: Path, split: Split) -> Path | None:
    """The json of another split beside that of training; None if there is none."""
    paths = (annotations.with_name(name) for name in _renamed(annotations.name, split))
    return next((path for path in paths if path.is_file()), None)


def _renamed(name: str, split: Split) -> list[str]:
    """What a name may be for another split; nothing where it has no word for training."""
    if not _WORD.search(name):
        return []
    return [_WORD.sub(word, name, count=1) for word in SPLIT_NAMES[split] if word.isalpha()]


def _coco_in(root: DataRoot, path: str, jsons: Sequence[str]) -> CocoConfig:
    """Of a folder or archive: a json per split, its images in the folder of that name, or beside it.

    Raises:
        DataError: which json is that of training cannot be told.
    """
    found = {split: json for split in SPLITS if (json := _json_of(jsons, split)) is not None}
    if len(jsons) == 1:
        found = {"train": jsons[0]}
    if "train" not in found:
        raise DataError(
            f"{path}: which of {listed(jsons)} has the training objects cannot be told; expected one with train in its "
            "name; name it with --annotations, and its images with --images"
        )
    return _coco(path, {split: (_images_in(root, split, json), json) for split, json in found.items()})


def _json_of(jsons: Sequence[str], split: Split) -> str | None:
    """The one that has a word for the split in its path; the one of instances among several."""
    words = "|".join(word for word in SPLIT_NAMES[split] if word.isalpha())
    named = [name for name in jsons if re.search(rf"(?<![a-z])({words})(?=\d|[^a-z]|$)", name, re.IGNORECASE)]
    instances = [name for name in named if "instances" in name.lower()]
    return (instances or named)[0] if len(instances or named) == 1 else None


def _images_in(root: DataRoot, split: Split, json: str) -> str:
    """The folder of the images that a json names: its own, one of a usual name, or any.

    Raises:
        DataError: they are in none.
    """
    content, place = root.read(json, "--data")
    names = image_names(content, place)
    usual = usual_folder(root, split, _FORMS) or usual_folder(root, split, ("images",))
    likely = [root.below(json.rpartition("/")[0]), usual or root.below(root.top)]
    if not names:
        return likely[1].folder or "."
    folders = [*likely, *map(root.below, ("", *root.tree.folders))]
    # of an archive its root is no folder that a recipe can name
    found = folder_of(names, [one for one in folders if one.folder or root.path.is_dir()])
    if found is None:
        mend = "expected them in a folder there; name theirs with --images, and the json with --annotations"
        raise _without_images(split, place, names, f"in {root.path}", mend)
    return found.folder or "."


def _check_images(split: Split, images: str, annotations: str) -> None:
    """Refuse a folder with none of the images that a json names.

    Raises:
        DataError: it is such a one.
    """
    json = Path(annotations)
    content, _ = DataRoot(os.path.abspath(json.parent)).read(json.name, "--annotations")
    names = image_names(content, annotations)
    if names and not has_one(names, DataRoot(os.path.abspath(images)).below("")):
        mend = "expected them there, or in folders there as it names them; correct --images"
        raise _without_images(split, annotations, names, f"in {images}", mend)


def _without_images(split: Split, json: str, names: Sequence[str], where: str, mend: str) -> DataError:
    """Of a json that was taken for its name beside that of training the user may know nothing."""
    if split != "train":
        mend = f"it is taken for the {split} set by its name; add its images, or move it elsewhere"
    return DataError(f"{json}: none of its {len(names):,} images is {where}, such as {names[0]}; {mend}")


def _below(root: str, path: str) -> str:
    return Path(os.path.relpath(path, root)).as_posix()


def _coco(path: str, named: Mapping[Split, tuple[str, str]]) -> CocoConfig:
    """Of folders and jsons."""
    splits = {split: CocoSplitConfig(images=folder, annotations=json) for split, (folder, json) in named.items()}
    return CocoConfig(
        path=path, train=splits["train"], valid=splits.get("valid"), test=splits.get("test"), hold_back=_NOTHING
    )
