"""What a recipe may say about models. Sizes that come from the data are arguments of `build`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field, model_validator

from attnkit.config import Config

if TYPE_CHECKING:
    from attnkit.models.transformer import Transformer


class TransformerConfig(Config):
    """The encoder-decoder Transformer (Vaswani et al. 2017). The defaults are the paper's base model."""

    name: Literal["transformer"] = "transformer"
    embed_dim: int = Field(default=512, ge=2)
    """The paper's d_model."""
    encoder_depth: int = Field(default=6, ge=1)
    decoder_depth: int = Field(default=6, ge=1)
    num_heads: int = Field(default=8, ge=1)
    mlp_dim: int = Field(default=2048, ge=1)
    """The paper's d_ff."""
    norm: Literal["post", "pre"] = "post"
    """Layer norm after the residual sum, as in the paper, or before the sub-layer, with one more norm on each stack."""
    activation: Literal["relu", "gelu"] = "relu"
    positions: Literal["sinusoidal", "learned", "index", "fraction"] = "sinusoidal"
    """`index` adds the plain position, `fraction` the position over the length: the two naive schemes."""
    max_positions: int = Field(default=1024, ge=1)
    """Rows of a learned table; the other schemes have no limit."""
    tied_embeddings: Literal["none", "decoder", "all"] = "all"
    """`decoder`: the output matrix is the target embedding; `all`: the source embedding too (a joint vocabulary)."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """On the sum of embedding and position, and on each sub-layer's output before the residual sum."""
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    activation_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    init: Literal["xavier", "deep"] = "xavier"
    """`deep` shrinks the matrices that write to the residual stream by the square root of twice the depth."""

    @model_validator(mode="after")
    def heads_divide_width(self) -> TransformerConfig:
        """Refuse a width that the heads cannot share."""
        if self.embed_dim % self.num_heads:
            raise ValueError(
                f"embed_dim {self.embed_dim} does not divide into num_heads {self.num_heads}; "
                "expected a multiple; change one of the two"
            )
        if self.embed_dim % 2 and self.positions == "sinusoidal":
            raise ValueError(f"embed_dim {self.embed_dim} is odd; sinusoidal positions need pairs; make it even")
        return self

    @model_validator(mode="after")
    def positions_survive_the_norm(self) -> TransformerConfig:
        """Refuse to add the same number to every channel in front of a norm, which takes it off again."""
        if self.norm == "pre" and self.positions in ("index", "fraction"):
            raise ValueError(
                f"positions '{self.positions}' add the same number to every channel, and with norm 'pre' the first "
                "layer norm takes it off again; expected norm 'post' with them; set one of the two"
            )
        return self

    def build(self, *, src_vocab_size: int, tgt_vocab_size: int, pad_id: int) -> Transformer:
        """Make the model, with fresh weights."""
        from attnkit.models.transformer import Transformer

        return Transformer(self, src_vocab_size=src_vocab_size, tgt_vocab_size=tgt_vocab_size, pad_id=pad_id)
