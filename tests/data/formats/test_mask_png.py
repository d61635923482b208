"""Masks are stored as the numbers of classes, with their colours."""

import numpy as np
from PIL import Image

from attnkit.data.formats.mask_png import MOST_CLASSES, palette, palette_image
from tests.recipes.scene_runs import DRAWN

COLOURS = np.array(DRAWN, dtype=np.uint8)
LABELS = np.array([[0, 0, 2, 2, 2], [0, 2, 2, 2, 2], [1, 1, 2, 2, 2]], dtype=np.uint8)


def test_masks_hold_the_numbers_of_classes_in_8_bits(tmp_path):
    palette_image(LABELS, COLOURS).save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as mask:
        assert mask.mode == "P"
        assert np.array_equal(np.array(mask), LABELS)
        assert np.array_equal(np.array(mask.convert("RGB")), COLOURS[LABELS])
    header = (tmp_path / "a.png").read_bytes()[16:26]
    assert header[8:] == bytes([8, 3]), "8 bits, palette"


def test_colours_are_distinct_and_never_black_or_white():
    colours = palette(MOST_CLASSES)
    assert (colours.shape, colours.dtype) == ((255, 3), np.uint8)
    taken = np.concatenate([colours, [[0, 0, 0], [255, 255, 255]]])
    assert len(np.unique(taken, axis=0)) == 257


def test_a_few_are_far_from_each_other():
    colours = palette(20).astype(int)
    apart = np.abs(colours[:, None] - colours).sum(-1)
    assert apart[~np.eye(20, dtype=bool)].min() >= 100


def test_fewer_begin_more_and_can_be_changed():
    assert np.array_equal(palette(7), palette(11)[:7])
    changed = palette(3)
    changed[:] = 0
    assert palette(3).any()
