from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import v2

from attnkit.data.detection.object_image import ObjectImage, paste, resize_pixels
from attnkit.structures.masks import Masks
from attnkit.structures.objects import Objects
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


# Pasting


def pasted(source, onto, seed=0):
    return paste(source, onto, np.random.default_rng(seed))


def by_hand(image):
    """Every pixel of an image of several brightnesses belongs to the mask that is there, and to no other."""
    maps = image.objects.masks.bitmaps()
    assert (maps.sum(0) <= 1).all()
    assert torch.equal(maps.any(0), image.pixels[0] > 0)
    assert torch.equal(maps.any(0), image.semantic != 9)
    assert torch.equal(image.objects.areas, image.objects.masks.areas())
    return True


class TestPastingInOneSize:
    ONTO = image_of((5, 5, 25, 25), (30, 5, 50, 25), bright=100)

    def test_by_hand(self):
        source = image_of((15, 10, 35, 22), labels=[2], bright=200)
        image = pasted(source, self.ONTO)
        assert image.objects.labels.tolist() == [0, 1, 2]
        # the first lost its right middle, the second the left of its middle: both boxes reach as far as before
        assert image.objects.boxes.tolist() == [[5, 5, 25, 25], [30, 5, 50, 25], [15, 10, 35, 22]]
        assert image.objects.areas.tolist() == [400 - 120, 400 - 60, 240]
        assert (image.pixels[:, 10:22, 15:35] == 200).all()
        assert (image.pixels == 100).sum() == 3 * 620
        assert (image.semantic[10:22, 15:35] == 2).all()
        assert by_hand(image)

    def test_boxes_are_drawn_around_what_is_left(self):
        image = pasted(image_of((0, 0, 60, 15), labels=[2], bright=200), self.ONTO)
        assert image.objects.boxes.tolist() == [[5, 15, 25, 25], [30, 15, 50, 25], [0, 0, 60, 15]]
        assert by_hand(image)

    def test_a_box_that_is_not_covered_stays_as_it_was(self):
        boxes = self.ONTO.objects.boxes + torch.tensor([0.25, 0.25, -0.25, -0.25])
        onto = replace(self.ONTO, objects=replace(self.ONTO.objects, boxes=boxes))
        image = pasted(image_of((0, 0, 27, 15), labels=[2], bright=200), onto)
        assert image.objects.boxes.tolist() == [[5, 15, 25, 25], [30.25, 5.25, 49.75, 24.75], [0, 0, 27, 15]]

    @pytest.mark.parametrize(("right", "left"), [(22, [0, 1, 2]), (23, [0, 1, 2]), (24, [1, 2])])
    def test_of_what_less_than_a_tenth_is_left_goes(self, right, left):
        """Two columns of twenty are a tenth."""
        image = pasted(image_of((5, 5, right, 25), labels=[2], bright=200), self.ONTO)
        assert image.objects.labels.tolist() == left
        if right == 24:  # what is left is still to be seen, and no one is told
            assert (image.pixels[:, 5:25, 24] == 100).all()

    def test_all_may_be_covered(self):
        image = pasted(image_of((0, 0, 60, 40), labels=[2], bright=200), self.ONTO)
        assert image.objects.boxes.tolist() == [[0, 0, 60, 40]]

    def test_what_it_was_stays(self):
        before = self.ONTO.pixels.clone(), self.ONTO.semantic.clone(), self.ONTO.objects.masks.pixels.clone()
        pasted(image_of((15, 10, 35, 22), labels=[2], bright=200), self.ONTO)
        after = self.ONTO.pixels, self.ONTO.semantic, self.ONTO.objects.masks.pixels
        assert all(map(torch.equal, before, after))

    def test_any_of_the_objects_but_none_never(self):
        boxes = [(1, 1, 3, 3), (5, 30, 8, 34), (11, 30, 14, 34), (55, 30, 58, 34)]
        source = image_of(*boxes, labels=[2, 3, 4, 5], bright=200)
        counts, times = [], torch.zeros(6)
        for seed in range(100):
            labels = pasted(source, self.ONTO, seed).objects.labels[2:]
            counts.append(len(labels))
            times[labels] += 1
        assert sorted(set(counts)) == [1, 2, 3, 4]
        assert min(map(counts.count, range(1, 5))) > 12
        assert (times[2:] > 45).all()
        assert (times[2:] < 80).all()

    def test_nothing_to_paste(self):
        nothing = ObjectImage(torch.full((3, 40, 60), 7, dtype=torch.uint8), Objects.none((40, 60)))
        assert pasted(nothing, self.ONTO) is self.ONTO

    def test_onto_nothing(self):
        onto = ObjectImage(torch.zeros(3, 40, 60, dtype=torch.uint8), Objects.none((40, 60)))
        image = pasted(image_of((15, 10, 35, 22), labels=[2]), onto)
        assert (image.objects.boxes.tolist(), image.semantic) == ([[15, 10, 35, 22]], None)

    def test_a_hundred_at_most(self):
        boxes = [(x, y, x + 1, y + 1) for x in range(0, 60, 2) for y in range(0, 40, 2)]
        source = image_of(*boxes, labels=[2] * 600, bright=200)
        counts = [len(pasted(source, self.ONTO, seed).objects) for seed in range(30)]
        assert 90 < max(counts) <= 102

    def test_difficult_ones_stay_so(self):
        onto = image_of((5, 5, 25, 25), difficult=[True])
        image = pasted(image_of((30, 10, 35, 22), difficult=[False]), onto)
        assert image.objects.difficult.tolist() == [True, False]
        assert pasted(image_of((30, 10, 35, 22)), onto).objects.difficult is None


class TestPastingInOtherSizes:
    @pytest.mark.parametrize("size", [(20, 30), (70, 90), (20, 90), (70, 30)])
    def test_places(self, size):
        """A part is cut from what is larger; what is smaller may lie anywhere."""
        onto = image_of((1, 1, 4, 3), bright=100)
        source = image_of(*[(x, y, x + 7, y + 5) for x in (4, 16) for y in (3, 12)], size=size, bright=200)
        corners = set()
        for seed in range(50):
            image = pasted(source, onto, seed)
            assert by_hand(image)
            new = image.objects.labels.tolist()[1:] if image.objects.areas[0] > 0 else []
            corners |= {tuple(box) for box in image.objects.boxes[-len(new) :].int().tolist() if new}
        assert len(corners) > 20

    def test_a_part_is_cut_as_any_other(self):
        onto, source = image_of(size=(16, 16)), image_of((10, 10, 30, 30), size=(40, 40), labels=[2], bright=200)
        for seed in range(20):
            image = pasted(source, onto, seed)
            assert (image.size, image.objects.masks.size) == ((16, 16), (16, 16))
            assert torch.equal(image.objects.boxes, image.objects.masks.boxes())
            assert (image.objects.boxes >= 0).all()
            assert (image.objects.boxes <= 16).all()
            assert by_hand(image)
