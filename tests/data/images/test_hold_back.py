import numpy as np
import pytest

from attnkit.data.classification.image_set import ArrayImages
from attnkit.data.config import HoldBackConfig
from attnkit.data.data_root import open_tree
from attnkit.data.file_tree import FolderTree
from attnkit.data.images.hold_back import ImageSplits, hold_back, hold_files_back
from attnkit.errors import DataError
from tests.data.image_files import write_files, write_tar

LABELS = np.repeat([0, 1, 2], [50, 20, 11])


def split(labels=LABELS, names=None, *, valid=True, test=True, **changes):
    config = HoldBackConfig(valid=0.2, test=0.1).model_copy(update=changes)
    return hold_back(
        labels, (names or [f"{i}.jpg" for i in range(len(labels))]).__getitem__, config, valid=valid, test=test
    )


def test_each_class_gives_its_share():
    parts = split()
    counts = {name: np.bincount(LABELS[rows]).tolist() for name, rows in parts.items()}
    assert counts == {"train": [35, 14, 8], "valid": [10, 4, 2], "test": [5, 2, 1]}
    assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(81))
    assert all((np.diff(rows) > 0).all() for rows in parts.values())


def test_names_and_seed_decide_and_not_the_order():
    names = [f"{i}.jpg" for i in range(81)]
    order = np.random.default_rng(0).permutation(81)
    shuffled = split(LABELS[order], [names[i] for i in order])
    assert {names[order[row]] for row in shuffled["valid"]} == {names[row] for row in split()["valid"]}
    assert split(seed=2)["valid"].tolist() != split()["valid"].tolist()


def test_hardly_anything_moves_when_files_are_added():
    names = [f"{i}.jpg" for i in range(1000)]
    before, after = (split(np.zeros(count, dtype=np.int64), names[:count]) for count in (900, 1000))
    old = set(range(900))
    for held in ("valid", "test"):
        kept = set(before[held].tolist()) & set(after[held].tolist())
        assert len(kept) > 0.85 * len(before[held])
        assert not set(before[held].tolist()) - kept - set(after["train"].tolist())
        assert not (set(after[held].tolist()) & old) - kept - set(before["train"].tolist())


def test_only_what_is_missing_is_held_back():
    assert len(split(valid=False)["valid"]) == 0
    assert len(split(valid=False)["test"]) == 8
    assert len(split(test=False)["test"]) == 0
    assert split(valid=False, test=False)["train"].tolist() == list(range(81))


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_training_image_of_each_class_is_left(count):
    config = HoldBackConfig(valid=0.9, test=0.9)
    parts = hold_back(np.zeros(count, dtype=np.int64), str, config, valid=True, test=True)
    assert len(parts["train"]) == 1
    assert len(parts["test"]) == count - 1


def test_no_images():
    assert [len(rows) for rows in split(LABELS[:0]).values()] == [0, 0, 0]


CONFIG = HoldBackConfig(valid=0.2, test=0.1)


def parts(tmp_path, contents, *, has_valid=False, has_test=False, config=CONFIG):
    tree = open_tree(write_files(tmp_path, {f"{i:03}.png": content for i, content in enumerate(contents)}))
    wanted = {"valid": not has_valid, "test": not has_test}
    shares = hold_files_back(tree, np.arange(len(contents)), tree.names.__getitem__, config, **wanted)
    return [shares[split].tolist() for split in ("train", "valid", "test")]


def test_shares_of_all(tmp_path):
    train, valid, test = parts(tmp_path, [bytes([i]) for i in range(50)])
    assert (len(train), len(valid), len(test)) == (35, 10, 5)
    assert sorted(train + valid + test) == list(range(50))
    assert train == sorted(train)


def test_equal_files_stay_together(tmp_path):
    contents = [b"%02d" % (i % 20) for i in range(60)]
    shares = parts(tmp_path, contents)
    assert sorted(row for share in shares for row in share) == list(range(60))
    assert [len(share) for share in shares] == [42, 12, 6]
    different = [len({contents[row] for row in share}) for share in shares]
    assert different == [14, 4, 2]


class Watched(FolderTree):
    """Tells which files are read whole, and which from their beginning."""

    def __init__(self, path):
        super().__init__(path)
        self.whole, self.begun = [], []

    def read(self, number):
        self.whole.append(number)
        return super().read(number)

    def source(self, number):
        self.begun.append(number)
        return super().source(number)


def held(tree):
    numbers = np.arange(len(tree.names))
    return hold_files_back(tree, numbers, tree.names.__getitem__, CONFIG, valid=True, test=False)["valid"]


def test_only_files_that_begin_alike_are_read_whole(tmp_path):
    begin = bytes(4096)
    contents = [b"1", b"22", b"33", b"44", begin + b"5", begin + b"6", begin + b"5", b"7" + begin, b"", b""]
    tree = Watched(write_files(tmp_path, {f"{i}.png": content for i, content in enumerate(contents)}))
    held(tree)
    assert (tree.begun, tree.whole) == ([1, 2, 3, 4, 5, 6, 7], [4, 5, 6])


@pytest.mark.parametrize("archive", [False, True])
def test_files_that_differ_at_their_ends_are_different(archive, tmp_path):
    begin = bytes(5000)
    files = {f"{i:02}.png": begin + bytes([i % 10]) for i in range(20)}
    tree = open_tree(write_tar(tmp_path / "a.tar", files) if archive else write_files(tmp_path / "a", files))
    found = held(tree).tolist()
    assert len(found) == 4
    assert sorted(row % 10 for row in found[:2]) == sorted(row % 10 for row in found[2:])


def test_a_file_that_is_gone_when_it_is_to_be_read(tmp_path):
    tree = Watched(write_files(tmp_path, {f"{i}.png": bytes([i]) for i in range(3)}))
    tree.size = lambda number: 1
    (tmp_path / "1.png").unlink()
    with pytest.raises(
        DataError, match=rf"^{tmp_path}/1.png: cannot be read \(No such file or directory\); expected a "
    ):
        held(tree)


def test_only_the_missing_files_are_held_back(tmp_path):
    contents = [bytes([i]) for i in range(20)]
    assert [len(share) for share in parts(tmp_path, contents, has_valid=True)] == [18, 0, 2]
    assert [len(share) for share in parts(tmp_path, contents, has_valid=True, has_test=True)] == [20, 0, 0]
    none = HoldBackConfig(valid=0.0)
    assert [len(share) for share in parts(tmp_path, contents, config=none)] == [20, 0, 0]


class Arrays(ImageSplits):
    """Training images, and others that `own` names."""

    IMAGES = ArrayImages(np.zeros((81, 3, 2, 5), dtype=np.uint8), LABELS, "abc", place=str)

    def __init__(self, *own):
        super().__init__(HoldBackConfig(valid=0.2))
        self.own, self.shared = own, 0

    def has(self, split):
        return split in ("train", *self.own)

    def read(self, split):
        return self.IMAGES

    def share_out(self, images, config, *, valid, test):
        self.shared += 1
        return hold_back(images.labels, str, config, valid=valid, test=test)


def test_a_set_is_split():
    splits = Arrays()
    assert np.bincount(splits.open("valid").labels).tolist() == [10, 4, 2]
    assert np.bincount(splits.open("train").labels).tolist() == [40, 16, 9]
    assert splits.open("test") is None
    assert splits.shared == 1
    assert Arrays("valid", "test").open("train") is Arrays.IMAGES
    assert Arrays("valid", "test").open("valid") is Arrays.IMAGES
