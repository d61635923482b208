"""What a translation recipe costs: parameters, and the arithmetic of its training."""

from typing import Any

import torch

from attnkit.models.config import TransformerConfig
from attnkit.models.transformer import Transformer
from attnkit.recipes.translation.recipe import TranslationRecipe

_P100_FLOPS = 9.5e12
"""Sustained single-precision FLOP/s of a P100, as the paper's footnote 5 takes it."""
_P100S = 8
_PUBLISHED = {
    # width, depth: name, hours on the eight GPUs, FLOPs in table 2
    (512, 6): ("Transformer (base model)", 12.0, 3.3e18),
    (1024, 6): ("Transformer (big)", 84.0, 2.3e19),
}


def summarize(recipe: TranslationRecipe) -> dict[str, Any]:
    """Count what a recipe asks for.

    Returns:
        Nested facts: parameters by part; FLOPs of training, counted from the model's matrix products (a product of
        m x n with n x p is 2mnp, backward twice that), and where the model is one of the paper's two, the paper's own
        estimate, GPU time times sustained speed, beside its table 2.
    """
    vocab_size = getattr(recipe.tokenizer, "vocab_size", 256)
    with torch.device("meta"):
        model = Transformer(recipe.model, src_vocab_size=vocab_size, tgt_vocab_size=vocab_size, pad_id=0)
    facts: dict[str, Any] = {"recipe": recipe.name, "vocabulary": vocab_size, "parameters": _parameters(model)}
    tokens = recipe.batch.tgt_tokens * recipe.train.accumulate
    facts["training"] = {
        "steps": recipe.train.steps,
        "target tokens per step, at most": tokens,
        "FLOPs, counted": recipe.train.steps * tokens * _flops_per_token(recipe.model, vocab_size),
    }
    published = _PUBLISHED.get((recipe.model.embed_dim, recipe.model.encoder_depth))
    if published and recipe.name.startswith("wmt14"):
        name, hours, flops = published
        facts["published"] = {
            "model": name,
            "FLOPs, the paper's way": hours * 3600 * _P100S * _P100_FLOPS,
            "how": f"{hours:g} hours x {_P100S} P100 x {_P100_FLOPS:.3g} FLOP/s",
            "FLOPs in the paper's table 2": flops,
        }
    return facts


def _parameters(model: Transformer) -> dict[str, int]:
    """How many numbers are learned, by part; a tied matrix counts once."""
    counts = {
        "encoder": sum(p.numel() for p in model.encoder.parameters()),
        "decoder": sum(p.numel() for p in model.decoder.parameters()),
    }
    total = sum(p.numel() for p in model.parameters())
    return {"total": total, "embeddings": total - sum(counts.values()), **counts}


def _flops_per_token(config: TransformerConfig, vocab_size: int) -> float:
    """Of one source token and one target token, forward and backward; products with weight matrices only."""
    square, mlp = config.embed_dim**2, 2 * config.embed_dim * config.mlp_dim
    encoder = config.encoder_depth * (4 * square + mlp)
    decoder = config.decoder_depth * (8 * square + mlp)
    return 3.0 * 2.0 * (encoder + decoder + config.embed_dim * vocab_size)
