import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.errors import DataError
from attnkit.tokenizers.build import build_tokenizer, load_tokenizer
from attnkit.tokenizers.config import CharactersConfig, WhitespaceConfig
from attnkit.tokenizers.lookup import CharactersTokenizer, WhitespaceTokenizer

ANY_WORD = st.text(st.characters(exclude_categories=("Cs",), exclude_characters=" \n\r"), min_size=1, max_size=8)
ANY_LINE = st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\n\r"), max_size=20)


def test_words_by_frequency_then_by_code_point(tmp_path):
    tokenizer = build_tokenizer(WhitespaceConfig(name="whitespace"), ["b a b", "c a  b", ""], tmp_path)
    assert tokenizer.pieces(range(7)) == ["<pad>", "<unk>", "<s>", "</s>", "b", "a", "c"]
    assert tokenizer.vocab_size == 7
    assert tokenizer.encode(["a  b d", "", " c "]) == [[5, 4, 1], [], [6]]
    assert tokenizer.decode([[2, 5, 4, 1, 3, 0], []]) == ["a b ⁇", ""]


def test_rare_words_are_left_out(tmp_path):
    lines = ["b a b c", "a b d"]
    assert build_tokenizer(WhitespaceConfig(name="whitespace", min_count=2), lines, tmp_path).pieces([4, 5]) == [
        "b",
        "a",
    ]
    assert build_tokenizer(WhitespaceConfig(name="whitespace", vocab_size=5), lines, tmp_path).encode(["a b"]) == [
        [1, 4]
    ]
    with pytest.raises(DataError, match=r"^tokenizer: no word occurs 4 times in the training text; expected at least"):
        build_tokenizer(WhitespaceConfig(name="whitespace", min_count=4), lines, tmp_path)


def test_characters_by_code_point(tmp_path):
    tokenizer = build_tokenizer(CharactersConfig(name="characters"), ["ba", "b c"], tmp_path)
    assert tokenizer.pieces(range(8)) == ["<pad>", "<unk>", "<s>", "</s>", " ", "a", "b", "c"]
    assert tokenizer.encode(["ab d", ""]) == [[5, 6, 4, 1], []]
    assert tokenizer.decode([[2, 5, 4, 6, 1, 3, 0], []]) == ["a b⁇", ""]
    with pytest.raises(DataError, match=r"^tokenizer: no training text; expected at least one line"):
        build_tokenizer(CharactersConfig(name="characters"), ["", "\r"], tmp_path)


def test_text_that_looks_like_a_special_piece_is_text(tmp_path):
    tokenizer = build_tokenizer(WhitespaceConfig(name="whitespace"), ["<s> <pad> </s> <unk>"], tmp_path)
    ids = tokenizer.encode(["<pad> <s> </s> <unk>"])
    assert min(ids[0]) == 4
    assert tokenizer.decode(ids) == ["<pad> <s> </s> <unk>"]


@pytest.mark.parametrize("config", [WhitespaceConfig(name="whitespace"), CharactersConfig(name="characters")])
def test_saved_and_loaded(config, tmp_path):
    tokenizer = build_tokenizer(config, ["ein Größe\u00a0x \u2028 y\u0085z", "zwei 😀"], tmp_path)
    loaded = load_tokenizer(tmp_path)
    assert loaded.fingerprint == tokenizer.fingerprint
    assert loaded.pieces(range(tokenizer.vocab_size)) == tokenizer.pieces(range(tokenizer.vocab_size))
    assert loaded.sample(["zwei 😀"], seed=1) == tokenizer.encode(["zwei 😀"])


@pytest.mark.parametrize("kind", [WhitespaceConfig, CharactersConfig])
def test_lower_case(kind, tmp_path):
    name = kind.model_fields["name"].annotation.__args__[0]
    tokenizer = build_tokenizer(kind(name=name, lowercase=True), ["Ab aB"], tmp_path / "lower")
    assert tokenizer.encode(["AB"]) == tokenizer.encode(["ab"])
    assert tokenizer.decode(tokenizer.encode(["AB"])) == ["ab"]
    assert load_tokenizer(tmp_path / "lower").encode(["AB"]) == tokenizer.encode(["ab"])
    cased = build_tokenizer(kind(name=name), ["ab"], tmp_path / "cased")
    assert cased.encode(["AB"]) != cased.encode(["ab"])
    assert cased.fingerprint != tokenizer.fingerprint


def test_a_vocabulary_with_something_twice():
    with pytest.raises(ValueError, match="a word stands twice"):
        WhitespaceTokenizer(["a", "b", "a"])
    with pytest.raises(ValueError, match="a character stands twice"):
        CharactersTokenizer("aba")


@given(st.lists(st.lists(ANY_WORD, min_size=1, max_size=5), min_size=1, max_size=4))
def test_words_come_back(sentences):
    lines = [" ".join(words) for words in sentences]
    tokenizer = WhitespaceTokenizer(sorted({word for words in sentences for word in words}))
    assert tokenizer.decode(tokenizer.encode(lines)) == lines


@given(st.lists(ANY_LINE, min_size=1, max_size=4))
def test_characters_come_back(lines):
    tokenizer = CharactersTokenizer("".join(sorted(set("".join(lines)))))
    assert tokenizer.decode(tokenizer.encode(lines)) == lines
