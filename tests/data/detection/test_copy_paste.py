from dataclasses import replace

import numpy as np
import pytest
import torch

from attnkit.data.detection.copy_paste import paste
from attnkit.data.detection.object_image import ObjectImage
from attnkit.structures.objects import Objects
from tests.data.detection.listed_objects import image_of


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


class TestOneSize:
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


class TestOtherSizes:
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
