import math
import random
from collections import Counter
from itertools import cycle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.tokenizers.build import build_tokenizer
from attnkit.tokenizers.config import SentencePieceConfig
from attnkit.tokenizers.cut_sampling import CutSampler, cut_by_merges, cut_by_probability
from tests.tokenizers.text import corpus, english

MERGES = {"ab": -0.0, "bc": -1.0, "abc": -2.0, "cd": -3.0, "a": -4.0, "b": -5.0, "c": -6.0, "d": -7.0}
"""Two earlier merges and two later ones: abcd becomes ab c d, then abc d."""
LOG_PROBS = {"a": math.log(0.2), "b": math.log(0.3), "ab": math.log(0.1), "c": math.log(0.4)}


def drawn(*numbers):
    """The numbers in turn, then from the start again."""
    return cycle(numbers).__next__


def never():
    raise AssertionError("nothing is drawn")


class TestMerges:
    def test_without_dropout(self):
        assert cut_by_merges("abcd", MERGES, 0.0, never) == ["abc", "d"]
        assert cut_by_merges("dcba", MERGES, 0.0, never) == ["d", "c", "b", "a"]
        assert cut_by_merges("abab", MERGES, 0.0, never) == ["ab", "ab"]
        assert cut_by_merges("", MERGES, 0.0, never) == []
        assert cut_by_merges("aéc", MERGES, 0.0, never) == ["a", "é", "c"]

    def test_all_merges_dropped(self):
        assert cut_by_merges("abcd", MERGES, 0.5, drawn(0.49)) == ["a", "b", "c", "d"]

    def test_no_merge_dropped(self):
        assert cut_by_merges("abcd", MERGES, 0.5, drawn(0.5)) == ["abc", "d"]

    def test_the_best_merge_dropped_once(self):
        # ab is dropped, bc is merged (cd is worse, nothing is drawn for it); a bc d: abc is merged; abc d: no merge
        assert cut_by_merges("abcd", MERGES, 0.5, drawn(0.1, 0.9, 0.9)) == ["abc", "d"]
        # ab dropped, bc dropped, cd merged; then ab merged
        assert cut_by_merges("abcd", MERGES, 0.5, drawn(0.1, 0.1, 0.9, 0.9)) == ["ab", "cd"]
        # ab merged; abc dropped, cd merged
        assert cut_by_merges("abcd", MERGES, 0.5, drawn(0.9, 0.1, 0.9)) == ["ab", "cd"]


class TestProbability:
    def test_each_cut_as_often_as_it_should_be(self):
        generator = random.Random(0)
        seen = Counter(tuple(cut_by_probability("abc", LOG_PROBS, 0.5, generator.random)) for _ in range(20_000))
        apart, together = math.sqrt(0.2 * 0.3 * 0.4), math.sqrt(0.1 * 0.4)
        assert set(seen) == {("a", "b", "c"), ("ab", "c")}
        assert seen["ab", "c"] / 20_000 == pytest.approx(together / (apart + together), abs=0.015)

    def test_a_character_that_has_no_piece_stands_alone(self):
        assert cut_by_probability("éc", LOG_PROBS, 1.0, drawn(0.999999)) == ["é", "c"]
        assert cut_by_probability("", LOG_PROBS, 1.0, never) == []

    def test_the_last_cut_is_drawn_when_rounding_leaves_nothing(self):
        assert "".join(cut_by_probability("ababab", LOG_PROBS, 0.3, drawn(1 - 2**-53))) == "ababab"

    def test_very_unlikely_words_do_not_underflow(self):
        assert "".join(cut_by_probability("é" * 500, LOG_PROBS, 1.0, drawn(0.5))) == "é" * 500


def tokenizer_of(algorithm, folder, **options):
    size = 300 + 256 * options.get("byte_fallback", False)
    config = SentencePieceConfig(algorithm=algorithm, vocab_size=size, **options)
    return build_tokenizer(config, english(), folder)


@pytest.fixture(scope="module", params=[False, True], ids=["unknown", "bytes"])
def barely(request, tmp_path_factory):
    """BPE whose dropout is on, and next to none."""
    return tokenizer_of("bpe", tmp_path_factory.mktemp("t"), sampling=1e-12, byte_fallback=request.param)


@given(st.lists(st.text(st.sampled_from("the catmowröße▁猫犬😀 .\u00a0\u0301"), max_size=12), max_size=4))
def test_with_next_to_no_dropout_it_cuts_as_sentencepiece_does(barely, lines):
    assert barely.sample(lines, seed=1) == barely.encode(lines)


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
@pytest.mark.parametrize("byte_fallback", [False, True])
def test_the_text_stays(algorithm, byte_fallback, tmp_path):
    tokenizer = tokenizer_of(algorithm, tmp_path, sampling=0.3, byte_fallback=byte_fallback)
    lines = [*corpus(30, seed=4), "", "the 猫猫 sat", "  the  cat ▁ ", "ﬁelds"]
    sampled = tokenizer.sample(lines, seed=3)
    assert tokenizer.decode(sampled) == tokenizer.decode(tokenizer.encode(lines))
    assert sum(map(len, sampled)) > sum(map(len, tokenizer.encode(lines)))


def test_unigram_is_sampled_as_sentencepiece_samples_it(tmp_path):
    tokenizer = tokenizer_of("unigram", tmp_path, sampling=0.25)
    lines = ["something"] * 4000
    expected = tokenizer._processor.encode(lines, enable_sampling=True, alpha=0.25, nbest_size=-1)
    expected = Counter(map(tuple, expected))
    generator = random.Random(0)
    scores = {tokenizer.pieces([i])[0]: tokenizer._processor.get_score(i) for i in range(4, tokenizer.vocab_size)}
    own = Counter()
    for _ in lines:
        cut = cut_by_probability("▁something", scores, 0.25, generator.random)
        own[tuple(map(tokenizer._processor.piece_to_id, cut))] += 1
    assert len(expected) > 10
    for cut in {*expected, *own}:  # six standard deviations of the difference
        assert abs(expected[cut] - own[cut]) <= 6 * math.sqrt(expected[cut] + own[cut]) + 1


def test_words_are_cut_apart_from_each_other_and_in_many_ways(tmp_path):
    tokenizer = tokenizer_of("bpe", tmp_path, sampling=0.3)
    cuts = {tuple(ids) for ids in tokenizer.sample(["something"] * 200, seed=1)}
    assert 5 < len(cuts) <= 64
    pairs = {tuple(ids) for ids in tokenizer.sample(["something something"] * 200, seed=1)}
    assert len(pairs) > len(cuts)


def test_memory_is_bounded(tmp_path):
    tokenizer = tokenizer_of("bpe", tmp_path, sampling=0.3)
    expected = tokenizer.sample(corpus(50), seed=1)
    cuts = CutSampler(tokenizer._processor, algorithm="bpe", amount=0.3, most_kept=10)
    lines = tokenizer._processor.normalize(corpus(50))
    assert cuts.sample(lines, seed=1) == expected
    assert cuts.sample(["▁the"], seed=2)
    assert len(cuts._kept) == 1
    assert cuts.sample(lines, seed=1) == expected


SAMPLED = {
    "bpe": [["▁the", "▁g", "re", "en", "▁c", "at"], ["▁s", "om", "et", "hing"]],
    "unigram": [["▁the", "▁", "g", "re", "en", "▁ca", "t"], ["▁so", "m", "e", "thing"]],
}


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_every_process_samples_alike(algorithm, tmp_path):
    # A change here changes every training run with sampling: it belongs in the CHANGELOG under Numerics.
    tokenizer = tokenizer_of(algorithm, tmp_path, sampling=0.3)
    sampled = tokenizer.sample(["the green cat", "something"], seed=7)
    assert [tokenizer.pieces(ids) for ids in sampled] == SAMPLED[algorithm]
