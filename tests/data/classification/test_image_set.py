import os

import numpy as np
import pytest

from attnkit.data.classification.config import ImageFolderConfig
from attnkit.data.classification.image_folder import ImageFolderSplits
from attnkit.data.classification.image_set import ArrayImages
from attnkit.data.files import cache_folder
from attnkit.errors import DataError
from tests.data.image_files import picture, pixels, png, saved, write_files, write_tar

FILES = {f"train/{name}/{i}.png": png(5, 7, seed=i) for i, name in enumerate("aabbb")}


def opened(root, **options):
    config = ImageFolderConfig(format="image_folder", path=str(root), hold_back={"valid": 0})
    return ImageFolderSplits(config, **options).open("train")


def caches():
    folder = cache_folder() / "images"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_pixels_are_those_of_the_files(tmp_path):
    root = write_files(tmp_path, FILES)
    for _ in range(2):  # made, and opened again
        images = opened(root)
        assert isinstance(images, ArrayImages)
        assert images.size == (5, 7)
        assert images.labels.tolist() == [0, 0, 1, 1, 1]
        assert images.place(3) == f"{root}/train/b/3.png"
        for i in range(5):
            assert np.array_equal(images.read(i).numpy(), pixels(picture(seed=i)))
        many = images.read_many(np.array([4, 1]))
        assert np.array_equal(many.numpy(), np.stack([pixels(picture(seed=i)) for i in (4, 1)]))
    assert len(caches()) == 1


def test_images_that_are_read_may_be_written_to(tmp_path):
    images = opened(write_files(tmp_path, FILES))
    images.read(0).zero_()
    images.read_many(np.array([0])).zero_()
    assert np.array_equal(images.read(0).numpy(), pixels(picture(seed=0)))


def test_a_changed_file_makes_a_new_cache(tmp_path):
    root = write_files(tmp_path, FILES)
    opened(root)
    (root / "train/a/0.png").write_bytes(png(5, 7, seed=99))
    os.utime(root / "train/a/0.png", ns=(1, 1))
    assert np.array_equal(opened(root).read(0).numpy(), pixels(picture(seed=99)))
    assert len(caches()) == 2


def test_an_archive_is_known_by_its_bytes(tmp_path):
    path = write_tar(tmp_path / "a.tar", FILES)
    opened(path)
    moved = path.rename(tmp_path / "b.tar")
    assert opened(moved).place(0).startswith(f"{moved}:")
    assert len(caches()) == 1
    stat = moved.stat()
    write_tar(moved, {**FILES, "train/a/0.png": FILES["train/b/4.png"]})
    os.utime(moved, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert np.array_equal(opened(moved).read(0).numpy(), pixels(picture(seed=4)))


def test_broken_images_are_remembered_by_name(tmp_path):
    root = write_files(tmp_path, {**FILES, "train/a/0.png": b"", "train/b/3.png": FILES["train/b/3.png"][:60]})
    for _ in range(2):
        images = opened(root)
        assert [i for i in range(5) if images.broken(i)] == [0, 3]
        with pytest.raises(DataError, match=rf"^{root}/train/a/0.png: empty file, 0 bytes; expected a whole image"):
            images.read(0)
        with pytest.raises(DataError, match=rf"^{root}/train/b/3.png: cannot be decoded"):
            images.select(np.array([1, 3])).read(1)


def test_images_of_different_sizes_stay_files(tmp_path):
    root = write_files(tmp_path, {**FILES, "train/b/4.png": png(7, 5, seed=4)})
    for _ in range(2):
        images = opened(root)
        assert not isinstance(images, ArrayImages)
        assert images.read(4).shape == (3, 7, 5)
    assert sum(path.stat().st_size for path in cache_folder().rglob("pixels")) == 0


def test_images_that_exif_turns_are_kept_turned(tmp_path):
    exif = picture().getexif()
    exif[0x0112] = 6
    root = write_files(tmp_path, {f"train/{c}/1.png": saved(picture(), exif=exif) for c in "ab"})
    images = opened(root)
    assert images.read(0).shape == (3, 7, 5)


def test_a_cache_that_is_cut_off_is_made_again(tmp_path):
    root = write_files(tmp_path, FILES)
    opened(root)
    (file,) = cache_folder().rglob("pixels")
    file.write_bytes(file.read_bytes()[:-1])
    assert np.array_equal(opened(root).read(4).numpy(), pixels(picture(seed=4)))


def test_it_tells_how_far_it_is(tmp_path):
    told = []
    files = {f"train/{name}/{i}.png": png(5, 7) for name in "ab" for i in range(1003)}
    opened(write_files(tmp_path, files), progress=lambda done, total: told.append((done, total)))
    assert told == [(1000, 2006), (2000, 2006)]
