"""Masks are stored as the numbers of classes, with their colours."""

import numpy as np
from PIL import Image

from attnkit.data.formats.mask_png import palette_image
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
