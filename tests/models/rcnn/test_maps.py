import torch
from torch import Tensor
from torchvision.ops import roi_align

from attnkit.models.rcnn.config import RoiAlignConfig
from attnkit.models.rcnn.maps import Maps, RegionReader
from tests.models.rcnn.nano import objects

D = 3
STRIDES = [4, 8, 16, 32, 64]


def levels(dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    return [torch.randn(2, D, 64 // stride, 96 // stride, generator=generator).to(dtype) for stride in STRIDES]


def boxes() -> list[Tensor]:
    return [of_image.boxes for of_image in objects()]


def test_maps_for_reading_are_float32_and_in_one_piece() -> None:
    wide = [level.contiguous(memory_format=torch.channels_last) for level in levels(torch.bfloat16)]
    maps = Maps.of(wide, None, wide[1])
    assert [level.dtype for level in maps.levels] == [torch.bfloat16] * 5
    assert len(maps.fine) == 4
    for found, level in zip([*maps.fine, maps.semantic], [*wide[:4], wide[1]], strict=True):
        assert found is not None
        assert found.dtype == torch.float32
        assert found.is_contiguous()
        assert torch.equal(found, level.float())


def test_the_semantic_map_is_added_as_masks_see_it_and_pooled_for_boxes() -> None:
    reader = RegionReader(RoiAlignConfig(), strides=STRIDES)
    semantic = torch.randn(2, D, 8, 12, generator=torch.Generator().manual_seed(3))
    plain, told = Maps.of(levels()), Maps.of(levels(), semantic, semantic)
    aligned = roi_align(semantic, boxes(), 14, spatial_scale=1 / 8, sampling_ratio=-1, aligned=True)
    torch.testing.assert_close(reader(told, boxes(), 14), reader(plain, boxes(), 14) + aligned)
    means = aligned.unflatten(3, (7, 2)).unflatten(2, (7, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(reader(told, boxes(), 7), reader(plain, boxes(), 7) + means)


def test_it_has_no_parameters() -> None:
    assert not RegionReader(RoiAlignConfig(), strides=STRIDES).state_dict()
