"""A translator without a network: capitals and exclamation marks."""

from dataclasses import dataclass, field


@dataclass
class FakeTranslation:
    """What a search would give."""

    text: str
    score: float = -0.25
    log_prob: float = -1.5
    pieces: tuple[str, ...] = ("▁a", "b")
    token_log_probs: tuple[float, ...] = (-0.5, -0.75, -0.25)


@dataclass
class FakeTranslator:
    """Writes lines in capitals, the nth best with n exclamation marks; remembers what it was asked."""

    asked: list = field(default_factory=list)

    def translate(self, lines, *, decode, n_best=1, prefixes=None, batch_size=None, lines_before=0):
        self.asked.append((list(lines), decode, n_best, prefixes, batch_size))
        starts = prefixes or [""] * len(lines)
        return [
            [FakeTranslation(start + line.upper() + "!" * n, -0.25 - n) for n in range(n_best)]
            for line, start in zip(lines, starts, strict=True)
        ]
