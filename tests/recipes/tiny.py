"""Small recipes and runs, for tests that go the whole way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnkit.recipes.translation.recipe import TranslationRecipe
from tests.new_recipe.new_run import with_changes

_RECIPE: dict[str, Any] = {
    "name": "tiny",
    "data": {"format": "reverse_digits", "train_lines": 300, "valid_lines": 20, "test_lines": 15, "max_digits": 5},
    "tokenizer": {"name": "characters"},
    "model": {"embed_dim": 16, "encoder_depth": 1, "decoder_depth": 2, "num_heads": 2, "mlp_dim": 24, "dropout": 0.1},
    "batch": {"src_tokens": 256, "tgt_tokens": 256},
    "train": {
        "steps": 12,
        "schedule": {"name": "inverse_sqrt", "warmup_steps": 4, "lr": 5e-3},
        "precision": "float32",
        "log_every": 3,
        "validate_every": 6,
        "save_every": 6,
        "keep_last": 2,
        "average_last": 2,
    },
    "decode": {"method": "greedy", "max_length_extra": 4},
    "bleu": {"tokenize": "char"},
}


def recipe_with(**changes: Any) -> TranslationRecipe:
    """The tiny recipe with some values changed; `train__steps=3` is train.steps. A section may be replaced whole."""
    return TranslationRecipe.model_validate(with_changes(_RECIPE, **changes))


SENTENCES = [
    ("a small dog runs", "ein kleiner Hund läuft"),
    ("two men sit in the park", "zwei Männer sitzen im Park"),
    ("the woman reads a book", "die Frau liest ein Buch"),
    ("children play with the ball", "Kinder spielen mit dem Ball"),
    ("a man eats bread", "ein Mann isst Brot"),
    ("the big house is red", "das große Haus ist rot"),
    ("she drinks cold water", "sie trinkt kaltes Wasser"),
    ("three birds fly over the sea", "drei Vögel fliegen über das Meer"),
]


def write_pairs(folder: Path, name: str, count: int) -> dict[str, str]:
    """Two aligned files made of pairs of sentences, for data.train, data.valid or data.test."""
    chosen = [(SENTENCES[i % 8], SENTENCES[(i // 8 + 3 * i) % 8]) for i in range(count)]
    for language, side in (("en", 0), ("de", 1)):
        lines = [f"{one[side]} {other[side]}\n" for one, other in chosen]
        (folder / f"{name}.{language}").write_text("".join(lines), encoding="utf-8")
    return {"src": str(folder / f"{name}.en"), "tgt": str(folder / f"{name}.de")}


def text_recipe(folder: Path, **changes: Any) -> TranslationRecipe:
    """The tiny recipe on text files in a folder, with subword pieces."""
    data = {"format": "text", "train": write_pairs(folder, "train", 64), "valid": write_pairs(folder, "valid", 7)}
    tokenizer = {"name": "sentencepiece", "vocab_size": 90}
    return recipe_with(data=data, **{"tokenizer": tokenizer, **changes})
