"""What `--save` writes is whole, lies where it should, and is written over nothing."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from attnkit.errors import AttnkitError, DataError
from attnkit.predict.saved_files import CocoImageIds, DetectionFolder, MaskFolder
from attnkit.predict.segmented_images import areas_of
from tests.recipes.scene_runs import CLASSES, DRAWN, write_stripes

COLOURS = np.array(DRAWN, dtype=np.uint8)
LABELS = np.array([[0, 0, 2, 2, 2], [0, 2, 2, 2, 2], [1, 1, 2, 2, 2]], dtype=np.uint8)
PHOTO = np.full((3, 5, 3), 100, dtype=np.uint8)


def opened(path):
    with Image.open(path) as picture:
        picture.load()
        return picture


def saved(folder, name, inputs=()):
    pixels = torch.from_numpy(PHOTO).permute(2, 0, 1)
    folder = folder if isinstance(folder, MaskFolder) else MaskFolder(folder, inputs, COLOURS, alpha=0.5)
    return [str(path) for path in folder.save(name, pixels, LABELS, areas_of(LABELS, CLASSES)).values()]


def test_files_of_a_named_image(tmp_path):
    mask, overlay = saved(tmp_path / "masks", "some/where/a.b.jpg")
    assert [mask, overlay] == [str(tmp_path / "masks/a.b.png"), str(tmp_path / "masks/a.b_overlay.png")]
    assert np.array_equal(np.array(opened(mask)), LABELS)
    assert opened(overlay).mode == "RGB"
    assert {path.name for path in (tmp_path / "masks").iterdir()} == {"a.b.png", "a.b_overlay.png"}


def test_folders_are_mirrored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos/x").mkdir(parents=True)
    folder = MaskFolder(Path("masks"), ["photos", "-"], COLOURS, alpha=0.5)
    assert saved(folder, "photos/x/a.jpg")[0] == "masks/x/a.png"
    assert saved(folder, "photos/a.jpg")[0] == "masks/a.png"
    assert saved(folder, "other/x/c.jpg")[0] == "masks/c.png"


def test_several_folders_are_kept_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    folder = MaskFolder(Path("masks"), ["one", "two"], COLOURS, alpha=0.5)
    assert [saved(folder, name)[0] for name in ("one/a.jpg", "two/a.jpg")] == ["masks/one/a.png", "masks/two/a.png"]


def test_no_image_takes_the_files_of_another(tmp_path):
    folder = MaskFolder(tmp_path, [], COLOURS, alpha=0.5)
    names = ["p/a.jpg", "q/a.jpg", "q/A.png", "r/a_overlay.png", "s/a_2.jpg"]
    files = [Path(file).name for name in names for file in saved(folder, name)]
    assert files == [
        "a.png", "a_overlay.png", "a_2.png", "a_2_overlay.png", "A_3.png", "A_3_overlay.png",
        "a_overlay_2.png", "a_overlay_2_overlay.png", "a_2_2.png", "a_2_2_overlay.png",
    ]  # fmt: skip


def test_images_are_never_written_over(tmp_path):
    photo = write_stripes(tmp_path / "a.png", "red")
    before = photo.read_bytes()
    assert saved(tmp_path, str(photo))[0] == str(tmp_path / "a_2.png")
    folder = MaskFolder(tmp_path, [], COLOURS, alpha=0.5)
    folder.reserve([str(photo)])
    assert saved(folder, "elsewhere/a.jpg")[0] == str(tmp_path / "a_2.png")
    assert photo.read_bytes() == before


def test_a_second_call_writes_the_same_files_again(tmp_path):
    assert saved(tmp_path, "p/a.jpg") == saved(tmp_path, "p/a.jpg")


@pytest.mark.parametrize("inside", ["", "masks", "masks/deep"])
def test_masks_do_not_go_where_images_are_looked_for(tmp_path, inside):
    with pytest.raises(AttnkitError, match=re.escape(f"--save {tmp_path / inside}: lies in {tmp_path}, whose images")):
        MaskFolder(tmp_path / inside, ["a.png", str(tmp_path)], COLOURS, alpha=0.5)


def test_a_file_is_whole_or_not_there(tmp_path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(OSError, match="No space left"):
        saved(tmp_path / "masks", "a.jpg")
    assert list((tmp_path / "masks").iterdir()) == []


def test_overlays_do_not_go_where_images_are_looked_for(tmp_path):
    with pytest.raises(AttnkitError, match=re.escape(f"lies in {tmp_path}, whose images are read;")):
        DetectionFolder(tmp_path / "found", [str(tmp_path)], mask_threshold=None, alpha=0.5)


# What a json calls images


def ids_of(tmp_path, *images):
    path = tmp_path / "about.json"
    path.write_text(json.dumps({"images": [{"id": number, "file_name": name} for number, name in images]}))
    return CocoImageIds(path)


def test_ids_are_found_by_name_and_by_the_folders_that_the_json_has(tmp_path):
    ids = ids_of(tmp_path, (11, "a.jpg"), (12, "x/a.jpg"), (13, "./y\\b.jpg"))
    names = ["a.jpg", "/data/x/a.jpg", "z/a.jpg", "some/y/b.jpg", str(tmp_path / "y/b.jpg")]
    assert [ids.find(name) for name in names] == [11, 12, 11, 13, 13]


def test_an_image_without_an_id(tmp_path):
    ids = ids_of(tmp_path, (11, "x/a.jpg"))
    with pytest.raises(DataError, match=r"^y/a.jpg: not among the 1 images of .*about.json; expected a file that it l"):
        ids.find("y/a.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[]", "not a COCO json (TypeError: list indices must be integers"),
        ("{", "not a COCO json (JSONDecodeError: "),
        ('{"images": [{"id": 1}]}', "not a COCO json (KeyError: 'file_name'); expected images, each with"),
        ('{"images": []}', "lists no images; expected the images that are given; name another"),
    ],
)  # fmt: skip
def test_a_json_that_is_none(tmp_path, content, message):
    path = tmp_path / "about.json"
    path.write_text(content)
    with pytest.raises(DataError, match="^" + re.escape(f"--image-ids {path}: {message}")):
        CocoImageIds(path)


def test_a_json_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"^--image-ids gone: no such file; expected a COCO json; check the name$"):
        CocoImageIds(Path("gone"))
