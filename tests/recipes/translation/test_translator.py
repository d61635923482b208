"""The translator: N lines in, N lines out, whatever is in them and however they are cut into batches."""

import math

import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from attnkit.data.open import OpenedData
from attnkit.decoding.config import DecodeConfig, LengthPenaltyConfig
from attnkit.engine.checkpoint import save_weights
from attnkit.errors import CheckpointError, DataError, RecipeError
from attnkit.recipes.translation.task import build_task
from attnkit.recipes.translation.train import train
from attnkit.recipes.translation.translator import Translator, load_translator, translate_split
from attnkit.tokenizers.build import build_tokenizer
from attnkit.tokenizers.lookup import CharactersTokenizer
from tests.new_recipe.new_run import new_run
from tests.recipes.tiny import SENTENCES, recipe_with, text_recipe

CPU = torch.device("cpu")
BEAM = DecodeConfig(beam_size=3, max_length_factor=0.3, max_length_extra=5)
SAMPLING = DecodeConfig(method="sampling", max_length_factor=0.3, max_length_extra=5, seed=3)

WEIRD = [
    "a small dog runs",
    "",
    "   ",
    "a\ttab and a\vvertical one",
    "🐕 runs 🏃‍♀️ in the 👨‍👩‍👧‍👦 park",
    "two men\r",
    "sit\rin the park",
    "before\u2028behind\u2029it\u0085all",
    "\u2028",
    "\u200b",
    "\ufeffmarked",
    "\x00\x01\x1b[31m",
    "e\u0301 ﬁ Ａ ½ ﷺ",
    "日本語の文章。右から左へ שלום",
    "\U0010ffff",
    "<s> </s> <pad> <unk> ▁",
    "x" * 700,
    "the woman reads a book",
]


def untrained(recipe, src_tokenizer, tgt_tokenizer, *, seed=4):
    """A model with random weights: it babbles, but each line differently."""
    model = build_task(recipe, src_tokenizer, tgt_tokenizer).model
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in model.parameters():
            p.add_(torch.randn(p.shape, generator=generator), alpha=0.3)
        model.tgt_embedding.weight[tgt_tokenizer.eos_id] *= 0.5
    return Translator(recipe, model, src_tokenizer, tgt_tokenizer, device=CPU)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on text with subword pieces, hardly trained."""
    folder = tmp_path_factory.mktemp("translator")
    recipe = text_recipe(
        folder, tokenizer={"name": "sentencepiece", "vocab_size": 310, "byte_fallback": True}, filter__max_length=60,
        train__steps=4, train__validate_every=4, train__save_every=4, decode={"beam_size": 3, "max_length_extra": 5},
    )  # fmt: skip
    made = new_run(folder / "run", recipe)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        train(recipe, made, OpenedData(recipe.data), resume=False, device="cpu")
    return recipe, made


@pytest.fixture(scope="module")
def pieces(run):
    recipe, made = run
    trained = load_translator(recipe, made, device="cpu")
    return untrained(recipe, trained.src_tokenizer, trained.tgt_tokenizer)


@pytest.fixture(scope="module")
def characters():
    tokenizer = CharactersTokenizer(" abcdefghijklmnopqrstuvwxyz")
    return untrained(recipe_with(filter__max_length=40), tokenizer, tokenizer)


def texts(translator, lines, **options):
    return [[one.text for one in of_line] for of_line in translator.translate(lines, **options)]


@pytest.mark.parametrize("name", ["pieces", "characters"])
@pytest.mark.parametrize(
    "decode", [BEAM, DecodeConfig(method="greedy", max_length_extra=5), SAMPLING], ids=lambda d: d.method
)
def test_weird_lines(request, name, decode):
    translator = request.getfixturevalue(name)
    translations = texts(translator, WEIRD, decode=decode)
    assert len(translations) == len(WEIRD)
    for line, of_line in zip(WEIRD, translations, strict=True):
        assert len(of_line) == 1
        assert not set("\n\r") & set(of_line[0])
        if not line.strip():
            assert of_line == [""]
    assert len({of_line[0] for of_line in translations}) > 5, "they are not all the same"


@pytest.mark.parametrize("decode", [BEAM, SAMPLING], ids=lambda d: d.method)
@pytest.mark.parametrize("batch_size", [1, 3, 64, None])
def test_the_batch_size_changes_nothing(pieces, decode, batch_size):
    lines = [pair[0] for pair in SENTENCES] + WEIRD
    expected = pieces.translate(lines, decode=decode)
    found = pieces.translate(lines, decode=decode, batch_size=batch_size)
    for one, other in zip(found, expected, strict=True):
        assert one[0].text == other[0].text
        assert one[0].pieces == other[0].pieces
        assert one[0].score == pytest.approx(other[0].score, abs=1e-4)


def test_the_order_is_kept_and_neighbours_do_not_matter(pieces):
    lines = [pair[0] for pair in SENTENCES]
    alone = [texts(pieces, [line], decode=BEAM)[0] for line in lines]
    assert texts(pieces, lines, decode=BEAM) == alone
    assert texts(pieces, lines[::-1], decode=BEAM) == alone[::-1]
    assert len({text for (text,) in alone}) > 3


@pytest.mark.parametrize("sizes", [(8,), (3, 5), (1, 1, 6)])
def test_samples_do_not_depend_on_how_the_lines_arrive(run, pieces, sizes):
    lines = [pair[0] for pair in SENTENCES]

    def translate(sizes, batch_size):
        found, first = [], 0
        for size in sizes:
            part = lines[first : first + size]
            found += texts(pieces, part, decode=SAMPLING, n_best=2, batch_size=batch_size, lines_before=first)
            first += size
        return found

    assert translate(sizes, batch_size=2) == translate([8], batch_size=None)


def test_equal_lines_are_sampled_apart_and_another_seed_is_another_text(pieces):
    lines = [SENTENCES[0][0]] * 6
    found = texts(pieces, lines, decode=SAMPLING)
    assert len({text for (text,) in found}) > 1
    assert texts(pieces, lines, decode=SAMPLING.model_copy(update={"seed": 4})) != found


def test_n_best(pieces):
    lines = [SENTENCES[0][0], "", SENTENCES[1][0]]
    found = pieces.translate(lines, decode=BEAM, n_best=3)
    for of_line in (found[0], found[2]):
        scores = [one.score for one in of_line]
        assert len(scores) == 3
        assert scores == sorted(scores, reverse=True)
        assert len({tuple(one.pieces) for one in of_line}) == 3
    assert [one.text for one in found[1]] == ["", "", ""]
    best = pieces.translate(lines, decode=BEAM)
    assert best[2][0].pieces == found[2][0].pieces
    with pytest.raises(RecipeError, match=r"decode\.beam_size: 3 is too small for 4 outputs"):
        pieces.translate(lines, decode=BEAM, n_best=4)


def test_scores_are_those_of_the_pieces(pieces):
    decode = BEAM.model_copy(update={"length_penalty": LengthPenaltyConfig(form="power", alpha=1.0)})
    for (one,) in pieces.translate([pair[0] for pair in SENTENCES], decode=decode):
        assert one.log_prob == pytest.approx(sum(one.token_log_probs), rel=1e-5)
        assert one.score == pytest.approx(one.log_prob / len(one.token_log_probs), rel=1e-5)
        assert len(one.token_log_probs) - len(one.pieces) in (0, 1), "the end of sentence, if it came to it"
        assert one.log_prob < 0
        assert pieces.tgt_tokenizer.decode([[]]) == [""]


def test_prefixes(pieces):
    lines = [SENTENCES[0][0], "", SENTENCES[1][0], SENTENCES[2][0]]
    prefixes = ["das große Haus", "ist", "", "drei Vögel"]
    found = texts(pieces, lines, decode=BEAM, prefixes=prefixes)
    free = texts(pieces, lines, decode=BEAM)
    assert found[0][0].startswith("das große Haus")
    assert found[1] == [""]
    assert found[2] == free[2]
    assert found[3][0].startswith("drei Vögel")
    assert found[3] != free[3]
    with pytest.raises(DataError, match=r"^prefixes: 2 for 4 lines; expected one per line; a line may be blank$"):
        pieces.translate(lines, prefixes=["a", "b"])


def test_a_prefix_begins_only_the_first_part_of_a_long_line(characters):
    (found,) = texts(characters, ["abc " * 30], decode=BEAM, prefixes=["zz"])
    assert found[0].startswith("zz")
    assert len(characters._cut("abc " * 30)) == 3
    assert found[0].count("zz") == 1


# Long lines


def test_a_line_of_five_thousand_words(pieces):
    decode = DecodeConfig(method="greedy", max_length_factor=0.1, max_length_extra=1)
    line = " ".join(SENTENCES[i % 8][0] for i in range(1000))
    assert len(line.split()) > 4500
    ((one,),) = pieces.translate([line], decode=decode)
    parts = pieces._cut(line)
    assert all(len(part) <= 60 for part in parts)
    assert sum(map(len, parts)) == len(pieces.src_tokenizer.encode([line])[0]), "nothing is lost"
    assert len(one.pieces) >= len(parts)
    assert one.log_prob == pytest.approx(sum(one.token_log_probs), rel=1e-4)


def test_a_long_line_is_cut_between_its_sentences(characters):
    sentences = ["abcde fghij klmno. ", "pqrst uvwxy! ", "zabcd efghi jklmn opq? ", "rst."]
    parts = characters._cut("".join(sentences))
    assert list(map(len, parts)) == [32, 27]
    assert [*parts[0], *parts[1]] == characters.src_tokenizer.encode(["".join(sentences)])[0], "nothing is lost"
    alone = [texts(characters, ["".join(pair)], decode=BEAM)[0][0] for pair in (sentences[:2], sentences[2:])]
    assert texts(characters, ["".join(sentences)], decode=BEAM) == [[" ".join(alone).strip()]]


def test_sentences_without_spaces_between_them(characters):
    assert list(map(len, characters._cut("一二三四五。" * 9))) == [36, 18]


def test_a_word_that_is_longer_than_all_is_cut_anywhere(characters):
    assert [len(part) for part in characters._cut("x" * 95)] == [40, 40, 15]
    assert [len(part) for part in characters._cut("x" * 40)] == [40]


def test_n_best_of_a_long_line(characters):
    (found,) = characters.translate(["abc " * 30], decode=BEAM, n_best=2)
    assert len(found) == 2
    assert found[0].score >= found[1].score


@pytest.mark.parametrize("method", ["beam", "greedy", "sampling"])
def test_learned_positions_are_a_limit(method):
    tokenizer = CharactersTokenizer(" abcdefghijklmnopqrstuvwxyz")
    recipe = recipe_with(filter__max_length=11, model__positions="learned", model__max_positions=12)
    translator = untrained(recipe, tokenizer, tokenizer)
    with torch.no_grad():
        translator.model.tgt_embedding.weight[tokenizer.eos_id] = -9.0  # it never wants to end
    decode = DecodeConfig(method=method, max_length_extra=50)
    found = translator.translate(["abc", "abcdefghijk", "abc " * 9], decode=decode)
    assert [len(of_line[0].pieces) for of_line in found[:2]] == [12, 12]
    assert len(found[2][0].pieces) == 12 * math.ceil(36 / 11)
    (forced,) = translator.translate(["abc"], decode=decode, prefixes=["abcdefghijkl"])
    assert forced[0].text == "abcdefghijkl"
    with pytest.raises(
        DataError,
        match=r"^prefix 'abcdefghijklm': 13 tokens, but the model has positions for 12; expected no more than that; "
        r"shorten the prefix$",
    ):
        translator.translate(["abc"], decode=decode, prefixes=["abcdefghijklm"])


# Runs


def test_translate_a_split(run):
    recipe, made = run
    translator = load_translator(recipe, made, device="cpu")
    found = translate_split(translator, OpenedData(recipe.data), made, "valid")
    expected = recipe.data.valid
    with open(expected.src, encoding="utf-8") as src, open(expected.tgt, encoding="utf-8") as tgt:
        assert found.sources == src.read().splitlines()
        assert found.references == tgt.read().splitlines()
    assert found.hypotheses == [text for (text,) in texts(translator, found.sources)]
    other = translate_split(translator, OpenedData(recipe.data), made, "valid", decode=SAMPLING)
    assert other.hypotheses != found.hypotheses


def test_a_split_that_is_not_there(run):
    recipe, made = run
    translator = load_translator(recipe, made, device="cpu")
    with pytest.raises(
        DataError, match=r"recipe\.yaml: data\.test: none; expected a test set; name one in the recipe, or use --split$"
    ):
        translate_split(translator, OpenedData(recipe.data), made, "test")


def test_the_checkpoint_can_be_chosen(run, tmp_path):
    recipe, made = run
    translator = load_translator(recipe, made, device="cpu")
    with torch.no_grad():
        translator.model.tgt_embedding.weight.zero_()
    save_weights(tmp_path / "zero.safetensors", translator.model, {})
    other = load_translator(recipe, made, device="cpu", weights=tmp_path / "zero.safetensors")
    assert not other.model.output_weight.any()
    assert not other.model.training


def test_a_run_without_weights(tmp_path):
    recipe = recipe_with()
    made = new_run(tmp_path / "run", recipe)
    build_tokenizer(recipe.tokenizer, ["1 2 3"], made.tokenizer / "joint")
    with pytest.raises(CheckpointError, match=r"run: no weights yet; expected model\.safetensors or checkpoints/; "):
        load_translator(recipe, made, device="cpu")


# Whatever the lines

LINES = st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\n"), max_size=60), max_size=6)


@settings(max_examples=30)
@given(LINES, st.sampled_from([1, 2, 64]))
@example(["a", "", "a"], 1)
@example([], 1)
def test_as_many_lines_come_out_as_go_in(pieces, lines, batch_size):
    decode = DecodeConfig(method="greedy", max_length_factor=0.2, max_length_extra=3)
    found = pieces.translate(lines, decode=decode, batch_size=batch_size)
    assert len(found) == len(lines)
    for line, (one,) in zip(lines, found, strict=True):
        assert not set("\n\r") & set(one.text)
        assert one.pieces == [] or line.strip()
        if not line.strip():
            assert one.text == ""
