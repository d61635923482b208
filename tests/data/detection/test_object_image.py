from dataclasses import replace

import pytest
import torch
from torchvision.transforms import v2

from attnkit.data.detection.object_image import ObjectImage, resize_pixels
from attnkit.structures.masks import Masks
from tests.data.detection.listed_objects import image_of, rectangles

BOXES = [(2, 3, 20, 14), (30, 5, 58, 37)]


def boxes_of(image):
    return image.objects.boxes.tolist()


def drawn(image):
    """(R, H, W)"""
    return image.objects.masks.bitmaps()


def agrees(image):
    """Whether masks, map and areas say of each pixel what the bright rectangles do."""
    bright = image.pixels[0] > 127
    assert torch.equal(drawn(image).any(0), bright)
    assert torch.equal(image.semantic != 9, bright)
    for mask, label in zip(drawn(image), image.objects.labels.tolist(), strict=True):
        assert (image.semantic[mask] == label).all()
    assert image.objects.areas.tolist() == drawn(image).sum((1, 2)).tolist()
    assert torch.equal(image.objects.boxes, image.objects.masks.boxes())
    return True


class TestCut:
    def test_by_hand(self):
        image = image_of(*BOXES).cut((10, 5, 41, 33))
        assert image.size == (28, 31)
        assert boxes_of(image) == [[0, 0, 10, 9], [20, 0, 31, 28]]
        assert agrees(image)

    def test_what_lies_outside_has_no_area(self):
        image = image_of(*BOXES).cut((21, 0, 25, 40))
        assert image.objects.areas.tolist() == [0, 0]
        assert len(image.learned().objects) == 0

    def test_a_box_is_clipped_and_not_drawn_around_what_is_left_of_the_mask(self):
        """An L of which the part shows a piece of the foot: the box is still as high as the part."""
        bitmap = torch.zeros(1, 20, 30, dtype=torch.bool)
        bitmap[0, 2:18, 3:6] = bitmap[0, 14:18, 3:25] = True
        objects = replace(rectangles((3, 2, 25, 18), size=(20, 30)), masks=Masks.from_bitmaps(bitmap))
        part = ObjectImage(torch.zeros(3, 20, 30, dtype=torch.uint8), objects).cut((10, 0, 30, 20))
        assert boxes_of(part) == [[0, 2, 15, 18]]
        assert part.objects.masks.boxes().tolist() == [[0, 14, 15, 18]]
        assert part.objects.areas.tolist() == [60]

    def test_the_whole_is_not_copied(self):
        image = image_of(*BOXES)
        assert image.cut((0, 0, 60, 40)) is image

    def test_without_masks(self):
        image = image_of(*BOXES, masks=False).cut((10, 5, 41, 33))
        assert image.objects.masks is None
        assert image.objects.areas.tolist() == [90, 308]


class TestResized:
    def test_by_hand(self):
        image = image_of(*BOXES).resized((80, 180))
        assert image.size == (80, 180)
        assert boxes_of(image) == [[6, 6, 60, 28], [90, 10, 174, 74]]
        assert agrees(image)

    def test_pixels_of_masks_and_maps_are_the_same_ones(self):
        image = image_of(*BOXES).resized((17, 23))
        assert torch.equal(drawn(image).any(0), image.semantic != 9)
        torch.testing.assert_close(image.objects.boxes[0], torch.tensor([0.766667, 1.275, 7.666667, 5.95]))

    def test_pixels_are_torchvisions(self):
        pixels = torch.randint(256, (3, 31, 47), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
        assert torch.equal(resize_pixels(pixels, (13, 53)), v2.functional.resize(pixels, [13, 53], antialias=True))
        assert resize_pixels(pixels, (31, 47)) is pixels

    def test_to_its_own_size_it_stays(self):
        image = image_of(*BOXES)
        assert image.resized((40, 60)) is image


class TestMirrored:
    def test_left_and_right(self):
        image = image_of(*BOXES).flip()
        assert boxes_of(image) == [[40, 3, 58, 14], [2, 5, 30, 37]]
        assert agrees(image)

    def test_top_and_bottom(self):
        image = image_of(*BOXES).flip_vertical()
        assert boxes_of(image) == [[2, 26, 20, 37], [30, 3, 58, 35]]
        assert agrees(image)

    @pytest.mark.parametrize("way", ["flip", "flip_vertical"])
    def test_without_masks_and_map(self, way):
        image = image_of(*BOXES, masks=False)
        image = getattr(ObjectImage(image.pixels, image.objects), way)()
        assert (image.objects.masks, image.semantic) == (None, None)
        assert image.objects.areas.tolist() == [18 * 11, 28 * 32]


class TestLearned:
    def test_crowds_small_boxes_and_empty_masks_are_not(self):
        image = image_of((1, 2, 5, 7), (3, 3, 9, 9), (7, 7, 30, 30), (8, 20, 9, 21), crowd=[1])
        image.objects.boxes[2] = torch.tensor([7, 7, 7.9, 30])
        covered = torch.zeros(40, 60, dtype=torch.bool)
        covered[2:7, 1:5] = True
        assert image.learned().objects.labels.tolist() == [0, 3]
        left = replace(image.objects, masks=image.objects.masks.without(covered))
        assert ObjectImage(image.pixels, left).learned().objects.labels.tolist() == [3]

    def test_all_of_them(self):
        image = image_of(*BOXES)
        assert image.learned() is image
        assert len(image_of(*BOXES, masks=False, crowd=[0]).learned().objects) == 1
