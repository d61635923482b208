import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attnkit.errors import DataError
from attnkit.tokenizers.build import build_tokenizer, load_tokenizer
from attnkit.tokenizers.config import SentencePieceConfig
from attnkit.tokenizers.sentencepiece import MODEL_FILE, SentencePieceTokenizer, draw_lines
from tests.tokenizers.text import corpus


@pytest.fixture(scope="module")
def bytewise(tmp_path_factory):
    config = SentencePieceConfig(vocab_size=310, byte_fallback=True)
    return build_tokenizer(config, corpus(), tmp_path_factory.mktemp("bytewise"))


def test_the_special_ids_are_the_first_four(bpe):
    assert bpe.vocab_size == 80
    assert bpe.pieces([bpe.pad_id, bpe.unk_id, bpe.bos_id, bpe.eos_id]) == ["<pad>", "<unk>", "<s>", "</s>"]


@pytest.mark.parametrize("kind", ["bpe", "unigram", "bytewise"])
def test_text_comes_back(kind, request):
    tokenizer = request.getfixturevalue(kind)
    lines = corpus(50, seed=7)
    ids = tokenizer.encode(lines)
    assert tokenizer.decode(ids) == lines
    assert all(4 <= i < tokenizer.vocab_size for line in ids for i in line)
    assert tokenizer.encode([]) == []
    assert tokenizer.encode(["", "  "]) == [[], []]
    assert tokenizer.decode([[], []]) == ["", ""]


def test_a_thousand_lines_are_cut_as_one_is(bpe):
    lines = corpus(1100, seed=3)
    assert bpe.encode(lines) == [bpe.encode([line])[0] for line in lines]


def test_special_ids_are_dropped_and_unknown_ones_shown(bpe):
    cat = bpe.encode(["the cat"])[0]
    assert bpe.decode([[bpe.bos_id, *cat, bpe.eos_id, bpe.pad_id, bpe.pad_id]]) == ["the cat"]
    unknown = bpe.encode(["the 猫 sat"])
    assert bpe.unk_id in unknown[0]
    assert bpe.decode(unknown) == ["the ⁇ sat"]


def test_the_names_of_special_pieces_in_text_are_text(bytewise):
    ids = bytewise.encode(["<s> a </s> <pad>"])
    assert min(ids[0]) > 3
    assert bytewise.decode(ids) == ["<s> a </s> <pad>"]


def test_no_line_end_comes_out(bytewise):
    pieces = bytewise.pieces(range(bytewise.vocab_size))
    a, feed, back = (pieces.index(piece) for piece in ("<0x61>", "<0x0A>", "<0x0D>"))
    assert bytewise.decode([[feed, a, feed, back, a, back]]) == ["a  a"]


@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), max_size=30), max_size=4))
def test_any_text_goes_in_and_one_line_comes_out(bytewise, lines):
    ids = bytewise.encode(lines)
    assert len(ids) == len(lines)
    decoded = bytewise.decode(ids)
    assert len(decoded) == len(lines)
    assert not any("\n" in line or "\r" in line for line in decoded)
    assert bytewise.decode(bytewise.encode(decoded)) == decoded


@given(st.lists(st.text("abcdefghij AZ0139.,!?äöüß€😀", max_size=30), max_size=4))
def test_text_that_needs_no_normalising_comes_back_but_for_its_spaces(bytewise, lines):
    assert bytewise.decode(bytewise.encode(lines)) == [" ".join(line.split()) for line in lines]


def test_training_is_deterministic(tmp_path):
    for algorithm in ("bpe", "unigram"):
        config = SentencePieceConfig(algorithm=algorithm, vocab_size=45)
        first = build_tokenizer(config, iter(corpus()), tmp_path / "first")
        again = build_tokenizer(config, iter(corpus()), tmp_path / "again")
        assert first.fingerprint == again.fingerprint
        assert (tmp_path / "first" / MODEL_FILE).read_bytes() == (tmp_path / "again" / MODEL_FILE).read_bytes()
        other = build_tokenizer(config, corpus(seed=1), tmp_path / "other")
        assert other.fingerprint != first.fingerprint


def test_lower_case(tmp_path):
    config = SentencePieceConfig(vocab_size=45, lowercase=True)
    tokenizer = build_tokenizer(config, [line.title() for line in corpus()], tmp_path)
    ids = tokenizer.encode(["The CAT", "GRÖSSE STRASSE"])
    assert ids == tokenizer.encode(["the cat", "grösse strasse"])
    assert tokenizer.decode(ids)[0] == "the cat"
    assert load_tokenizer(tmp_path).encode(["The CAT", "GRÖSSE STRASSE"]) == ids
    cased = SentencePieceTokenizer((tmp_path / MODEL_FILE).read_bytes())
    assert cased.fingerprint != tokenizer.fingerprint


@pytest.mark.parametrize("kind", ["bpe", "unigram"])
class TestSampling:
    def test_it_cuts_the_same_text_in_other_ways(self, kind, request):
        tokenizer = request.getfixturevalue(kind)
        lines = corpus(40, seed=5)
        sampled = tokenizer.sample(lines, seed=1)
        assert tokenizer.decode(sampled) == lines
        assert sampled != tokenizer.encode(lines)
        assert sampled != tokenizer.sample(lines, seed=2)

    def test_it_depends_on_the_seed_alone(self, kind, request):
        tokenizer = request.getfixturevalue(kind)
        lines = corpus(40, seed=5)
        expected = tokenizer.sample(lines, seed=11)
        tokenizer.sample(corpus(17, seed=6), seed=3)
        tokenizer.encode(lines)
        assert tokenizer.sample(lines, seed=11) == expected
        found = []
        for seed in (5, 11):  # a thread's first use of the generator, and its second
            thread = threading.Thread(target=lambda s=seed: found.append(tokenizer.sample(lines, seed=s)))
            thread.start()
            thread.join()
        assert found[1] == expected
        assert found[0] != expected
        both = threading.Thread(
            target=lambda: found.extend([tokenizer.sample(lines, seed=4), tokenizer.sample(lines, seed=11)])
        )
        both.start()
        both.join()
        assert found[3] == expected

    def test_it_is_the_same_with_the_saved_tokenizer(self, kind, request, tmp_path):
        tokenizer = request.getfixturevalue(kind)
        tokenizer.save(tmp_path)
        loaded = load_tokenizer(tmp_path)
        lines = corpus(40, seed=5)
        assert loaded.sample(lines, seed=2**40 + 1) == tokenizer.sample(lines, seed=2**40 + 1)
        assert loaded.sampling == tokenizer.sampling


def test_sampling_is_off_by_default(bytewise):
    assert bytewise.sampling == 0
    assert bytewise.sample(corpus(5), seed=1) == bytewise.encode(corpus(5))


@pytest.mark.parametrize("algorithm", ["bpe", "unigram"])
def test_a_vocabulary_larger_than_the_text_supports(algorithm, tmp_path):
    config = SentencePieceConfig(algorithm=algorithm, vocab_size=5000)
    with pytest.raises(
        DataError,
        match=r"^tokenizer.vocab_size: 5000 is more than the training text supports; "
        r"expected at most \d+; set it to \d+ or less, or train on more text$",
    ) as caught:
        build_tokenizer(config, corpus(), tmp_path)
    assert not list(tmp_path.iterdir())
    most = int(str(caught.value).split("at most ")[1].split(";")[0])
    assert (
        build_tokenizer(SentencePieceConfig(algorithm=algorithm, vocab_size=most), corpus(), tmp_path).vocab_size
        == most
    )
    with pytest.raises(DataError, match=f"{most + 1} is more than"):
        build_tokenizer(SentencePieceConfig(algorithm=algorithm, vocab_size=most + 1), corpus(), tmp_path)


def test_a_vocabulary_smaller_than_the_alphabet(tmp_path):
    with pytest.raises(
        DataError,
        match=r"^tokenizer.vocab_size: 16 does not hold the single characters of the training text; "
        r"expected more than \d+; raise it, or lower tokenizer.character_coverage$",
    ):
        build_tokenizer(SentencePieceConfig(vocab_size=16), corpus(), tmp_path)


def test_no_text(tmp_path):
    with pytest.raises(DataError, match=r"^tokenizer: no training text; expected at least one line"):
        build_tokenizer(SentencePieceConfig(), ["", "  "], tmp_path)


def test_text_that_sentencepiece_cannot_use(tmp_path):
    with pytest.raises(DataError, match=r"^tokenizer: SentencePiece could not learn .*; see the data files with"):
        build_tokenizer(SentencePieceConfig(vocab_size=16), ["a" * 9000], tmp_path)


def test_drawing_lines():
    lines = [str(i) for i in range(1000)]
    assert draw_lines(iter(lines), 1000) == lines
    assert draw_lines(iter(lines), 2000) == lines
    drawn = draw_lines(iter(lines), 30)
    assert len(set(drawn)) == 30
    assert drawn == draw_lines(iter(lines), 30)
    assert drawn != draw_lines(iter(lines), 30, seed=2)
    assert draw_lines([], 3) == []


def test_every_line_is_drawn_equally_often():
    rounds, count, total = 3000, 5, 20
    seen = [0] * total
    for seed in range(rounds):
        for line in draw_lines(map(str, range(total)), count, seed=seed):
            seen[int(line)] += 1
    expected = rounds * count / total  # 750, standard deviation 24
    assert all(abs(number - expected) < 5 * 24 for number in seen)


def test_only_the_drawn_lines_are_learned_from(tmp_path):
    config = SentencePieceConfig(vocab_size=45, max_training_lines=200)
    tokenizer = build_tokenizer(config, corpus(3000), tmp_path)
    drawn = build_tokenizer(SentencePieceConfig(vocab_size=45), draw_lines(corpus(3000), 200), tmp_path)
    assert tokenizer.fingerprint == drawn.fingerprint


def test_a_model_with_other_special_ids(tmp_path):
    import io

    import sentencepiece

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()), model_writer=model, vocab_size=45, minloglevel=2
    )
    with pytest.raises(ValueError, match=r"pad, unk, bos, eos are \(-1, 0, 1, 2\) in this SentencePiece model"):
        SentencePieceTokenizer(model.getvalue())
