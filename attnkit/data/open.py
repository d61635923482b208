"""The door to a recipe's data: from what the recipe says of it to the opened set of a split."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast, overload

from attnkit.data.classification.config import (
    CifarConfig,
    ImageFolderConfig,
    ImagesConfig,
    NpzImagesConfig,
    ShapesConfig,
)
from attnkit.data.config import SPLITS, Split
from attnkit.data.detection.config import CocoConfig, DetectionDataConfig, DetectionShapesConfig, VocConfig, YoloConfig
from attnkit.data.segmentation.config import (
    CocoMasksConfig,
    MaskFilesConfig,
    SegmentationDataConfig,
    SegmentationShapesConfig,
)
from attnkit.data.text.config import (
    EmbeddedTatoebaConfig,
    JsonlPairsConfig,
    PairOfFiles,
    PairsConfig,
    ReverseDigitsConfig,
    TextPairsConfig,
    TsvPairsConfig,
)
from attnkit.data.text.pair_files import JsonlPairs, TextPairs, TsvPairs, embedded_tatoeba
from attnkit.data.text.parallel_text import ParallelText, ReverseDigits

if TYPE_CHECKING:
    from attnkit.data.classification.image_set import ImageSet
    from attnkit.data.detection.detection_set import DetectionSet
    from attnkit.data.segmentation.segmentation_set import SegmentationSet

DataConfig = PairsConfig | ImagesConfig | SegmentationDataConfig | DetectionDataConfig
Opened = TypeVar("Opened")
Opener = Callable[[Split], "ParallelText | ImageSet | SegmentationSet | DetectionSet | None"]
"""Opens a split; None if there is no such split and nothing is held back for it."""


class OpenedData(Mapping[Split, Opened | None]):
    """The splits of a recipe's data, each opened once, when it is first asked for; None for one that there is not.

    A command makes one and hands it on, to check the data, to train and to score.
    """

    @overload
    def __init__(self: OpenedData[ParallelText], config: PairsConfig) -> None: ...
    @overload
    def __init__(self: OpenedData[ImageSet], config: ImagesConfig) -> None: ...
    @overload
    def __init__(self: OpenedData[SegmentationSet], config: SegmentationDataConfig) -> None: ...
    @overload
    def __init__(self: OpenedData[DetectionSet], config: DetectionDataConfig) -> None: ...

    def __init__(self, config: DataConfig) -> None:
        """Take the data of a recipe; nothing is opened yet."""
        self._config = config
        self._open: Opener | None = None
        self._opened: dict[Split, Opened | None] = {}

    def __getitem__(self, split: Split) -> Opened | None:
        """The set of a split; None if there is no such split and nothing is held back for it.

        Raises:
            DataError: it is not found, or does not have the form that the recipe says.
        """
        if split not in self._opened:
            if self._open is None:
                self._open = opener_of(self._config)
            self._opened[split] = cast("Opened | None", self._open(split))
        return self._opened[split]

    def __iter__(self) -> Iterator[Split]:
        return iter(SPLITS)

    def __len__(self) -> int:
        return len(SPLITS)


def opener_of(config: DataConfig) -> Opener:
    """What opens the splits of a recipe's data; what several of them share is read once.

    Raises:
        DataError: the data is not found, or does not have the form that the recipe says.
    """
    match config:
        case TextPairsConfig():
            return partial(_open_text, config)
        case TsvPairsConfig():
            return partial(_open_tsv, config)
        case JsonlPairsConfig():
            return partial(_open_jsonl, config)
        case ReverseDigitsConfig():
            return partial(ReverseDigits, config)
        case EmbeddedTatoebaConfig():
            return embedded_tatoeba
        case _:
            return _opener_of_images(config)


def _open_text(config: TextPairsConfig, split: Split) -> ParallelText | None:
    files: PairOfFiles | None = getattr(config, split)
    return None if files is None else TextPairs(files.src, files.tgt)


def _open_tsv(config: TsvPairsConfig, split: Split) -> ParallelText | None:
    file: str | None = getattr(config, split)
    return None if file is None else TsvPairs(file, src_column=config.src_column, tgt_column=config.tgt_column)


def _open_jsonl(config: JsonlPairsConfig, split: Split) -> ParallelText | None:
    file: str | None = getattr(config, split)
    return None if file is None else JsonlPairs(file, src_key=config.src_key, tgt_key=config.tgt_key)


def _opener_of_images(config: ImagesConfig | SegmentationDataConfig | DetectionDataConfig) -> Opener:
    # imported here, for they need torch and text does not
    from attnkit.data.classification.cifar import CifarSplits
    from attnkit.data.classification.image_folder import ImageFolderSplits
    from attnkit.data.classification.image_set import open_shapes
    from attnkit.data.classification.npz_images import NpzSplits
    from attnkit.data.detection.detection_set import DetectionShapes
    from attnkit.data.detection.open_files import CocoSplits, VocSplits, YoloSplits
    from attnkit.data.segmentation.coco_masks import CocoMaskSplits
    from attnkit.data.segmentation.mask_files import MaskFileSplits
    from attnkit.data.segmentation.segmentation_set import SegmentationShapes

    match config:
        case ImageFolderConfig():
            return ImageFolderSplits(config).open
        case CifarConfig():
            return CifarSplits(config).open
        case NpzImagesConfig():
            return NpzSplits(config).open
        case ShapesConfig():
            return partial(open_shapes, config)
        case MaskFilesConfig():
            return MaskFileSplits(config).open
        case CocoMasksConfig():
            return CocoMaskSplits(config).open
        case SegmentationShapesConfig():
            return partial(SegmentationShapes, config)
        case CocoConfig():
            return CocoSplits(config).open
        case YoloConfig():
            return YoloSplits(config).open
        case VocConfig():
            return VocSplits(config).open
        case DetectionShapesConfig():
            return partial(DetectionShapes, config)
