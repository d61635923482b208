"""The class of each pixel over the photograph, in a readable size."""

import numpy as np
import pytest

from attnkit.predict.mask_overlay import draw_areas
from attnkit.predict.segmented_images import areas_of
from tests.recipes.scene_runs import CLASSES, DRAWN

COLOURS = np.array(DRAWN, dtype=np.uint8)


def overlay(labels, *, alpha=0.5, names=CLASSES, photo=None):
    photo = np.full((*labels.shape, 3), 100, dtype=np.uint8) if photo is None else photo
    return draw_areas(photo, labels, areas_of(labels, names), COLOURS, alpha=alpha)


@pytest.mark.parametrize(("alpha", "expected"), [(0.0, (100, 100, 100)), (0.5, (80, 90, 150)), (1.0, (60, 80, 200))])
def test_overlays_mix_photograph_and_colour(alpha, expected):
    labels = np.full((300, 500), 2, dtype=np.uint8)
    labels[:, :100] = 0
    picture = overlay(labels, alpha=alpha)
    assert picture.size[0] == 500
    assert picture.getpixel((300, 150)) == pytest.approx(expected, abs=1)
    assert picture.getpixel((100, 150)) != picture.getpixel((101, 150)) == picture.getpixel((99 + 150, 150))
    assert min(picture.getpixel((100, 150))) > max(expected[0], expected[1]), "a line between classes is bright"


def test_the_legend_has_a_swatch_for_each_class_that_is_there():
    labels = np.full((300, 500), 2, dtype=np.uint8)
    labels[:, :100] = 0
    legend = np.array(overlay(labels))[300:]
    colours = {tuple(colour) for colour in legend.reshape(-1, 3).tolist()}
    assert {DRAWN[0], DRAWN[2]} <= colours
    assert DRAWN[1] not in colours
    blue, red = (np.argwhere((legend == DRAWN[k]).all(-1)).min(0) for k in (2, 0))
    assert tuple(blue) < tuple(red) or blue[1] < red[1], "the largest first"


@pytest.mark.parametrize(
    ("size", "expected"),
    [((7, 11), (308, 484)), ((480, 31), (480, 31)), ((100, 8192), (50, 4096)), ((9000, 3), (4096, 1))],
)
def test_small_images_are_enlarged_and_large_ones_reduced(size, expected):
    picture = overlay(np.zeros(size, dtype=np.uint8))
    assert picture.height > expected[0]
    assert picture.width >= expected[1]
    shown = np.array(picture)[: expected[0]]
    assert ((shown == (150, 80, 80)).all(-1).sum(axis=1) == expected[1]).all()
