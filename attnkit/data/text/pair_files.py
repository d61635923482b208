"""Pairs from files: two of plain text, or one of tab-separated columns or of JSON objects, a pair per line."""

import hashlib
import json
from abc import abstractmethod
from collections.abc import Iterator
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from itertools import zip_longest
from typing import Any

from attnkit.data.config import Split
from attnkit.data.files import find_file, hash_file, read_lines
from attnkit.data.text.parallel_text import Pair, ParallelText
from attnkit.errors import DataError

_LINE_ENDS = str.maketrans("\n\r", "  ")


class TextPairs(ParallelText):
    """Two text files; line n of one translates line n of the other."""

    def __init__(self, src: str, tgt: str, *, folder: Traversable | None = None) -> None:
        """Find the two files.

        Args:
            folder: of the package, that has both; None looks them up as any data file.

        Raises:
            DataError: one of them is not found, or both, which makes two lines.
        """
        self._names = src, tgt
        self._files = _find_both(src, tgt) if folder is None else (folder / src, folder / tgt)

    def __iter__(self) -> Iterator[Pair]:
        src = read_lines(self._files[0], self._names[0])
        tgt = read_lines(self._files[1], self._names[1])
        count = 0
        for src_line, tgt_line in zip_longest(src, tgt):
            if src_line is None or tgt_line is None:
                self._refuse(
                    count, longer=1 + sum(1 for _ in (tgt if src_line is None else src)), src_ended=src_line is None
                )
            yield Pair(src_line, tgt_line)
            count += 1
        if not count:
            raise DataError(f"{self.describe()}: both are empty; expected a sentence per line; see the data files")

    def _refuse(self, count: int, *, longer: int, src_ended: bool) -> None:
        counts = (count, count + longer) if src_ended else (count + longer, count)
        raise DataError(
            f"{self._names[0]}: {counts[0]} lines, but {self._names[1]} has {counts[1]}; "
            "expected line n of one to translate line n of the other; see where they begin to differ"
        )

    def src_lines(self) -> Iterator[str]:
        """The lines of the source file; the target file is not read."""
        return read_lines(self._files[0], self._names[0])

    def tgt_lines(self) -> Iterator[str]:
        """The lines of the target file; the source file is not read."""
        return read_lines(self._files[1], self._names[1])

    def files(self) -> list[tuple[str, Traversable]]:
        """Both files."""
        return list(zip(self._names, self._files, strict=True))

    def describe(self) -> str:
        """Both names."""
        return f"{self._names[0]} and {self._names[1]}"

    def fingerprint(self) -> str:
        """A hash of both contents."""
        hashes = [hash_file(file, name) for name, file in self.files()]
        return hashlib.sha256(" ".join(["text", *hashes]).encode()).hexdigest()

    def src_place(self, number: int) -> str:
        """Line `number` of the source file."""
        return f"{self._names[0]}:{number}"

    def tgt_place(self, number: int) -> str:
        """Line `number` of the target file."""
        return f"{self._names[1]}:{number}"


def _find_both(src: str, tgt: str) -> tuple[Traversable, Traversable]:
    found: list[Traversable] = []
    mistakes: list[str] = []
    for name in (src, tgt):
        try:
            found.append(find_file(name))
        except DataError as error:
            mistakes.append(str(error))
    if mistakes:
        raise DataError("\n".join(mistakes))
    return found[0], found[1]


def embedded_tatoeba(split: Split) -> ParallelText:
    """Short English-German sentences that come with attnkit; tatoeba.org, CC-BY 2.0 FR, see their ATTRIBUTION.md."""
    folder = package_files("attnkit.data.text") / "tatoeba_en_de"
    return TextPairs(f"{split}.en.gz", f"{split}.de.gz", folder=folder)


class _OneFile(ParallelText):
    """A file whose line n holds pair n."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._file = find_file(name)

    def __iter__(self) -> Iterator[Pair]:
        number = 0
        for number, line in enumerate(read_lines(self._file, self._name), start=1):
            yield self._pair(line, number)
        if not number:
            raise DataError(f"{self._name}: empty; expected a pair per line; see the data file")

    @abstractmethod
    def _pair(self, line: str, number: int) -> Pair:
        """Take one line apart."""

    @abstractmethod
    def _reading(self) -> list[str | int]:
        """What, beside the file's content, decides the pairs."""

    def files(self) -> list[tuple[str, Traversable]]:
        """The one file."""
        return [(self._name, self._file)]

    def describe(self) -> str:
        """The file's name."""
        return self._name

    def fingerprint(self) -> str:
        """A hash of the content and of where in a line the two sides stand."""
        parts = [*self._reading(), hash_file(self._file, self._name)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class TsvPairs(_OneFile):
    """Columns parted by tabs, counted from 1. Quotes mean nothing."""

    def __init__(self, name: str, *, src_column: int, tgt_column: int) -> None:
        """Find the file.

        Raises:
            DataError: it is not found.
        """
        super().__init__(name)
        self._columns = src_column, tgt_column

    def _pair(self, line: str, number: int) -> Pair:
        columns = line.split("\t")
        if len(columns) < max(self._columns):
            raise DataError(
                f"{self._name}:{number}: {len(columns)} column(s), but the recipe reads column {max(self._columns)}; "
                "expected columns parted by tabs; fix the line, or set data.src_column and data.tgt_column"
            )
        return Pair(columns[self._columns[0] - 1], columns[self._columns[1] - 1])

    def _reading(self) -> list[str | int]:
        return ["tsv", *self._columns]


class JsonlPairs(_OneFile):
    """A JSON object per line; a key may be a dotted path. A line end inside a sentence is read as a space."""

    def __init__(self, name: str, *, src_key: str, tgt_key: str) -> None:
        """Find the file.

        Raises:
            DataError: it is not found.
        """
        super().__init__(name)
        self._keys = src_key, tgt_key

    def _pair(self, line: str, number: int) -> Pair:
        try:
            record = json.loads(line)
        except ValueError as error:
            raise DataError(
                f"{self._name}:{number}: not JSON ({error}); expected an object per line; fix the line"
            ) from error
        return Pair(self._text(record, self._keys[0], number), self._text(record, self._keys[1], number))

    def _text(self, record: Any, key: str, number: int) -> str:
        value = record
        # A key that has a dot in it is taken as it is before it is taken as a path.
        for part in [key] if isinstance(record, dict) and key in record else key.split("."):
            if not isinstance(value, dict) or part not in value:
                found = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
                raise DataError(
                    f"{self._name}:{number}: no {key!r}, found {found}; expected the sentence under this key; "
                    "fix the line, or set data.src_key and data.tgt_key"
                )
            value = value[part]
        if not isinstance(value, str):
            raise DataError(
                f"{self._name}:{number}: {key!r} is {json.dumps(value)[:40]}; expected text; fix the line, or set "
                "data.src_key and data.tgt_key"
            )
        return self._encodable(value.translate(_LINE_ENDS), key, number)

    def _encodable(self, text: str, key: str, number: int) -> str:
        """Refuse half of a surrogate pair, which JSON can spell and UTF-8 cannot."""
        if not text.isascii():
            try:
                text.encode()
            except UnicodeEncodeError as error:
                raise DataError(
                    f"{self._name}:{number}: {key!r} holds half a surrogate pair, {text[error.start]!r}; "
                    "expected Unicode text; fix the line"
                ) from error
        return text

    def _reading(self) -> list[str | int]:
        return ["jsonl", *self._keys]
