"""The text forms of older published scores, so that a result can be laid beside them: `lc-tok` and `paper`.

Both need sacremoses, the Python port of the Moses scripts (an extra: `moses`). Text in either form is scored with
BLEU's tokenizer `none`, because it is cut into words already. docs/bleu.md says which published score has which form.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Literal, get_args

from attnkit.errors import AttnkitError, DataError
from attnkit.metrics.text import RESAMPLES, TextScore, score_text

Compat = Literal["lc-tok", "paper"]
COMPATS: tuple[str, ...] = get_args(Compat)

COMPOUND = re.compile(r"(\S)(?<!##AT##)-(?!##AT##)(\S)")
"""A hyphen inside a word. One that stands between two ##AT## was split before."""


def score_compat(
    compat: Compat,
    hypotheses: Sequence[str],
    references: Sequence[Sequence[str]],
    *,
    language: str,
    raw_references: bool,
    baseline: Sequence[str] | None = None,
    resamples: int = RESAMPLES,
) -> TextScore:
    """BLEU in the text form of older published scores.

    Args:
        compat: which form; see `prepare`.
        hypotheses: plain text, a sentence each; they are prepared here.
        references: one list per set of references, each aligned with the hypotheses.
        language: of the text, two letters.
        raw_references: whether the references are plain text too and are to be prepared; else they are in the form
            already, but for the split compounds of `paper`.
        baseline: another system's translations, plain text.
        resamples: for the interval and the p value.

    Returns:
        BLEU, its signature extended by the form, the language and sacremoses' version.

    Raises:
        AttnkitError: sacremoses is not installed.
        ValueError: no sentence, no reference, or lists of different lengths.
    """
    if raw_references:
        references = [prepare(compat, lines, language=language) for lines in references]
    elif compat == "paper":
        references = [split_compounds(lines) for lines in references]
    score = score_text(
        "bleu",
        prepare(compat, hypotheses, language=language),
        references,
        baseline=None if baseline is None else prepare(compat, baseline, language=language),
        tokenize="none",
        lowercase=compat == "lc-tok",
        resamples=resamples,
    )
    whose = "hyp+ref" if raw_references else "hyp"
    signature = f"{score.signature}|compat:{compat}.{language}[{whose}]|sacremoses:{version('sacremoses')}"
    return replace(score, signature=signature)


def prepare(compat: Compat, lines: Iterable[str], *, language: str) -> list[str]:
    """Bring plain text into the form that a family of published scores was computed on.

    Args:
        compat: lc-tok: lower-cased, Moses punctuation-normalised, Moses-tokenised: the published Multi30k scores
            (that set's files *.lc.norm.tok.* come out equal, line by line). paper: punctuation-normalised, tokenised,
            and compounds split.
        lines: plain text, a sentence each.
        language: of the text, two letters; quotes, numbers and abbreviations differ by language.

    Returns:
        The lines, words apart by single spaces, with Moses' escapes (&quot; and the like).

    Raises:
        AttnkitError: sacremoses is not installed.
    """
    try:
        from sacremoses import MosesPunctNormalizer, MosesTokenizer
    except ImportError as error:
        raise AttnkitError(
            f"compat {compat}: needs the package sacremoses; expected it installed; run: pip install 'attnkit[moses]'"
        ) from error
    normalizer = MosesPunctNormalizer(lang=language, perl_parity=True)
    tokenizer = MosesTokenizer(lang=language)
    prepared = []
    for line in lines:
        text = line.lower() if compat == "lc-tok" else line
        text = normalizer.normalize(text + "\n")  # the script sees the line's end, and one of its rules asks for it
        prepared.append(tokenizer.tokenize(text, return_str=True, escape=True))
    return split_compounds(prepared) if compat == "paper" else prepared


def split_compounds(lines: Iterable[str]) -> list[str]:
    """Split hyphenated words: `rich-text` becomes `rich ##AT##-##AT## text`.

    Args:
        lines: tokenised text. Words with several hyphens are split as Perl's s///g does it, without overlap: the single
            letter of a-b-c belongs to the first split, so the second hyphen stays.

    Returns:
        The lines. Hyphens that are marked already stay as they are.

    Source: Luong et al. 2015's data, then get_ende_bleu.sh of tensor2tensor, behind the paper's 27.3 and 28.4.
    """
    return [COMPOUND.sub(r"\1 ##AT##-##AT## \2", line) for line in lines]


def check_tokenised(lines: Sequence[str], *, place: str, compat: str) -> None:
    """Refuse references that are plain text where tokenised ones are expected.

    Args:
        lines: the references.
        place: the file that they are from.
        compat: for the message.

    Raises:
        DataError: most lines that end in a full stop have no space before it.
    """
    ends = [line for line in lines if line.endswith(".") and not line.endswith("..")]
    glued = sum(not line.endswith(" .") for line in ends)
    if glued * 2 > len(ends):
        raise DataError(
            f"{place}: plain text, for {glued} of {len(ends)} lines that end in a full stop have no space before it; "
            f"--compat {compat} expected tokenised references; give those, or add --raw-ref"
        )
