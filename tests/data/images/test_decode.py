import re

import numpy as np
import pytest
import torch
from PIL import Image

from attnkit.data.images.decode import (
    as_numbers,
    decode_image,
    decode_mask,
    fitted,
    image_size,
    mask_colours,
    stored_and_seen,
)
from attnkit.errors import DataError
from tests.data.image_files import picture, pixels, png, saved
from tests.data.scene_files import labels, mask


def decoded(content):
    image = decode_image(content, "a.png")
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    return image.numpy()


def test_colours_come_as_they_are(tmp_path):
    (tmp_path / "a.png").write_bytes(png())
    assert np.array_equal(decoded(tmp_path / "a.png"), pixels(picture()))
    assert decoded(png()).shape == (3, 5, 7)


def test_grey_is_three_equal_channels():
    grey = picture().convert("L")
    assert np.array_equal(decoded(saved(grey)), np.broadcast_to(np.array(grey), (3, 5, 7)))


def test_black_and_white():
    image = Image.fromarray(np.array([[0, 255, 0], [255, 255, 0]], dtype=np.uint8)).convert("1")
    assert decoded(saved(image))[0].tolist() == [[0, 255, 0], [255, 255, 0]]


def test_16_bits_keep_the_upper_8():
    values = np.array([[0, 255, 256], [0x1234, 0xFF00, 0xFFFF]], dtype=np.uint16)
    assert decoded(saved(Image.fromarray(values)))[1].tolist() == [[0, 0, 1], [0x12, 0xFF, 0xFF]]
    assert decoded(saved(Image.fromarray(values), "TIFF"))[2].tolist() == [[0, 0, 1], [0x12, 0xFF, 0xFF]]
    assert decoded(saved(Image.fromarray(values.astype(np.int32)), "TIFF"))[2].tolist() == [[0, 0, 1], [18, 255, 255]]


def test_a_palette_becomes_colours():
    image = picture().quantize(4)
    assert np.array_equal(decoded(saved(image)), pixels(image.convert("RGB")))


def test_transparency_shows_white():
    image = Image.new("RGBA", (2, 1), (200, 100, 0, 0))
    image.putpixel((1, 0), (200, 100, 0, 128))
    assert decoded(saved(image))[:, 0].T.tolist() == [[255, 255, 255], [227, 177, 127]]
    palette = Image.new("P", (2, 1), 0)
    palette.putpalette([9, 8, 7, 6, 5, 4])
    palette.putpixel((1, 0), 1)
    assert decoded(saved(palette, transparency=0))[:, 0].T.tolist() == [[255, 255, 255], [6, 5, 4]]
    grey = Image.new("LA", (1, 1), (7, 0))
    assert decoded(saved(grey)).ravel().tolist() == [255, 255, 255]
    colour = Image.new("RGB", (1, 1), (1, 2, 3))
    assert decoded(saved(colour, transparency=(1, 2, 3))).ravel().tolist() == [255, 255, 255]


def test_cmyk_is_converted():
    image = Image.new("CMYK", (8, 8), (0, 255, 255, 0))  # red
    red, green, blue = decoded(saved(image, "JPEG", quality=100))[:, 4, 4].tolist()
    assert red > 250
    assert max(green, blue) < 5


@pytest.mark.parametrize(("orientation", "turned"), [(1, "a"), (3, "rot180"), (6, "right"), (8, "left"), (2, "mirror")])
def test_exif_turns_the_image(orientation, turned):
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = pixels(picture())
    expected = {
        "a": stored,
        "rot180": stored[:, ::-1, ::-1],
        "right": np.rot90(stored, -1, (1, 2)),
        "left": np.rot90(stored, 1, (1, 2)),
        "mirror": stored[:, :, ::-1],
    }[turned]
    assert np.array_equal(decoded(saved(picture(), exif=exif)), expected)


def test_the_first_frame_of_several():
    frames = [Image.new("RGB", (3, 2), colour) for colour in ("red", "blue")]
    assert decoded(saved(frames[0], "GIF", save_all=True, append_images=frames[1:]))[:, 0, 0].tolist() == [255, 0, 0]


def test_size_without_pixels():
    assert image_size(png(11, 3), "a.png") == (11, 3)
    assert image_size(png(11, 3)[:60], "a.png") == (11, 3)


MENDING = r"; expected a whole image file \(JPEG, PNG, WebP, BMP, GIF, TIFF or PPM\); copy it again, or remove it$"


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "empty file, 0 bytes"),
        (b"no image at all", "not an image, or of an unknown kind"),
        (saved(picture(50, 70), "JPEG")[:1500], r"cannot be decoded \(image file is truncated .*\)"),
        (png(50, 70)[:3000], r"cannot be decoded \(.*\)"),
    ],
)
def test_broken_files_are_named(content, what, tmp_path):
    (tmp_path / "b.jpg").write_bytes(content)
    for source in (content, tmp_path / "b.jpg"):
        with pytest.raises(DataError, match=f"^set/b.jpg: {what}{MENDING}"):
            decode_image(source, "set/b.jpg")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(DataError, match=f"^c.png: no such file{MENDING}"):
        decode_image(tmp_path / "c.png", "c.png")
    with pytest.raises(DataError, match=f"^c.png: not an image, or of an unknown kind{MENDING}"):
        image_size(b"GIF", "c.png")


def test_every_cut_off_file_is_an_image_or_is_named():
    whole = saved(picture(20, 30), "JPEG")
    for length in range(0, len(whole), 7):
        try:
            assert decode_image(whole[:length], "a.jpg").shape == (3, 20, 30)
        except DataError as error:
            assert str(error).startswith("a.jpg: ")  # noqa: PT017


def test_flipped_bytes_never_crash():
    rng = np.random.default_rng(3)
    for whole in (saved(picture(9, 11), kind) for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP")):
        for _ in range(40):
            content = bytearray(whole)
            content[rng.integers(len(content))] = rng.integers(256)
            try:
                decode_image(bytes(content), "a")
            except DataError as error:
                assert re.match(r"a: .*; expected .*; ", str(error))  # noqa: PT017


def test_floating_point_pixels_are_refused():
    image = Image.fromarray(np.ones((2, 3), dtype=np.float32))
    with pytest.raises(
        DataError,
        match=r"^a.tif: pixels are floating-point numbers, whose range is unknown; expected 8 or 16 bits per channel; "
        "convert the file$",
    ):
        decode_image(saved(image, "TIFF"), "a.tif")


class TestStored:
    def content(self, orientation):
        exif = Image.Exif()
        exif[0x0112] = orientation
        return saved(picture(5, 7), exif=exif)

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_pixels_may_be_left_where_they_are_stored(self, orientation):
        content = self.content(orientation)
        assert np.array_equal(decode_image(content, "a.png", turned=False).numpy(), pixels(picture(5, 7)))
        stored, seen = stored_and_seen(content, "a.png")
        assert stored == (5, 7)
        assert seen == tuple(decode_image(content, "a.png").shape[1:])

    def test_without_exif_data_both_are_the_same(self):
        assert stored_and_seen(png(), "a.png") == ((5, 7), (5, 7))


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
