"""Rows of different length, end to end in one file on disk: as many as fit the disk, and no Python object per row."""

import mmap
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer[Any]]
Rows = Sequence[Sequence[int]]

_OFFSET, _LENGTH = np.dtype("<i8"), np.dtype("<i4")


class MappedArray:
    """A file seen as a flat array. Its pages come into memory when they are read."""

    def __init__(self, path: Path, dtype: np.dtype[Any]) -> None:
        """Map a file that is not empty."""
        with path.open("rb") as file:
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self.values: Integers = np.frombuffer(self._map, dtype=dtype)

    def release(self) -> None:
        """Let go of the pages that are in memory; they are read again when needed, mostly from the system's cache."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


class Ragged:
    """Rows of integers that stand end to end."""

    def __init__(self, values: Integers, lengths: Integers, offsets: Integers | None = None) -> None:
        """Take the rows end to end, the length of each, and where each starts (found if not given)."""
        self._values = values
        self.lengths = lengths
        self._offsets = np.cumsum(lengths, dtype=np.int64) - lengths if offsets is None else offsets

    def row(self, index: int) -> Integers:
        """One row, not copied."""
        start = int(self._offsets[index])
        return self._values[start : start + int(self.lengths[index])]

    def rows(self, indices: Integers) -> "Ragged":
        """Several rows, copied."""
        lengths = self.lengths[indices].astype(np.int64)
        offsets = np.cumsum(lengths) - lengths
        places = np.arange(int(lengths.sum())) + np.repeat(self._offsets[indices] - offsets, lengths)
        return Ragged(self._values[places], lengths, offsets)

    def flat(self) -> Integers:
        """All rows end to end."""
        return self._values


def ragged(rows: Rows) -> Ragged:
    """Put lists end to end."""
    lengths = np.fromiter(map(len, rows), dtype=np.int64, count=len(rows))
    return Ragged(np.fromiter(chain.from_iterable(rows), dtype=np.int64, count=int(lengths.sum())), lengths)


def concatenate(parts: Sequence[Ragged]) -> Ragged:
    """The rows of all parts, one after the other."""
    return Ragged(np.concatenate([part.flat() for part in parts]), np.concatenate([part.lengths for part in parts]))


class MappedRagged(Ragged):
    """Rows read from the files that `write_ragged` made."""

    def __init__(self, folder: Path, name: str, dtype: np.dtype[Any]) -> None:
        """Map `<name>.values`, `<name>.lengths` and `<name>.offsets`."""
        kinds = {"values": dtype, "lengths": _LENGTH, "offsets": _OFFSET}
        self._mapped = [MappedArray(folder / f"{name}.{kind}", dtype) for kind, dtype in kinds.items()]
        super().__init__(*(mapped.values for mapped in self._mapped))

    def release(self) -> None:
        """Let go of the pages that are in memory."""
        for mapped in self._mapped:
            mapped.release()


class RaggedWriter:
    """Appends rows to files that MappedRagged reads."""

    def __init__(self, folder: Path, name: str, dtype: np.dtype[Any]) -> None:
        self._dtype = dtype
        self._values = (folder / f"{name}.values").open("wb")
        self._offsets = (folder / f"{name}.offsets").open("wb")
        self._lengths = (folder / f"{name}.lengths").open("wb")
        self._end = 0

    def append(self, rows: Ragged) -> None:
        """Write rows behind those already written."""
        ends = self._end + np.cumsum(rows.lengths, dtype=np.int64)
        self._values.write(rows.flat().astype(self._dtype).data)
        self._offsets.write((ends - rows.lengths).astype(_OFFSET).data)
        self._lengths.write(rows.lengths.astype(_LENGTH).data)
        self._end += int(rows.lengths.sum())

    def close(self) -> None:
        """Bring everything onto the disk."""
        for file in (self._values, self._offsets, self._lengths):
            if not file.closed:
                file.flush()
                os.fsync(file.fileno())
                file.close()


@contextmanager
def write_ragged(folder: Path, name: str, dtype: np.dtype[Any]) -> Iterator[RaggedWriter]:
    """Write rows into the files `<folder>/<name>.values`, `.offsets` and `.lengths`."""
    writer = RaggedWriter(folder, name, dtype)
    try:
        yield writer
    finally:
        writer.close()
