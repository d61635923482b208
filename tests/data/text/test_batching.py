import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from attnkit.data.text.batching import (
    Batch,
    TokenBatches,
    batches_in_order_of_length,
    by_length,
    cut,
    cut_into,
    make_batch,
)
from attnkit.data.text.token_cache import build_token_cache
from attnkit.errors import DataError
from tests.data.fakes import ListedPairs, Numbers, line

PAD, BOS, EOS = 0, 2, 3


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    generator = np.random.default_rng(0)
    lengths = generator.integers(1, 25, size=(500, 2))
    pairs = [(line(s, first=4 + i % 60), line(t, first=4 + i % 50)) for i, (s, t) in enumerate(lengths)]
    return build_token_cache(
        ListedPairs(pairs),
        Numbers(),
        Numbers(),
        max_length=50,
        max_ratio=50,
        folder=tmp_path_factory.mktemp("cache"),
    )


def batches_of(cache, **options):
    return TokenBatches(cache, **{"batch_tokens": (120, 100), "seed": 1, **options})


def same(a: Batch, b: Batch) -> bool:
    return all(torch.equal(getattr(a, name), getattr(b, name)) for name in ("src", "tgt_in", "tgt_out"))


def test_a_batch_by_hand():
    batch = make_batch([[7, 8], [9], []], [[5], [6, 7, 8], [4]])
    assert batch.src.tolist() == [[7, 8, 3], [9, 3, 0], [3, 0, 0]]
    assert batch.tgt_in.tolist() == [[2, 5, 0, 0], [2, 6, 7, 8], [2, 4, 0, 0]]
    assert batch.tgt_out.tolist() == [[5, 3, 0, 0], [6, 7, 8, 3], [4, 3, 0, 0]]
    assert batch.indices.tolist() == [0, 1, 2]
    assert (len(batch), batch.num_tgt_tokens, batch.pad_id) == (3, 8, 0)
    assert batch.src.dtype == batch.tgt_in.dtype == batch.tgt_out.dtype == torch.int64
    other = make_batch([[7, 8], [9]], [[5], [6]], pad_id=9, bos_id=1, eos_id=4)
    assert (other.src.tolist(), other.tgt_in.tolist()) == ([[7, 8, 4], [9, 4, 9]], [[1, 5], [1, 6]])
    assert other.pad_id == 9


def test_halves():
    batch = make_batch([[7, 8], [9], [5, 5, 5, 5, 5]], [[5], [6, 7, 8], [4]])
    first, second = batch.halves()
    assert (first.src.tolist(), first.tgt_in.tolist(), first.tgt_out.tolist()) == ([[7, 8, 3]], [[2, 5]], [[5, 3]])
    assert second.src.tolist() == [[9, 3, 0, 0, 0, 0], [5, 5, 5, 5, 5, 3]]
    assert second.tgt_out.tolist() == [[6, 7, 8, 3], [4, 3, 0, 0]]
    assert (first.indices.tolist(), second.indices.tolist()) == ([0], [1, 2])
    assert (first.num_tgt_tokens, second.num_tgt_tokens) == (2, 6)
    with pytest.raises(ValueError, match="a batch of one sentence cannot be halved"):
        first.halves()


def test_to_a_device():
    batch = make_batch([[7, 8]], [[5]]).to("meta")
    assert {batch.src.device.type, batch.tgt_in.device.type, batch.tgt_out.device.type} == {"meta"}
    assert (batch.num_tgt_tokens, len(batch)) == (2, 1)


def test_every_pair_once_with_its_own_tokens(cache):
    seen = []
    for batch in batches_of(cache).batches(0):
        assert batch.src.numel() <= 120
        assert batch.tgt_in.numel() <= 100
        for row, index in enumerate(batch.indices.tolist()):
            src, tgt = cache.src(index).tolist(), cache.tgt(index).tolist()
            assert batch.src[row].tolist() == [*src, EOS] + [PAD] * (batch.src.shape[1] - len(src) - 1)
            assert batch.tgt_in[row].tolist() == [BOS, *tgt] + [PAD] * (batch.tgt_in.shape[1] - len(tgt) - 1)
            assert batch.tgt_out[row].tolist() == [*tgt, EOS] + [PAD] * (batch.tgt_in.shape[1] - len(tgt) - 1)
        assert batch.num_tgt_tokens == int((batch.tgt_out != PAD).sum())
        seen += batch.indices.tolist()
    assert sorted(seen) == list(range(500))


@pytest.mark.parametrize("pool", [64, 499, 500, 10_000])
def test_any_pool_holds_every_pair(cache, pool):
    batches = list(batches_of(cache, pool=pool).batches(3))
    assert sorted(np.concatenate([batch.indices for batch in batches])) == list(range(500))
    assert batches_of(cache, pool=pool).num_batches(3) == len(batches)


def test_the_order_depends_on_seed_and_epoch(cache):
    first = list(batches_of(cache).batches(0))
    batches = batches_of(cache)
    list(batches.batches(4))
    again = list(batches.batches(0))
    assert len(first) == len(again)
    assert all(map(same, first, again))

    def order(epoch, seed):
        return np.concatenate([batch.indices for batch in batches_of(cache, seed=seed).batches(epoch)]).tolist()

    assert order(0, seed=1) != order(1, seed=1)
    assert order(0, seed=1) != order(0, seed=2)
    assert order(1, seed=2) != order(2, seed=1)


def test_the_order_stays_as_it_is(cache):
    # A change here changes every training run: it belongs in the CHANGELOG under Numerics.
    batches = batches_of(cache, pool=200).batches(2)
    assert [next(batches).indices.tolist()[:3] for _ in range(3)] == [[465, 110, 141], [215, 160, 371], [21, 48, 193]]


def test_neither_order_nor_lengths_go_up_through_the_epoch(cache):
    widths = [batch.src.shape[1] for batch in batches_of(cache).batches(0)]
    assert widths != sorted(widths)
    assert abs(np.corrcoef(widths, range(len(widths)))[0, 1]) < 0.4


@pytest.mark.parametrize("pool", [90, 10_000])
def test_a_start_in_the_middle(cache, pool):
    whole = list(batches_of(cache, pool=pool).batches(1))
    for start in (0, 1, 7, len(whole) - 1, len(whole)):
        rest = list(batches_of(cache, pool=pool).batches(1, start=start))
        assert len(rest) == len(whole) - start
        assert all(map(same, rest, whole[start:]))


def test_passing_over_batches_reads_none(cache, monkeypatch):
    read = []
    rows = type(cache).rows
    monkeypatch.setattr(type(cache), "rows", lambda self, indices: read.append(len(indices)) or rows(self, indices))
    batches = batches_of(cache, pool=100)
    count = batches.num_batches(0)
    assert not read
    assert len(list(batches.batches(0, start=count - 2))) == len(read) == 2


def test_little_padding(tmp_path):
    generator = np.random.default_rng(0)
    pairs = [(line(n), line(n + d)) for n, d in generator.integers((1, 0), (25, 3), (500, 2))]
    cache = build_token_cache(ListedPairs(pairs), Numbers(), Numbers(), max_length=50, max_ratio=9, folder=tmp_path)
    tokens = padded = 0
    for batch in batches_of(cache, batch_tokens=(1000, 1000)).batches(0):
        tokens += sum(int((ids != PAD).sum()) for ids in (batch.src, batch.tgt_out))
        padded += batch.src.numel() + batch.tgt_out.numel()
    assert 1 - tokens / padded < 0.12  # in random order it is near one half


def test_a_sentence_above_the_limit(cache):
    with pytest.raises(DataError) as caught:
        batches_of(cache, batch_tokens=(24, 100))
    assert str(caught.value) == (
        "batch.src_tokens: 24 is less than the 25 tokens of the longest training sentence; "
        "expected at least that; set it to 25 or more, or lower filter.max_length"
    )
    with pytest.raises(DataError, match=r"^batch.tgt_tokens: 24 is less than the 25"):
        batches_of(cache, batch_tokens=(25, 24))
    assert sum(map(len, batches_of(cache, batch_tokens=(25, 25)).batches(0))) == 500


def test_the_pages_are_let_go(cache, monkeypatch):
    released = []
    release = type(cache).release
    monkeypatch.setattr(type(cache), "release", lambda self: released.append(release(self)))
    count = len(list(batches_of(cache, release_every=10).batches(0)))
    assert len(released) == count // 10 > 5


def test_validation_batches():
    src = [[5] * n for n in (3, 1, 4, 1, 30)]
    tgt = [[6] * n for n in (2, 7, 1, 8, 2)]
    batches = list(batches_in_order_of_length(src, tgt, batch_tokens=(20, 18)))
    assert [batch.indices.tolist() for batch in batches] == [[1, 3], [4], [2, 0]]
    for batch in batches:
        alone = make_batch([src[i] for i in batch.indices], [tgt[i] for i in batch.indices])
        assert same(batch, alone)
    assert list(batches_in_order_of_length([], [], batch_tokens=(9, 9))) == []


class Doubling:
    """A sampler that cuts every pair into `factor` times its tokens, one more for some; the ids tell epoch and pair."""

    def __init__(self, cache, factor=2):
        self.cache = cache
        self.factor = factor
        self.sampled = 0

    def __call__(self, indices, epoch):
        self.sampled += len(indices)
        src = [[10 + epoch] * (self.factor * int(self.cache.src_lengths[i]) + (int(i) + epoch) % 2) for i in indices]
        tgt = [[int(i)] * (self.factor * int(self.cache.tgt_lengths[i])) for i in indices]
        return src, tgt


class TestSampled:
    def test_every_pair_once_within_the_limits(self, cache):
        batches = batches_of(cache, batch_tokens=(400, 400), sampler=Doubling(cache))
        seen = []
        for batch in batches.batches(1):
            assert batch.src.numel() <= 400
            assert batch.tgt_out.numel() <= 400
            for row, index in enumerate(batch.indices.tolist()):
                tgt = [index] * (2 * int(cache.tgt_lengths[index]))
                assert [i for i in batch.tgt_out[row].tolist() if i != PAD or index == PAD][: len(tgt)] == tgt
                assert batch.src[row, 0] == 11
            seen += batch.indices.tolist()
        assert sorted(seen) == list(range(500))

    def test_the_number_of_batches_is_known_without_sampling(self, cache):
        sampler = Doubling(cache)
        batches = batches_of(cache, batch_tokens=(400, 400), pool=200, sampler=sampler)
        measured = sampler.sampled
        counts = [batches.num_batches(epoch) for epoch in (0, 1)]
        assert sampler.sampled == measured
        assert counts == [len(list(batches.batches(epoch))) for epoch in (0, 1)]

    def test_a_start_in_the_middle_samples_only_from_there(self, cache):
        whole = list(batches_of(cache, batch_tokens=(400, 400), pool=200, sampler=Doubling(cache)).batches(2))
        sampler = Doubling(cache)
        batches = batches_of(cache, batch_tokens=(400, 400), pool=200, sampler=sampler)
        measured = sampler.sampled
        start = len(whole) - 3
        rest = list(batches.batches(2, start=start))
        assert len(rest) == 3
        assert all(map(same, rest, whole[start:]))
        assert sampler.sampled - measured == 100  # the last pool

    def test_more_tokens_than_planned_stretch_the_limits(self, cache):
        sampler = Doubling(cache, factor=1)
        batches = batches_of(cache, batch_tokens=(400, 400), sampler=sampler)
        sampler.factor = 2
        sizes = [batch.tgt_out.numel() for batch in batches.batches(0)]
        assert len(sizes) == batches.num_batches(0)
        assert 400 < max(sizes) < 1200

    def test_a_sentence_above_the_limit(self, cache):
        with pytest.raises(DataError, match=r"^batch.src_tokens: 50 is less than the \d+ tokens of the longest"):
            batches_of(cache, batch_tokens=(50, 100), sampler=Doubling(cache))


LENGTHS = st.lists(st.tuples(st.integers(1, 30), st.integers(1, 30)), min_size=1, max_size=60)


def test_runs_by_hand():
    src, tgt = np.array([2, 2, 3, 3, 5, 7, 4]), np.array([1, 2, 2, 4, 4, 9, 1])
    # 3 x 3 <= 9, 4 x 3 > 9; then 2 x 4 <= 8; 5 and 7 apart, since 2 x 7 > 9; 9 > 8 is alone; 4 x 1 <= 9
    assert cut(src, tgt, (9, 8)).tolist() == [[0, 3], [3, 4], [4, 5], [5, 6], [6, 7]]
    assert cut(src, tgt, (9, 100)).tolist() == [[0, 3], [3, 4], [4, 5], [5, 6], [6, 7]]
    assert cut(src, tgt, (100, 8)).tolist() == [[0, 3], [3, 5], [5, 6], [6, 7]]
    assert cut(src, tgt, (100, 100)).tolist() == [[0, 7]]
    assert cut(src[:0], tgt[:0], (9, 8)).tolist() == []


def fits(src, tgt, limits, first, last):
    rows = last - first
    return rows * max(src[first:last]) <= limits[0] and rows * max(tgt[first:last]) <= limits[1]


@given(LENGTHS, st.tuples(st.integers(1, 90), st.integers(1, 90)))
def test_runs_are_whole_within_the_limits_and_as_long_as_can_be(lengths, limits):
    src, tgt = (np.array(side) for side in zip(*lengths, strict=True))
    cuts = cut(src, tgt, limits).tolist()
    assert [pair for first, last in cuts for pair in range(first, last)] == list(range(len(src)))
    for first, last in cuts:
        assert last - first == 1 or fits(src, tgt, limits, first, last)
        assert last == len(src) or not fits(src, tgt, limits, first, last + 1)


@given(LENGTHS, st.data())
def test_a_given_number_of_runs(lengths, data):
    src, tgt = (np.array(side) for side in zip(*lengths, strict=True))
    count = data.draw(st.integers(1, len(src)))
    cuts = cut_into(src, tgt, (40, 40), count).tolist()
    assert len(cuts) == count
    assert [pair for first, last in cuts for pair in range(first, last)] == list(range(len(src)))


def test_the_limits_are_stretched_by_no_more_than_it_takes():
    lengths = np.full(100, 10)
    assert np.diff(cut_into(lengths, lengths, (100, 100), 10)).tolist() == [[10]] * 10
    # 9 runs of 12 need limits of 120, and no 8 pairs more can be in one
    assert np.diff(cut_into(lengths, lengths, (100, 100), 9)).max() == 12
    assert sorted(np.diff(cut_into(lengths, lengths, (100, 100), 12)).ravel().tolist()) == [5] * 4 + [10] * 8


def test_the_order():
    src, tgt = np.array([3, 1, 2, 1, 3]), np.array([2, 2, 1, 2, 2])
    assert by_length(src, tgt).tolist() == [2, 1, 3, 0, 4]


@pytest.mark.parametrize("size", [1, 50])
def test_a_stretch_of_any_size(size):
    lengths = np.full(size, 1000)
    assert cut_into(lengths, lengths, (10, 10), 1).tolist() == [[0, size]]
