import codecs
import io
import os
import pickle

import numpy as np
import pytest

from attnkit.data.classification.cifar import CifarSplits
from attnkit.data.classification.config import CifarConfig
from attnkit.errors import DataError
from tests.data.image_files import write_files, write_tar

NAMES10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
NAMES100 = [f"thing{i}" for i in range(100)]
PER_FILE = 20


def records(number, classes, count=PER_FILE):
    rng = np.random.default_rng(number)
    return rng.integers(0, 256, (count, 3072), dtype=np.uint8), (np.arange(count) * 7 + number) % classes


def binary10():
    files = {"batches.meta.txt": "\n".join([*NAMES10, "", ""]).encode()}
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels, labels = records(number, 10)
        files[f"{name}.bin"] = np.hstack([labels[:, None].astype(np.uint8), pixels]).tobytes()
    return {f"cifar-10-batches-bin/{name}": content for name, content in files.items()}


def binary100():
    files = {"fine_label_names.txt": "\n".join(NAMES100).encode(), "coarse_label_names.txt": b"coarse"}
    for number, name in enumerate(["train", "test"]):
        pixels, labels = records(number, 100)
        coarse = np.full((PER_FILE, 1), 5, dtype=np.uint8)
        files[f"{name}.bin"] = np.hstack([coarse, labels[:, None].astype(np.uint8), pixels]).tobytes()
    return {f"cifar-100-binary/{name}": content for name, content in files.items()}


def as_python_2_wrote(value):
    """Bytes of a pickle whose text is Python 2's: of the kind that the real files are."""
    out = io.BytesIO()

    def text(data):
        out.write(
            b"U" + bytes([len(data)]) + data if len(data) < 256 else b"T" + len(data).to_bytes(4, "little") + data
        )

    def write(value):
        if isinstance(value, dict):
            out.write(b"}")
            for key, entry in value.items():
                write(key)
                write(entry)
                out.write(b"s")
        elif isinstance(value, list):
            out.write(b"]")
            for entry in value:
                write(entry)
                out.write(b"a")
        elif isinstance(value, str):
            text(value.encode())
        elif isinstance(value, np.ndarray):
            out.write(b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntU\x01btR(I1\n(")
            for size in value.shape:
                write(size)
            out.write(b"tcnumpy\ndtype\n(U\x02u1I0\nI1\ntR(I3\nU\x01|NNNI-1\nI-1\nI0\ntbI00\n")
            text(value.tobytes())
            out.write(b"tb")
        else:
            out.write(b"I%d\n" % value)

    out.write(b"\x80\x02")
    write(value)
    out.write(b".")
    return out.getvalue()


def python10(dump=as_python_2_wrote):
    files = {"batches.meta": dump({"label_names": NAMES10, "num_cases_per_batch": PER_FILE})}
    for number, name in enumerate([*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]):
        pixels, labels = records(number, 10)
        files[name] = dump({"data": pixels, "labels": labels.tolist(), "filenames": ["a.png"] * PER_FILE})
    return {f"cifar-10-batches-py/{name}": content for name, content in files.items()}


def python100():
    files = {"meta": as_python_2_wrote({"fine_label_names": NAMES100, "coarse_label_names": ["coarse"]})}
    for number, name in enumerate(["train", "test"]):
        pixels, labels = records(number, 100)
        labels = {"fine_labels": labels.tolist(), "coarse_labels": [5] * PER_FILE}
        files[name] = as_python_2_wrote({"data": pixels, **labels})
    return {f"cifar-100-python/{name}": content for name, content in files.items()}


def opened(path, split="train", classes=10, valid=0.0):
    config = CifarConfig(format="cifar", path=str(path), classes=classes, hold_back={"valid": valid})
    return CifarSplits(config).open(split)


@pytest.mark.parametrize(
    ("files", "classes", "of_first"),
    [
        (binary10(), 10, "data_batch_1.bin"),
        (python10(), 10, "data_batch_1"),
        (python10(pickle.dumps), 10, "data_batch_1"),
        (binary100(), 100, "train.bin"),
        (python100(), 100, "train"),
    ],
    ids=["binary10", "python10", "python10 of today", "binary100", "python100"],
)
def test_every_version_reads_alike(files, classes, of_first, tmp_path):
    path = write_tar(tmp_path / "cifar.tar.gz", files, "w:gz")
    train, test = opened(path, classes=classes), opened(path, "test", classes)
    count = 5 if classes == 10 else 1
    expected = [records(number, classes) for number in range(count + 1)]
    assert train.class_names == test.class_names == tuple(NAMES10 if classes == 10 else NAMES100)
    assert train.labels.tolist() == np.concatenate([labels for _, labels in expected[:-1]]).tolist()
    assert test.labels.tolist() == expected[-1][1].tolist()
    pixels = np.concatenate([pixels for pixels, _ in expected[:-1]])
    for index in (0, 13, len(train) - 1):
        assert train.read(index).flatten().tolist() == pixels[index].tolist()
    assert test.read(3).shape == (3, 32, 32)
    assert train.place(2).endswith(f"/{of_first}:3")
    assert train.place(0).startswith(f"{path}:cifar-")
    assert opened(path, "valid", classes) is None


def test_a_folder_and_what_is_held_back(tmp_path):
    root = write_files(tmp_path, binary10())
    inside = root / "cifar-10-batches-bin"
    valid, train = opened(inside, "valid", valid=0.2), opened(root, "train", valid=0.2)
    assert (len(valid), len(train)) == (20, 80)
    assert np.bincount(valid.labels).tolist() == [2] * 10
    assert train.place(len(train) - 1).startswith(f"{inside}/data_batch_5.bin:")


class Evil:
    def __reduce__(self):
        return os.system, ("touch broken-in",)


class Sneaky:
    """Builds an array of the functions that are let through."""

    def __init__(self, *call):
        self.call = call

    def __reduce__(self):
        return self.call


REFUSED = (
    r"cifar-10-batches-py/data_batch_1: cannot be read \(.*{}.*\); expected a pickle of plain arrays, as CIFAR's "
    "authors give it; fetch the file again, or take the binary version$"
)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (Evil(), r"asks for posix.system"),
        ({"data": Sneaky(eval, ("1",))}, r"asks for __builtin__.eval"),
        ({"data": Sneaky(np.dtype, ("O",))}, r"asks for an array of object"),
        ({"data": Sneaky(np.ndarray, ((1 << 40,),))}, r"object is not callable"),
        ({"data": Sneaky(codecs.encode, ("x", "bz2"))}, r"asks for an unusual text"),
        ({"data": np.array([{}], dtype=object)}, "asks for an array of object"),
    ],
)
def test_a_pickle_runs_no_code(value, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    files = {**python10(), "cifar-10-batches-py/data_batch_1": pickle.dumps(value, protocol=2)}
    with pytest.raises(DataError, match=REFUSED.format(reason)):
        opened(write_files(tmp_path / "x", files))
    assert not (tmp_path / "broken-in").exists()


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps({"data": 1})[:-3]])
def test_a_broken_pickle_is_named(content, tmp_path):
    with pytest.raises(DataError, match=REFUSED.format("")):
        opened(write_files(tmp_path, {**python10(), "cifar-10-batches-py/data_batch_1": content}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], r"holds a list; expected a dict; fetch the file again$"),
        ({"data": 1}, r"has no array 'data' or no list 'labels'; expected CIFAR-10's Python version; correct data.cla"),
        (
            {"data": np.zeros((2, 5), dtype=np.uint8), "labels": [1, 2]},
            r"uint8 \(2, 5\) for 2 labels; expected uint8 \(2, 3072\); fetch the file again$",
        ),
        (
            {"data": np.zeros((2, 3072), dtype=np.uint8), "labels": [1, 10]},
            r"labels from 1 to 10; expected 0 to 9; correct data.classes, or fetch the file again$",
        ),
    ],
)
def test_odd_content_is_named(value, message, tmp_path):
    files = {**python10(), "cifar-10-batches-py/data_batch_1": pickle.dumps(value)}
    with pytest.raises(DataError, match=rf"^{tmp_path}/cifar-10-batches-py/data_batch_1: {message}"):
        opened(write_files(tmp_path, files))


def test_missing_and_odd_files_are_named(tmp_path):
    files = binary10()
    with pytest.raises(
        DataError,
        match=r": has no file train or train.bin; expected CIFAR-100 as its authors give it; correct data.path or data",
    ):
        opened(write_files(tmp_path / "a", files), classes=100)
    del files["cifar-10-batches-bin/data_batch_3.bin"]
    with pytest.raises(
        DataError, match=r": has no file data_batch_3.bin; expected all files of CIFAR-10; fetch the archive again$"
    ):
        opened(write_files(tmp_path / "b", files))
    files["cifar-10-batches-bin/data_batch_3.bin"] = b"12345"
    with pytest.raises(
        DataError, match=r"data_batch_3.bin: 5 bytes; expected records of 3073 bytes; fetch the file again$"
    ):
        opened(write_files(tmp_path / "c", files))
    files = {**binary10(), "cifar-10-batches-bin/batches.meta.txt": b"one two"}
    with pytest.raises(
        DataError, match=r"batches.meta.txt: no list of class names; expected 10 of them; fetch the file again$"
    ):
        opened(write_files(tmp_path / "d", files))
