"""Images of a data set, by number, wherever they come from."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Self

from attnkit.data.finding import Finding
from attnkit.structures.arrays import IntArray


class NumberedImages(ABC):
    """N images, and what a task says of each."""

    _left_out: Sequence[Finding] = ()

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def place(self, index: int) -> str:
        """What to call an image in messages: its file, or archive and member."""

    @abstractmethod
    def select(self, rows: IntArray) -> Self:
        """Some of the images, in the order of `rows`."""

    def left_out(self) -> list[Finding]:
        """What lies beside the images and is not used."""
        return list(self._left_out)
