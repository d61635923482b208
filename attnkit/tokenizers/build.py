"""From a config to a tokenizer that is learned from text and saved, and from there back."""

import json
from collections.abc import Iterable
from pathlib import Path

from attnkit.errors import CheckpointError
from attnkit.tokenizers.config import CharactersConfig, SentencePieceConfig, TokenizerConfig, WhitespaceConfig
from attnkit.tokenizers.lookup import (
    CharactersTokenizer,
    WhitespaceTokenizer,
    load_lookup,
    train_characters,
    train_words,
)
from attnkit.tokenizers.sentencepiece import load_sentencepiece, train_sentencepiece
from attnkit.tokenizers.tokenizer import Tokenizer


def build_tokenizer(config: TokenizerConfig, lines: Iterable[str], folder: Path) -> Tokenizer:
    """Learn a tokenizer from `lines`, read once, and save it in `folder`.

    Raises:
        DataError: there is too little text for what the config asks.
    """
    match config:
        case SentencePieceConfig():
            return train_sentencepiece(config, lines, folder)
        case WhitespaceConfig():
            return train_words(config, lines, folder)
        case CharactersConfig():
            return train_characters(config, lines, folder)


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read the tokenizer that was saved in a folder.

    Raises:
        CheckpointError: there is none, or it is damaged.
    """
    try:
        match name := json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["name"]:
            case "sentencepiece":
                return load_sentencepiece(folder)
            case "whitespace":
                return load_lookup(folder, WhitespaceTokenizer)
            case "characters":
                return load_lookup(folder, CharactersTokenizer)
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{error.filename}: no such file; expected a tokenizer saved by attnkit train; name another run with --run"
        ) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{folder}: damaged tokenizer ({error}); expected one saved by attnkit train; train the run again"
        ) from error
    raise CheckpointError(
        f"{folder}: unknown kind of tokenizer {name!r}; expected sentencepiece, whitespace or characters; "
        "use the attnkit that trained this run"
    )


def load_tokenizers(folder: Path) -> tuple[Tokenizer, Tokenizer]:
    """Read the source and the target tokenizer of a run; the same object twice if they are one.

    Args:
        folder: holds joint/, or src/ and tgt/.

    Raises:
        CheckpointError: there are none, or they are damaged.
    """
    if (folder / "joint").is_dir():
        joint = load_tokenizer(folder / "joint")
        return joint, joint
    return load_tokenizer(folder / "src"), load_tokenizer(folder / "tgt")
