import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import roi_align

from attnkit.structures import masks as masks_module
from attnkit.structures.masks import Masks

H, W = 23, 31


def bitmaps() -> Tensor:
    """In a corner, large, none, in the other corner, one inside, a whole column, and all of the image."""
    generator = torch.Generator().manual_seed(1)
    maps = torch.zeros(7, H, W, dtype=torch.bool)
    for bitmap, (y1, y2, x1, x2) in zip(
        maps,
        [(0, 5, 0, 7), (3, 23, 2, 31), (4, 4, 4, 4), (20, 23, 28, 31), (7, 11, 5, 9), (0, 23, 3, 5), (0, 23, 0, 31)],
        strict=True,
    ):
        bitmap[y1:y2, x1:x2] = torch.rand(y2 - y1, x2 - x1, generator=generator) > 0.4
    return maps


def masks() -> Masks:
    return Masks.from_bitmaps(bitmaps())


def same(found: Masks, expected: Tensor) -> None:
    """The pixels, and windows that are as small as can be."""
    assert found.size == tuple(expected.shape[1:])
    assert torch.equal(found.bitmaps(), expected)
    for window, bitmap in zip(found.windows.tolist(), expected, strict=True):
        y, x = bitmap.nonzero(as_tuple=True)
        around = [int(x.min()), int(y.min()), int(x.max()) + 1, int(y.max()) + 1] if len(x) else [0, 0, 0, 0]
        assert window == around


def test_to_and_from_bitmaps() -> None:
    same(masks(), bitmaps())
    assert torch.equal(masks().bitmap(3), bitmaps()[3])
    assert torch.equal(masks().bitmap(-1), bitmaps()[-1])


def test_only_the_pixels_of_their_boxes_are_kept() -> None:
    """300 instances of 10 x 10 on 1000 x 1000 pixels: 30 kB, not 300 MB."""
    crops = [(torch.ones(10, 10), 3 * i, 2 * i) for i in range(300)]
    found = Masks.from_crops(crops, (1000, 1000))
    assert found.pixels.numel() == 300 * 100
    assert found.boxes()[299].tolist() == [897, 598, 907, 608]
    assert found.areas().tolist() == [100] * 300


def test_to_and_from_run_lengths() -> None:
    codes = masks().rle()
    assert codes[0]["size"] == [H, W]
    assert isinstance(codes[0]["counts"], bytes)
    same(Masks.from_rle(codes, (H, W)), bitmaps())


def test_a_code_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a run-length code of \(23, 31\) pixels; expected the image's \(31, 23\)"):
        Masks.from_rle(masks().rle(), (W, H))


def test_boxes_and_areas() -> None:
    maps = torch.zeros(3, 5, 7, dtype=torch.bool)
    maps[0, 1:3, 2:6] = True
    maps[2, 4, 0] = maps[2, 0, 6] = True
    found = Masks.from_bitmaps(maps)
    assert found.boxes().tolist() == [[2, 1, 6, 3], [0, 0, 0, 0], [0, 0, 7, 5]]
    assert found.areas().tolist() == [8, 0, 2]


def test_areas_of_many_pixels() -> None:
    """More than a byte counts, on both sides of it."""
    assert Masks.from_bitmaps(torch.ones(3, 40, 50, dtype=torch.bool)).areas().tolist() == [2000] * 3


@pytest.mark.parametrize(
    "index", [[5, 0], slice(1, 4), torch.tensor([3, 3, 1]), torch.arange(7) % 2 == 0, torch.zeros(7, dtype=torch.bool)]
)
def test_some_of_them(index: list[int] | slice | Tensor) -> None:
    same(masks()[index], bitmaps()[index])


def test_mirrored() -> None:
    same(masks().flip(), bitmaps().flip(2))
    same(masks().flip_vertical(), bitmaps().flip(1))


@pytest.mark.parametrize("size", [(11, 17), (46, 50), (H, 62), (7, 100), (1, 1), (H, W)])
def test_resized_as_the_bitmap_is(size: tuple[int, int]) -> None:
    expected = F.interpolate(bitmaps()[None].float(), size, mode="nearest-exact")[0].bool()
    same(masks().resized(size), expected)


def test_cropped() -> None:
    same(masks().cropped((3, 4, 20, 15)), bitmaps()[:, 4:15, 3:20])
    same(masks().cropped((28, 0, 31, 3)), bitmaps()[:, :3, 28:])


def test_padded() -> None:
    same(masks().padded((29, 37)), F.pad(bitmaps(), (0, 6, 0, 6)))


def test_without_what_covers_them() -> None:
    covered = torch.rand(H, W, generator=torch.Generator().manual_seed(2)) > 0.3
    covered[:12, :12] = True
    same(masks().without(covered), bitmaps() & ~covered)


def test_joined() -> None:
    same(Masks.joined(masks(), masks()[[1]]), torch.cat([bitmaps(), bitmaps()[[1]]]))
    with pytest.raises(ValueError, match=r"images of \(23, 31\) and \(46, 31\) pixels; expected one size"):
        Masks.joined(masks(), masks().resized((46, 31)))


def test_none() -> None:
    none = masks()[[]]
    assert len(none) == 0
    assert none.rle() == []
    assert none.areas().shape == (0,)
    assert none.bitmaps().shape == (0, H, W)
    same(none.flip().flip_vertical().resized((5, 7)).padded((6, 7)).cropped((1, 2, 3, 5)), torch.zeros(0, 3, 2).bool())
    assert none.targets(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 5).shape == (0, 5, 5)


# targets


def boxes(count: int) -> Tensor:
    """Anywhere inside the image; some end where it does."""
    generator = torch.Generator().manual_seed(3)
    points = torch.rand(count, 2, 2, generator=generator) * torch.tensor([W, H])
    found = torch.cat([points.amin(dim=1), points.amax(dim=1)], dim=1)
    found[: count // 4, :2] = 0.0
    found[count // 8 : count // 2, 2:] = torch.tensor([W, H])
    return found


@pytest.mark.parametrize("at_once", [1 << 22, 2000, 1])
def test_targets_are_roi_align_of_the_bitmaps(at_once: int) -> None:
    some, which = boxes(200), torch.arange(200) % 7
    rois = torch.cat([which[:, None].float(), some], dim=1)
    shares = roi_align(bitmaps()[:, None].float(), rois, 5, sampling_ratio=0, aligned=True)[:, 0]
    sure = (shares - 0.5).abs() > 1e-5
    found = masks().targets(some, which, 5, most_pixels=at_once)
    assert sure.float().mean() > 0.9
    assert torch.equal(found[sure], (shares >= 0.5).float()[sure])
    assert found.mean() > 0.2


def test_an_empty_mask_has_empty_targets() -> None:
    """Whatever lies beside it."""
    maps = torch.zeros(2, H, W, dtype=torch.bool)
    whole = torch.tensor([[0.0, 0, W, H], [0, 0, 1, 1]])
    assert not Masks.from_bitmaps(maps).targets(whole, torch.tensor([0, 1]), 3).any()
    maps[0] = True
    found = Masks.from_bitmaps(maps).targets(whole[[0, 0, 1]], torch.tensor([0, 1, 1]), 3)
    assert found.flatten(1).sum(dim=1).tolist() == [9, 0, 0]


def test_little_is_spread_out_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small ones, and long ones across each other, which would fill a square together."""
    seen: list[Tensor] = []

    def noticed(stack: Tensor, *rest: object, **options: object) -> Tensor:
        seen.append(stack)
        return roi_align(stack, *rest, **options)

    monkeypatch.setattr(masks_module, "roi_align", noticed)
    crops = [(torch.ones(3, 5), 3 * i, i) for i in range(20)] + [(torch.ones(1, 90), 5, 7), (torch.ones(90, 1), 7, 5)]
    found = Masks.from_crops(crops, (100, 100))
    targets = found.targets(found.boxes()[[*range(22), 3]], torch.tensor([*range(22), 3]), 3, most_pixels=500)
    assert bool((targets == 1).all())
    assert sum(len(stack) for stack in seen) == 22
    assert len(seen) == 3
    assert sum(stack.numel() for stack in seen) == 20 * 5 * 7 + 2 * 3 * 92


def test_a_target_by_hand() -> None:
    """Cells of 2 x 3 pixels: the mask covers all of the first, half of the second and a third of the third."""
    bitmap = torch.zeros(1, 8, 12, dtype=torch.bool)
    bitmap[0, 1:3, 1:4] = True
    bitmap[0, 3, 1:4] = True
    bitmap[0, 5, 1:3] = True
    target = Masks.from_bitmaps(bitmap).targets(torch.tensor([[1.0, 1, 10, 7]]), torch.tensor([0]), 3)
    assert target.tolist() == [[[1, 0, 0], [1, 0, 0], [0, 0, 0]]]
