import numpy as np

from attnkit.data.config import HoldBackConfig
from attnkit.data.file_tree import open_tree
from attnkit.data.images.hold_back_files import hold_files_back
from tests.data.image_files import write_files

CONFIG = HoldBackConfig(valid=0.2, test=0.1)


def parts(tmp_path, contents, *, has_valid=False, has_test=False, config=CONFIG):
    tree = open_tree(write_files(tmp_path, {f"{i:03}.png": content for i, content in enumerate(contents)}))
    numbers = np.arange(len(contents))
    return [
        hold_files_back(
            tree, numbers, split, config, has_valid=has_valid, has_test=has_test, name=tree.names.__getitem__
        ).tolist()
        for split in ("train", "valid", "test")
    ]


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


def test_only_what_is_missing_is_held_back(tmp_path):
    contents = [bytes([i]) for i in range(20)]
    assert [len(share) for share in parts(tmp_path, contents, has_valid=True)] == [18, 0, 2]
    assert [len(share) for share in parts(tmp_path, contents, has_valid=True, has_test=True)] == [20, 0, 0]
    none = HoldBackConfig(valid=0.0)
    assert [len(share) for share in parts(tmp_path, contents, config=none)] == [20, 0, 0]
