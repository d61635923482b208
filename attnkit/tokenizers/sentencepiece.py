"""Subword pieces by SentencePiece (Kudo and Richardson 2018, arXiv:1808.06226), learned from the training text.

Text is normalised by the rule nmt_nfkc: Unicode compatibility forms, and runs of any white space become one space.
"""

import hashlib
import io
import json
import math
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Literal, NoReturn

import sentencepiece

from attnkit.errors import DataError
from attnkit.run_dir import write_json, write_whole
from attnkit.tokenizers.config import SentencePieceConfig
from attnkit.tokenizers.cut_sampling import CutSampler
from attnkit.tokenizers.tokenizer import SPECIAL_PIECES, UNKNOWN_TEXT, Tokenizer, one_line

MODEL_FILE = "sentencepiece.model"
_TRAINING_THREADS = 4
"""Fixed, because the pieces that unigram learns depend on it."""
_SAMPLE_SEED = 1
_THREADS_PAY_FROM = 1000
"""Lines; below this, starting threads costs more than it saves."""
_ERRORS_ONLY = 2


class SentencePieceTokenizer(Tokenizer):
    """BPE or unigram pieces."""

    def __init__(
        self,
        model: bytes,
        *,
        algorithm: Literal["bpe", "unigram"] = "bpe",
        lowercase: bool = False,
        sampling: float = 0.0,
    ) -> None:
        """Take a trained model.

        Args:
            model: the content of a SentencePiece model file whose special ids are 0 to 3.
            algorithm: what the model was learned by; it matters to sampling only.
            lowercase: lower-case text before it is cut.
            sampling: BPE dropout, or the inverse temperature of unigram sampling.

        Raises:
            ValueError: the model cannot be read, or its special ids are others.
        """
        try:
            self._processor = sentencepiece.SentencePieceProcessor(model_proto=model)
        except (RuntimeError, OSError) as error:
            raise ValueError("not a SentencePiece model") from error
        found = (self._processor.pad_id(), self._processor.unk_id(), self._processor.bos_id(), self._processor.eos_id())
        if found != (self.pad_id, self.unk_id, self.bos_id, self.eos_id):
            raise ValueError(f"pad, unk, bos, eos are {found} in this SentencePiece model; expected 0, 1, 2, 3")
        self._model = model
        self._algorithm: Literal["bpe", "unigram"] = algorithm
        self._lowercase = lowercase
        self._cuts: CutSampler | None = None
        self.sampling = sampling
        self.vocab_size = self._processor.vocab_size()
        self.fingerprint = hashlib.sha256(model + bytes([lowercase])).hexdigest()

    def encode(self, lines: Sequence[str]) -> list[list[int]]:
        """Cut lines into their best pieces."""
        threads = -1 if len(lines) >= _THREADS_PAY_FROM else 1
        ids: list[list[int]] = self._processor.encode(self._cased(lines), out_type=int, num_threads=threads)
        return ids

    def sample(self, lines: Sequence[str], *, seed: int) -> list[list[int]]:
        """Cut lines at random: BPE dropout (Provilkov et al. 2020) or unigram sampling (Kudo 2018)."""
        if not self.sampling:
            return self.encode(lines)
        if self._cuts is None:
            self._cuts = CutSampler(self._processor, algorithm=self._algorithm, amount=self.sampling)
        return self._cuts.sample(self._processor.normalize(self._cased(lines)), seed=seed)

    def decode(self, ids: Sequence[Sequence[int]]) -> list[str]:
        """Put pieces together as plain text; whatever a byte piece spells, it stays one line."""
        specials = (self.pad_id, self.bos_id, self.eos_id)
        kept = [[piece for piece in map(int, line) if piece not in specials] for line in ids]
        texts: list[str] = self._processor.decode(kept, num_threads=1)
        return [one_line(text).strip(" ") for text in texts]

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """The piece of every id; a leading `▁` is a space."""
        return [self._processor.id_to_piece(int(piece)) for piece in ids]

    def save(self, folder: Path) -> None:
        """Write the model, then the settings that belong to it."""
        write_whole(folder / MODEL_FILE, self._model)
        settings = {
            "name": "sentencepiece",
            "algorithm": self._algorithm,
            "lowercase": self._lowercase,
            "sampling": self.sampling,
            "fingerprint": self.fingerprint,
        }
        write_json(folder / "tokenizer.json", settings)

    def _cased(self, lines: Sequence[str]) -> list[str]:
        return [line.lower() for line in lines] if self._lowercase else list(lines)


def train_sentencepiece(config: SentencePieceConfig, lines: Iterable[str], folder: Path) -> SentencePieceTokenizer:
    """Learn pieces from text and keep them in a folder. The same lines give the same pieces, to the byte.

    Args:
        config: algorithm, size and the rest.
        lines: the training text, read once; of more than `max_training_lines` a random sample is used.
        folder: where the tokenizer is saved.

    Raises:
        DataError: no text, or a vocabulary size that the text cannot give.
    """
    texts = (line.lower() if config.lowercase else line for line in lines if line.strip())
    sample = draw_lines(texts, config.max_training_lines)
    if not sample:
        raise DataError("tokenizer: no training text; expected at least one line that is not empty; see the data files")
    tokenizer = SentencePieceTokenizer(
        _learn(config, sample), algorithm=config.algorithm, lowercase=config.lowercase, sampling=config.sampling
    )
    tokenizer.save(folder)
    return tokenizer


def _learn(config: SentencePieceConfig, sample: list[str]) -> bytes:
    """The content of the model file."""
    model = io.BytesIO()
    pad, unk, bos, eos = SPECIAL_PIECES
    try:
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(sample),
            model_writer=model,
            model_type=config.algorithm,
            vocab_size=config.vocab_size,
            byte_fallback=config.byte_fallback,
            character_coverage=config.character_coverage,
            normalization_rule_name="nmt_nfkc",
            num_threads=_TRAINING_THREADS,
            minloglevel=_ERRORS_ONLY,
            pad_id=0,
            unk_id=1,
            bos_id=2,
            eos_id=3,
            pad_piece=pad,
            unk_piece=unk,
            bos_piece=bos,
            eos_piece=eos,
            unk_surface=UNKNOWN_TEXT,
        )
    except RuntimeError as error:
        _refuse(config, str(error), error)
    return model.getvalue()


def _refuse(config: SentencePieceConfig, message: str, error: RuntimeError) -> NoReturn:
    """Say in our words what SentencePiece found wrong."""
    size = config.vocab_size
    if most := re.search(r"Vocabulary size too high .*<= (\d+)", message):
        raise DataError(
            f"tokenizer.vocab_size: {size} is more than the training text supports; expected at most {most[1]}; "
            f"set it to {most[1]} or less, or train on more text"
        ) from error
    if least := re.search(r"smaller than required_chars\. \d+ vs (\d+)", message):
        raise DataError(
            f"tokenizer.vocab_size: {size} does not hold the single characters of the training text; "
            f"expected more than {least[1]}; raise it, or lower tokenizer.character_coverage"
        ) from error
    raise DataError(
        f"tokenizer: SentencePiece could not learn from the training text ({message.strip()}); "
        "expected lines of text; see the data files with attnkit data check"
    ) from error


def draw_lines(lines: Iterable[str], count: int, *, seed: int = _SAMPLE_SEED) -> list[str]:
    """Draw `count` lines at random, each equally likely, in one pass; all of them, in order, if there are no more.

    Source: Li 1994, "Reservoir-sampling algorithms of time complexity O(n(1 + log(N/n)))", algorithm L.
    """
    rest: Iterator[str] = iter(lines)
    drawn = list(islice(rest, count))
    generator = random.Random(seed)
    weight = 1.0
    while len(drawn) == count:
        weight *= math.exp(math.log(1.0 - generator.random()) / count)
        skipped = math.floor(math.log(1.0 - generator.random()) / math.log1p(-weight)) if weight < 1.0 else 0
        line = next(islice(rest, skipped, None), None)
        if line is None:
            break
        drawn[generator.randrange(count)] = line
    return drawn


def load_sentencepiece(folder: Path) -> SentencePieceTokenizer:
    """Read a saved tokenizer.

    Raises:
        ValueError: the model file is not the one that was saved.
        OSError: it cannot be read.
    """
    settings = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    model = (folder / MODEL_FILE).read_bytes()
    tokenizer = SentencePieceTokenizer(
        model,
        algorithm=settings.get("algorithm", "bpe"),
        lowercase=bool(settings["lowercase"]),
        sampling=float(settings["sampling"]),
    )
    if tokenizer.fingerprint != settings["fingerprint"]:
        raise ValueError(f"{MODEL_FILE} is not the file that was saved with tokenizer.json")
    return tokenizer
