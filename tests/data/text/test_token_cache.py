import errno
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest

from attnkit.data.text import token_cache
from attnkit.data.text.token_cache import PairCounts, SubwordSampler, TokenCache, build_token_cache
from attnkit.errors import DataError
from tests.data.fakes import ListedPairs, Numbers, line

PAIRS = [
    ("5 6 7", "8 9"),
    ("", "8"),
    ("5", " "),
    (line(11), line(5)),  # 2.2 times as long
    (line(20), line(4)),  # 5 times
    (line(9), line(1)),  # 9 times, but short
    (line(3), line(16)),  # 5.3 times
    (line(25), line(25)),
    (line(26), line(25)),
    ("5 5 5", "6"),
]


def build(folder, pairs=PAIRS, *, src=None, tgt=None, max_length=25, max_ratio=4.0, **options):
    pairs = pairs if isinstance(pairs, ListedPairs) else ListedPairs(pairs)
    src, tgt = src or Numbers(), tgt or Numbers()
    return build_token_cache(pairs, src, tgt, max_length=max_length, max_ratio=max_ratio, folder=folder, **options)


def test_what_is_kept(tmp_path):
    cache = build(tmp_path)
    assert cache.counts == PairCounts(read=10, kept=5, empty=2, too_long=1, uneven=2)
    assert len(cache) == 5
    assert cache.numbers.tolist() == [1, 4, 6, 8, 10]
    assert cache.src_lengths.tolist() == [3, 11, 9, 25, 3]
    assert cache.tgt_lengths.tolist() == [2, 5, 1, 25, 1]
    assert cache.src(0).tolist() == [5, 6, 7]
    assert cache.tgt(4).tolist() == [6]
    src, tgt = cache.rows(np.array([4, 0]))
    assert (src.flat().tolist(), tgt.flat().tolist()) == ([5, 5, 5, 5, 6, 7], [6, 8, 9])


def test_the_ratio_is_allowed_to_be_met(tmp_path):
    assert len(build(tmp_path, [(line(12), line(3)), (line(13), line(3))])) == 1


def test_chunks_do_not_show(tmp_path):
    pairs = [(line(1 + i % 5, first=i % 50), line(1 + i % 3)) for i in range(23_000)]
    pairs[9] = ("", "5")
    seen = []
    cache = build(tmp_path, pairs, keep_text=True, progress=seen.append)
    assert seen == [10_000, 20_000, 23_000]
    kept = [pair for pair in pairs if pair[0]]
    src, tgt = zip(*kept, strict=True)
    everything = np.arange(len(kept))
    assert len(cache) == len(kept)
    assert cache.lines(everything) == (list(src), list(tgt))
    assert cache.numbers.tolist() == [i for i in range(1, 23_001) if i != 10]
    for side, rows in zip((src, tgt), cache.rows(everything), strict=True):
        assert rows.flat().tolist() == [int(word) for text in side for word in text.split()]
        assert rows.lengths.tolist() == [len(text.split()) for text in side]


def test_the_text_is_kept_when_asked(tmp_path):
    pairs = ListedPairs([("4", "5"), ("", "6"), ("7 8", "９")])  # the last is a full-width 9, three bytes
    cache = build(tmp_path, pairs, keep_text=True)
    assert cache.lines(np.array([1, 0])) == (["7 8", "4"], ["９", "5"])
    without = build(tmp_path, pairs)
    with pytest.raises(ValueError, match="this token cache was built without keep_text"):
        without.lines(np.array([0]))


@pytest.mark.parametrize(("vocab_size", "width"), [(65_536, 2), (65_537, 4)])
def test_ids_are_as_wide_as_the_larger_vocabulary_needs(vocab_size, width, tmp_path):
    largest = vocab_size - 1
    cache = build(tmp_path, [("5", f"{largest} 4")], tgt=Numbers(vocab_size))
    assert cache.tgt(0).tolist() == [largest, 4]
    assert (cache.folder / "tgt.values").stat().st_size == 2 * width
    assert (cache.folder / "src.values").stat().st_size == width


def test_the_same_inputs_are_encoded_once(tmp_path):
    src = Numbers()
    first = build(tmp_path, src=src)
    assert src.lines_encoded == 10
    again = build(tmp_path, src=src)
    assert src.lines_encoded == 10
    assert again.folder == first.folder
    assert again.counts == first.counts


def test_whatever_matters_makes_another_cache(tmp_path):
    folders = [
        build(tmp_path, **changed).folder
        for changed in (
            {},
            {"pairs": ListedPairs(PAIRS, "other")},
            {"src": Numbers(fingerprint="other")},
            {"tgt": Numbers(fingerprint="other")},
            {"max_length": 24},
            {"max_ratio": 5.5},
            {"keep_text": True},
        )
    ]
    assert len(set(folders)) == 7
    assert not list(tmp_path.glob("*.partial-*"))


def test_it_stands_in_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert build(None).folder.parent == tmp_path / "attnkit" / "tokens"


@pytest.mark.parametrize("damage", ["truncated", "missing", "no json", "format"])
def test_a_damaged_cache_is_made_again(damage, tmp_path):
    folder = build(tmp_path).folder
    about = json.loads((folder / "cache.json").read_text())
    if damage == "truncated":
        (folder / "src.values").write_bytes((folder / "src.values").read_bytes()[:-2])
    elif damage == "missing":
        (folder / "numbers").unlink()
    elif damage == "no json":
        (folder / "cache.json").write_text("{")
    else:
        (folder / "cache.json").write_text(json.dumps({**about, "format": 0}))
    with pytest.raises((OSError, ValueError)):
        TokenCache(folder)
    src = Numbers()
    assert build(tmp_path, src=src).src(0).tolist() == [5, 6, 7]
    assert src.lines_encoded == 10


def test_nothing_half_built_stays(tmp_path):
    class Breaks(Numbers):
        def encode(self, lines):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(tmp_path, tgt=Breaks())
    assert not list(tmp_path.iterdir())


def test_what_a_killed_process_left_is_removed(tmp_path):
    folder = build(tmp_path).folder
    old, new, other = (
        tmp_path / name for name in (f"{folder.name}.partial-a", f"{folder.name}.partial-b", "c.partial-")
    )
    for path in (old, new, other):
        path.mkdir()
        (path / "src.values").write_bytes(b"12")
    long_ago = time.time() - 2 * 3600
    for path in (old, old / "src.values", new, other, other / "src.values"):
        os.utime(path, (long_ago, long_ago))
    shutil.rmtree(folder)
    build(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([folder.name, new.name, other.name])


def test_another_process_was_faster(tmp_path, monkeypatch):
    other = build(tmp_path / "elsewhere").folder

    class Slow(Numbers):
        def encode(self, lines):
            if not (tmp_path / other.name).exists():
                shutil.copytree(other, tmp_path / other.name)
            return super().encode(lines)

    cache = build(tmp_path, src=Slow())
    assert cache.src(0).tolist() == [5, 6, 7]
    assert [path.name for path in tmp_path.iterdir() if "partial" in path.name] == []


def test_nothing_is_left(tmp_path):
    with pytest.raises(DataError) as caught:
        build(tmp_path, [("", "5"), (line(30), line(30)), (line(20), line(2))])
    assert str(caught.value) == (
        "listed pairs: no training pair is left of 3: 1 empty, 1 longer than 25 tokens, 1 with a length ratio above "
        "4.0; expected at least one; raise filter.max_length or filter.max_ratio"
    )
    assert not list(tmp_path.iterdir())


def test_the_disk_is_full(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(token_cache.RaggedWriter, "append", full)
    with pytest.raises(
        DataError,
        match=r": the cache cannot be written \(No space left on device\); expected room and permission to "
        r"write; free some space, or set XDG_CACHE_HOME to another place$",
    ):
        build(tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_place_is_a_file(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="the cache cannot be written"):
        build(Path(tmp_path / "file"))


class Seeded(Numbers):
    """Cuts every line into the seed and its first number."""

    def sample(self, lines, *, seed):
        return [[seed, int(line.split()[0])] for line in lines]


@pytest.fixture
def cache(tmp_path):
    pairs = ListedPairs([(f"{i} 5", f"{i + 10} 6") for i in range(20, 30)])
    return build_token_cache(pairs, Numbers(), Numbers(), max_length=9, max_ratio=9, folder=tmp_path, keep_text=True)


def test_the_lines_of_a_batch_are_cut_anew(cache):
    src, tgt = SubwordSampler(cache, Seeded(), Seeded(), seed=1)(np.array([3, 0]), 0)
    assert ([row[1] for row in src], [row[1] for row in tgt]) == ([23, 20], [33, 30])
    assert src[0][0] != tgt[0][0]


def test_the_cut_depends_on_seed_epoch_and_pairs(cache):
    def seed(indices, epoch, seed=1):
        return SubwordSampler(cache, Seeded(), Seeded(), seed=seed)(indices, epoch)[0][0][0]

    some = np.array([3, 0], dtype=np.int64)
    assert seed(some, 0) == seed(some.astype(np.int32), 0)
    assert len({seed(some, 0), seed(some, 1), seed(some, 0, seed=2), seed(np.array([0, 3]), 0)}) == 4
    assert seed(some, 0) == 3289987975  # a change here changes every training run with sampling
