"""From the bytes of any image file to red, green and blue."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from attnkit.errors import DataError

# Of odd EXIF data, palettes and sizes below the limit, which a user can do nothing about. For the whole process: to set
# and restore it for each image is not safe where several threads decode.
warnings.filterwarnings("ignore", module=r"PIL\.")

_MENDING = "expected a whole image file (JPEG, PNG, WebP, BMP, GIF, TIFF or PPM); copy it again, or remove it"
_BRIGHTEST_16_BITS = 65535
_ORIENTATION = 0x0112
_ON_THE_SIDE = frozenset({5, 6, 7, 8})
"""Orientations that exchange height and width."""


def decode_image(source: Path | bytes, place: str, *, turned: bool = True) -> Tensor:
    """Read an image as people see it: turned as its EXIF data says, transparency on white, the first frame of several.

    Grey and palette images become colours, CMYK is converted, 16 bits per channel are brought to 8.

    Args:
        source: a file, or the bytes of one.
        place: what to call it in errors.
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
    """Open an image file with Pillow; what goes wrong inside is told in our words too.

    Raises:
        DataError: it is missing, empty, truncated, or no image.
    """
    try:
        empty = not source if isinstance(source, bytes) else not source.stat().st_size
        if empty:
            raise DataError(f"{place}: empty file, 0 bytes; {_MENDING}")
        with Image.open(io.BytesIO(source) if isinstance(source, bytes) else source) as image:
            yield image
    except DataError:
        raise
    except FileNotFoundError as error:
        raise DataError(f"{place}: no such file; {_MENDING}") from error
    except UnidentifiedImageError as error:
        raise DataError(f"{place}: not an image, or of an unknown kind; {_MENDING}") from error
    except Exception as error:  # the readers of broken files raise whatever they run into
        raise DataError(f"{place}: cannot be decoded ({_reason(error)}); {_MENDING}") from error


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
