import numpy as np

from attnkit.data.segmentation.palette import MOST_CLASSES, palette


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
