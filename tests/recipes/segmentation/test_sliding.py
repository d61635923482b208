"""Bands and windows against the plain way: everything at once, at every pixel."""

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from attnkit.recipes.segmentation.sliding import (
    AugmentedImage,
    interpolate_side,
    label,
    pixels_within,
    shares,
    spans,
)

CLASSES = 5


def network(pixels):
    """A network whose cells see 7 x 7 pixels, and whose answer depends on where a window ends and on left and right."""
    weight = torch.randn(CLASSES, 3, 7, 7, generator=torch.Generator().manual_seed(1)) * 0.01
    return F.conv2d(pixels.float(), weight, stride=4, padding=3)


def picture(height, width, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).integers(0, 256, (3, height, width), dtype=np.uint8))


def resized(pixels, size):
    return F.interpolate(pixels[None].float(), size=size, mode="bilinear")[0].round().to(torch.uint8)


def plainly(images, size):
    """The definition, pixel by pixel in float64: the mean over the windows that cover it, then over the images."""
    total = np.zeros((*size, CLASSES))
    for image in images:
        of_image, count = np.zeros((*size, CLASSES)), np.zeros((*size, 1))
        for top, bottom in image.rows:
            for left, right in image.columns:
                window = image.pixels[None, :, top:bottom, left:right]
                logits = network(window.flip(-1)).flip(-1) if image.flipped else network(window)
                cells = logits[0].double().numpy()
                for y in range(size[0]):
                    for x in range(size[1]):
                        down = (y + 0.5) * image.height / size[0] - top
                        along = (x + 0.5) * image.width / size[1] - left
                        if 0 <= down < bottom - top and 0 <= along < right - left:
                            value = interpolated(cells, down / (bottom - top), along / (right - left))
                            of_image[y, x] += np.exp(value) / np.exp(value).sum()
                            count[y, x] += 1
        assert count.min() >= 1
        total += of_image / count
    return total.argmax(-1)


def interpolated(cells, down, along):
    """Between the four cells around a place, given in parts of the map."""
    (y, y2, low), (x, x2, left) = (
        beside(part, count) for part, count in zip((down, along), cells.shape[1:], strict=True)
    )
    upper = cells[:, y, x] * (1 - left) + cells[:, y, x2] * left
    lower = cells[:, y2, x] * (1 - left) + cells[:, y2, x2] * left
    return upper * (1 - low) + lower * low


def beside(part, cells):
    at = min(max(part * cells - 0.5, 0), cells - 1)
    return int(at), min(int(at) + 1, cells - 1), at - int(at)


# Windows


@pytest.mark.parametrize(
    ("length", "window", "overlap", "expected"),
    [
        (7, 7, 0.5, [(0, 7)]),
        (5, 7, 0.5, [(0, 5)]),
        (8, 7, 0.0, [(0, 7), (1, 8)]),
        (14, 7, 0.0, [(0, 7), (7, 14)]),
        (23, 10, 0.5, [(0, 10), (5, 15), (10, 20), (13, 23)]),
        (1024, 512, 0.333, [(0, 512), (341, 853), (512, 1024)]),
        (3, 2, 0.99, [(0, 2), (1, 3)]),
    ],
)
def test_windows_along_a_side(length, window, overlap, expected):
    assert spans(length, window, overlap) == expected


def test_windows_that_meet_share_the_pixels_of_an_image_of_another_size():
    borders = [pixels_within(span, 14, 11) for span in [(0, 7), (7, 14)]]
    assert borders == [(0, 5), (5, 11)]
    assert shares([(0, 7), (5, 12), (7, 14)], 14, 7) == [1, 1, 1 / 2, 1 / 2, 1 / 2, 1 / 2, 1]


def test_a_mirrored_view_has_its_odd_window_on_the_other_side():
    plain = AugmentedImage(picture(4, 23), (4, 10), 0.5)
    assert plain.columns == [(0, 10), (5, 15), (10, 20), (13, 23)]
    mirrored = AugmentedImage(picture(4, 23), (4, 10), 0.5, flipped=True)
    assert mirrored.columns == [(0, 10), (3, 13), (8, 18), (13, 23)]


def test_pixels_lie_between_cells_as_torch_has_it():
    cells = torch.randn(3, generator=torch.Generator().manual_seed(2))
    found = interpolate_side((0, 11), 11, 11, 3, stripe=(0, 11), device=torch.device("cpu"))
    values = torch.lerp(cells[found.low], cells[found.high], found.weight)
    expected = F.interpolate(cells[None, None], size=11, mode="linear")[0, 0]
    torch.testing.assert_close(values, expected, atol=1e-6, rtol=1e-6)


# Labels


def test_the_whole_image():
    pixels = picture(37, 23)
    enlarged = F.interpolate(network(pixels[None]), size=(37, 23), mode="bilinear", align_corners=False)
    expected = enlarged[0].argmax(0)
    assert len(expected.unique()) >= 4
    assert torch.equal(
        label([AugmentedImage(pixels)], (37, 23), network, num_classes=CLASSES), expected.to(torch.uint8)
    )


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("overlap", [0.0, 0.333, 0.6])
def test_windows(overlap, flipped):
    images = [AugmentedImage(picture(29, 19), (11, 7), overlap, flipped=flipped)]
    assert np.array_equal(label(images, (29, 19), network, num_classes=CLASSES), plainly(images, (29, 19)))


@pytest.mark.parametrize("window", [None, (9, 10)])
def test_several_sizes_and_the_mirrored_image(window):
    pixels, images = picture(22, 17), []
    for size in [(11, 9), (22, 17), (31, 23)]:
        images += [AugmentedImage(resized(pixels, size), window, 0.333, flipped=flipped) for flipped in (False, True)]
    assert np.array_equal(label(images, (22, 17), network, num_classes=CLASSES), plainly(images, (22, 17)))


@pytest.mark.parametrize("windows_at_once", [1, 3])
@pytest.mark.parametrize("map_bytes", [1, 1 << 30])
@pytest.mark.parametrize("band_bytes", [1, 4 * CLASSES * 53 * 3, 1 << 30])
def test_bands_and_stripes_change_nothing(band_bytes, map_bytes, windows_at_once):
    pixels = picture(41, 53)
    images = [
        AugmentedImage(pixels, (11, 12), 0.333),
        AugmentedImage(resized(pixels, (23, 31)), (11, 12), 0.333, flipped=True),
    ]
    expected = label(images, (41, 53), network, num_classes=CLASSES)
    options = {"windows_at_once": windows_at_once, "band_bytes": band_bytes, "map_bytes": map_bytes}
    found = label(images, (41, 53), network, num_classes=CLASSES, **options)
    assert torch.equal(found, expected)


def test_each_window_goes_through_the_network_once():
    windows = []

    def counted(pixels):
        windows.extend(tuple(window.shape[1:]) for window in pixels)
        return network(pixels)

    label([AugmentedImage(picture(41, 53), (11, 12), 0.333)], (41, 53), counted, num_classes=CLASSES, windows_at_once=4)
    assert windows == [(11, 12)] * (len(spans(41, 11, 0.333)) * len(spans(53, 12, 0.333)))


# Memory


def peak_bytes(work):
    """The most that tensors take at once while something is done."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        work()
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    return int(np.cumsum([event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]).max())


@pytest.mark.parametrize("flipped", [False, True])
def test_memory_does_not_grow_with_the_image(flipped):
    """The probabilities of all its pixels would take 7.2 MB."""
    image = AugmentedImage(picture(400, 900), (64, 96), 0.25, flipped=flipped)
    peak = peak_bytes(lambda: label([image], (400, 900), network, num_classes=CLASSES, band_bytes=1 << 18))
    assert 500_000 < peak < 2_500_000


def test_many_augmented_images_are_labelled_in_stripes():
    pixels = picture(48, 500)
    images = [AugmentedImage(resized(pixels, (48, 500 + 8 * i)), (48, 48), 0.0) for i in range(4)]

    def peak(**options):
        return peak_bytes(lambda: label(images, (48, 500), network, num_classes=CLASSES, band_bytes=1 << 12, **options))

    one, several = peak(), peak(map_bytes=1 << 15)
    assert several < 0.6 * one
