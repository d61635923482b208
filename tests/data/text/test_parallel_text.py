import pytest
from pydantic import TypeAdapter

from attnkit.data.open import OpenedData
from attnkit.data.text.config import PairsConfig
from attnkit.data.text.parallel_text import language_of


def opened(split="train", **data):
    return OpenedData(TypeAdapter(PairsConfig).validate_python(data))[split]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


class TestReverseDigits:
    def test_the_pairs(self):
        splits = {split: list(opened(split, format="reverse_digits")) for split in ("train", "valid", "test")}
        assert {split: len(pairs) for split, pairs in splits.items()} == {"train": 4000, "valid": 100, "test": 200}
        for pairs in splits.values():
            assert all(pair.tgt == pair.src[::-1] for pair in pairs)
            assert {len(pair.src.split(" ")) for pair in pairs} == set(range(1, 9))
        sources = {split: {pair.src for pair in pairs} for split, pairs in splits.items()}
        assert not sources["train"] & sources["valid"]
        assert not sources["train"] & sources["test"]
        assert not sources["valid"] & sources["test"]

    def test_they_are_the_same_everywhere(self):
        pairs = opened(format="reverse_digits", train_lines=3, seed=5)
        assert list(pairs.src_lines()) == ["6 0 9 5 2 0 5 6", "2 5 6 1 5", "3 4 3 1"]

    def test_settings(self):
        pairs = opened("test", format="reverse_digits", max_digits=3, test_lines=50)
        assert {len(pair.src) for pair in pairs} == {1, 3, 5}
        other = opened("test", format="reverse_digits", max_digits=3, test_lines=50, seed=2)
        assert list(other) != list(pairs)
        assert other.fingerprint() != pairs.fingerprint()
        assert pairs.src_place(4) == pairs.tgt_place(4) == "reverse_digits test:4"


@pytest.mark.parametrize(
    ("file", "language"),
    [
        ("train.de", "de"),
        ("folder/train.lc.tok.fr.gz", "fr"),
        ("train.txt", None),
        ("train", None),
        ("de", "de"),
        ("train.DE", None),
        ("train.gz", None),
        ("train.mp4", None),
        ("a.de/train", None),
    ],
)
def test_the_ending_names_the_language(file, language):
    assert language_of(file) == language
