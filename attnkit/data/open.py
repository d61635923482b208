"""The door to a recipe's data: from what the recipe says of it to the opened set of a split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
from attnkit.data.text.parallel_text import ParallelText
from attnkit.data.text.reverse_digits import ReverseDigits

if TYPE_CHECKING:
    from attnkit.data.classification.image_set import ImageSet
    from attnkit.data.detection.detection_set import DetectionSet
    from attnkit.data.segmentation.segmentation_set import SegmentationSet

DataConfig = PairsConfig | ImagesConfig | SegmentationDataConfig | DetectionDataConfig
Opened = TypeVar("Opened")


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
        self._opened: dict[Split, Opened | None] = {}

    def __getitem__(self, split: Split) -> Opened | None:
        """The set of a split.

        Raises:
            DataError: it is not found, or does not have the form that the recipe says.
        """
        if split not in self._opened:
            self._opened[split] = cast("Opened | None", open_data(self._config, split))
        return self._opened[split]

    def __iter__(self) -> Iterator[Split]:
        return iter(SPLITS)

    def __len__(self) -> int:
        return len(SPLITS)


@overload
def open_data(config: PairsConfig, split: Split) -> ParallelText | None: ...
@overload
def open_data(config: ImagesConfig, split: Split) -> ImageSet | None: ...
@overload
def open_data(config: SegmentationDataConfig, split: Split) -> SegmentationSet | None: ...
@overload
def open_data(config: DetectionDataConfig, split: Split) -> DetectionSet | None: ...


def open_data(config: DataConfig, split: Split) -> ParallelText | ImageSet | SegmentationSet | DetectionSet | None:
    """Open one split of a recipe's data; None if there is no such split and nothing is held back for it.

    Args:
        config: the data of the recipe.
        split: which part of it.

    Raises:
        DataError: it is not found, or does not have the form that the recipe says.
    """
    match config:
        case TextPairsConfig():
            files: PairOfFiles | None = getattr(config, split)
            return None if files is None else TextPairs(files.src, files.tgt)
        case TsvPairsConfig(src_column=src_column, tgt_column=tgt_column):
            file: str | None = getattr(config, split)
            return None if file is None else TsvPairs(file, src_column=src_column, tgt_column=tgt_column)
        case JsonlPairsConfig(src_key=src_key, tgt_key=tgt_key):
            file = getattr(config, split)
            return None if file is None else JsonlPairs(file, src_key=src_key, tgt_key=tgt_key)
        case ReverseDigitsConfig():
            return ReverseDigits(config, split)
        case EmbeddedTatoebaConfig():
            return embedded_tatoeba(split)
        case _:
            return _open_image_data(config, split)


def _open_image_data(
    config: ImagesConfig | SegmentationDataConfig | DetectionDataConfig, split: Split
) -> ImageSet | SegmentationSet | DetectionSet | None:
    # imported here, for they need torch and text does not
    from attnkit.data.classification.cifar import open_cifar
    from attnkit.data.classification.image_folder import open_image_folder
    from attnkit.data.classification.image_set import open_shapes
    from attnkit.data.classification.npz_images import open_npz_images
    from attnkit.data.detection.open_files import open_coco, open_voc, open_yolo
    from attnkit.data.detection.shapes import open_detection_shapes
    from attnkit.data.segmentation.coco_masks import open_coco_masks
    from attnkit.data.segmentation.mask_files import open_mask_files
    from attnkit.data.segmentation.shapes import open_segmentation_shapes

    match config:
        case ImageFolderConfig():
            return open_image_folder(config, split)
        case CifarConfig():
            return open_cifar(config, split)
        case NpzImagesConfig():
            return open_npz_images(config, split)
        case ShapesConfig():
            return open_shapes(config, split)
        case MaskFilesConfig():
            return open_mask_files(config, split)
        case CocoMasksConfig():
            return open_coco_masks(config, split)
        case SegmentationShapesConfig():
            return open_segmentation_shapes(config, split)
        case CocoConfig():
            return open_coco(config, split)
        case YoloConfig():
            return open_yolo(config, split)
        case VocConfig():
            return open_voc(config, split)
        case DetectionShapesConfig():
            return open_detection_shapes(config, split)
