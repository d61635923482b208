"""Decode images in threads, some batches ahead of whoever uses them, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from attnkit.errors import AttnkitError
from attnkit.predict.image_inputs import ImageInput
from attnkit.predict.line_stream import available

T = TypeVar("T")


@dataclass(frozen=True)
class Decoded(Generic[T]):
    """An image that was read; or what was wrong with it."""

    name: str
    image: T | None
    problem: str | None


def decode_ahead(
    groups: Iterable[list[ImageInput]], load: Callable[[Path], T], *, threads: int
) -> Iterator[list[Decoded[T]]]:
    """Read groups of images while the one before them is in use.

    Args:
        groups: of inputs; the next is asked for before the last was answered, in another thread.
        load: reads one image, in some thread.
        threads: how many of them.

    Returns:
        The same groups. An image that cannot be read has a problem, and the others go on.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def submit() -> Iterator[list[Future[Decoded[T]]]]:
        for group in groups:
            yield [pool.submit(_decode, one, load) for one in group]

    try:
        for (futures,) in available(submit(), limit=1):
            yield [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(one: ImageInput, load: Callable[[Path], T]) -> Decoded[T]:
    if one.problem is not None:
        return Decoded(one.name, None, one.problem)
    try:
        return Decoded(one.name, load(Path(one.name)), None)
    except AttnkitError as error:
        return Decoded(one.name, None, str(error))
    except OSError as error:
        why = f"{one.name}: cannot be read ({error.strerror or error}); expected a readable image; see its permissions"
        return Decoded(one.name, None, why)
