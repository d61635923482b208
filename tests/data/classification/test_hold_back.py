import numpy as np
import pytest

from attnkit.data.classification.hold_back import held_back, split_off
from attnkit.data.classification.image_set import ArrayImages
from attnkit.data.config import HoldBackConfig

LABELS = np.repeat([0, 1, 2], [50, 20, 11])


def split(labels=LABELS, names=None, *, valid=True, test=True, **changes):
    config = HoldBackConfig(valid=0.2, test=0.1).model_copy(update=changes)
    return held_back(
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
    parts = held_back(np.zeros(count, dtype=np.int64), str, config, valid=True, test=True)
    assert len(parts["train"]) == 1
    assert len(parts["test"]) == count - 1


def test_no_images():
    assert [len(rows) for rows in split(LABELS[:0]).values()] == [0, 0, 0]


def test_a_set_is_split():
    images = ArrayImages(np.zeros((81, 3, 2, 5), dtype=np.uint8), LABELS, "abc", place=str)
    config = HoldBackConfig(valid=0.2)
    valid = split_off(images, "valid", config, has_valid=False, has_test=False)
    assert np.bincount(valid.labels).tolist() == [10, 4, 2]
    assert split_off(images, "test", config, has_valid=False, has_test=False) is None
    assert split_off(images, "valid", config, has_valid=True, has_test=True) is None
    assert split_off(images, "train", config, has_valid=True, has_test=True) is images
