"""Images that a user names: files, folders, globs, and `-` for paths on stdin; in order, and decoded ahead."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Generic, TypeVar

from attnkit.errors import AttnkitError, DataError
from attnkit.predict.line_stream import available, lines_of

if TYPE_CHECKING:
    from torch import Tensor

T = TypeVar("T")


@dataclass(frozen=True)
class ImageInput:
    """A file to read; or a name that leads to none, and why."""

    name: str
    """The path, as it was named."""
    problem: str | None = None


def image_inputs(
    names: Iterable[str], stdin: BinaryIO, *, reserve: Callable[[Iterable[str]], None] | None = None
) -> Iterator[ImageInput]:
    """The images that names lead to, in their order; a folder gives those inside, at any depth, sorted.

    In a folder or a glob an ending such as .jpg makes an image; a file that is named itself may have any name.

    A name that leads nowhere gives one input with a problem, so that the others go on.

    Args:
        names: paths and globs; `-` stands for paths on stdin, one per line.
        stdin: where those come from.
        reserve: gets the names of all files before the first of them is given, so that no output is written over
            one; with `-` among the names the files are not known in advance, and it is not called.
    """
    names = list(names)
    if reserve is None or "-" in names:
        return _each_input(names, stdin)
    inputs = list(_each_input(names, stdin))
    reserve(image.name for image in inputs if image.problem is None)
    return iter(inputs)


def _each_input(names: Iterable[str], stdin: BinaryIO) -> Iterator[ImageInput]:
    for name in names:
        if name == "-":
            for line in lines_of([Path("-")], stdin):
                if line.strip():
                    yield from _named(line)
        else:
            yield from _named(name)


def in_groups(inputs: Iterator[ImageInput], *, size: int, wait: bool) -> Iterator[list[ImageInput]]:
    """Cut inputs into batches.

    Args:
        inputs: to be cut.
        size: of each batch but the last.
        wait: fill every batch; otherwise a batch goes as soon as no further input is there, for whoever writes slowly.
    """
    if not wait:
        yield from available(inputs, limit=size)
        return
    while group := list(islice(inputs, size)):
        yield group


def _named(name: str) -> Iterator[ImageInput]:
    if os.path.isdir(name):  # these two never raise, whatever stdin holds
        yield from _nonempty(_in_folder(Path(name)), name, "a folder without images")
    elif os.path.exists(name):
        yield ImageInput(name)
    elif glob.has_magic(name):
        matches = map(Path, sorted(glob.iglob(name, recursive=True)))
        yield from _nonempty((image for match in matches for image in _matched(match)), name, "matches no image")
    else:
        expected = "expected an image, a folder of images or a glob; check the name"
        yield ImageInput(name, f"{name}: no such file; {expected}")


def _nonempty(inputs: Iterator[ImageInput], name: str, otherwise: str) -> Iterator[ImageInput]:
    empty = True
    for image in inputs:
        empty = False
        yield image
    if empty:
        yield ImageInput(name, f"{name}: {otherwise}; expected files such as .jpg or .png; check the name")


def _matched(path: Path) -> Iterator[ImageInput]:
    from attnkit.data.file_tree import is_image

    if path.is_dir():
        yield from _in_folder(path)
    elif is_image(path.name):
        yield ImageInput(str(path))


def _in_folder(folder: Path) -> Iterator[ImageInput]:
    from attnkit.data.file_tree import FolderTree, is_image

    try:
        names = FolderTree(folder).names
    except DataError as error:
        yield ImageInput(str(folder), str(error))
        return
    for name in names:
        if is_image(name):
            yield ImageInput(str(folder / name))


@dataclass(frozen=True)
class Decoded(Generic[T]):
    """An image that was read; or what was wrong with it."""

    name: str
    image: T | None
    problem: str | None


def decode_ahead(
    groups: Iterable[list[ImageInput]], load: Callable[[Path], T], *, threads: int
) -> Iterator[list[Decoded[T]]]:
    """Read groups of images while the group before them is in use.

    Args:
        groups: of inputs; the next is asked for before the last was answered, in another thread.
        load: reads an image, in any of the threads.
        threads: how many of them.

    Returns:
        The same groups. An image that cannot be read has a problem, and the others go on.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="decode")

    def submit() -> Iterator[list[Future[Decoded[T]]]]:
        for group in groups:
            yield [pool.submit(_decode, image, load) for image in group]

    try:
        for (futures,) in available(submit(), limit=1):
            yield [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _decode(image: ImageInput, load: Callable[[Path], T]) -> Decoded[T]:
    if image.problem is not None:
        return Decoded(image.name, None, image.problem)
    try:
        return Decoded(image.name, load(Path(image.name)), None)
    except AttnkitError as error:
        return Decoded(image.name, None, str(error))
    except OSError as error:
        reason = error.strerror or error
        problem = f"{image.name}: cannot be read ({reason}); expected a readable image; see its permissions"
        return Decoded(image.name, None, problem)


def decoded_inputs(
    names: Sequence[str],
    stdin: BinaryIO,
    load: Callable[[Path], T],
    *,
    size: int = 1,
    threads: int = 1,
    reserve: Callable[[Iterable[str]], None] | None = None,
) -> Iterator[list[Decoded[T]]]:
    """The images that names lead to, read in groups while the group before them is in use; see the parts of this.

    Args:
        names: paths and globs; `-` stands for paths on stdin.
        stdin: where those come from.
        load: reads an image, in any of the threads.
        size: images of a group.
        threads: that read. One keeps up with any model that looks at images one by one; each more would hold one more
            image, which may be large.
        reserve: gets the names of all files beforehand; see `image_inputs`.
    """
    listed = image_inputs(names, stdin, reserve=reserve)
    return decode_ahead(in_groups(listed, size=size, wait="-" not in names), load, threads=threads)


def decode_upright(path: Path) -> Tensor:
    """Read the pixels of a file, uint8 (3, H, W), turned as its EXIF data says: as people see it."""
    from attnkit.data.images.decode import decode_image

    return decode_image(path, str(path))


def decode_as_stored(path: Path) -> Tensor:
    """Read the pixels of a file, uint8 (3, H, W), without turning them: as the annotations of data sets expect."""
    from attnkit.data.images.decode import decode_image

    return decode_image(path, str(path), turned=False)
