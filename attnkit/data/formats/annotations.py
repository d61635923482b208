"""What files of annotations hold about images, whatever their format; they are read when an image is."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from attnkit.data.file_tree import FileTree
from attnkit.data.finding import Finding
from attnkit.errors import DataError
from attnkit.structures.arrays import IntArray, Size

Box = tuple[float, float, float, float]


class Annotation(NamedTuple):
    """One object, as it is written down."""

    label: int
    """The number of its class."""
    id: str
    """What to call it in messages."""
    box: Box | None
    """x1 y1 x2 y2 in pixels, which may lie outside; None where there is only an outline."""
    outline: Any = None
    """Polygons or a run-length code, as COCO has them; None or empty where there is only a box."""
    area: float | None = None
    """The area in pixels; None where the file does not give it."""
    crowd: bool = False
    difficult: bool = False


class Annotations(ABC):
    """The annotations of a set of images, which are known by their rows."""

    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    """What the classes are called in a json of results."""
    has_masks: bool
    """Whether nine tenths of the objects have an outline, and the recipe does not leave outlines out."""
    masks_wanted: bool = True
    """False where the recipe leaves outlines out."""
    has_difficult: bool = False
    """Whether the format can mark objects as difficult."""

    @abstractmethod
    def place(self, row: int) -> str:
        """What to call the annotations of an image in messages."""

    @abstractmethod
    def image_name(self, row: int) -> str:
        """The path of the image below its folder, the same wherever the data lies."""

    @abstractmethod
    def image_id(self, row: int) -> int:
        """What the image is called in a json of results."""

    @abstractmethod
    def size(self, row: int) -> Size | None:
        """The size of image that the boxes are for; None where it is that of the image as its EXIF data turns it."""

    @abstractmethod
    def read(self, row: int, size: Size) -> list[Annotation]:
        """The objects on an image of a size.

        Raises:
            DataError: they cannot be read.
        """


@dataclass(frozen=True)
class AnnotatedImages:
    """N images of a tree, and the rows of their annotations."""

    annotations: Annotations
    tree: FileTree
    numbers: IntArray
    """(N,) of each image in the tree."""
    rows: IntArray
    """(N,) of each image in the annotations."""
    left_out: Sequence[Finding] = field(default_factory=tuple)
    """What is not used, or may be missing."""


def check_names(names: Sequence[str], place: str) -> None:
    """Refuse class names that cannot be told apart.

    Raises:
        DataError: there are none, or two of one name.
    """
    if not names:
        raise DataError(f"{place}: no classes; expected one at least; fix the file")
    if len(set(names)) < len(names):
        twice = next(name for number, name in enumerate(names) if name in names[:number])
        raise DataError(f"{place}: two classes are named {twice}; expected a name for each; rename one of them")
