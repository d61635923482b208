"""Sets that are held back share no sentence with the training text or with each other."""

import gzip
import os
import random

import pytest

from attnkit.data.text.held_back import HeldBack, Kept, sentence_key, write_pairs
from attnkit.data.text.parallel_text import Pair
from attnkit.errors import DataError


def corpus(count, *, sentences, seed=3):
    """Pairs with many repeated sources and targets, in changing case and spacing."""
    draw = random.Random(seed)

    def vary(text):
        return draw.choice([text, text.upper(), f" {text} ", text.replace(" ", "  ")])

    return [
        Pair(vary(f"source {draw.randrange(sentences)}"), vary(f"target {draw.randrange(sentences)}"))
        for _ in range(count)
    ]


def keys(pairs, side):
    return {sentence_key(getattr(pair, side)) for pair in pairs}


def test_the_key_ignores_case_and_white_space_only():
    assert sentence_key("  Wie  GEHT\tes? ") == sentence_key("wie geht es?")
    assert sentence_key("wie geht es") != sentence_key("wie geht es?")


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_sentence_is_in_two_sets(seed):
    pairs = corpus(1100, sentences=700, seed=seed)
    held, kept = HeldBack(), Kept()
    held.draw(pairs, valid=13, test=31)
    train = list(held.training_pairs(pairs, kept))
    for side in ("src", "tgt"):
        test, valid, rest = keys(held.test, side), keys(held.valid, side), keys(train, side)
        assert not test & valid
        assert not (test | valid) & rest
    assert len(held.test) == len(keys(held.test, "src")) == 31
    assert 11 <= len(held.valid) <= 13, "a valid pair whose target is in test is left out"
    assert kept.pairs == len(train)
    assert kept.pairs + kept.same_src + kept.same_tgt == len(pairs)
    assert kept.same_tgt > 0


def test_what_is_drawn_depends_on_the_sentences_not_on_their_order():
    pairs = [Pair(f"s {number}", f"t {number}") for number in range(500)]
    first, second = HeldBack(), HeldBack()
    first.draw(pairs, valid=7, test=11)
    second.draw(pairs[::-1], valid=7, test=11)
    assert set(first.test) == set(second.test)
    assert set(first.valid) == set(second.valid)
    assert first.test == sorted(first.test, key=pairs.index), "in the order of the text"
    third = HeldBack()
    third.draw([*pairs, *(Pair(f"x {number}", f"y {number}") for number in range(5))], valid=7, test=11)
    assert len(set(first.test) & set(third.test)) >= 10, "a little more text draws nearly the same"


def test_the_smallest_hashes_are_drawn():
    pairs = [Pair(f"s {number}", f"t {number}") for number in range(300)]
    by_hash = sorted(pairs, key=lambda pair: sentence_key(pair.src))
    held = HeldBack()
    held.draw(pairs, valid=3, test=5)
    assert set(held.test) == set(by_hash[:5])
    assert set(held.valid) == set(by_hash[5:8])


def test_known_sets_are_respected():
    pairs = [Pair(f"s {number}", f"t {number}") for number in range(300)]
    by_hash = sorted(pairs, key=lambda pair: sentence_key(pair.src))
    held, kept = HeldBack(), Kept()
    held.add_known([Pair(by_hash[0].src.upper(), "other"), Pair("another", by_hash[1].tgt)])
    held.draw(pairs, valid=0, test=5)
    assert set(held.test) == set(by_hash[2:7])
    train = list(held.training_pairs(pairs, kept))
    assert (len(train), kept.same_src, kept.same_tgt) == (293, 6, 1)


def test_empty_sides_go_nowhere():
    pairs = [Pair("", f"t {number}") for number in range(50)] + [Pair(f"s {number}", " ") for number in range(50)]
    pairs += [Pair("s", "t"), Pair("u", "v")]
    held, kept = HeldBack(), Kept()
    held.draw(pairs, valid=0, test=1)
    assert held.test[0] in pairs[-2:]
    assert len(list(held.training_pairs(pairs, kept))) == 1
    assert kept.empty == 100


def test_nothing_left_to_train_on():
    held, kept = HeldBack(), Kept()
    pairs = [Pair("a", "b"), Pair("A", "c"), Pair("d", "B"), Pair("", "e")]
    held.add_known(pairs[:1])
    with pytest.raises(DataError, match="training text: each of 4 pairs has an empty side or a sentence that is held"):
        list(held.training_pairs(pairs, kept))


def test_files_are_written_whole(tmp_path):
    pairs = [Pair("größe", "size\u2028x"), Pair("zwei", "two")]
    write_pairs({(tmp_path / "new/a.de.gz", tmp_path / "new/a.en"): pairs, (tmp_path / "b.de", tmp_path / "b.en"): []})
    assert gzip.decompress((tmp_path / "new/a.de.gz").read_bytes()).decode() == "größe\nzwei\n"
    assert (tmp_path / "new/a.en").read_bytes() == "size\u2028x\ntwo\n".encode()
    assert (tmp_path / "b.de").read_bytes() == b""
    first = (tmp_path / "new/a.de.gz").read_bytes()
    os.utime(tmp_path / "new/a.de.gz", (0, 0))
    write_pairs({(tmp_path / "new/a.de.gz", tmp_path / "new/a.en"): pairs})
    assert (tmp_path / "new/a.de.gz").read_bytes() == first


def test_a_failure_leaves_no_file_and_harms_none(tmp_path):
    def broken():
        yield Pair("a", "b")
        raise DataError("data.en:2: not UTF-8")

    (tmp_path / "a.en").write_text("old\n")
    with pytest.raises(DataError, match=r"data\.en:2"):
        write_pairs(
            {(tmp_path / "a.en", tmp_path / "a.de"): [Pair("x", "y")], (tmp_path / "b", tmp_path / "c"): broken()}
        )
    assert [path.name for path in tmp_path.iterdir()] == ["a.en"]
    assert (tmp_path / "a.en").read_text() == "old\n"
