"""Pairs from files: two of plain text, columns, JSON objects, and those that come with attnkit."""

import gzip
import json
from importlib.resources import files

import pytest
from pydantic import TypeAdapter

from attnkit.data.open import OpenedData
from attnkit.data.text.config import PairsConfig
from attnkit.data.text.parallel_text import Pair
from attnkit.errors import DataError


def opened(split="train", **data):
    return OpenedData(TypeAdapter(PairsConfig).validate_python(data))[split]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestTextPairs:
    def test_pairs_and_sides(self, folder):
        (folder / "a.en").write_bytes(b"\xef\xbb\xbfone\r\ntwo \r\nthree")
        (folder / "a.de.gz").write_bytes(gzip.compress("eins\n\nd\u0085rei\n".encode()))
        pairs = opened(format="text", train={"src": "a.en", "tgt": "a.de.gz"})
        expected = [Pair("one", "eins"), Pair("two ", ""), Pair("three", "d\u0085rei")]
        assert list(pairs) == expected
        assert list(pairs) == expected, "it can be read again"
        assert list(pairs.src_lines()) == ["one", "two ", "three"]
        assert list(pairs.tgt_lines()) == ["eins", "", "d\u0085rei"]
        assert pairs.read() == (["one", "two ", "three"], ["eins", "", "d\u0085rei"])
        assert pairs.describe() == "a.en and a.de.gz"
        assert (pairs.src_place(3), pairs.tgt_place(3)) == ("a.en:3", "a.de.gz:3")
        assert opened("valid", format="text", train={"src": "a.en", "tgt": "a.de.gz"}) is None

    @pytest.mark.parametrize(("src", "tgt"), [(3, 5), (5, 3), (4, 5), (5, 4), (0, 2), (2, 0)])
    def test_misaligned(self, folder, src, tgt):
        (folder / "a").write_text("x\n" * src)
        (folder / "b").write_text("y\n" * tgt)
        with pytest.raises(DataError) as caught:
            opened(format="text", train={"src": "a", "tgt": "b"}).read()
        assert str(caught.value) == (
            f"a: {src} lines, but b has {tgt}; expected line n of one to translate line n of the other; "
            "see where they begin to differ"
        )

    def test_empty(self, folder):
        (folder / "a").touch()
        (folder / "b").touch()
        with pytest.raises(DataError, match=r"^a and b: both are empty; expected a sentence per line; see the data"):
            opened(format="text", train={"src": "a", "tgt": "b"}).read()

    def test_every_missing_file_is_named(self, folder):
        with pytest.raises(DataError) as caught:
            opened(format="text", train={"src": "a", "tgt": "b"})
        assert [line.split(";")[0] for line in str(caught.value).splitlines()] == ["a: no such file", "b: no such file"]

    def test_the_fingerprint_is_of_the_content(self, folder):
        def fingerprint(src, tgt):
            return opened(format="text", train={"src": src, "tgt": tgt}).fingerprint()

        for name, text in (("a", "x\n"), ("b", "y\n"), ("c", "x\n"), ("d", "z\n")):
            (folder / name).write_text(text)
        assert fingerprint("a", "b") == fingerprint("c", "b")
        assert len({fingerprint("a", "b"), fingerprint("b", "a"), fingerprint("a", "d")}) == 3


class TestTsv:
    def test_columns(self, folder):
        (folder / "a.tsv").write_text('1\t"x\ty\n2\tu\t\tw\n')
        pairs = opened(format="tsv", train="a.tsv", src_column=3, tgt_column=2)
        assert list(pairs) == [Pair("y", '"x'), Pair("", "u")]
        assert list(pairs.src_lines()) == ["y", ""]
        assert list(pairs.tgt_lines()) == ['"x', "u"]
        assert (pairs.describe(), pairs.src_place(2), pairs.tgt_place(1)) == ("a.tsv", "a.tsv:2", "a.tsv:1")
        assert pairs.fingerprint() == opened(format="tsv", train="a.tsv", src_column=3, tgt_column=2).fingerprint()
        assert pairs.fingerprint() != opened(format="tsv", train="a.tsv", src_column=2, tgt_column=3).fingerprint()
        assert opened("test", format="tsv", train="a.tsv") is None

    def test_a_column_is_missing(self, folder):
        (folder / "a.tsv").write_text("a\tb\nc d\n")
        with pytest.raises(DataError) as caught:
            list(opened(format="tsv", train="a.tsv"))
        assert str(caught.value) == (
            "a.tsv:2: 1 column(s), but the recipe reads column 2; expected columns parted by tabs; "
            "fix the line, or set data.src_column and data.tgt_column"
        )

    def test_empty(self, folder):
        (folder / "a.tsv").touch()
        with pytest.raises(DataError, match=r"^a.tsv: empty; expected a pair per line; see the data file$"):
            list(opened(format="tsv", train="a.tsv"))


class TestJsonl:
    def test_keys(self, folder):
        (folder / "a.jsonl").write_text('{"src": "a\\nb", "tgt": "\\u00e4 \\ud83d\\ude00", "id": 1}\n')
        pairs = opened(format="jsonl", train="a.jsonl")
        assert list(pairs) == [Pair("a b", "ä 😀")]
        swapped = opened(format="jsonl", train="a.jsonl", src_key="tgt", tgt_key="src")
        assert list(swapped) == [Pair("ä 😀", "a b")]
        assert swapped.fingerprint() != pairs.fingerprint()

    def test_dotted_keys(self, folder):
        (folder / "a.jsonl").write_text('{"translation": {"en": "a", "de": "b"}, "x.y": "c"}\n')
        pairs = opened(format="jsonl", train="a.jsonl", src_key="translation.de", tgt_key="x.y")
        assert list(pairs) == [Pair("b", "c")]

    @pytest.mark.parametrize(
        ("line", "message"),
        [
            ("{'src': 1}", r"^a.jsonl:2: not JSON \(.*\); expected an object per line; fix the line$"),
            ("", r"^a.jsonl:2: not JSON"),
            ('{"source": "a", "tgt": "b"}', r"^a.jsonl:2: no 'src', found source, tgt; expected the sentence under"),
            ('["a", "b"]', r"^a.jsonl:2: no 'src', found list; expected the sentence"),
            ('{"src": 7, "tgt": "b"}', r"^a.jsonl:2: 'src' is 7; expected text; fix the line, or set data.src_key"),
            ('{"src": "a", "tgt": "\\ud83d"}', r"^a.jsonl:2: 'tgt' holds half a surrogate pair, '\\ud83d'; expected"),
        ],
    )
    def test_what_is_wrong(self, folder, line, message):
        (folder / "a.jsonl").write_text(json.dumps({"src": "a", "tgt": "b"}) + "\n" + line + "\n")
        with pytest.raises(DataError, match=message):
            list(opened(format="jsonl", train="a.jsonl"))


class TestEmbeddedTatoeba:
    def test_the_pairs(self):
        sizes = {split: sum(1 for _ in opened(split, format="tatoeba_en_de")) for split in ("train", "valid", "test")}
        assert sizes == {"train": 46055, "valid": 1954, "test": 1992}
        assert next(iter(opened(format="tatoeba_en_de"))) == Pair("Go.", "Geh.")
        assert opened("test", format="tatoeba_en_de").src_place(1) == "test.en.gz:1"

    def test_attribution_and_size(self):
        folder = files("attnkit.data.text") / "tatoeba_en_de"
        text = (folder / "ATTRIBUTION.md").read_text(encoding="utf-8")
        assert "CC-BY 2.0 FR" in text
        assert "https://tatoeba.org" in text
        assert "Changes made" in text
        assert sum(len(file.read_bytes()) for file in folder.iterdir() if file.is_file()) < 1_000_000
