"""BLEU, chrF and TER against values worked out by hand, and the values that JoeyNMT's tests hold."""

import json
import math

import pytest

from attnkit.errors import AttnkitError
from attnkit.metrics.text import reading, score_text


def test_bleu_by_hand():
    # a b c d e match: 5 of 7 words, 4 of 6 pairs, 3 of 5 triples, 2 of 4 quadruples; the product is 1/7.
    score = score_text("bleu", ["a b c d e f g"], [["a b c d e x y"]], tokenize="none")
    assert score.value == pytest.approx(100 * (1 / 7) ** 0.25)
    assert score.name == "BLEU"
    assert score.higher_is_better


def test_bleu_brevity_by_hand():
    # Every n-gram matches; 5 words against 7: only the brevity penalty exp(1 - 7/5) counts.
    score = score_text("bleu", ["a b c d e"], [["a b c d e f g"]], tokenize="none")
    assert score.value == pytest.approx(100 * math.exp(1 - 7 / 5))


def test_bleu_counts_over_the_corpus_and_clips():
    # Words 5 of 7 and 1 of 4 (z is clipped); pairs 4/6 and 0/3; triples 3/5 and 0/2; quadruples 2/4 and 0/1.
    hypotheses = ["a b c d e f g", "z z z z"]
    score = score_text("bleu", hypotheses, [["a b c d e x y", "z"]], tokenize="none")
    assert score.value == pytest.approx(100 * (6 / 11 * 4 / 9 * 3 / 7 * 2 / 5) ** 0.25)


def test_bleu_takes_the_best_of_several_references():
    hypotheses = ["a b c d e f g"]
    one = score_text("bleu", hypotheses, [["a b c d e x y"]], tokenize="none")
    two = score_text("bleu", hypotheses, [["a b c d e x y"], ["v w c d e f g"]], tokenize="none")
    # The second adds f, g; e f, f g; d e f, e f g; c d e f, d e f g.
    assert one.value < two.value == pytest.approx(100 * (7 / 7 * 6 / 6 * 5 / 5 * 4 / 4) ** 0.25)
    assert "nrefs:2" in two.signature


def test_joeynmt_bleu_value():
    score = score_text("bleu", ["This is a test."], [["this is a Tezt."]], lowercase=True)
    assert score.value == pytest.approx(42.729, abs=5e-4)
    assert "case:lc" in score.signature
    assert "tok:13a" in score.signature


@pytest.mark.parametrize(
    ("hypothesis", "reference", "whitespace", "value"),
    [("t est", "tez t", False, 0.271), ("これはテストです。", "これは テストです。", True, 0.558)],
)
def test_joeynmt_chrf_values(hypothesis, reference, whitespace, value):
    score = score_text("chrf", [hypothesis], [[reference]], whitespace=whitespace)
    assert score.value / 100 == pytest.approx(value, abs=5e-4)
    assert score.name == "chrF2"


def test_ter_by_hand():
    # One word replaced and one missing, of 8 reference words; case does not count.
    score = score_text("ter", ["A b c d e f q"], [["a b c d e f g h"]])
    assert score.value == pytest.approx(100 * 2 / 8)
    assert not score.higher_is_better


def test_perfect_and_hopeless():
    lines = ["one two three four five", "six seven eight nine ten eleven"]
    assert score_text("bleu", lines, [lines]).value == pytest.approx(100)
    assert score_text("chrf", lines, [lines]).value == pytest.approx(100)
    assert score_text("ter", lines, [lines]).value == 0
    assert score_text("bleu", ["", ""], [lines]).value == 0


def many(count, *, wrong):
    """References of 6 words; every `wrong`-th hypothesis has its last two replaced."""
    references = [f"w{i} a b c d e" for i in range(count)]
    hypotheses = [f"w{i} a b c x y" if i % wrong == 0 else f"w{i} a b c d e" for i in range(count)]
    return hypotheses, references


def test_the_interval_is_the_same_each_time_and_holds_the_score():
    hypotheses, references = many(60, wrong=3)
    first = score_text("bleu", hypotheses, [references])
    again = score_text("bleu", hypotheses, [references])
    assert first == again
    assert first.low < first.value < first.high
    assert "bs:1000|seed:12345" in first.signature


def test_no_interval_when_none_is_asked_for():
    hypotheses, references = many(10, wrong=3)
    score = score_text("bleu", hypotheses, [references], resamples=0)
    assert (score.low, score.high) == (None, None)
    assert "bs:" not in score.signature


def test_a_clear_difference_is_significant_and_none_is_not():
    good, references = many(100, wrong=20)
    bad, _ = many(100, wrong=2)
    better = score_text("bleu", good, [references], baseline=bad)
    assert better.baseline.p_value < 0.01
    assert better.baseline.value == score_text("bleu", bad, [references]).value < better.value
    same = score_text("bleu", good, [references], baseline=good)
    assert same.baseline.p_value == 1
    assert same.baseline.value == same.value


def test_every_number_goes_into_json():
    hypotheses, references = many(20, wrong=3)
    for metric in ("bleu", "chrf", "ter"):
        score = score_text(metric, hypotheses, [references], baseline=references)
        assert json.loads(json.dumps(score.as_dict()))["baseline"]["value"] == pytest.approx(
            0 if metric == "ter" else 100
        )


def test_a_baseline_does_not_change_the_score_or_its_interval():
    hypotheses, references = many(40, wrong=3)
    other, _ = many(40, wrong=4)
    for metric in ("bleu", "chrf", "ter"):
        alone = score_text(metric, hypotheses, [references])
        compared = score_text(metric, hypotheses, [references], baseline=other)
        assert (compared.value, compared.name) == (alone.value, alone.name)
        assert (compared.low, compared.high) == pytest.approx((alone.low, alone.high), rel=1e-5)
        assert compared.signature == alone.signature


def test_large_sets_get_fewer_resamples_then_none():
    hypotheses, references = many(50, wrong=3)
    assert "bs:77|" in score_text("bleu", hypotheses, [references], max_draws=50 * 77).signature
    score = score_text("bleu", hypotheses, [references], baseline=references, max_draws=50 * 39)
    assert (score.low, score.baseline.p_value, score.baseline.value) == (None, None, pytest.approx(100))


@pytest.mark.parametrize(
    ("bleu", "words"),
    [
        (29.99, "below 30"),
        (30.0, "30-40: understandable to good translations"),
        (40.0, "40-50: high quality translations"),
        (50.0, "50-60: very high quality, adequate, and fluent translations"),
        (60.0, "50-60: very high quality, adequate, and fluent translations"),
        (60.1, "over 60: quality often better than human"),
    ],
)
def test_the_lectures_reading(bleu, words):
    assert reading(bleu).startswith(words)


def test_mistakes_of_the_caller():
    with pytest.raises(ValueError, match=r"different lengths: \[1, 2\]"):
        score_text("bleu", ["a", "b"], [["a"]])
    with pytest.raises(ValueError, match=r"different lengths: \[1, 2\]"):
        score_text("bleu", ["a", "b"], [["a", "b"]], baseline=["a"])
    with pytest.raises(ValueError, match="0 hypotheses, 1 reference lists"):
        score_text("bleu", [], [[]])
    with pytest.raises(ValueError, match="unknown metric 'meteor'; expected one of bleu, chrf, ter"):
        score_text("meteor", ["a"], [["a"]])


def test_tokenizer_mistakes_are_one_line():
    with pytest.raises(
        AttnkitError, match="tokenize: sacreBLEU has no tokenizer '13b'; expected one of 13a, "
    ) as caught:
        score_text("bleu", ["a"], [["a"]], tokenize="13b")
    assert "\n" not in str(caught.value)


def test_a_tokenizer_without_its_packages(monkeypatch):
    def refuse(*args, **kwargs):
        raise RuntimeError("\nJapanese needs\n   pip install sacrebleu[ja]\n")

    monkeypatch.setattr("sacrebleu.metrics.bleu.BLEU.__init__", refuse)
    with pytest.raises(
        AttnkitError, match=r"cannot load its tokenizer 'ja-mecab': Japanese needs pip install sacrebleu\[ja\];"
    ):
        score_text("bleu", ["a"], [["a"]], tokenize="ja-mecab")
