"""Codes against pycocotools', whose format it is."""

import numpy as np
import pytest
from pycocotools import mask as rle

from attnkit.structures.run_lengths import decode_counts, decode_crop, encode_crop


def shapes() -> list[np.ndarray]:
    """Pieces, whole columns, rows, single pixels at the corners, all and nothing, of 7 x 5 pixels."""
    pictures = [np.zeros((7, 5), dtype=np.uint8) for _ in range(9)]
    pictures[0][2:4, 1:3] = 1
    pictures[1][:, 1:3] = 1
    pictures[2][3] = 1
    pictures[3][0, 0] = 1
    pictures[4][6, 4] = 1
    pictures[5][:] = 1
    pictures[7][5:, 2] = pictures[7][:2, 3] = 1  # goes on from one column into the next
    pictures[8][[0, 2, 4, 6]] = 1
    return pictures


@pytest.mark.parametrize("picture", [*shapes(), *np.random.default_rng(1).integers(0, 2, (5, 11, 13), dtype=np.uint8)])
def test_equal_to_pycocotools(picture: np.ndarray) -> None:
    expected = rle.encode(np.asfortranarray(picture))
    crop, x, y = decode_crop(expected)
    whole = np.zeros_like(picture)
    whole[y : y + crop.shape[0], x : x + crop.shape[1]] = crop
    assert np.array_equal(whole, picture)
    if picture.any():
        assert [x, y, crop.shape[1], crop.shape[0]] == rle.toBbox(expected).tolist()
    height, width = picture.shape
    assert encode_crop(crop, x, y, (height, width)) == expected


def test_counts_by_hand() -> None:
    """Pixels 3 and 4 of a column of 7, and 2 of the next: 2 outside, 2 inside, 4 outside, 1 inside, 5 outside."""
    picture = np.zeros((7, 2), dtype=np.uint8)
    picture[2:4, 0] = picture[1, 1] = 1
    counts = encode_crop(picture[1:4], 0, 1, (7, 2))["counts"]
    assert decode_counts(counts).tolist() == [2, 2, 4, 1, 5]
    assert decode_counts(counts.decode()).tolist() == [2, 2, 4, 1, 5]


def test_long_runs() -> None:
    """Numbers of several characters."""
    crop = np.ones((1, 1), dtype=np.uint8)
    code = encode_crop(crop, 1234, 2345, (3000, 2000))
    assert decode_counts(code["counts"]).tolist() == [1234 * 3000 + 2345, 1, 6_000_000 - 1234 * 3000 - 2346]
    found, x, y = decode_crop(code)
    assert (found.tolist(), x, y) == ([[1]], 1234, 2345)


@pytest.mark.parametrize("counts", [b"", b"5", b"03", b"Z"])
def test_runs_that_do_not_cover_the_image(counts: bytes) -> None:
    with pytest.raises(ValueError, match=r"run-length code: its runs cover -?\d+ pixels; expected 7 x 5"):
        decode_crop({"size": [7, 5], "counts": counts})
