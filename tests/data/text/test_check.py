import random

import pytest

from attnkit.data.finding import Finding
from attnkit.data.open import OpenedData
from attnkit.data.text.check import check_parallel_text
from attnkit.data.text.config import (
    EmbeddedTatoebaConfig,
    PairOfFiles,
    ReverseDigitsConfig,
    TextPairsConfig,
    TsvPairsConfig,
)
from attnkit.errors import DataError
from tests.data.fakes import Numbers

HELD_OUT = "one more sentence for scoring\nand another one\n"
HELD_OUT_DE = "noch ein Satz zum Bewerten\nund noch einer\n"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def prose(count, seed):
    """Different sentences in two languages that look alike."""
    generator = random.Random(seed)
    src = [" ".join(generator.choices(["red", "dog", "runs", "far", "now"], k=4)) + f" {i}" for i in range(count)]
    return src, [line.replace("d", "t") + " ja" for line in src]


def write(folder, src, tgt, *, split="train"):
    for name, content in ((f"{split}.en", src), (f"{split}.de", tgt)):
        text = content if isinstance(content, str | bytes) else "".join(line + "\n" for line in content)
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())


def config(folder, *, valid=True, test=True):
    """Text files, with a clean validation and test set unless told otherwise."""
    for split, wanted in (("valid", valid), ("test", test)):
        if wanted and not (folder / f"{split}.en").exists():
            write(folder, HELD_OUT.replace("one", split), HELD_OUT_DE.replace("noch", split), split=split)
    names = {split: PairOfFiles(src=f"{split}.en", tgt=f"{split}.de") for split in ("train", "valid", "test")}
    return TextPairsConfig(
        train=names["train"], valid=names["valid"] if valid else None, test=names["test"] if test else None
    )


def check(folder, src, tgt, **options):
    write(folder, src, tgt)
    return check_parallel_text(OpenedData(config(folder)), **options)


def told(report):
    return [f"{finding.severity}: {finding.place}: {finding.what}" for finding in report.findings]


def test_nothing_to_say_about_clean_text(folder):
    src, tgt = prose(50, seed=1)
    report = check(folder, src, tgt)
    assert report.findings == []
    assert report.ok
    report.raise_errors()
    stats = report.stats["train"]
    assert (stats.pairs, stats.complete, stats.duplicates, stats.left_out) == (50, True, 0, 0)
    assert stats.description == "train.en and train.de"
    assert (stats.src.name, stats.tgt.name) == ("train.en", "train.de")
    assert (stats.src.words, stats.tgt.words) == (250, 300)
    assert stats.tgt.longest == max(map(len, tgt))
    assert stats.src.chars == sum(map(len, src))
    assert (stats.src.tokens, stats.src.unknown, stats.src.empty) == (None, None, 0)
    assert list(report.stats) == ["train", "valid", "test"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a\u00a0b", "train.de:3: a space that is not the ordinary one (U+00A0)"),
        ("a b\u202f!", "train.de:3: a space that is not the ordinary one (U+202F)"),
        ("a\u200bb", "train.de:3: an invisible character, or one that replaces a broken one (U+200B)"),
        ("a\u0085b", "train.de:3: an invisible character, or one that replaces a broken one (U+0085)"),
        ("a\u2028b", "train.de:3: an invisible character, or one that replaces a broken one (U+2028)"),
        ("a\ufffdb", "train.de:3: an invisible character, or one that replaces a broken one (U+FFFD)"),
        ("a\x07b", "train.de:3: an invisible character, or one that replaces a broken one (U+0007)"),
        ("a\tb", "train.de:3: a tab inside the sentence"),
        ("", "train.de:3: empty line, but train.en:3 has text"),
        ("  ", "train.de:3: empty line, but train.en:3 has text"),
        ("Größe – „gut“ 😀", None),
    ],
)
def test_what_a_line_may_hold(line, message, folder):
    src, tgt = prose(5, seed=1)
    tgt[2] = line
    report = check(folder, src, tgt)
    assert told(report) == ([] if message is None else [f"warning: {message}"])
    assert report.ok


def test_more_of_the_same_is_counted_not_listed(folder):
    src, tgt = prose(9, seed=1)
    src[1] = src[4] = src[7] = ""
    report = check(folder, src, tgt)
    assert told(report) == ["warning: train.en:2: empty line, but train.de:2 has text (and 2 more)"]
    assert report.findings[0].why == "training skips such a pair, and in a test set it costs score"
    assert report.findings[0].fix == "remove the pair from both files, or fill the line"
    assert (report.stats["train"].left_out, report.stats["train"].src.empty) == (3, 3)


def test_what_reading_removes_in_silence(folder):
    report = check(folder, b"\xef\xbb\xbfred dog\r\nold cat\r\n", b"roter Hund\nalte Katze\r")
    assert told(report) == [
        "warning: train.en:1: a byte order mark",
        "warning: train.en:1: the line ends in CR LF (and 1 more)",
        "warning: train.de:2: the line ends in CR LF",
    ]
    assert report.findings[1].fix == "convert the file with dos2unix"


def test_pairs(folder):
    src, tgt = prose(8, seed=1)
    src[3], tgt[3] = "", ""
    tgt[5] = src[5]
    src[6], tgt[6] = src[2], tgt[2]
    src[7], tgt[7] = src[2], tgt[2]
    report = check(folder, src, tgt)
    assert told(report) == [
        "warning: train.en:4: empty on both sides",
        "warning: train.en:6: source and target are the same",
        "warning: train.en:7: the pair is a copy of line 3 (and 1 more)",
    ]
    assert report.stats["train"].duplicates == 2


def test_short_names_and_numbers_may_be_the_same_in_both_languages(folder):
    assert (
        told(check(folder, ["Anna Maria Schmidt", "1 2 3 4 5", "a b"], ["Anna Maria Schmidt", "1 2 3 4 5", "c"])) == []
    )


def test_held_out_sentences_in_the_training_text(folder):
    src, tgt = prose(6, seed=1)
    write(folder, ["quite new", src[4], src[2]], ["ganz neu", tgt[4], "anders"], split="valid")
    write(folder, ["brand new", "also new", ""], [tgt[1], "auch neu", tgt[5]], split="test")
    src[5] = src[4]
    report = check(folder, src, tgt)
    assert told(report) == [
        "warning: valid.en:2: the whole pair is in the training text too, at train.en:5",
        "warning: valid.en:2: the source sentence is in the training text too, at train.en:5, and so does 1 more of 3",
        "warning: valid.de:2: the target sentence is in the training text too, at train.de:5",
        "warning: test.en:3: empty line, but test.de:3 has text",
        "warning: test.de:1: the target sentence is in the training text too, at train.de:2",
    ]


def test_shared_sentences_are_found_in_every_chunk(folder):
    src, tgt = prose(25_000, seed=1)
    write(folder, [src[9], src[12_000], src[24_999]], ["a", "b", "c"], split="valid")
    write(folder, [*src, src[9]], [*tgt, "x"])
    seen = []
    report = check_parallel_text(OpenedData(config(folder)), progress=lambda split, count: seen.append((split, count)))
    assert told(report) == [
        "warning: valid.en:1: the source sentence is in the training text too, at train.en:10, and so do 2 more of 3",
    ]
    assert seen == [("valid", 3), ("test", 2), ("train", 10_000), ("train", 20_000), ("train", 25_001)]


def test_tokens(folder):
    src = ["5 6 7", "5 1 6", "4 4", "5 " * 30, "6 " * 12, "7"]
    tgt = ["8 9", "8 9", "1 1", "5 " * 30, "8 9", " "]
    write(folder, ["5 5"], ["6 8"], split="valid")
    write(folder, ["5 7"], ["6 9"], split="test")
    write(folder, src, tgt)
    report = check_parallel_text(
        OpenedData(config(folder)), max_length=25, max_ratio=4, tokenizers=(Numbers(), Numbers())
    )
    assert told(report) == [
        "warning: train.en:2: 1 of 51 tokens (1.96%) are unknown to the tokenizer, first here",
        "warning: train.de:6: empty line, but train.en:6 has text",
        "warning: train.de:3: 2 of 38 tokens (5.26%) are unknown to the tokenizer, first here",
        "warning: train.en:4: longer than 25 tokens",
        "warning: train.en:5: one side is over 4 times as long as the other",
    ]
    assert report.findings[0].fix == "set tokenizer.byte_fallback to true, or raise tokenizer.vocab_size"
    stats = report.stats["train"]
    assert (stats.src.tokens, stats.src.unknown, stats.tgt.tokens, stats.tgt.unknown) == (51, 1, 38, 2)
    assert (stats.pairs, stats.left_out) == (6, 3)


def test_a_few_unknown_tokens_are_normal(folder):
    src = [f"5 {i + 4}" for i in range(1500)]
    tgt = [f"{i + 4} 6" for i in range(1500)]
    src[7] = "1 7"
    write(folder, ["5 5 5"], ["6 8"], split="valid")
    write(folder, ["5 7 7"], ["6 9"], split="test")
    assert told(check(folder, src, tgt, tokenizers=(Numbers(), Numbers()), max_length=9)) == []


class TestErrors:
    def test_misaligned(self, folder):
        report = check(folder, "a\nb\nc\n", "d\ne\n")
        assert not report.ok
        assert [str(finding) for finding in report.findings] == [
            "train.en: 3 lines, but train.de has 2; expected line n of one to translate line n of the other; "
            "see where they begin to differ"
        ]
        assert "train" not in report.stats
        with pytest.raises(DataError, match=r"^train.en: 3 lines, but train.de has 2; expected .*; see where"):
            report.raise_errors()

    def test_every_split_is_looked_at(self, folder):
        write(folder, b"a\n\xff\n", "b\nc\n", split="valid")
        write(folder, "", "", split="test")
        report = check(folder, "red\n", "\n")
        assert [f"{finding.severity} {finding.place}" for finding in report.findings] == [
            "error train.en and train.de",
            "error valid.en:2",
            "error test.en and test.de",
        ]
        with pytest.raises(DataError) as caught:
            report.raise_errors()
        assert len(str(caught.value).splitlines()) == 3

    def test_missing_files(self, folder):
        pair = PairOfFiles(src="nowhere.en", tgt="nowhere.de")
        report = check_parallel_text(OpenedData(TextPairsConfig(train=pair, valid=pair, test=pair)))
        assert [finding.place for finding in report.findings] == ["nowhere.en", "nowhere.de"] * 3
        assert {finding.what for finding in report.findings} == {"no such file"}
        assert report.findings[0].why.startswith("looked in ")

    def test_nothing_is_left_after_filtering(self, folder):
        write(folder, ["5 " * 40], ["6 " * 40], split="valid")
        write(folder, ["5 " * 50], ["6 " * 50], split="test")
        report = check(folder, ["5 " * 30], ["6 " * 30], tokenizers=(Numbers(), Numbers()), max_length=20)
        assert [finding.severity for finding in report.findings] == ["error", "warning", "warning"]
        assert str(report.findings[0]) == (
            "train.en and train.de: none of the 1 pairs checked is left after filtering; there is nothing to learn "
            "from; see what the lines hold, raise filter.max_length or filter.max_ratio"
        )


def test_no_validation_or_test(folder):
    write(folder, *prose(5, seed=1))
    report = check_parallel_text(OpenedData(config(folder, valid=False, test=False)))
    assert [str(finding) for finding in report.findings] == [
        "data.valid: not given; the best checkpoint cannot be chosen, nor training stopped early; "
        "name a thousand pairs or so as data.valid",
        "data.test: not given; the model cannot be scored on text it was not trained on; "
        "name a thousand pairs or so as data.test",
    ]
    assert report.ok


def test_quick_looks_at_the_head(folder):
    src, tgt = prose(50_003, seed=1)
    src[3] = src[50_001] = ""
    write(folder, src, tgt)
    report = check_parallel_text(OpenedData(config(folder)), quick=True)
    assert told(report) == ["warning: train.en:4: empty line, but train.de:4 has text"]
    assert (report.stats["train"].pairs, report.stats["train"].complete) == (50_000, False)
    assert (report.stats["test"].pairs, report.stats["test"].complete) == (2, True)


def test_generated_and_embedded_pairs_are_fine():
    report = check_parallel_text(OpenedData(ReverseDigitsConfig(format="reverse_digits", train_lines=500)))
    assert report.findings == []
    assert report.stats["train"].pairs == 500
    report = check_parallel_text(OpenedData(EmbeddedTatoebaConfig(format="tatoeba_en_de")))
    assert report.ok
    assert "valid.de.gz:4: the target sentence is in the training text too, at train.de.gz:364" in told(report)[1]


def test_one_file_for_both_sides(folder):
    (folder / "a.tsv").write_bytes(b"red dog\troter Hund\r\nold cat\t\r\n")
    report = check_parallel_text(OpenedData(TsvPairsConfig(format="tsv", train="a.tsv", valid="a.tsv", test="a.tsv")))
    assert told(report)[:2] == [
        "warning: a.tsv:1: the line ends in CR LF (and 1 more)",
        "warning: a.tsv:2: empty line, but a.tsv:2 has text",
    ]


def test_an_error_is_taken_apart():
    finding = Finding.from_error("a.txt:3: not UTF-8, byte 0xff: yes; expected UTF-8; convert it; or not")
    assert finding == Finding("error", "a.txt:3", "not UTF-8, byte 0xff: yes", "expected UTF-8", "convert it; or not")
    assert str(finding) == "a.txt:3: not UTF-8, byte 0xff: yes; expected UTF-8; convert it; or not"
