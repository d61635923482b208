import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from attnkit.data.detection.config import DetectionAugmentConfig, DetectionImageConfig
from attnkit.data.detection.detection_transforms import DetectionVariation, detection_input
from attnkit.data.detection.resizing import detection_size, padded
from tests.data.detection.listed_objects import image_of

IMAGE = DetectionImageConfig(short_side=64, long_side=112)
PLAIN = DetectionImageConfig(short_side=64, long_side=112, mean=(0, 0, 0), std=(1 / 255, 1 / 255, 1 / 255))
BOXES = [(2, 3, 20, 14), (30, 5, 58, 37), (24, 20, 28, 39)]
WAYS = {
    "still": {"flip": 0},
    "flip": {"flip": 1},
    "flip_vertical": {"flip": 0, "flip_vertical": 1},
    "both": {"flip": 1, "flip_vertical": 1},
    "sides": {"short_sides": (32, 48, 80)},
    "crops": {"short_sides": (64, 80), "crop_branch": {"probability": 0.7, "short_sides": (40, 80), "crop": (24, 60)}},
    "jitter": {"jitter": {"scale": (0.2, 2.5), "size": 96}},
}


def vary(image=IMAGE, **augment):
    return DetectionVariation(image, DetectionAugmentConfig.model_validate(augment))


def around(pixels):
    """Whether there is any true one in the 7 x 7 around a pixel, for pixels that have as many."""
    return torch.nn.functional.max_pool2d(pixels[None].float(), 7, 1)[0].bool()


def written(variation, pixels, seed=0, size=(96, 128)):
    onto = torch.zeros(3, *size)
    variation.write(pixels, seed, onto)
    return onto


class TestInput:
    def test_it_is_torchvisions_resize(self):
        pixels = torch.randint(256, (3, 31, 47), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        resized = v2.functional.resize(pixels, [64, 97], antialias=True)
        expected = v2.functional.normalize(resized / 255, list(IMAGE.mean), list(IMAGE.std))
        torch.testing.assert_close(detection_input(pixels, IMAGE), expected)

    def test_normalised_by_hand(self):
        pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None].expand(3, 64, 70)
        result = detection_input(pixels, IMAGE.model_copy(update={"mean": (0.5, 0.1, 0.2), "std": (0.5, 0.2, 0.4)}))
        assert (result.shape, result.dtype) == ((3, 64, 70), torch.float32)
        torch.testing.assert_close(result[:, 1, 4], torch.tensor([-1.0, 0.5, 2.0]))
        assert pixels[1, 0, 0] == 51


class TestShown:
    def test_still_it_is_what_evaluation_sees(self):
        image = image_of(*BOXES)
        shown = vary(flip=0).shown(image, 5)
        assert shown.size == (64, 96)
        assert torch.equal(written(vary(flip=0), shown.pixels)[:, :64, :96], detection_input(image.pixels, IMAGE))
        torch.testing.assert_close(shown.objects.boxes, image.objects.boxes * 1.6)

    def test_mirrored(self):
        image = image_of(*BOXES)
        still = vary(flip=0).shown(image, 5)
        assert torch.equal(vary(flip=1).shown(image, 5).pixels, still.flip().pixels)
        assert torch.equal(vary(flip=0, flip_vertical=1).shown(image, 5).pixels, still.flip_vertical().pixels)
        both = vary(flip=1, flip_vertical=1).shown(image, 5)
        assert torch.equal(both.objects.boxes, still.flip().flip_vertical().objects.boxes)

    def test_as_often_as_they_should_be(self):
        variation, image = vary(flip=0.25, flip_vertical=0.7), image_of((0, 0, 9, 9))
        corners = [variation.shown(image, seed).objects.boxes[0, :2].tolist() for seed in range(120)]
        assert 18 < sum(x > 0 for x, _ in corners) < 42
        assert 69 < sum(y > 0 for _, y in corners) < 99

    @pytest.mark.parametrize("way", WAYS)
    def test_boxes_masks_and_maps_lie_on_the_pixels(self, way):
        """Bright rectangles: what is bright is in a mask, but for the pixels of the edges."""
        variation, image = vary(**WAYS[way]), image_of(*BOXES)
        seen = 0
        for seed in range(20):
            shown = variation.shown(image, seed)
            objects, (height, width) = shown.objects, shown.size
            assert objects.masks.size == tuple(shown.semantic.shape) == shown.size
            bitmaps = objects.masks.bitmaps()
            assert (shown.semantic[bitmaps.any(0)] != 9).all()
            drawn = shown.semantic != 9
            alike = around(drawn) == around(~drawn).logical_not()
            assert torch.equal((shown.pixels[0] > 127)[3:-3, 3:-3][alike], drawn[3:-3, 3:-3][alike])
            boxes = objects.boxes
            torch.testing.assert_close(objects.masks.boxes(), boxes, atol=3.0, rtol=0)
            assert (boxes[:, 2:] - boxes[:, :2] >= 1).all()
            assert (boxes >= 0).all()
            assert (boxes <= torch.tensor([width, height] * 2)).all()
            seen += len(objects)
        assert seen > 15

    @pytest.mark.parametrize("way", WAYS)
    def test_sizes_are_known_before(self, way):
        variation, image = vary(**WAYS[way]), image_of(*BOXES)
        seeds = np.arange(2**63, 2**63 + 20, dtype=np.uint64)
        known = variation.padded_sizes(np.tile([[40, 60]], (20, 1)), seeds)
        sizes = np.array([variation.shown(image, seed).size for seed in seeds.tolist()])
        assert variation.resizing.padded(sizes).tolist() == known.tolist()
        assert len(np.unique(sizes, axis=0)) >= {"sides": 3, "crops": 12, "jitter": 15}.get(way, 1)
        assert (known.prod(1) <= variation.resizing.most_pixels(np.array([[40, 60]]))).all()

    def test_the_size_is_that_of_use(self):
        sizes = np.array([(31, 47), (300, 40)])
        known = vary().padded_sizes(sizes, np.zeros(2, dtype=np.uint64))
        assert (
            known.tolist()
            == padded(np.array([detection_size((31, 47), IMAGE), detection_size((300, 40), IMAGE)])).tolist()
        )

    def test_crowds_and_what_becomes_too_small_are_left_out(self):
        image = image_of(*BOXES, (40, 1, 42, 2), crowd=[0])
        assert vary(flip=0).shown(image, 0).objects.labels.tolist() == [1, 2, 3]
        small = IMAGE.model_copy(update={"short_side": 32})  # 1 pixel becomes 0.8
        assert vary(small, flip=0).shown(image, 0).objects.labels.tolist() == [1, 2]

    def test_no_object_may_be_left(self):
        shown = vary(jitter={"scale": (8.0, 8.0), "size": 96}).shown(image_of((0, 0, 2, 2)), 2)
        assert (len(shown.objects), shown.objects.boxes.shape, shown.objects.masks.size) == (0, (0, 4), (96, 96))

    def test_without_masks(self):
        for augment in WAYS.values():
            assert vary(**augment).shown(image_of(*BOXES, masks=False), 3).objects.masks is None

    def test_the_seed_alone_decides(self):
        variation, image = vary(**WAYS["crops"]), image_of(*BOXES)
        first = variation.shown(image, 2**63 + 7)
        torch.manual_seed(3)
        before = torch.get_rng_state()
        assert torch.equal(variation.shown(image, 2**63 + 7).pixels, first.pixels)
        assert torch.equal(torch.get_rng_state(), before)
        assert variation.shown(image, 8).size != first.size

    def test_what_was_read_stays_as_it_was(self):
        image = image_of(*BOXES)
        before = image.pixels.clone()
        for augment in WAYS.values():
            variation = vary(**augment, photometric=True)
            written(variation, variation.shown(image, 1).pixels, size=(192, 192))
        assert torch.equal(image.pixels, before)


class TestColours:
    PIXELS = torch.randint(256, (3, 7, 11), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def test_off_is_off(self):
        onto = written(vary(PLAIN), self.PIXELS, size=(32, 32))
        torch.testing.assert_close(onto[:, :7, :11], self.PIXELS.float())
        assert (onto[:, 7:] == 0).all()
        assert (onto[:, :, 11:] == 0).all()

    def test_on_they_change_with_the_seed(self):
        variation = vary(PLAIN, photometric=True)
        moved = [written(variation, self.PIXELS, seed, (32, 32)) for seed in range(9)]
        assert sum(not torch.allclose(one[:, :7, :11], self.PIXELS.float(), atol=0.01) for one in moved) > 5
        assert torch.equal(moved[4], written(variation, self.PIXELS, 4, (32, 32)))
        for one in moved:
            assert (one[:, 7:] == 0).all()
            assert (one.min() >= -0.01, one.max() <= 255.01) == (True, True)


def test_pasting_as_often_as_it_should_be():
    assert not any(vary().pastes(seed) for seed in range(50))
    assert all(vary(copy_paste=1).pastes(seed) for seed in range(50))
    assert 220 < sum(vary(copy_paste=0.25).pastes(seed) for seed in range(1000)) < 280
