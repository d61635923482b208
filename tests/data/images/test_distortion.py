import colorsys

import numpy as np
import pytest
import torch

from attnkit.data.images.distortion import distort, saturate, turn_hue


class TestColours:
    """Values by Python's colorsys, whose order is the same: HSV."""

    PIXELS = torch.cat(
        [
            torch.randint(256, (3, 5, 60), generator=torch.Generator().manual_seed(0)).float(),
            torch.arange(256.0)[:60].expand(3, 1, 60),
        ],
        1,
    )

    def by_hand(self, change):
        columns = self.PIXELS.flatten(1).T.tolist()
        hsv = [colorsys.rgb_to_hsv(*[part / 255 for part in column]) for column in columns]
        rgb = [colorsys.hsv_to_rgb(*change(*column)) for column in hsv]
        return torch.tensor(rgb).T.reshape(self.PIXELS.shape) * 255

    @pytest.mark.parametrize("factor", [0.5, 1.0, 1.5])
    def test_saturation(self, factor):
        pixels = self.PIXELS.clone()
        saturate(pixels, factor)
        torch.testing.assert_close(
            pixels, self.by_hand(lambda h, s, v: (h, min(1.0, s * factor), v)), atol=0.01, rtol=0
        )

    @pytest.mark.parametrize("turn", [-0.05, 0.0, 0.03, 1 / 3])
    def test_hue(self, turn):
        pixels = self.PIXELS.clone()
        turn_hue(pixels, turn)
        torch.testing.assert_close(pixels, self.by_hand(lambda h, s, v: ((h + turn) % 1, s, v)), atol=0.01, rtol=0)

    def test_a_third_of_a_turn_makes_red_green(self):
        pixels = torch.tensor([255.0, 0, 0])[:, None, None].clone()
        turn_hue(pixels, 1 / 3)
        torch.testing.assert_close(pixels.flatten(), torch.tensor([0.0, 255, 0]), atol=1e-3, rtol=0)

    def test_values_stay_in_their_range(self):
        extremes = torch.tensor([0.0, 255.0])[torch.randint(2, (3, 8, 8), generator=torch.Generator().manual_seed(1))]
        for pixels in (self.PIXELS, extremes):
            for seed in range(200):
                changed = pixels.clone()
                distort(changed, np.random.default_rng(seed))
                assert changed.min() >= -1e-3
                assert changed.max() <= 255 + 1e-3

    def test_a_grey_stays_grey_and_in_its_bounds(self):
        results = []
        for seed in range(400):
            pixels = torch.full((3, 1, 1), 100.0)
            distort(pixels, np.random.default_rng(seed))
            assert pixels.amax() - pixels.amin() < 1e-3
            results.append(pixels[0, 0, 0].item())
        untouched = sum(abs(value - 100) < 1e-6 for value in results)
        assert 65 < untouched < 140  # neither brightness nor contrast: a quarter
        assert 68 * 0.5 <= min(results) < 45
        assert 170 < max(results) <= 132 * 1.5

    def test_contrast_comes_before_the_colours_or_after(self):
        """Where a bright channel was cut off first, the saturated pixel is another."""

        class Drawn:
            """No brightness, contrast, saturation, no hue; then whether contrast is first."""

            def __init__(self, first):
                self.chances, self.amounts = iter([0.9, 0.1, 0.1, 0.9, first]), iter([1.5, 1.5])

            def random(self):
                return next(self.chances)

            def uniform(self, low, high):
                return next(self.amounts)

        first, last = (torch.tensor([200.0, 100.0, 150.0])[:, None, None].clone() for _ in range(2))
        distort(first, Drawn(0.1))
        distort(last, Drawn(0.9))
        torch.testing.assert_close(first.flatten(), torch.tensor([255.0, 97.5, 210.0]))
        torch.testing.assert_close(last.flatten(), torch.tensor([255.0, 75.0, 187.5]))
