"""The text forms of older published scores."""

import builtins
import gzip
import os
from pathlib import Path

import pytest

from attnkit.errors import AttnkitError, DataError
from attnkit.metrics.moses import check_tokenised, prepare, split_compounds
from attnkit.metrics.text import score_text

MULTI30K = Path(os.environ.get("ATTNKIT_DATA", "no-data")) / "multi30k"
"""Asked before the tests run, which hide the variable from what they test."""


def test_compounds_split_as_in_the_script():
    assert split_compounds(["a rich-text format ."]) == ["a rich ##AT##-##AT## text format ."]
    assert split_compounds(["rich-text-format - no -5 a- -b"]) == [
        "rich ##AT##-##AT## text ##AT##-##AT## format - no -5 a- -b"
    ]
    # Perl's s///g does not overlap, so of three single letters only the first hyphen is split.
    assert split_compounds(["a-b-c"]) == ["a ##AT##-##AT## b-c"]


def test_compounds_split_once_only():
    once = split_compounds(["ein E-Mail-Konto ."])
    assert split_compounds(once) == once == ["ein E ##AT##-##AT## Mail ##AT##-##AT## Konto ."]


def test_lower_cased_normalised_and_tokenised():
    pytest.importorskip("sacremoses")
    lines = ["Er sagt: „Komm, z.B. um 5!“", "Die Leute (zwei) stehen…"]
    assert prepare("lc-tok", lines, language="de") == [
        "er sagt : &quot; komm , z.b. um 5 ! &quot;",
        "die leute ( zwei ) stehen ...",
    ]


def test_the_rule_at_the_end_of_the_line():
    # The script sees "\n" after the quote and so moves the full stop out of it; without the line's end it would not.
    pytest.importorskip("sacremoses")
    assert prepare("lc-tok", ['Es heißt "Tee."'], language="de") == ["es heißt &quot; tee &quot; ."]


def test_the_script_and_not_an_improvement_of_it():
    # The Perl script makes quotes of apostrophes beside letters that are not ASCII, and so did the published text.
    pytest.importorskip("sacremoses")
    assert prepare("lc-tok", ["C’est l’été."], language="fr") == ["c&apos; est l &quot; été ."]


def test_the_papers_form_keeps_case():
    pytest.importorskip("sacremoses")
    assert prepare("paper", ["Das „E-Mail“-Konto."], language="de") == [
        "Das &quot; E ##AT##-##AT## Mail &quot; -Konto ."
    ]


def test_the_published_multi30k_files_come_out_equal():
    pytest.importorskip("sacremoses")
    if not MULTI30K.is_dir():
        pytest.skip("needs $ATTNKIT_DATA/multi30k")
    tokens = {"de": 12103, "en": 12968, "fr": 13988}
    for language, count in tokens.items():
        raw, tokenised = (
            gzip.decompress((MULTI30K / name).read_bytes()).decode().split("\n")[:-1]
            for name in (f"test_2016_flickr.{language}.gz", f"tok/test_2016_flickr.lc.norm.tok.{language}.gz")
        )
        prepared = prepare("lc-tok", raw, language=language)
        assert prepared == tokenised
        assert sum(len(line.split(" ")) for line in prepared) == count


def test_prepared_text_scores_as_multi_bleu_would():
    # 5 of 6 tokens, 4 of 5 pairs, 3 of 4 triples, 2 of 3 quadruples: the full stop and the comma count as words.
    pytest.importorskip("sacremoses")
    hypotheses = prepare("lc-tok", ["Ja, zwei Leute rennen."], language="de")
    score = score_text("bleu", hypotheses, [["ja , zwei leute rennen !"]], tokenize="none")
    assert score.value == pytest.approx(100 * (5 / 6 * 4 / 5 * 3 / 4 * 2 / 3) ** 0.25)


def test_without_sacremoses_the_command_that_mends_it(monkeypatch):
    plain_import = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "sacremoses":
            raise ImportError(name)
        return plain_import(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(
        AttnkitError, match=r"compat lc-tok: needs the package sacremoses; .*pip install 'attnkit\[moses\]'"
    ):
        prepare("lc-tok", ["Ja."], language="de")


def test_plain_references_are_refused():
    with pytest.raises(
        DataError,
        match=r"ref\.de: plain text, for 2 of 3 lines .*; --compat lc-tok expected tokenised references; .*--raw-ref",
    ):
        check_tokenised(["Ja.", "Nein.", "so .", "Halt!"], place="ref.de", compat="lc-tok")
    check_tokenised(["ja .", "nein .", "z.b.", "halt !", "und ..."], place="ref.de", compat="lc-tok")
    check_tokenised(["ja"], place="ref.de", compat="lc-tok")
