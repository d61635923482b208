"""What stands in for files and tokenizers in the tests of data."""

from attnkit.data.text.parallel_text import Pair, ParallelText


class Numbers:
    """A tokenizer of lines such as `7 12`, whose ids are the numbers themselves."""

    unk_id = 1

    def __init__(self, vocab_size=100, fingerprint="numbers"):
        self.vocab_size = vocab_size
        self.fingerprint = fingerprint
        self.lines_encoded = 0

    def encode(self, lines):
        self.lines_encoded += len(lines)
        return [[int(word) for word in line.split()] for line in lines]


class ListedPairs(ParallelText):
    """Pairs in memory."""

    def __init__(self, pairs, fingerprint="listed"):
        self._pairs = [Pair(*pair) for pair in pairs]
        self._fingerprint = fingerprint

    def __iter__(self):
        return iter(self._pairs)

    def describe(self):
        return "listed pairs"

    def fingerprint(self):
        return self._fingerprint

    def src_place(self, number):
        return f"src:{number}"

    def tgt_place(self, number):
        return f"tgt:{number}"


def line(length, first=4):
    """A line for Numbers, of so many tokens."""
    return " ".join(str(first + i % 7) for i in range(length))
