"""The check of one split of parallel text: what it counts, and what it says of which line."""

from attnkit.data.text.check_split import TextSplitCheck, duplicates, hashes
from attnkit.data.text.parallel_text import Pair, ParallelText


def test_duplicates_by_hand():
    assert duplicates([hashes(["a", "b"]), hashes(["c", "b", "a", "b"])]) == (3, 2, 4)
    assert duplicates([hashes(["a", "b"])]) == (0, 0, 0)


class Words:
    """A tokenizer of words, which knows those that are not in capitals."""

    unk_id = 1

    def encode(self, lines):
        return [[1 if word.isupper() else 7 for word in line.split()] for line in lines]


def checked(pairs, *, split="train", tokens=True, files=True, chunk=2):
    """All pairs of two files, a chunk at a time."""
    text = FakeText(pairs, files=files)
    words = Words()
    check = TextSplitCheck(split, text, max_length=12, max_ratio=2, tokenizers=(words, words) if tokens else None)
    for first in range(0, len(pairs), chunk):
        check.add(pairs[first : first + chunk], first + 1)
    return check.conclude(), check.stats


class FakeText(ParallelText):
    """Pairs as if they were of two files."""

    def __init__(self, pairs, *, files):
        self.pairs = pairs
        self.named = files

    def __iter__(self):
        return iter(self.pairs)

    def describe(self):
        return "a and b"

    def fingerprint(self):
        return ""

    def files(self):
        return [("a", None), ("b", None)] if self.named else []

    def src_place(self, number):
        return f"a:{number}"

    def tgt_place(self, number):
        return f"b:{number}"


PAIRS = [
    Pair("one two", "eins zwei"),
    Pair("", "drei"),
    Pair("one two", "eins zwei"),
    Pair("a b c d e f g h i j k", "x y z w v"),
    Pair("a b c d e f g h i j k l m", "a b c d e f g h i j k l m"),
    Pair("who IS it", "wer ist es "),
]
"""The third is the first again, the fourth too uneven, the fifth too long and not translated."""


def test_counts_by_hand():
    _, stats = checked(PAIRS)
    assert (stats.pairs, stats.duplicates, stats.left_out) == (6, 1, 3)
    src, tgt = stats.src, stats.tgt
    assert (src.name, src.chars, src.words, src.longest, src.empty) == ("a", 7 + 7 + 21 + 25 + 9, 31, 25, 1)
    assert (tgt.name, tgt.chars, tgt.words, tgt.longest, tgt.empty) == ("b", 9 + 4 + 9 + 9 + 25 + 10, 26, 25, 0)
    assert (src.tokens, src.unknown, tgt.tokens, tgt.unknown) == (31, 1, 26, 0)


def test_each_finding_names_its_line_whatever_the_chunk():
    whats = [f"{one.place}: {one.what}" for one in checked(PAIRS)[0]]
    assert whats == [
        "a:2: empty line, but b:2 has text",
        "a:6: 1 of 31 tokens (3.23%) are unknown to the tokenizer, first here",
        "a:5: longer than 12 tokens",
        "a:4: one side is over 2 times as long as the other",
        "a:5: source and target are the same",
        "a:3: the pair is a copy of line 1",
    ]
    assert [f"{one.place}: {one.what}" for one in checked(PAIRS, chunk=5)[0]] == whats


def test_without_a_tokenizer_only_empty_lines_are_left_out():
    findings, stats = checked(PAIRS, tokens=False)
    assert (stats.left_out, stats.src.tokens, stats.src.unknown) == (1, None, None)
    assert not any("tokens" in one.what for one in findings)


def test_generated_pairs_may_repeat():
    findings, stats = checked(PAIRS, files=False)
    assert stats.duplicates == 0
    assert not any("copy" in one.what for one in findings)


def test_nothing_to_train_on_is_an_error_and_nothing_to_score_is_none():
    empty = [Pair("", "x"), Pair("y", "")]
    (finding,), _ = checked(empty)
    assert (finding.severity, finding.what) == ("error", "none of the 2 pairs checked is left after filtering")
    assert {one.severity for one in checked(empty, split="test")[0]} == {"warning"}
