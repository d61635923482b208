"""The translation recipe: the form that recipes/translation/*.yaml fill in.

Free of torch, so that checking a recipe is instant. What happens when it runs stands beside it: task.py is
the model with its loss and score, train.py the training, translator.py the trained model at work.
"""

from typing import Literal

from pydantic import Field, model_validator

from attnkit.config import MOST, Config, Count
from attnkit.data.text.config import PairFilterConfig, PairsConfig
from attnkit.decoding.config import DecodeConfig
from attnkit.models.config import TransformerConfig
from attnkit.recipes.base import BaseRecipe
from attnkit.tokenizers.config import SentencePieceConfig, TokenizerConfig


class LossConfig(Config):
    """Cross entropy of the next target token, smoothed."""

    label_smoothing: float = Field(default=0.1, ge=0.0, lt=1.0)
    """How much probability, epsilon, is taken from the true token and spread over the vocabulary."""
    smoothing_form: Literal["paper", "torch"] = "paper"
    """How epsilon is spread: paper gives the true token 1 - epsilon and each other epsilon / (V - 1); torch gives every
    token epsilon / V, and the rest to the true one."""


class BatchConfig(Config):
    """How many tokens a batch may hold on each side."""

    src_tokens: int = Field(default=4096, ge=8, le=MOST)
    """How many source tokens a batch may hold, padding included."""
    tgt_tokens: int = Field(default=4096, ge=8, le=MOST)
    """How many target tokens a batch may hold, padding included."""
    pool: Count = 200_000
    """How many pairs are sorted by length at a time, after they were shuffled."""


class BleuConfig(Config):
    """How validation and `attnkit eval` compute BLEU, in sacreBLEU's terms."""

    tokenize: Literal["13a", "intl", "char", "none", "zh", "ja-mecab", "ko-mecab", "flores101", "flores200"] = "13a"
    """Which of sacreBLEU's tokenizers splits the text."""
    lowercase: bool = False
    """Whether upper and lower case count as the same."""


class TranslationRecipe(BaseRecipe):
    """Two languages, a tokenizer, a Transformer, and how it is trained and searched."""

    task: Literal["translation"] = "translation"
    data: PairsConfig = Field(discriminator="format")
    filter: PairFilterConfig = PairFilterConfig()
    tokenizer: TokenizerConfig = Field(default=SentencePieceConfig(), discriminator="name")
    model: TransformerConfig = TransformerConfig()
    loss: LossConfig = LossConfig()
    batch: BatchConfig = BatchConfig()
    decode: DecodeConfig = DecodeConfig()
    bleu: BleuConfig = BleuConfig()

    @model_validator(mode="after")
    def ties_need_one_vocabulary(self) -> "TranslationRecipe":
        """Refuse to tie the embeddings of two different vocabularies."""
        if self.model.tied_embeddings == "all" and not self.tokenizer.joint:
            raise ValueError(
                "model.tied_embeddings: 'all' shares one embedding between two vocabularies; "
                "expected 'decoder' or 'none' with tokenizer.joint: false; set one of the two"
            )
        return self

    @model_validator(mode="after")
    def learned_positions_reach(self) -> "TranslationRecipe":
        """Refuse a table of positions that is shorter than the sentences of training."""
        longest = self.filter.max_length + 1
        if self.model.positions == "learned" and self.model.max_positions < longest:
            raise ValueError(
                f"model.max_positions: {self.model.max_positions} is too short for filter.max_length "
                f"{self.filter.max_length} and an end of sentence; expected at least {longest}; change one of the two"
            )
        return self
