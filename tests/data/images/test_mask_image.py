import numpy as np
import pytest
from PIL import Image

from attnkit.data.images.mask_image import as_numbers, decode_mask, fitted, mask_colours
from attnkit.errors import DataError
from tests.data.image_files import picture, png, saved
from tests.data.scene_files import labels, mask

VALUES = labels()


@pytest.mark.parametrize(
    "content",
    [
        mask(VALUES),
        mask(VALUES, palette=[(9, 9, 9), (250, 3, 7), (0, 0, 0)]),
        mask(VALUES.astype(np.uint16)),
        mask(VALUES.astype(np.int32), kind="TIFF"),
        mask(VALUES, kind="BMP"),
        mask(np.stack([VALUES, VALUES * 0 + 200], axis=2)),
    ],
    ids=["grey", "palette", "16 bits", "32 bits", "bmp", "with alpha"],
)
def test_values_are_what_is_stored(content):
    assert np.array_equal(decode_mask(content, "m.png"), VALUES)


def test_large_ids_and_one_bit():
    values = np.array([[0, 300, 65535]], dtype=np.uint16)
    assert np.array_equal(decode_mask(mask(values), "m"), values)
    bits = VALUES > 1
    assert np.array_equal(decode_mask(mask(bits), "m"), bits.astype(np.uint8))


def test_greys_may_be_numbers():
    greys = np.repeat(VALUES[..., None], 3, axis=2)
    values = decode_mask(mask(greys), "m.png")
    assert np.array_equal(values, greys)
    assert np.array_equal(as_numbers(values), VALUES)
    assert as_numbers(VALUES) is VALUES
    greys[4, 6, 2] += 1
    assert as_numbers(greys) is greys


def test_colours_stay_colours():
    colours = np.array(picture(5, 7))
    assert np.array_equal(decode_mask(mask(colours), "m"), colours)
    see_through = np.concatenate([colours, np.full((5, 7, 1), 9, dtype=np.uint8)], axis=2)
    assert np.array_equal(decode_mask(mask(see_through), "m"), colours)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (saved(picture(), "JPEG"), "a JPEG, which does not keep pixel values as they were; expected a PNG whose pixel"),
        (mask(VALUES.astype(np.float32), kind="TIFF"), "a mask of Pillow's mode F; expected whole numbers"),
        (mask(VALUES.astype(np.int32) * 40000, kind="TIFF"), "pixel values from 0 to 80000; expected ids of 0"),
        (b"", "empty file, 0 bytes"),
        (mask(VALUES)[:60], "cannot be decoded"),
    ],
)
def test_what_is_no_mask(content, what):
    with pytest.raises(DataError, match=rf"^m.png: {what}"):
        decode_mask(content, "m.png")


def test_the_palette_of_a_mask():
    colours = [(1, 2, 3), (40, 50, 60)]
    assert mask_colours(mask(VALUES, palette=colours), "m")[:2].tolist() == [[1, 2, 3], [40, 50, 60]]
    assert mask_colours(mask(VALUES), "m") is None


def turned_photo(turn):
    exif = Image.Exif()
    exif[0x0112] = turn
    return saved(picture(5, 7), "JPEG", exif=exif.tobytes())


@pytest.mark.parametrize(
    ("turn", "as_seen"),
    [
        (5, lambda values: values.T),
        (6, lambda values: np.rot90(values, -1)),
        (7, lambda values: values[::-1, ::-1].T),
        (8, lambda values: np.rot90(values)),
    ],
)
def test_the_size_says_whether_a_mask_is_turned_already(turn, as_seen):
    photo = turned_photo(turn)
    seen = as_seen(VALUES)
    for values in (VALUES, seen):
        assert np.array_equal(fitted(values, photo, place="i", mask_place="m"), seen)
    colours = np.stack([VALUES, VALUES * 2, VALUES * 3], axis=-1)
    assert np.array_equal(fitted(colours, photo, place="i", mask_place="m")[..., 1], seen * 2)


@pytest.mark.parametrize("turn", [1, 2, 3, 4])
def test_where_the_size_does_not_say_the_mask_is_as_people_see_the_image(turn):
    assert np.array_equal(fitted(VALUES, turned_photo(turn), place="i", mask_place="m"), VALUES)


def test_another_size_is_refused():
    message = (
        r"^m.png: 7 x 5 pixels, but its image i.png has 5 x 7; expected the same size; make the mask again, or remove "
        "both$"
    )
    with pytest.raises(DataError, match=message):
        fitted(VALUES, png(7, 5), place="i.png", mask_place="m.png")
