"""Two tokenizers that several tests use."""

import pytest

from attnkit.tokenizers.build import build_tokenizer
from attnkit.tokenizers.config import SentencePieceConfig
from tests.tokenizers.text import corpus, english


@pytest.fixture(scope="session")
def bpe(tmp_path_factory):
    config = SentencePieceConfig(vocab_size=80, sampling=0.3)
    return build_tokenizer(config, corpus(), tmp_path_factory.mktemp("bpe"))


@pytest.fixture(scope="session")
def unigram(tmp_path_factory):
    config = SentencePieceConfig(algorithm="unigram", vocab_size=300, sampling=0.2)
    return build_tokenizer(config, [*english(), *corpus()], tmp_path_factory.mktemp("unigram"))
