"""BLEU, chrF and TER of translations, computed by sacreBLEU (Post 2018, arXiv:1804.08771).

A score without its signature compares with nothing, and a difference of half a point may be chance. So every score
carries the signature, a 95 % interval by bootstrap over the sentences and, against a second system, the p of a paired
bootstrap (Koehn 2004, "Statistical significance tests for machine translation evaluation"). docs/bleu.md tells which
score to use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from attnkit.errors import AttnkitError

if TYPE_CHECKING:
    from sacrebleu.metrics.base import Metric

TextMetricName = Literal["bleu", "chrf", "ter"]
TEXT_METRICS: tuple[str, ...] = get_args(TextMetricName)

RESAMPLES = 1000
"""Bootstrap resamples, as in sacreBLEU's command."""
MAX_DRAWS = 10_000_000
"""Resamples times sentences. sacreBLEU holds all of them, at 50 to 80 bytes, so larger sets get fewer resamples."""
MIN_RESAMPLES = 40
"""The fewest that have a sample beyond each end of a 95 % interval."""


@dataclass(frozen=True)
class BaselineScore:
    """The score of the other system on the same references, and whether the difference may be chance."""

    value: float
    low: float | None
    high: float | None
    p_value: float | None
    """Of the paired bootstrap, two-sided; none where the set is too large to resample."""


@dataclass(frozen=True)
class TextScore:
    """A corpus score and how it came about. `low` and `high` bound the 95 % interval; none if it was not asked for."""

    name: str
    """As it is cited: BLEU, chrF2, TER."""
    value: float
    """0 to 100 for BLEU and chrF; TER is edits per 100 reference words and may exceed 100."""
    low: float | None
    high: float | None
    signature: str
    higher_is_better: bool
    baseline: BaselineScore | None = None

    def as_dict(self) -> dict[str, Any]:
        """The score as plain values, for JSON."""
        return asdict(self)


def score_text(
    metric: TextMetricName,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    baseline: Sequence[str] | None = None,
    tokenize: str = "13a",
    lowercase: bool = False,
    whitespace: bool = False,
    resamples: int = RESAMPLES,
    max_draws: int = MAX_DRAWS,
) -> TextScore:
    """Score translations against one or more references each.

    Args:
        metric: bleu, chrf or ter.
        hypotheses: plain (detokenised) text, a sentence each.
        references: one list per set of references, each aligned with the hypotheses.
        baseline: another system's translations of the same sentences, to compare with.
        tokenize: how BLEU cuts text into words; one of sacreBLEU's names. `none` for text that is cut already.
        lowercase: ignore case in BLEU and chrF. TER always does, as it does by default in sacreBLEU.
        whitespace: let chrF's n-grams contain spaces.
        resamples: for the interval and the p value; 0 leaves both out (no numpy then, and quick enough for validation).
        max_draws: sentences of all resamples at most, for they are in memory; there are fewer resamples then, or none.

    Returns:
        The score. Its interval is sacreBLEU's: the mean of the resampled scores, plus and minus half the width of their
        middle 95 %. The seed is sacreBLEU's (12345, or $SACREBLEU_SEED) and stands in the signature.

    Raises:
        ValueError: no sentence, no reference, or lists of different lengths.
        AttnkitError: the tokenizer's name is unknown, or sacreBLEU lacks what it needs.

    Source: BLEU, Papineni et al. 2002; chrF, Popović 2015 (chrF2: beta 2, character 6-grams); TER, Snover et al. 2006.
    """
    _check_lengths(hypotheses, references, baseline)
    scorer = _scorer(metric, tokenize=tokenize, lowercase=lowercase, whitespace=whitespace)
    count = _affordable(resamples, max_draws // len(hypotheses))
    if baseline is not None and count:
        return _compare(scorer, metric, hypotheses, references, baseline, count)
    result = scorer.corpus_score(hypotheses, references, n_bootstrap=count or 1)
    low, high = _interval(result._mean, result._ci) if count else (None, None)
    signature = str(scorer.get_signature())
    other = None
    if baseline is not None:
        other = BaselineScore(float(scorer.corpus_score(baseline, references).score), None, None, None)
    return TextScore(result.name, float(result.score), low, high, signature, metric != "ter", other)


def reading(bleu: float) -> str:
    """What the lecture says of translations with this BLEU. Below 30 its table says nothing, and so does this."""
    if bleu < 30:
        return "below 30: the lecture's table begins at 30 and gives no reading"
    if bleu < 40:
        return "30-40: understandable to good translations"
    if bleu < 50:
        return "40-50: high quality translations"
    if bleu <= 60:
        return "50-60: very high quality, adequate, and fluent translations"
    return "over 60: quality often better than human"


def _compare(
    scorer: Metric,
    metric: str,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    baseline: Sequence[str],
    resamples: int,
) -> TextScore:
    """Score two systems on the same resamples of the sentences."""
    from sacrebleu.significance import PairedTest

    systems = [("baseline", baseline), ("system", hypotheses)]
    test = PairedTest(systems, {metric: scorer}, references, test_type="bs", n_samples=resamples)
    signatures, columns = test()
    ((name, signature),) = signatures.items()
    theirs, ours = columns[name]
    assert not isinstance(theirs, str), "strings stand in the column of names only"
    assert not isinstance(ours, str), "strings stand in the column of names only"
    # sacreBLEU gives equal systems p = 1 / (resamples + 1); but no difference is as small as none.
    p_value = 1.0 if theirs.score == ours.score else float(ours.p_value or 0.0)
    other = BaselineScore(float(theirs.score), *_interval(theirs.mean, theirs.ci), p_value)
    interval = _interval(ours.mean, ours.ci)
    return TextScore(name, float(ours.score), *interval, str(signature), metric != "ter", other)


def _interval(mean: float | None, half_width: float | None) -> tuple[float, float]:
    """Both ends, as Python's own floats: some of sacreBLEU's are numpy's float32, which JSON does not know."""
    assert mean is not None, "it is there after any bootstrap"
    assert half_width is not None, "it is there after any bootstrap"
    return float(mean) - float(half_width), float(mean) + float(half_width)


def _scorer(metric: str, *, tokenize: str, lowercase: bool, whitespace: bool) -> Metric:
    """Make the object that computes a metric. Its warning about tokenised text is off: the command gives one."""
    from sacrebleu.metrics.bleu import BLEU
    from sacrebleu.metrics.chrf import CHRF
    from sacrebleu.metrics.ter import TER

    if metric == "bleu":
        if tokenize not in BLEU.TOKENIZERS:
            known = ", ".join(sorted(BLEU.TOKENIZERS))
            raise AttnkitError(f"tokenize: sacreBLEU has no tokenizer '{tokenize}'; expected one of {known}")
        try:
            return BLEU(tokenize=tokenize, lowercase=lowercase, force=True)
        except (ImportError, RuntimeError, OSError) as error:
            reason = " ".join(str(error).split())
            raise AttnkitError(
                f"tokenize: sacreBLEU cannot load its tokenizer '{tokenize}': {reason}; "
                "expected the packages or the file that it names; install them, or choose another tokenizer"
            ) from error
    if metric == "chrf":
        return CHRF(lowercase=lowercase, whitespace=whitespace)
    if metric == "ter":
        return TER()
    raise ValueError(f"unknown metric '{metric}'; expected one of {', '.join(TEXT_METRICS)}")


def _check_lengths(
    hypotheses: Sequence[str], references: Sequence[Sequence[str]], baseline: Sequence[str] | None
) -> None:
    """Refuse lists of different lengths, where sacreBLEU cuts the longer ones in silence."""
    if not hypotheses or not references:
        raise ValueError(
            f"{len(hypotheses)} hypotheses, {len(references)} reference lists; expected one at least of each"
        )
    lengths = {len(hypotheses), *map(len, references), len(baseline if baseline is not None else hypotheses)}
    if len(lengths) > 1:
        raise ValueError(f"hypotheses, references and baseline have different lengths: {sorted(lengths)}")


def _affordable(resamples: int, most: int) -> int:
    """How many resamples there are if no more than `most` may be; 0 where that is too few."""
    count = min(resamples, most)
    return count if count >= min(resamples, MIN_RESAMPLES) else 0
