"""From what the user names on the command line to the data of a recipe. Nothing is held back yet.

COCO's json is searched for the names of images and not parsed, which would take as long as opening the data does.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from json import loads
from pathlib import Path

from attnkit.data.config import SPLITS, HoldBackConfig, Split
from attnkit.data.data_root import SPLIT_NAMES, DataRoot, Files, find_image, usual_folder
from attnkit.data.detection.config import CocoConfig, CocoSplitConfig, VocConfig, YoloConfig
from attnkit.data.finding import listed
from attnkit.data.segmentation.config import MaskFilesConfig
from attnkit.errors import DataError

OwnData = CocoConfig | YoloConfig | VocConfig

_NOTHING = HoldBackConfig(valid=0.0, test=0.0)
_MASK_SPLITS: dict[Split, tuple[str, ...]] = {
    "train": ("train", "training"),
    "valid": ("val", "valid", "validation"),
    "test": ("test", "testing"),
}
_WORD = re.compile(r"(?<![a-z])(train(?:ing)?)(?=\d|[^a-z]|$)", re.IGNORECASE)
"""Of training, in a name such as instances_train2017.json."""
_YOLO, _VOC, _COCO = ("data.yaml", "classes.txt", "obj.names"), ".xml", ".json"
_FORMS = ("{}/images", "images/{}", "{}")
_SEARCHED_NAMES = 20
"""Names that each folder is searched for, evenly spread."""
_NAME = re.compile(rb'"file_name"\s*:\s*("(?:[^"\\]|\\.)*")')
_NO_IMAGES = re.compile(rb'"images"\s*:\s*\[\s*\]')


def mask_data(images: str, masks: str, classes: str | None) -> MaskFilesConfig:
    """Images and their masks, below the folder that holds both.

    Args:
        images: the folder of images, which may have folders for training, validation and test.
        masks: the folder of their masks, with the same folders below.
        classes: a file of class names.

    Raises:
        DataError: one of them does not exist, or nothing is for training.
    """
    _refuse_no_folder(images, "images")
    _refuse_no_folder(masks, "masks")
    if classes and not Path(classes).is_file():
        raise DataError(f"{classes}: no such file; expected names of classes, .json or .txt; correct --classes")
    root, below = _below_common([images, masks, *([classes] if classes else [])], folders=[images, masks])
    return MaskFilesConfig.model_validate(
        {
            "format": "mask_files",
            "path": root,
            **_mask_splits(images, masks, below),
            "classes": below[2] if classes else None,
            "hold_back": _NOTHING,
        }
    )


def _mask_splits(images: str, masks: str, below: Sequence[str]) -> dict[Split, dict[str, str]]:
    """Folders of the splits, if both have them; otherwise everything is for training."""
    found: dict[Split, dict[str, str]] = {}
    for split, names in _MASK_SPLITS.items():
        there = [name for name in names if (Path(images) / name).is_dir() and (Path(masks) / name).is_dir()]
        if there:
            found[split] = {"images": f"{below[0]}/{there[0]}", "masks": f"{below[1]}/{there[0]}"}
    if found and "train" not in found:
        raise DataError(
            f"{images}: has {next(iter(found.values()))['images'].rpartition('/')[2]}, as {masks} has, but nothing for "
            "training; expected a folder train in both; rename one"
        )
    return found or {"train": {"images": below[0], "masks": below[1]}}


def _refuse_no_folder(folder: str, holds: str) -> None:
    if not Path(folder).is_dir():
        raise DataError(f"{folder}: no such folder; expected a folder of {holds}; correct --{holds}")


def coco_data(images: str, annotations: str) -> CocoConfig:
    """A json and its images; validation and test sets whose names differ only in the word for training are taken too.

    Args:
        images: a folder, which may have folders for training, validation and test.
        annotations: the json.

    Raises:
        DataError: one of the two does not exist, or none of the images that a json names.
    """
    _refuse_no_folder(images, "images")
    if not Path(annotations).is_file():
        raise DataError(f"{annotations}: no such file; expected COCO's json of objects; correct --annotations")
    named: dict[Split, tuple[str, str]] = {"train": (_folder_of(images, "train"), annotations)}
    for split in SPLITS[1:]:
        if (json := _other(Path(annotations), split)) is not None:
            named[split] = _folder_of(images, split), str(json)
    for split, pair in named.items():
        _check_images(split, *pair)
    paths = [path for pair in named.values() for path in pair]
    folders = [folder for images, json in named.values() for folder in (images, os.path.dirname(json) or ".")]
    root, below = _below_common(paths, folders=folders)
    return _coco(root, dict(zip(named, zip(below[::2], below[1::2], strict=True), strict=True)))


def _below_common(paths: Sequence[str], *, folders: Sequence[str]) -> tuple[str, list[str]]:
    """The folder that holds all of some folders, and paths below it; absolute if any path is."""
    form = os.path.abspath if any(map(os.path.isabs, paths)) else os.path.normpath
    root = os.path.commonpath(map(form, folders)) or "."
    return Path(root).as_posix(), [Path(os.path.relpath(form(path), root)).as_posix() for path in paths]


def found_data(path: str) -> OwnData:
    """A folder or archive in the form of YOLO, Pascal VOC or COCO, told apart by the files in it.

    Raises:
        DataError: it does not exist, or has none of these forms.
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
        f"{path}: {len(names)} files, none of which says where objects are; expected YOLO's data.yaml and "
        "labels, Pascal VOC's xml files or COCO's json; correct --data"
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
    """Of a folder or archive: a json per split, and the folders of its images."""
    found = {split: json for split in SPLITS if (json := _json_of(jsons, split)) is not None}
    if len(jsons) == 1:
        found = {"train": jsons[0]}
    if "train" not in found:
        raise DataError(
            f"{path}: which of {listed(jsons)} has the training objects is not clear; expected one with train in its "
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
    """The folder of the images that a json names: its own, one of a usual name, or any."""
    content, place = root.read(json, "--data")
    names = image_names(content, place)
    usual = usual_folder(root, split, _FORMS) or usual_folder(root, split, ("images",))
    likely = [root.below(json.rpartition("/")[0]), usual or root.below(root.top)]
    if not names:
        return likely[1].folder or "."
    folders = [*likely, *map(root.below, ("", *root.tree.folders))]
    # the root of an archive is no folder that a recipe can name
    found = folder_of(names, [one for one in folders if one.folder or root.path.is_dir()])
    if found is None:
        advice = "expected them in a folder there; name theirs with --images, and the json with --annotations"
        raise _without_images(split, place, names, f"in {root.path}", advice)
    return found.folder or "."


def _check_images(split: Split, images: str, annotations: str) -> None:
    """Refuse a folder with none of the images that a json names."""
    json = Path(annotations)
    content, _ = DataRoot(os.path.abspath(json.parent)).read(json.name, "--annotations")
    names = image_names(content, annotations)
    if names and not has_any(names, DataRoot(os.path.abspath(images)).below("")):
        advice = "expected them there, or in folders there as it names them; correct --images"
        raise _without_images(split, annotations, names, f"in {images}", advice)


def _without_images(split: Split, json: str, names: Sequence[str], where: str, advice: str) -> DataError:
    """The user may not know of a json that was taken because of its name."""
    if split != "train":
        advice = f"its name makes it the {split} set; add its images, or move it elsewhere"
    return DataError(f"{json}: none of its {len(names):,} images is {where}, such as {names[0]}; {advice}")


def _coco(path: str, named: Mapping[Split, tuple[str, str]]) -> CocoConfig:
    """Of folders and jsons."""
    splits = {split: CocoSplitConfig(images=folder, annotations=json) for split, (folder, json) in named.items()}
    return CocoConfig(
        path=path, train=splits["train"], valid=splits.get("valid"), test=splits.get("test"), hold_back=_NOTHING
    )


def image_names(content: bytes, place: str) -> list[str]:
    """The names of the images; none where the json has another form, which is reported when it is opened.

    Args:
        content: bytes of the json.
        place: its name in errors.

    Raises:
        DataError: its list of images is empty.
    """
    names = list(_names(content))
    if not names and _NO_IMAGES.search(content):
        raise DataError(
            f"{place}: lists no images; expected COCO's json of images and the objects on them; correct the path, or "
            "fix the file"
        )
    return names


def _names(content: bytes) -> Iterator[str]:
    for found in _NAME.finditer(content):
        try:
            yield str(loads(found[1]))
        except ValueError:  # so is the whole json
            return


def folder_of(names: Sequence[str], folders: Sequence[Files]) -> Files | None:
    """The folder with most of the images, judged by some names; the first of equals. None if no folder has any.

    A folder in which whole paths are found is preferred to one in which their beginning has to be left out.
    """
    there = {_last(files.tree.names[number]) for files in folders for number in files.numbers}
    known = [name for name in names if _last(name.replace("\\", "/")) in there]
    if not known:
        return None
    searched = known[:: max(1, len(known) // _SEARCHED_NAMES)]
    found = [_found(searched, files) for files in folders]
    return folders[max(range(len(folders)), key=found.__getitem__)]


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _found(names: Sequence[str], files: Files) -> tuple[int, int]:
    """How many files the names mean, and how many names are paths from the folder as they stand."""
    numbers = [find_image(files, name) for name in names]
    whole = sum(files.find(name) is not None for name in names)
    return len({number for number in numbers if number is not None}), whole


def has_any(names: Sequence[str], files: Files) -> bool:
    """Whether any of the images is there."""
    return any(find_image(files, name) is not None for name in names)
