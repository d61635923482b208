"""Every recipe that ships: it loads, says where it comes from, and has the values of its source."""

import re

import pytest

from attnkit import recipe_file

NAMES = recipe_file.shipped_recipes()
PAPER = [name for name in NAMES if name.startswith("translation/wmt14_")]


def text_of(name):
    return recipe_file.find_recipe(name).read_text(encoding="utf-8")


def test_the_recipes_are_there():
    assert NAMES == [
        "translation/iwslt14_de_en",
        "translation/multi30k_de_en",
        "translation/multi30k_en_de",
        "translation/multi30k_en_fr",
        "translation/tatoeba_en_de",
        "translation/toy",
        "translation/wmt14_en_de_base",
        "translation/wmt14_en_de_big",
        "translation/wmt14_en_fr_base",
        "translation/wmt14_en_fr_big",
    ]


@pytest.mark.parametrize("name", NAMES)
def test_loads_under_its_own_name(name):
    recipe = recipe_file.load(name)
    assert f"{recipe.task}/{recipe.name}" == name


@pytest.mark.parametrize("name", NAMES)
def test_opens_with_where_it_comes_from(name):
    schema_line, title, *rest = text_of(name).splitlines()
    assert schema_line == "# yaml-language-server: $schema=../schema.json"
    assert re.fullmatch(r"# .{20,}\.", title)
    comments = "\n".join(line for line in rest if line.startswith("#"))
    for label in ("Source", "Expected", "Time", "Command"):
        assert f"# {label}: " in comments
    assert f"attnkit train {name}\n" in text_of(name)


@pytest.mark.parametrize("name", NAMES)
def test_title_is_the_first_line_that_says_something(name):
    assert recipe_file.title(name) == text_of(name).splitlines()[1].removeprefix("# ")


def test_schema_file_is_the_schema():
    path = recipe_file.shipped_folder() / "schema.json"
    assert path.read_text(encoding="utf-8") == recipe_file.schema_text(), (
        "make it anew: attnkit recipe schema > recipes/schema.json"
    )


@pytest.mark.parametrize("name", PAPER)
def test_the_paper_s_values(name):
    recipe = recipe_file.load(name)
    big, french = name.endswith("_big"), "_fr_" in name
    model, train, decode = recipe.model, recipe.train, recipe.decode
    assert (model.embed_dim, model.num_heads, model.mlp_dim) == ((1024, 16, 4096) if big else (512, 8, 2048))
    assert (model.encoder_depth, model.decoder_depth, model.norm, model.positions) == (6, 6, "post", "sinusoidal")
    assert model.dropout == (0.3 if big and not french else 0.1)
    assert (model.attention_dropout, model.activation_dropout, model.tied_embeddings) == (0.0, 0.0, "all")
    assert (recipe.tokenizer.vocab_size, recipe.tokenizer.joint) == (32000 if french else 37000, True)
    assert recipe.batch.src_tokens * train.accumulate == recipe.batch.tgt_tokens * train.accumulate == 25000
    assert train.steps == (300_000 if big else 100_000)
    assert train.optimizer.model_dump() == {"name": "adam", "beta1": 0.9, "beta2": 0.98, "eps": 1e-9}
    assert train.schedule.model_dump() == {"name": "inverse_sqrt", "warmup_steps": 4000, "lr": None}
    assert train.average_last == (20 if big else 5)
    assert (recipe.loss.label_smoothing, recipe.loss.smoothing_form) == (0.1, "paper")
    assert (decode.method, decode.beam_size) == ("beam", 4)
    assert (decode.length_penalty.form, decode.length_penalty.alpha) == ("gnmt", 0.6)
    assert (decode.max_length_factor, decode.max_length_extra) == (1.0, 50)


def test_iwslt_has_fairseq_s_values():
    recipe = recipe_file.load("translation/iwslt14_de_en")
    assert (recipe.model.embed_dim, recipe.model.mlp_dim, recipe.model.num_heads) == (512, 1024, 4)
    assert (recipe.train.schedule.lr, recipe.train.schedule.warmup_steps) == (5e-4, 4000)
    assert (recipe.train.optimizer.name, recipe.train.optimizer.weight_decay) == ("adamw", 1e-4)
    assert recipe.model.dropout == 0.3
    assert recipe.tokenizer.lowercase
    assert recipe.bleu.lowercase
