import io

import numpy as np
import pytest

from attnkit.data.classification.config import NpzImagesConfig
from attnkit.data.classification.npz_images import NpzSplits
from attnkit.errors import DataError

RNG = np.random.default_rng(5)
COLOUR = RNG.integers(0, 256, (11, 5, 7, 3), dtype=np.uint8)
GREY = COLOUR[..., 0]
LABELS = np.arange(11) % 3


def opened(tmp_path, split="train", *, valid=0.0, class_names=None, **arrays):
    np.savez(tmp_path / "a.npz", **arrays)
    config = NpzImagesConfig(
        format="npz", path=str(tmp_path / "a.npz"), class_names=class_names, hold_back={"valid": valid}
    )
    return NpzSplits(config).open(split)


def test_kerass_names(tmp_path):
    arrays = {"x_train": COLOUR, "y_train": LABELS, "x_test": COLOUR[:4], "y_test": LABELS[:4]}
    train, test = opened(tmp_path, **arrays), opened(tmp_path, "test", **arrays)
    assert train.class_names == test.class_names == ("0", "1", "2")
    assert train.labels.tolist() == LABELS.tolist()
    assert np.array_equal(train.read(6).numpy(), COLOUR[6].transpose(2, 0, 1))
    assert (len(test), test.place(3)) == (4, f"{tmp_path}/a.npz:x_test[3]")
    assert opened(tmp_path, "valid", **arrays) is None
    assert len(opened(tmp_path, "valid", valid=0.34, **arrays)) == 3
    assert len(opened(tmp_path, "train", valid=0.34, **arrays)) == 8


def test_medmnists_names_and_columns_of_labels(tmp_path):
    column = LABELS[:, None].astype(np.uint8)
    arrays = {"train_images": GREY, "train_labels": column, "val_images": GREY[:5], "val_labels": column[:5]}
    valid = opened(tmp_path, "valid", valid=0.5, class_names=("x", "y", "z"), **arrays)
    assert (valid.class_names, valid.labels.tolist()) == (("x", "y", "z"), [0, 1, 2, 0, 1])
    assert len(opened(tmp_path, valid=0.5, **arrays)) == 11
    assert opened(tmp_path, "test", valid=0.5, **arrays) is None


@pytest.mark.parametrize("grey", [GREY, GREY[..., None]])
def test_grey_is_three_equal_channels(grey, tmp_path):
    images = opened(tmp_path, x_train=grey, y_train=LABELS)
    assert images.size == (5, 7)
    assert np.array_equal(images.read(2).numpy(), np.broadcast_to(GREY[2], (3, 5, 7)))
    assert np.array_equal(images.read_many(np.array([4])).numpy()[0], np.broadcast_to(GREY[4], (3, 5, 7)))


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"a": GREY}, r"a.npz: has the arrays a; expected x_train and y_train, or train_images and train_labels; ren"),
        ({"x_train": GREY}, r"a.npz: has x_train but no y_train; expected the label of each image; add the array$"),
        (
            {"x_train": GREY.astype(float), "y_train": LABELS},
            r"a.npz:x_train: float64 \(11, 5, 7\); expected uint8 \(N, H, W\) or \(N, H, W, 3\); fix the array$",
        ),
        (
            {"x_train": COLOUR.transpose(0, 3, 1, 2), "y_train": LABELS},
            r"a.npz:x_train: uint8 \(11, 3, 5, 7\); expected",
        ),
        (
            {"x_train": GREY, "y_train": np.eye(3)[LABELS]},
            r"a.npz:y_train: float64 \(11, 3\); expected whole numbers \(N,\), one class per image; fix the array$",
        ),
        (
            {"x_train": GREY[:9], "y_train": LABELS},
            r"a.npz:x_train: 9 images for 11 labels in y_train; expected as many; fix the arrays$",
        ),
        (
            {"x_train": GREY, "y_train": LABELS * 2},
            r"a.npz:y_train: no training image of class '1'; expected one of each class at least; number the class",
        ),
        (
            {"x_train": GREY, "y_train": LABELS - 1},
            r"a.npz:y_train: labels from -1 to 1; expected 0 to 1; fix the labels or data.class_names$",
        ),
        (
            {"x_train": GREY[:0], "y_train": LABELS[:0]},
            r"a.npz:y_train: no training image; expected one at least; fix",
        ),
        (
            {"x_train": GREY, "y_train": np.array([{}] * 11, dtype=object)},
            r"a.npz:y_train: cannot be read \(Object arrays cannot be loaded.*\); expected an .npz of plain arr",
        ),
    ],
)
def test_what_is_wrong_is_named(arrays, message, tmp_path):
    with pytest.raises(DataError, match=f"^{tmp_path}/{message}"):
        opened(tmp_path, **arrays)


def test_labels_beyond_the_names(tmp_path):
    with pytest.raises(
        DataError, match=r"a.npz:y_test: labels from 0 to 2; expected 0 to 1; fix the labels or data.cl"
    ):
        opened(tmp_path, "test", x_train=GREY, y_train=LABELS % 2, x_test=GREY, y_test=LABELS)


@pytest.mark.parametrize("content", [b"", b"no archive at all", None])
def test_what_is_no_npz_is_named(content, tmp_path):
    path = tmp_path / "b.npz"
    if content is None:
        file = io.BytesIO()
        np.save(file, GREY)
        content = file.getvalue()
    path.write_bytes(content)
    with pytest.raises(DataError, match=rf"^{path}: cannot be read \(.*\); expected an .npz of plain arrays"):
        NpzSplits(NpzImagesConfig(format="npz", path=str(path))).open("train")


def test_a_damaged_member_is_named(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=GREY, y_train=LABELS)
    content = bytearray((tmp_path / "a.npz").read_bytes())
    content[200] ^= 255
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(DataError, match=r"a.npz:x_train: cannot be read \(Bad CRC-32.*\); expected an .npz"):
        NpzSplits(NpzImagesConfig(format="npz", path=str(tmp_path / "a.npz"))).open("train")
