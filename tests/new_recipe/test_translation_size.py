"""Recipes are sized to the data: the three published amounts get the published sizes."""

import pytest

from attnkit.data.text.config import PairOfFiles
from attnkit.data.text.parallel_text import Pair
from attnkit.new_recipe.translation_size import SideSize, TextSize, measure, size_recipe


def text(pairs, *, words=11, vocabulary=70_000, alphabet=90):
    """As if so many pairs of so many words a side had been counted."""
    side = SideSize(words=pairs * words, characters=pairs * words * 6)
    letters = {chr(33 + number) for number in range(alphabet)}
    return TextSize(pairs, side, side, letters, {str(number) for number in range(vocabulary)})


def sized(size):
    """A recipe for text of that size."""
    files = {split: PairOfFiles(src=f"{split}.en", tgt=f"{split}.de") for split in ("train", "valid", "test")}
    return size_recipe("x", files, size)


def test_counting():
    size = measure([Pair("a bb  ccc", "Ä b"), Pair("a", ""), Pair(" a\tb", "Ä")])
    assert (size.pairs, size.src.words, size.tgt.words) == (3, 6, 3)
    assert (size.src.characters, size.tgt.characters) == (9 + 1 + 4, 3 + 0 + 1)
    assert size.alphabet == set("abcÄ \t")
    assert size.vocabulary == {"a", "bb", "ccc", "Ä", "b"}
    assert size.tgt_pieces == int(1.3 * 3) + 3


def test_text_without_spaces_is_measured_in_characters():
    size = measure([Pair("ein großer Test", "これは とても簡単な試験です、")] * 10)
    assert size.src.has_spaces
    assert not size.tgt.has_spaces
    assert (size.src.length, size.tgt.length) == (10 * 3, 10 * 15 // 2)
    assert not measure([Pair("นี่คือการทดสอบ ABC", "x")]).src.has_spaces


def test_multi30k_gets_its_published_size_and_the_shipped_recipes_training():
    sizing = sized(text(29_000, words=12))
    assert (sizing.preset.name, sizing.recipe.model.embed_dim, sizing.recipe.model.dropout) == ("tiny", 128, 0.3)
    assert (sizing.recipe.tokenizer.vocab_size, sizing.recipe.batch.tgt_tokens) == (10_000, 4096)
    assert 7000 <= sizing.recipe.train.steps <= 9000
    recipe = sizing.recipe
    assert (
        *(recipe.model.norm, recipe.tokenizer.sampling),
        *(recipe.train.schedule.name, recipe.train.patience),
    ) == ("pre", 0.1, "cosine", None)
    assert (sizing.recipe.train.schedule.warmup_steps, sizing.recipe.train.schedule.lr) == (600, 4e-3)
    assert 110 <= sizing.recipe.train.save_every <= 140, "about an epoch"
    assert any("26 to 31" in reason for reason in sizing.reasons)


def test_iwslt_gets_its_published_recipe():
    sizing = sized(text(160_000, words=19))
    assert (sizing.preset.name, sizing.recipe.model.mlp_dim, sizing.recipe.model.dropout) == ("iwslt", 1024, 0.3)
    assert (
        sizing.recipe.tokenizer.vocab_size,
        sizing.recipe.batch.tgt_tokens,
        sizing.recipe.train.schedule.warmup_steps,
        sizing.recipe.train.schedule.lr,
    ) == (10_000, 4096, 4000, 5e-4)
    assert 45_000 <= sizing.recipe.train.steps <= 55_000


def test_millions_get_the_papers_base():
    sizing = sized(text(4_500_000, words=25))
    assert (sizing.preset.name, sizing.recipe.model.mlp_dim, sizing.recipe.model.dropout) == ("base", 2048, 0.1)
    assert (
        sizing.recipe.tokenizer.vocab_size,
        sizing.recipe.train.steps,
        sizing.recipe.train.schedule.warmup_steps,
    ) == (32_000, 100_000, 4000)
    assert sizing.recipe.batch.tgt_tokens * sizing.recipe.train.accumulate == 25_000
    assert sizing.recipe.train.schedule.lr is None
    assert any("the paper's peak" in reason for reason in sizing.reasons)


@pytest.mark.parametrize(
    ("pairs", "name"), [(99_999, "tiny"), (100_000, "iwslt"), (999_999, "iwslt"), (1_000_000, "base")]
)
def test_limits(pairs, name):
    assert sized(text(pairs)).preset.name == name


@pytest.mark.parametrize("pairs", [200, 600, 3000, 17_000, 50_000, 99_999, 100_000, 400_000, 1_000_000, 36_000_000])
@pytest.mark.parametrize("words", [2, 11, 40])
def test_the_numbers_go_together(pairs, words):
    sizing = sized(text(pairs, words=words))
    preset = sizing.preset
    assert preset.least_steps <= sizing.recipe.train.steps <= preset.most_steps
    assert sizing.recipe.train.schedule.warmup_steps * 4 <= sizing.recipe.train.steps
    assert sizing.recipe.train.save_every * sizing.recipe.train.average_last <= 0.55 * sizing.recipe.train.steps, (
        "what is averaged comes from the second half"
    )
    assert 10 <= sizing.recipe.train.steps / sizing.recipe.train.validate_every <= 40
    assert sizing.recipe.train.steps // sizing.recipe.train.save_every <= 130
    assert len(sizing.reasons) == 6


def test_small_text_gets_small_batches():
    sizings = [sized(text(pairs)) for pairs in (1000, 9000, 25_000)]
    assert [sizing.recipe.batch.tgt_tokens for sizing in sizings] == [1024, 2048, 4096]
    assert [sizing.recipe.train.schedule.lr for sizing in sizings] == [2e-3, 3e-3, 4e-3], (
        "smaller steps, for smaller batches say less"
    )


@pytest.mark.parametrize(
    ("pairs", "pieces"),
    [(300, 500), (2000, 1000), (5000, 2000), (20_000, 4000), (100_000, 10_000), (1_500_000, 16_000)],
)
def test_the_vocabulary_grows_with_the_text(pairs, pieces):
    assert sized(text(pairs)).recipe.tokenizer.vocab_size == pieces


def test_the_vocabulary_is_no_larger_than_the_text_supports():
    sizing = sized(text(3000, vocabulary=90, alphabet=30))
    assert sizing.recipe.tokenizer.vocab_size == 30 + 45
    assert "only 90 of them different" in sizing.reasons[2]


def test_large_alphabets_spell_rare_characters_as_bytes():
    sizing = sized(text(3000, alphabet=3000))
    assert (sizing.recipe.tokenizer.vocab_size, sizing.recipe.tokenizer.byte_fallback) == (8000, True)
    assert "of the 3,000 different characters the rare ones are spelled as bytes" in sizing.reasons[2]
    smaller = sized(text(300, alphabet=700))
    assert (smaller.recipe.tokenizer.vocab_size, smaller.recipe.tokenizer.byte_fallback) == (1400, False)
