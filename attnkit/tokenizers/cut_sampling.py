"""Cutting words at random: BPE dropout, and sampling from a unigram model.

SentencePiece can do both, but what it draws differs from one process to the next whatever its seed is (0.2.3 mixes in
entropy of the process), so a resumed run would not equal an uninterrupted one. Hence this. To be fast in Python it
draws a number of cuts for each word once; a sample picks one of them for every word of a sentence.
"""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Literal, Protocol

_CUTS_PER_WORD = 64
_SPACE = "▁"
_UNKNOWN_PENALTY = 10.0
"""How much less likely an unknown character is than the least likely piece: the constant of SentencePiece."""

Draw = Callable[[], float]
"""A random number from 0 (included) to 1 (excluded)."""


class Pieces(Protocol):
    """What is needed of a SentencePieceProcessor."""

    def vocab_size(self) -> int:
        """Number of pieces."""

    def unk_id(self) -> int:
        """The id of the unknown piece."""

    def id_to_piece(self, piece: int, /) -> str:
        """A piece as text, or the name of a byte or special piece."""

    def get_score(self, piece: int, /) -> float:
        """Unigram: log-probability. BPE: higher is merged earlier."""

    def is_byte(self, piece: int, /) -> bool:
        """Whether it stands for one byte of UTF-8."""

    def is_control(self, piece: int, /) -> bool:
        """Whether it never stands for text."""

    def is_unknown(self, piece: int, /) -> bool:
        """Whether it is the unknown piece."""


class CutSampler:
    """Cuts normalised lines at random, word by word."""

    def __init__(
        self, pieces: Pieces, *, algorithm: Literal["bpe", "unigram"], amount: float, most_kept: int = 2_000_000
    ) -> None:
        """Read a vocabulary.

        Args:
            pieces: the vocabulary.
            algorithm: what it was learned by.
            amount: BPE: the probability that a merge is passed over; unigram: the inverse temperature.
            most_kept: with more cuts than this in memory, all are forgotten before the next sample.
        """
        ids = range(pieces.vocab_size())
        texts = [i for i in ids if not (pieces.is_byte(i) or pieces.is_control(i) or pieces.is_unknown(i))]
        self._ids = {pieces.id_to_piece(i): i for i in texts}
        self._bytes = [i for i in ids if pieces.is_byte(i)]  # in the order of the bytes
        self._unk_id = pieces.unk_id()
        self._scores = {pieces.id_to_piece(i): pieces.get_score(i) for i in texts}
        self._cut = cut_by_merges if algorithm == "bpe" else cut_by_probability
        self._amount = amount
        self._most_kept = most_kept
        self._kept: dict[tuple[str, int], list[int]] = {}

    def sample(self, lines: Sequence[str], *, seed: int) -> list[list[int]]:
        """Cut lines; the same for the same seed, on every machine.

        Args:
            lines: as SentencePiece normalises them: every word opens with `▁`.
            seed: of the choice.
        """
        if len(self._kept) > self._most_kept:
            self._kept = {}
        kept, choose = self._kept, random.Random(seed).random
        sampled = []
        for line in lines:
            ids: list[int] = []
            for word in line.split(_SPACE)[1:]:
                key = word, int(choose() * _CUTS_PER_WORD)
                cut = kept.get(key)
                if cut is None:
                    cut = kept[key] = self._draw_cut(*key)
                ids += cut
            sampled.append(ids)
        return sampled

    def _draw_cut(self, word: str, number: int) -> list[int]:
        """One of the cuts of a word, as ids."""
        draw = random.Random(f"{number} {word}").random
        ids: list[int] = []
        for piece in self._cut(_SPACE + word, self._scores, self._amount, draw):
            known = self._ids.get(piece)
            if known is not None:
                ids.append(known)
            elif self._bytes:
                ids += [self._bytes[byte] for byte in piece.encode()]
            elif not ids or ids[-1] != self._unk_id:  # unknown neighbours are one unknown piece
                ids.append(self._unk_id)
        return ids


def cut_by_merges(word: str, scores: Mapping[str, float], dropout: float, draw: Draw) -> list[str]:
    """Merge neighbours, best first, each possible merge being passed over now and then.

    Args:
        word: one word.
        scores: of the pieces; two neighbours can merge if what they make has one.
        dropout: the probability that a merge is passed over, drawn anew for each merge at each step; 0 is plain BPE.
        draw: where chance comes from.

    Source: Provilkov et al. 2020, arXiv:1910.13267, algorithm 1.
    """
    parts = list(word)
    while True:
        best, place = -math.inf, -1
        for i, (left, right) in enumerate(pairwise(parts)):
            score = scores.get(left + right)
            if score is not None and score > best and (not dropout or draw() >= dropout):
                best, place = score, i
        if place < 0:
            return parts
        parts[place : place + 2] = [parts[place] + parts[place + 1]]


def cut_by_probability(word: str, scores: Mapping[str, float], sharpness: float, draw: Draw) -> list[str]:
    """Draw a cut with a probability in proportion to the product of its pieces' probabilities to the power `sharpness`.

    Args:
        word: one word.
        scores: log-probabilities of the pieces. A character that has none can stand alone, at a penalty.
        sharpness: 0 takes all cuts as equal, 1 as the model has them.
        draw: where chance comes from.

    Source: Kudo 2018, arXiv:1804.10959, section 3.2, with all cuts in place of the n best: forward filtering, backward
    sampling.
    """
    unknown = min(scores.values()) - _UNKNOWN_PENALTY
    ways: list[list[tuple[int, float]]] = [
        []
    ]  # for each end: the starts of its last piece, and log weights of the whole
    totals = [0.0]
    for end in range(1, len(word) + 1):
        last = []
        for start in range(end):
            score = scores.get(word[start:end])
            if score is None and start == end - 1:
                score = unknown
            if score is not None:
                last.append((start, totals[start] + sharpness * score))
        top = max(weight for _, weight in last)
        totals.append(top + math.log(sum(math.exp(weight - top) for _, weight in last)))
        ways.append(last)
    pieces, end = [], len(word)
    while end:
        left = draw()
        chosen = 0
        for start, weight in ways[end]:
            chosen = start
            left -= math.exp(weight - totals[end])
            if left < 0:
                break
        pieces.append(word[chosen:end])
        end = chosen
    return pieces[::-1]
