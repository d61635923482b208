"""What every recipe has, whatever its task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from attnkit.config import Config, Count
from attnkit.engine.config import TrainConfig

if TYPE_CHECKING:
    from attnkit.data.config import Split
    from attnkit.data.finding import DataReport, Finding
    from attnkit.structures.arrays import Size


@dataclass(frozen=True)
class CheckedData:
    """What the check of a recipe's data found."""

    report: DataReport[Any]
    """Findings, and by split a dataclass of counts."""
    split_lines: Callable[[str, Any], Sequence[str]]
    """Makes the lines on a split of its counts."""

    @property
    def lines(self) -> Sequence[str]:
        """The counts for people."""
        return [line for split, stats in self.report.stats.items() for line in self.split_lines(split, stats)]

    @property
    def findings(self) -> Sequence[Finding]:
        """Errors first."""
        return self.report.findings

    @property
    def counts(self) -> dict[str, dict[str, Any]]:
        """By split, for programs."""
        return {split: asdict(stats) for split, stats in self.report.stats.items()}

    @property
    def ok(self) -> bool:
        """Whether training can go ahead: nothing is an error."""
        return self.report.ok


def progress_of_check(say: Callable[[str], None]) -> Callable[[Split, int, int], None]:
    """Make what reports the progress of a check of images."""
    return lambda split, done, total: say(f"{split}: {done:,} of {total:,} images checked")


def sizes_between(smallest: Size | None, largest: Size | None) -> str:
    """The end of a line on a split's images; empty where none of them could be read."""
    if smallest is None or largest is None:
        return ""
    return f", {smallest[1]}x{smallest[0]} to {largest[1]}x{largest[0]} pixels"


class ImageBatchConfig(Config):
    """How large a batch is, and how its images are loaded."""

    images: Count = 128
    """How many images a batch holds."""
    workers: Annotated[int, Field(ge=0, le=1_000)] | Literal["auto"] = "auto"
    """How many processes decode and augment images; auto takes none for small images, which are kept decoded, and one
    per core for others."""


class InitConfig(Config):
    """The weights that training begins with, instead of fresh ones."""

    from_: str = Field(alias="from")
    """Where the weights are read: a run folder, or a .safetensors file of attnkit's names (see attnkit import)."""
    freeze: bool = False
    """Whether only the head is trained."""
    position_interpolation: Literal["google", "deit", "timm", "torchvision"] = "deit"
    """Whose interpolation resizes the position embedding where images have another size."""


class BaseRecipe(Config):
    """The part of a recipe that knows no task; what is done with a recipe stands in `tasks`."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """What the recipe is called; its run folder is runs/<name>."""
    attnkit: str = "0.1"
    """The version of attnkit that the recipe was written for, major.minor, which is that of the recipe format."""
    train: TrainConfig
