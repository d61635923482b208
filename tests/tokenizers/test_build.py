"""Saved tokenizers come back, and what cannot be one is refused."""

import pytest

from attnkit.errors import CheckpointError
from attnkit.tokenizers.build import load_tokenizer, load_tokenizers
from attnkit.tokenizers.sentencepiece import MODEL_FILE
from tests.tokenizers.text import corpus


def test_it_comes_back(bpe, tmp_path):
    bpe.save(tmp_path / "joint")
    src, tgt = load_tokenizers(tmp_path)
    assert src is tgt
    assert src.fingerprint == bpe.fingerprint
    assert src.encode(corpus(5)) == bpe.encode(corpus(5))


def test_two_come_back(bpe, unigram, tmp_path):
    bpe.save(tmp_path / "src")
    unigram.save(tmp_path / "tgt")
    src, tgt = load_tokenizers(tmp_path)
    assert (src.fingerprint, tgt.fingerprint) == (bpe.fingerprint, unigram.fingerprint)


def test_there_is_none(tmp_path):
    with pytest.raises(CheckpointError, match=r"tokenizer.json: no such file; expected a tokenizer saved by"):
        load_tokenizer(tmp_path)
    with pytest.raises(CheckpointError, match=r"src.tokenizer.json: no such file"):
        load_tokenizers(tmp_path)


def test_it_is_truncated(bpe, tmp_path):
    bpe.save(tmp_path)
    content = (tmp_path / MODEL_FILE).read_bytes()
    (tmp_path / MODEL_FILE).write_bytes(content[: len(content) // 2])
    with pytest.raises(CheckpointError, match=r"damaged tokenizer \(not a SentencePiece model\); expected one saved"):
        load_tokenizer(tmp_path)
    (tmp_path / "tokenizer.json").write_text('{"name": "sentence')
    with pytest.raises(CheckpointError, match="damaged tokenizer"):
        load_tokenizer(tmp_path)


def test_the_model_is_another_one(bpe, unigram, tmp_path):
    unigram.save(tmp_path / "other")
    bpe.save(tmp_path)
    (tmp_path / "other" / MODEL_FILE).replace(tmp_path / MODEL_FILE)
    with pytest.raises(CheckpointError, match=r"is not the file that was saved with tokenizer.json"):
        load_tokenizer(tmp_path)


def test_it_is_of_an_unknown_kind(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"name": "telepathy"}')
    with pytest.raises(CheckpointError, match="unknown kind of tokenizer 'telepathy'; expected sentencepiece,"):
        load_tokenizer(tmp_path)
