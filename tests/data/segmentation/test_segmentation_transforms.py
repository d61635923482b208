import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from attnkit.data.segmentation.config import SegmentationAugmentConfig, SegmentationImageConfig
from attnkit.data.segmentation.segmentation_transforms import (
    SegmentationVariation,
    segmentation_input,
    segmentation_size,
    share_of_commonest,
)
from attnkit.structures.arrays import IGNORE

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1 / 255, 1 / 255, 1 / 255)}
"""So that 0..255 comes out as it is."""
STILL = SegmentationAugmentConfig(scale=(1.0, 1.0), flip=0, photometric=False, most_of_one_class=1)
COLOURS = torch.tensor([[20, 90, 200], [250, 30, 60], [120, 240, 10], [70, 70, 170]], dtype=torch.uint8)


def noise(*shape, high=256, seed=0):
    return torch.randint(high, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def blocks(height, width, *, block=9, seed=0):
    """An image of coloured blocks, and which colour each pixel has."""
    labels = noise(-(-height // block), -(-width // block), high=len(COLOURS), seed=seed)
    labels = labels.repeat_interleave(block, 0).repeat_interleave(block, 1)[:height, :width].contiguous()
    return COLOURS[labels.long()].permute(2, 0, 1).contiguous(), labels


def varied(pixels, labels, image, augment, seed=0):
    images, targets = SegmentationVariation(image, augment)([(pixels, labels)], [seed])
    return images[0], targets[0]


class TestSize:
    @pytest.mark.parametrize(
        ("size", "sides", "factor", "expected"),
        [
            ((37, 53), (None, None), 1.0, (37, 53)),
            ((37, 53), (None, None), 0.5, (19, 27)),  # 18.5 and 26.5: halves go up
            ((100, 200), (50, None), 1.0, (50, 100)),
            ((200, 100), (50, None), 2.0, (200, 100)),
            ((100, 300), (50, 120), 1.0, (40, 120)),
            ((100, 300), (50, 150), 1.0, (50, 150)),
            ((100, 300), (None, 30), 1.0, (10, 30)),
            ((10, 30), (None, 100), 1.0, (10, 30)),
            ((512, 683), (512, 2048), 1.5, (768, 1025)),
            ((1, 900), (None, 90), 0.5, (1, 45)),
        ],
    )
    def test_by_hand(self, size, sides, factor, expected):
        assert (
            segmentation_size(size, SegmentationImageConfig(short_side=sides[0], long_side=sides[1]), factor)
            == expected
        )


class TestEvaluation:
    def test_it_is_torchvisions_resize(self):
        pixels = noise(3, 60, 100)
        image = SegmentationImageConfig(short_side=24, long_side=35)  # 24 x 40 would be too wide
        resized = v2.functional.resize(pixels, [21, 35], antialias=True)
        expected = v2.functional.normalize(resized / 255, list(image.mean), list(image.std))
        torch.testing.assert_close(segmentation_input(pixels, image), expected)

    def test_normalised_by_hand(self):
        pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None].expand(3, 2, 5)
        result = segmentation_input(pixels, SegmentationImageConfig(mean=(0.5, 0.1, 0.2), std=(0.5, 0.2, 0.4)))
        assert (result.shape, result.dtype) == ((3, 2, 5), torch.float32)
        torch.testing.assert_close(result[:, 1, 4], torch.tensor([-1.0, 0.5, 2.0]))
        assert pixels[1, 0, 0] == 51


class TestGeometry:
    def test_the_whole_image_stays_as_in_evaluation(self):
        pixels, labels = noise(3, 23, 31), noise(23, 31, high=5)
        image = SegmentationImageConfig(crop=(23, 31))
        shown, seen = varied(pixels, labels, image, STILL)
        torch.testing.assert_close(shown, segmentation_input(pixels, image))
        assert (seen.dtype, seen.tolist()) == (torch.int64, labels.tolist())

    def test_mirrored_together(self):
        pixels, labels = noise(3, 7, 11), noise(7, 11, high=5)
        augment = STILL.model_copy(update={"flip": 1.0})
        shown, seen = varied(pixels, labels, SegmentationImageConfig(crop=(7, 11), **PLAIN), augment)
        torch.testing.assert_close(shown, pixels.flip(2).float())
        assert seen.tolist() == labels.flip(1).tolist()

    def test_some_are_mirrored(self):
        pixels, labels = noise(3, 7, 11), noise(7, 11, high=5)
        augment = STILL.model_copy(update={"flip": 0.25})
        images, _ = SegmentationVariation(SegmentationImageConfig(crop=(7, 11), **PLAIN), augment)(
            [(pixels, labels)] * 400, range(400)
        )
        mirrored = sum(not torch.allclose(one, pixels.float(), atol=0.01) for one in images)
        assert 70 < mirrored < 130

    @pytest.mark.parametrize("scale", [0.5, 0.83, 1.0, 1.7])
    def test_labels_lie_on_their_pixels(self, scale):
        """Away from the edges of the blocks, each pixel has the colour of its label."""
        augment = SegmentationAugmentConfig(scale=(scale, scale), photometric=False)
        for seed in range(8):
            pixels, labels = blocks(60, 90, block=15, seed=seed)
            shown, seen = varied(pixels, labels, SegmentationImageConfig(crop=(40, 50), **PLAIN), augment, seed)
            there = seen != IGNORE
            around = seen[None, None].float()
            alike = torch.nn.functional.max_pool2d(around, 5, 1) == -torch.nn.functional.max_pool2d(-around, 5, 1)
            inside = torch.nn.functional.pad(alike[0, 0], [2, 2, 2, 2]) & there
            assert inside.sum() > 50
            torch.testing.assert_close(shown.permute(1, 2, 0)[inside], COLOURS[seen[inside]].float(), atol=1.01, rtol=0)

    @pytest.mark.parametrize("scale", [0.43, 0.5, 0.9, 1.0, 1.37, 2.0])
    def test_a_crop_is_a_part_of_the_whole_resized(self, scale):
        """Though only that part was resized."""
        pixels, labels = noise(3, 50, 70), noise(50, 70, high=5)
        high, wide = size = segmentation_size((50, 70), SegmentationImageConfig(), scale)
        whole = Image.fromarray(pixels.permute(1, 2, 0).numpy()).resize((wide, high), Image.Resampling.BILINEAR)
        whole = v2.functional.pil_to_tensor(whole)
        rows = torch.nn.functional.interpolate(labels[None, None].float(), size, mode="nearest-exact")[0, 0].long()
        augment = STILL.model_copy(update={"scale": (scale, scale)})
        places = set()
        for seed in range(12):
            shown, seen = varied(pixels, labels, SegmentationImageConfig(crop=(11, 13), **PLAIN), augment, seed)
            place = next(
                (top, left)
                for top in range(high - 10)
                for left in range(wide - 12)
                if torch.equal(rows[top : top + 11, left : left + 13], seen)
            )
            expected = whole[:, place[0] : place[0] + 11, place[1] : place[1] + 13].float()
            torch.testing.assert_close(shown, expected, atol=2.01, rtol=0)
            assert (shown - expected).abs().mean() < 0.5  # Pillow rounds twice; a shift by a tenth of a pixel makes 5
            places.add(place)
        assert len(places) > 9

    def test_crops_reach_every_place(self):
        labels = torch.arange(20, dtype=torch.uint8).view(4, 5)
        pixels = labels.expand(3, 4, 5).contiguous()
        image = SegmentationImageConfig(crop=(3, 3), **PLAIN)
        corners = [varied(pixels, labels, image, STILL, seed)[1][0, 0].item() for seed in range(120)]
        assert sorted(set(corners)) == [0, 1, 2, 5, 6, 7]
        assert min(corners.count(corner) for corner in set(corners)) > 8

    def test_what_is_missing_is_zero_and_ignored(self):
        pixels, labels = noise(3, 10, 14), noise(10, 14, high=5)
        augment = STILL.model_copy(update={"scale": (0.5, 0.5), "photometric": True})
        shown, seen = varied(pixels, labels, SegmentationImageConfig(crop=(8, 9)), augment)
        assert (shown.shape, seen.shape) == ((3, 8, 9), (8, 9))
        assert (seen[:5, :7] != IGNORE).all()
        assert (seen[5:] == IGNORE).all()
        assert (seen[:, 7:] == IGNORE).all()
        assert (shown[:, 5:] == 0).all()
        assert (shown[:, :, 7:] == 0).all()
        assert (shown[:, :5, :7] != 0).float().mean() > 0.9

    def test_one_side_may_be_cropped_and_the_other_filled(self):
        pixels, labels = noise(3, 5, 40), noise(5, 40, high=5)
        shown, seen = varied(pixels, labels, SegmentationImageConfig(crop=(8, 8), **PLAIN), STILL)
        assert (seen[:5] < 5).all()
        assert (seen[5:] == IGNORE).all()
        assert min((shown[:, :5] - pixels[:, :, left : left + 8]).abs().max() for left in range(33)) < 0.01

    def test_the_scale_is_drawn_from_its_range(self):
        """The image's height, where the crop is larger."""
        augment = STILL.model_copy(update={"scale": (0.5, 2.0)})
        pixels, labels = noise(3, 20, 30), noise(20, 30, high=5)
        _, seen = SegmentationVariation(SegmentationImageConfig(crop=(50, 70)), augment)(
            [(pixels, labels)] * 200, range(200)
        )
        heights = (seen[:, :, 0] != IGNORE).sum(1)
        assert (heights.min() <= 11, heights.max() >= 39) == (True, True)
        assert 23 < heights.float().mean() < 27
        assert heights.min() >= 10
        assert heights.max() <= 40

    def test_brought_to_a_side_before_it_is_varied(self):
        pixels, labels = noise(3, 20, 30), noise(20, 30, high=5)
        image = SegmentationImageConfig(crop=(50, 70), short_side=40, long_side=45)
        _, seen = varied(pixels, labels, image, STILL)
        assert ((seen[:, 0] != IGNORE).sum(), (seen[0] != IGNORE).sum()) == (30, 45)


class TestOneClass:
    LABELS = torch.zeros(40, 40, dtype=torch.uint8)
    LABELS[:, 30:] = 1

    def shares(self, labels, most, count=60):
        """Of the commonest class, in crops of a quarter of the width."""
        augment = STILL.model_copy(update={"most_of_one_class": most})
        scenes = [(torch.zeros(3, 40, 40, dtype=torch.uint8), labels)] * count
        _, seen = SegmentationVariation(SegmentationImageConfig(crop=(10, 10)), augment)(scenes, range(count))
        return [share_of_commonest(one.to(torch.uint8).numpy()) for one in seen]

    def test_by_hand(self):
        labels = np.array([[0, 0, 0, IGNORE], [3, IGNORE, IGNORE, IGNORE]], dtype=np.uint8)
        assert share_of_commonest(labels) == 0.75
        assert share_of_commonest(labels[:, 3:]) == 1.0

    def test_such_crops_are_drawn_again(self):
        free, fewer = self.shares(self.LABELS, 1.0), self.shares(self.LABELS, 0.75)
        assert sum(share > 0.75 for share in free) > 40
        assert sum(share > 0.75 for share in fewer) < 15  # 25 of 31 places at each of eleven draws: a tenth

    def test_unlabelled_crops_too(self):
        labels = torch.full((40, 40), IGNORE, dtype=torch.uint8)
        labels[:, 20:] = torch.arange(20, dtype=torch.uint8) % 2
        assert max(self.shares(labels, 0.75)) < 1

    def test_an_image_of_one_class_is_taken_as_it_is(self):
        assert self.shares(torch.zeros(40, 40, dtype=torch.uint8), 0.75, count=3) == [1.0] * 3


class TestColours:
    def test_off_is_off(self):
        pixels, labels = noise(3, 7, 11), noise(7, 11, high=5)
        image = SegmentationImageConfig(crop=(7, 11), **PLAIN)
        still = varied(pixels, labels, image, STILL)[0]
        moved = [varied(pixels, labels, image, STILL.model_copy(update={"photometric": True}), n)[0] for n in range(9)]
        torch.testing.assert_close(still, pixels.float())
        assert sum(not torch.allclose(one, still, atol=0.01) for one in moved) > 5


class TestSeeds:
    AUGMENT = SegmentationAugmentConfig()
    IMAGE = SegmentationImageConfig(crop=(16, 20))

    def test_the_seed_alone_decides(self):
        scenes = [blocks(31, 47, seed=seed) for seed in range(3)]
        vary = SegmentationVariation(self.IMAGE, self.AUGMENT)
        images, labels = vary(scenes, [5, 2**63 + 7, 5])
        again, labels_again = vary(scenes[1:2], [2**63 + 7])
        assert torch.equal(images[1:2], again)
        assert torch.equal(labels[1:2], labels_again)
        assert not torch.equal(vary(scenes[1:2], [6])[0], again)

    def test_torchs_generator_is_left_alone(self):
        before = torch.get_rng_state()
        varied(*blocks(31, 47), self.IMAGE, self.AUGMENT)
        assert torch.equal(torch.get_rng_state(), before)

    def test_what_was_read_stays_as_it_was(self):
        pixels, labels = blocks(31, 47)
        before = pixels.clone(), labels.clone()
        for seed in range(5):
            varied(pixels, labels, self.IMAGE, self.AUGMENT, seed)
        assert torch.equal(pixels, before[0])
        assert torch.equal(labels, before[1])
