"""The data check of a translation recipe: its lines, and what it says where the tokenizer cannot be learned."""

from attnkit.data.open import OpenedData
from attnkit.recipes.translation.check import check
from tests.recipes.tiny import recipe_with, text_recipe


def checked(recipe, *, tokens=True):
    told = []
    return check(recipe, OpenedData(recipe.data), tokens=tokens, say=told.append), told


def write(folder, name, lines):
    (folder / name).write_text("".join(line + "\n" for line in lines))
    return str(folder / name)


def tsv_recipe(folder, **changes):
    train = write(folder, "train.tsv", ["ab c\td", "a\tcd e f", "ab c\td", "\tx"])
    return recipe_with(data={"format": "tsv", "train": train}, tokenizer={"name": "whitespace"}, **changes)


def test_lines_by_hand(tmp_path):
    found, told = checked(tsv_recipe(tmp_path))
    assert told == ["learning whitespace from the training text", "train: 4 pairs checked"]
    assert found.lines == [
        "train: 4 pairs, 1 seen before, 1 left out",
        f"    {tmp_path}/train.tsv: 1.2 words a line, the longest has 4 characters, 1.2 tokens a line, 0.000% unknown",
        f"    {tmp_path}/train.tsv: 1.5 words a line, the longest has 6 characters, 1.5 tokens a line, 0.000% unknown",
    ]


def test_without_tokens_nothing_is_learned(tmp_path):
    found, told = checked(tsv_recipe(tmp_path), tokens=False)
    assert told == ["train: 4 pairs checked"]
    assert [line.count("tokens a line") for line in found.lines] == [0, 0, 0]


def test_two_vocabularies_are_learned_apart(tmp_path):
    """A letter that the other side alone has is unknown, as it is in training."""
    train = write(tmp_path, "train.tsv", ["ab\tcd"] * 30)
    valid = write(tmp_path, "valid.tsv", ["ad\tcd"])

    def unknown(*, joint):
        recipe = recipe_with(
            data={"format": "tsv", "train": train, "valid": valid},
            tokenizer={"name": "characters", "joint": joint},
            model__tied_embeddings="all" if joint else "none",
        )
        found, _ = checked(recipe)
        return found.counts["valid"]["src"]["unknown"], found.counts["valid"]["tgt"]["unknown"]

    assert unknown(joint=True) == (0, 0)
    assert unknown(joint=False) == (1, 0)


def test_a_vocabulary_that_is_too_large_is_an_error_before_all_others(tmp_path):
    recipe = text_recipe(tmp_path, tokenizer={"name": "sentencepiece", "vocab_size": 9000})
    found, _ = checked(recipe)
    assert not found.ok
    assert found.findings[0].severity == "error"
    assert str(found.findings[0]).startswith("tokenizer.vocab_size: 9000 is more than the training text supports;")
    assert found.counts["train"]["pairs"] == 64
    assert found.counts["train"]["src"]["tokens"] is None


def test_files_that_are_not_sound_are_checked_without_a_tokenizer(tmp_path):
    recipe = text_recipe(tmp_path)
    (tmp_path / "train.de").write_text("zu wenig\n")
    found, told = checked(recipe)
    assert not found.ok
    assert not any(line.startswith("learning") for line in told)
