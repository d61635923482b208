"""From the bytes of any image file to red, green and blue; from those of a mask to its values, unchanged."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from attnkit.errors import DataError
from attnkit.structures.arrays import ByteArray

# Of odd EXIF data, palettes and sizes below the limit, which a user can do nothing about. For the whole process: to set
# and restore it for each image is not safe where several threads decode.
warnings.filterwarnings("ignore", module=r"PIL\.")

_EXPECTED = "expected a whole image file (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM); copy it again, or remove it"
_BRIGHTEST_16_BITS = 65535
_ORIENTATION = 0x0112
_ON_THE_SIDE = frozenset({5, 6, 7, 8})
"""Orientations that exchange height and width."""
LOSSY = frozenset({".jpg", ".jpeg", ".jfif"})
MASK_SUFFIXES = frozenset({".png", ".bmp", ".gif", ".tif", ".tiff", ".pgm", ".pbm", ".ppm", ".webp"}) | LOSSY
"""Endings that files of masks have; a lossy one is found in order to be refused."""

_TURNED = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

Values = ByteArray | NDArray[np.uint16]
"""(H, W) numbers, or (H, W, 3) uint8 colours."""
Pixels = TypeVar("Pixels", ByteArray, Values)


def decode_image(source: Path | bytes, place: str, *, turned: bool = True) -> Tensor:
    """Read an image as people see it: turned as its EXIF data says, transparency on white, the first frame of several.

    Grey and palette images become colours, CMYK is converted, 16 bits per channel are brought to 8.

    Args:
        turned: False leaves the pixels where they are stored, whatever the EXIF data says.

    Returns:
        uint8 (3, H, W), red, green and blue.

    Raises:
        DataError: it is missing, empty, truncated, no image, or has numbers that are no colours.
    """
    with opened_image(source, place) as image:
        _check_mode(image, place)
        image.load()
        pixels = np.array(_rgb(ImageOps.exif_transpose(image) if turned else image))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def image_size(source: Path | bytes, place: str) -> tuple[int, int]:
    """Height and width by the file's header, before the EXIF data turns it; the pixels are not read.

    Raises:
        DataError: it is missing, empty, or no image; a file that is cut off later goes unseen.
    """
    with opened_image(source, place) as image:
        _check_mode(image, place)
        return image.height, image.width


def stored_and_seen(source: Path | bytes, place: str) -> tuple[tuple[int, int], tuple[int, int]]:
    """Height and width by the file's header, of the pixels as they are stored and as the EXIF data turns them.

    Raises:
        DataError: as `image_size`.
    """
    with opened_image(source, place) as image:
        _check_mode(image, place)
        stored = image.height, image.width
        return stored, stored[::-1] if image.getexif().get(_ORIENTATION, 1) in _ON_THE_SIDE else stored


@contextmanager
def opened_image(source: Path | bytes, place: str) -> Iterator[Image.Image]:
    """Open an image file with Pillow; errors inside become DataErrors too.

    Raises:
        DataError: it is missing, empty, truncated, or no image.
    """
    try:
        empty = not source if isinstance(source, bytes) else not source.stat().st_size
        if empty:
            raise DataError(f"{place}: empty file, 0 bytes; {_EXPECTED}")
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            yield image
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{place}: no such file; {_EXPECTED}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{place}: not an image, or of an unknown kind; {_EXPECTED}") from error
    except Exception as error:  # the readers of broken files raise whatever they run into
        raise DataError(f"{place}: cannot be decoded ({_reason(error)}); {_EXPECTED}") from error


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _check_mode(image: Image.Image, place: str) -> None:
    if image.mode == "F":
        raise DataError(
            f"{place}: pixels are floating-point numbers, whose range is unknown; expected 8 or 16 bits per channel; "
            "convert the file"
        )


def _rgb(image: Image.Image) -> Image.Image:
    """Bring any mode to RGB."""
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I"):  # 16 bits, which Pillow also gives as 32 of which 16 are used
        values = np.clip(np.asarray(image).astype(np.int64), 0, _BRIGHTEST_16_BITS)
        return Image.fromarray((values >> 8).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        layers = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), layers).convert("RGB")
    return image.convert("RGB")


def decode_mask(source: Path | bytes, place: str) -> Values:
    """Read a mask as it is stored: grey of 1, 8 or 16 bits, the numbers behind a palette, or colours.

    Returns:
        (H, W) numbers; of a colour image (H, W, 3).

    Raises:
        DataError: it is missing, broken, lossy, or holds numbers that are no ids.
    """
    with opened_image(source, place) as image:
        if image.format == "JPEG":
            raise DataError(
                f"{place}: a JPEG, which does not keep pixel values as they were; expected a PNG whose pixel values "
                "are class ids; make the masks again, without JPEG in between"
            )
        image.load()
        return _values(ImageOps.exif_transpose(image), place)


def as_numbers(values: Values) -> Values:
    """(H, W), where a colour image has three times the same; else the colours as they are."""
    return values[..., 0] if values.ndim == 3 and (values == values[..., :1]).all() else values


def mask_colours(source: Path | bytes, place: str) -> ByteArray | None:
    """The palette of a mask, (P, 3) uint8; None where it has none.

    Raises:
        DataError: it is missing, or no image.
    """
    with opened_image(source, place) as image:
        if image.mode != "P" or not (colours := image.getpalette("RGB")):
            return None
        return np.array(colours, dtype=np.uint8).reshape(-1, 3)


def fitted(values: Pixels, image: Path | bytes, *, place: str, mask_place: str) -> Pixels:
    """The pixels of a mask, turned as its image is shown, which its EXIF data may turn.

    A mask that has the size of the turned image is taken to be turned already; one of the size of the stored pixels is
    turned likewise.

    Raises:
        DataError: the mask has neither size.
    """
    height, width = values.shape[:2]
    _, turn = fit((height, width), image, place=place, mask_place=mask_place)
    return values if turn is None else cast(Pixels, np.array(Image.fromarray(values).transpose(turn)))


def fit(
    size: tuple[int, int], image: Path | bytes, *, place: str, mask_place: str
) -> tuple[tuple[int, int], Image.Transpose | None]:
    """Height and width of the stored pixels of an image, and how a mask of a size is to be turned for `fitted`.

    Raises:
        DataError: it does not fit.
    """
    with opened_image(image, place) as opened:
        stored, orientation = (opened.height, opened.width), opened.getexif().get(_ORIENTATION, 1)
    if size == (stored[::-1] if orientation in _ON_THE_SIDE else stored):
        return stored, None
    if size == stored:
        return stored, _TURNED.get(orientation)
    raise DataError(
        f"{mask_place}: {size[1]} x {size[0]} pixels, but its image {place} has {stored[1]} x {stored[0]}; expected "
        "the same size; make the mask again, or remove both"
    )


def _values(image: Image.Image, place: str) -> Values:
    if image.mode in ("1", "L", "P"):
        return np.array(image, dtype=np.uint8)
    if image.mode in ("LA", "PA"):
        return np.array(image)[..., 0]
    if image.mode.startswith("I"):
        return _sixteen_bits(np.array(image), place)
    if image.mode not in ("RGB", "RGBA"):
        raise DataError(
            f"{place}: a mask of Pillow's mode {image.mode}; expected whole numbers, grey or palette, or RGB colours; "
            "convert it to PNG"
        )
    return np.array(image)[..., :3]


def _sixteen_bits(values: NDArray[np.generic], place: str) -> NDArray[np.uint16]:
    """Pillow gives 16 bits as 32 sometimes."""
    numbers = values.astype(np.int64)
    if numbers.min(initial=0) < 0 or numbers.max(initial=0) > np.iinfo(np.uint16).max:
        raise DataError(
            f"{place}: pixel values from {numbers.min()} to {numbers.max()}; expected ids of 0 to 65535; convert it"
        )
    return numbers.astype(np.uint16)
