"""What sizing takes in every task on images."""

import numpy as np
import pytest

from attnkit.new_recipe.sizing import (
    HeldBack,
    Machine,
    few_images,
    hold_back,
    largest_affordable,
    sample,
    training_length,
    why_held_back,
    why_no_larger,
)

CORES = Machine("2 processor cores", is_gpu=False, memory=8 << 30)


@pytest.mark.parametrize(
    ("valid", "test", "expected"),
    [(0, 0, (0.1, 0.1, 1600)), (7, 0, (0.0, 0.1, 1800)), (7, 7, (0.0, 0.0, 2000))],
)
def test_hold_back(valid, test, expected):
    assert hold_back(2000, valid, test) == expected


@pytest.mark.parametrize(("images", "chosen"), [(600, 7), (601, 5), (1000, 3)])
def test_the_first_that_is_fast_enough(images, chosen):
    """In two minutes 600, 840 and 600 images; the last where none is fast enough."""
    speeds = {7: 5.0, 5: 7.0, 3: 5.0}
    found = largest_affordable([7, 5, 3], speeds.__getitem__, minutes=2, images=images)
    assert found == (chosen, speeds[chosen], [7, 5, 3].index(chosen))


def test_training_ends_with_the_images_or_the_time():
    length = training_length(100, per_step=7, epochs=3, rate=70.0, minutes=1)
    assert (length.epoch, length.steps, length.epochs, length.takes) == (14, 42, 3.0, 42 * 7 / 70 / 60)
    assert length.bound == "more would not help with so few images"
    assert length.epoch_line == "an epoch is 14 steps"
    length = training_length(5, per_step=7, epochs=3000, rate=7.0, minutes=11)
    assert (length.epoch, length.steps) == (1, 660)
    assert length.epoch_line == "an epoch is 1 step"
    assert length.reasons(CORES, 7.0) == (
        "steps: 660, 660 times through the images: what fits into 11 minutes",
        "time: about 11 minutes at 7 images a second, the measured training speed of this network on 2 processor "
        "cores; loading and validation come on top",
    )


def test_a_sample_reaches_from_the_first_to_the_last():
    assert sample(3) == [0, 1, 2]
    some = sample(1000)
    assert (len(some), some[0], some[-1]) == (200, 0, 999)
    assert set(np.diff(some)) == {5, 6}


def test_what_limits_a_size():
    assert why_no_larger(2, epochs=7, can_be_larger=False) == (
        "; anything larger would go through them fewer than 7 times in the time available"
    )
    assert why_no_larger(0, epochs=7, can_be_larger=True) == "; more costs time by its square: --image-size"
    assert why_no_larger(0, epochs=7, can_be_larger=False) == ""


def test_lines_on_shares_and_few_images():
    assert why_held_back(HeldBack(0.0, 0.0, 7), "the images") == ()
    assert why_held_back(HeldBack(0.1, 0.008, 7), "the images") == (
        "held back: 0.1 of the images for validation and 0.008 of the images for test, chosen by a hash of the file "
        "names",
    )
    assert few_images("photos", 20, few=20) == ()
    assert few_images("photos", 19, few=20)[0].startswith("photos: 19 images are few for attention; expected 20 or")
