import numpy as np
import pytest

from attnkit.data.text.subword_sampling import SubwordSampler
from attnkit.data.text.token_cache import build_token_cache
from tests.data.fakes import ListedPairs, Numbers


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
