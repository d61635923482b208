import pytest
from pydantic import ValidationError

from attnkit.models.config import TransformerConfig


def test_the_defaults_are_the_paper_s_base_model() -> None:
    config = TransformerConfig()
    assert (config.embed_dim, config.mlp_dim, config.num_heads) == (512, 2048, 8)
    assert (config.encoder_depth, config.decoder_depth) == (6, 6)
    assert (config.norm, config.activation, config.positions, config.tied_embeddings) == (
        "post",
        "relu",
        "sinusoidal",
        "all",
    )
    assert (config.dropout, config.attention_dropout, config.activation_dropout) == (0.1, 0.0, 0.0)


def test_heads_must_share_the_width() -> None:
    with pytest.raises(
        ValidationError,
        match="embed_dim 10 does not divide into num_heads 3; expected a multiple; change one of the two",
    ):
        TransformerConfig(embed_dim=10, num_heads=3)


def test_sinusoids_come_in_pairs() -> None:
    with pytest.raises(ValidationError, match="embed_dim 9 is odd; sinusoidal positions need pairs; make it even"):
        TransformerConfig(embed_dim=9, num_heads=3)
    assert TransformerConfig(embed_dim=9, num_heads=3, positions="learned").embed_dim == 9


@pytest.mark.parametrize("positions", ["index", "fraction"])
def test_naive_positions_do_not_go_with_a_norm_in_front(positions: str) -> None:
    """They add the same number to every channel, and a layer norm takes off what all channels share."""
    with pytest.raises(ValidationError, match=f"positions '{positions}' add the same number .*; expected norm 'post'"):
        TransformerConfig(positions=positions, norm="pre")


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dropout": 1.0}, "dropout\n  Input should be less than 1"),
        ({"encoder_depth": 0}, "encoder_depth\n  Input should be greater than or equal to 1"),
        ({"norm": "both"}, "norm\n  Input should be 'post' or 'pre'"),
        ({"num_head": 8}, "num_head\n  Extra inputs are not permitted"),
    ],
)
def test_wrong_values(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TransformerConfig(**wrong)


def test_a_config_does_not_change() -> None:
    with pytest.raises(ValidationError, match="Instance is frozen"):
        TransformerConfig().embed_dim = 256
