"""What a translation recipe costs, by hand, and beside the paper's own figures."""

import pytest

from attnkit.recipe_file import load
from attnkit.recipes.translation.summary import summarize
from tests.recipes.tiny import recipe_with


def test_parameters_are_counted_once_where_they_are_tied():
    tied, apart = (
        summarize(recipe_with(tokenizer={"name": "sentencepiece", "vocab_size": 100}, model__tied_embeddings=tied))
        for tied in ("all", "none")
    )
    assert tied["vocabulary"] == 100
    assert tied["parameters"]["embeddings"] == 100 * 16
    assert apart["parameters"]["embeddings"] == 3 * 100 * 16
    assert apart["parameters"]["total"] - tied["parameters"]["total"] == 2 * 100 * 16
    for counts in (tied["parameters"], apart["parameters"]):
        assert counts["total"] == counts["embeddings"] + counts["encoder"] + counts["decoder"]


def test_the_arithmetic_of_training_by_hand():
    """Width 16, one layer of the encoder and two of the decoder, 24 in between; an addition for each product, and
    twice as much backward.
    """
    recipe = recipe_with(
        tokenizer={"name": "sentencepiece", "vocab_size": 100}, train__accumulate=3, batch={"tgt_tokens": 50}
    )
    encoder = 4 * 16 * 16 + 2 * 16 * 24
    decoder = 2 * (4 * 16 * 16 + 4 * 16 * 16 + 2 * 16 * 24)
    assert summarize(recipe)["training"] == {
        "steps": 12,
        "target tokens per step, at most": 150,
        "FLOPs, counted": 12 * 150 * 6 * (encoder + decoder + 16 * 100),
    }
    assert "published" not in summarize(recipe)


@pytest.mark.parametrize(
    ("size", "parameters", "hours", "table"), [("base", 65e6, 12, 3.3e18), ("big", 213e6, 3.5 * 24, 2.3e19)]
)
def test_beside_the_paper(size, parameters, hours, table):
    """Table 3 counts the parameters in millions; table 2 is eight P100s at 9.5 TFLOP/s for 12 hours, or 3.5 days."""
    facts = summarize(load(f"translation/wmt14_en_de_{size}"))
    assert facts["parameters"]["total"] == pytest.approx(parameters, rel=0.05)
    published = facts["published"]
    assert published["FLOPs in the paper's table 2"] == table
    assert published["FLOPs, the paper's way"] == pytest.approx(hours * 3600 * 8 * 9.5e12)
    assert published["FLOPs, the paper's way"] == pytest.approx(table, rel=0.05)
