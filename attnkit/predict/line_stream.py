"""Lines in, lines out: N lines give N answers in the same order, the first of them before the input ends."""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from attnkit.errors import DataError

T = TypeVar("T")
_BLOCK = 1 << 16
_BOM = "\ufeff"


def decode_lines(read: Callable[[int], bytes], name: str) -> Iterator[str]:
    """Split what `read` gives into lines, as soon as they are there.

    Only "\\n" ends a line; a "\\r" before it and a byte order mark before the first line are dropped. The last line may
    lack its end.

    Args:
        read: gives at most that many bytes, as soon as any are there, and none at the end.
        name: of the input, for messages.

    Raises:
        DataError: a line is not UTF-8; the lines before it have been given.
    """
    number, rest = 0, b""
    while block := read(_BLOCK):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            number += 1
            yield _decode(line, name, number)
    if rest:
        yield _decode(rest, name, number + 1)


def _decode(line: bytes, name: str, number: int) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{name}:{number}: not UTF-8, byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line; "
            "expected UTF-8; the lines before it are done; convert the input, by iconv for example"
        ) from None
    return (text.removeprefix(_BOM) if number == 1 else text).removesuffix("\r")


def lines_of(paths: Iterable[Path], stdin: BinaryIO) -> Iterator[str]:
    """The lines of several files, one file after the other; `-` is stdin."""
    for path in paths:
        if str(path) == "-":
            # The raw stream: it gives what is there without waiting for more, and holds no lock when the program ends.
            raw = getattr(stdin, "raw", stdin)
            yield from decode_lines(raw.read, "stdin")
        else:
            with path.open("rb") as file:
                yield from decode_lines(file.read, str(path))


def available(lines: Iterator[T], *, limit: int) -> Iterator[list[T]]:
    """Give lines, or whatever else arrives, in groups: all that are waiting, at least one, at most `limit`.

    A thread reads ahead, so that a slow writer is answered line by line and a fast one in large groups. An error of
    `lines` is raised here, after the lines before it.
    """
    waiting: queue.Queue[T | _End] = queue.Queue(maxsize=2 * limit)
    threading.Thread(target=_fill, args=(lines, waiting), daemon=True).start()
    end = None
    while end is None:
        group, end = _take(waiting, limit)
        if group:
            yield group
    if end.error:
        raise end.error


@dataclass(frozen=True)
class _End:
    """The input ended, or broke."""

    error: Exception | None = None


def _fill(lines: Iterator[T], waiting: queue.Queue[T | _End]) -> None:
    try:
        for line in lines:
            waiting.put(line)
    except Exception as error:
        waiting.put(_End(error))
    else:
        waiting.put(_End())


def _take(waiting: queue.Queue[T | _End], limit: int) -> tuple[list[T], _End | None]:
    group: list[T] = []
    item = waiting.get()
    while not isinstance(item, _End):
        group.append(item)
        if len(group) == limit:
            return group, None
        try:
            item = waiting.get_nowait()
        except queue.Empty:
            return group, None
    return group, item
