"""Generated masks, and folders of them beside images."""

import numpy as np
from PIL import Image

from tests.data.image_files import picture, saved

SIZE = (5, 7)


def mask(values, *, palette=None, kind="PNG", **options):
    """The bytes of a mask: grey of 8 or 16 bits, with a palette, or colours."""
    image = Image.fromarray(np.asarray(values))
    if palette is not None:
        image.putpalette([channel for colour in palette for channel in colour])
    return saved(image, kind, **options)


def labels(seed=0, *, size=SIZE, classes=3):
    """A label map that has every class."""
    values = np.random.default_rng([seed, 5]).integers(0, classes, size, dtype=np.uint8)
    values.flat[:classes] = range(classes)
    return values


def scenes(*names, images="images", masks="masks", first_seed=0, **options):
    """Files: an image and its mask for each name."""
    files = {}
    for seed, name in enumerate(names, first_seed):
        values = labels(seed, **options)
        files[f"{images}/{name}.jpg"] = saved(picture(*values.shape, seed=seed), "JPEG")
        files[f"{masks}/{name}.png"] = mask(values)
    return files
