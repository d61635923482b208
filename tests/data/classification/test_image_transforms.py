import numpy as np
import pytest
import torch
from torchvision.transforms import InterpolationMode, v2

from attnkit.data.classification.config import AugmentConfig, ImageConfig
from attnkit.data.classification.image_transforms import (
    EvalTransform,
    TrainTransform,
    normalise,
    resize,
    shift_and_flip,
)
from attnkit.data.images.image_randomness import image_seeds

PLAIN = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
"""So that 0..255 comes out as 0..1."""


def noise(*shape, seed=0):
    return torch.randint(256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def seeds(count, epoch=0):
    return image_seeds(1, epoch, np.arange(count), np.zeros(count, dtype=np.int64))


class TestEvaluation:
    @pytest.mark.parametrize("height_width", [(37, 53), (53, 37), (41, 41), (9, 90), (20, 24)])
    @pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
    def test_crop_is_torchvisions(self, height_width, interpolation):
        image = ImageConfig(size=23, crop_fraction=0.9, interpolation=interpolation)
        theirs = v2.Compose(
            [
                v2.Resize(25, interpolation=InterpolationMode(interpolation), antialias=True),
                v2.CenterCrop(23),
                v2.ToDtype(torch.float32, scale=True),
                v2.Normalize(image.mean, image.std),
            ]
        )
        pixels = noise(3, *height_width)
        torch.testing.assert_close(EvalTransform(image)(pixels), theirs(pixels), atol=2e-6, rtol=0)

    def test_the_usual_sizes(self):
        """224 of 256; 384 at 1.0; timm rounds 224 / 0.9 = 248.9 down."""
        for size, fraction, shorter in ((224, 0.875, 256), (384, 1.0, 384), (224, 0.9, 248)):
            pixels = noise(3, shorter, 300 if shorter < 300 else 400)
            image = ImageConfig(size=size, crop_fraction=fraction)
            assert torch.equal(resize(pixels, image), v2.functional.center_crop(pixels, [size, size]))

    def test_squash_takes_the_whole_image(self):
        pixels = noise(3, 11, 29)
        image = ImageConfig(size=8, resize="squash")
        assert torch.equal(resize(pixels, image), v2.functional.resize(pixels, [8, 8], InterpolationMode.BICUBIC))

    @pytest.mark.parametrize(
        ("height", "width", "inside"), [(5, 20, (slice(4, 6), slice(0, 10))), (20, 10, (slice(0, 10), slice(2, 7)))]
    )
    def test_pad_puts_it_on_grey(self, height, width, inside):
        pixels = torch.full((3, height, width), 200, dtype=torch.uint8)
        result = resize(pixels, ImageConfig(size=10, resize="pad"))
        expected = torch.full((3, 10, 10), 128, dtype=torch.uint8)
        expected[:, *inside] = 200
        assert torch.equal(result, expected)

    def test_a_very_long_image_is_padded(self):
        assert resize(noise(3, 1, 300), ImageConfig(size=10, resize="pad")).shape == (3, 10, 10)

    def test_an_image_of_the_right_size_stays(self):
        pixels = noise(3, 32, 32)
        for how in ("crop", "squash", "pad"):
            assert torch.equal(resize(pixels, ImageConfig(size=32, crop_fraction=1.0, resize=how)), pixels)

    def test_normalised_by_hand(self):
        pixels = torch.tensor([0, 51, 255], dtype=torch.uint8)[:, None, None].expand(3, 2, 5)
        image = ImageConfig(mean=(0.5, 0.1, 0.2), std=(0.5, 0.2, 0.4))
        result = normalise(pixels, image)
        assert result.dtype == torch.float32
        torch.testing.assert_close(result[:, 1, 4], torch.tensor([-1.0, 0.5, 2.0]))
        assert pixels[1, 0, 0] == 51

    def test_a_batch_is_as_its_images(self):
        pixels = noise(5, 3, 31, 47)
        transform = EvalTransform(ImageConfig(size=16))
        assert torch.equal(transform(pixels), torch.stack([transform(one) for one in pixels]))


class TestShiftAndFlip:
    FILL = torch.tensor([7, 8, 9], dtype=torch.uint8)

    def moved(self, images, draws, **options):
        return shift_and_flip(images, np.array(draws), **{"padding": 2, "flip": 0.5, "fill": self.FILL, **options})

    def test_by_hand(self):
        images = noise(3, 3, 4, 5)
        result = self.moved(images, [[0.5, 0.5, 0.9], [0.0, 0.99, 0.9], [0.5, 0.5, 0.1]])
        assert torch.equal(result[0], images[0])
        expected = self.FILL[:, None, None].repeat(1, 4, 5)
        expected[:, 2:, :3] = images[1, :, :2, 2:]  # the window is up and right: the image moves down and left
        assert torch.equal(result[1], expected)
        assert torch.equal(result[2], images[2].flip(2))

    def test_it_is_torchvisions_pad_and_crop(self):
        images = noise(1, 3, 6, 7)
        padded = v2.functional.pad(images[0], [2, 2, 2, 2], fill=self.FILL.tolist())
        for down in range(5):
            for right in range(5):
                result = self.moved(images, [[down / 5 + 0.01, right / 5 + 0.01, 1.0]])
                assert torch.equal(result[0], v2.functional.crop(padded, down, right, 6, 7))

    def test_every_shift_is_equally_likely_and_half_are_mirrored(self):
        image = torch.zeros(1, 3, 9, 9, dtype=torch.uint8)
        image[:, :, 4, 4], image[:, :, 4, 5] = 255, 100
        config = AugmentConfig(crop="shift", padding=1)
        transform = TrainTransform(ImageConfig(size=9, **PLAIN), config)
        count = 9000
        result = transform.batch(image.expand(count, -1, -1, -1), seeds(count))[:, 0]
        places = (result == 1).flatten(1).nonzero()[:, 1]
        rows, columns = places // 9, places % 9
        mirrored = result[torch.arange(count), rows, columns - 1] > 0.3
        cells = torch.bincount((rows - 3) * 6 + (columns - 3) * 2 + mirrored, minlength=18)
        assert cells.shape == (18,)
        assert abs(cells - 500).max() < 5 * 500**0.5


HEAVY = AugmentConfig(auto="rand", rand_noise=1.5, erase=0.5, color_jitter=0.3)
KINDS = [
    AugmentConfig(),
    AugmentConfig(crop="none"),
    AugmentConfig(crop="shift", auto="trivial"),
    AugmentConfig(auto="three"),
    AugmentConfig(crop="shift", erase=0.5),
    HEAVY,
]


class TestTraining:
    @pytest.mark.parametrize("augment", KINDS)
    def test_an_image_depends_on_its_seed_alone(self, augment):
        transform = TrainTransform(ImageConfig(size=16), augment)
        images = noise(6, 3, 20, 24)
        whole = transform.batch(list(images), seeds(6))
        assert whole.shape == (6, 3, 16, 16)
        assert whole.dtype == torch.float32
        assert torch.equal(transform.batch(images, seeds(6)), whole)
        torch.manual_seed(99)
        assert torch.equal(transform.batch([images[4], images[2]], seeds(6)[[4, 2]]), whole[[4, 2]])
        if augment.crop != "none" or augment.auto != "none":
            assert not torch.equal(transform.batch(images, seeds(6, epoch=1)), whole)

    @pytest.mark.parametrize("augment", KINDS)
    def test_torchs_generator_is_left_alone(self, augment):
        transform = TrainTransform(ImageConfig(size=16), augment)
        before = torch.get_rng_state()
        transform.batch(noise(3, 3, 20, 24), seeds(3))
        assert torch.equal(torch.get_rng_state(), before)

    def test_images_that_are_given_stay_as_they_are(self):
        for augment in KINDS:
            images = noise(3, 3, 16, 16)
            TrainTransform(ImageConfig(size=16), augment).batch(images, seeds(3))
            assert torch.equal(images, noise(3, 3, 16, 16))

    def test_one_image_draws_from_torchs_generator(self):
        transform = TrainTransform(ImageConfig(size=16), AugmentConfig())
        torch.manual_seed(1)
        first, second = transform(noise(3, 20, 24)), transform(noise(3, 20, 24))
        assert not torch.equal(first, second)
        torch.manual_seed(1)
        assert torch.equal(transform(noise(3, 20, 24)), first)

    def test_none_is_as_in_evaluation(self):
        image = ImageConfig(size=16)
        transform = TrainTransform(image, AugmentConfig(crop="none", flip=0))
        assert torch.equal(transform.batch(noise(2, 3, 20, 24), seeds(2)), EvalTransform(image)(noise(2, 3, 20, 24)))

    def test_shift_takes_the_whole_height(self):
        image = ImageConfig(size=16, crop_fraction=0.5, **PLAIN)
        transform = TrainTransform(image, AugmentConfig(crop="shift", padding=0, flip=0))
        assert torch.equal(transform.batch(noise(1, 3, 16, 16), seeds(1)) * 255, noise(1, 3, 16, 16).float())

    def test_random_resized_crop_and_flip_are_torchvisions(self):
        """The same numbers drawn from the same generator."""
        augment = AugmentConfig(scale=(0.3, 0.9), ratio=(0.5, 2.0), flip=0.4)
        transform = TrainTransform(ImageConfig(size=16, **PLAIN), augment)
        crop = v2.RandomResizedCrop(16, (0.3, 0.9), (0.5, 2.0), interpolation=InterpolationMode.BICUBIC, antialias=True)
        pixels = noise(3, 40, 30)
        for seed in range(5):
            torch.manual_seed(seed)
            expected = v2.RandomHorizontalFlip(0.4)(crop(pixels))
            result = transform.batch([pixels], np.array([seed], dtype=np.uint64))[0]
            torch.testing.assert_close(result * 255, expected.float())

    def test_half_the_images_are_erased_with_noise(self):
        transform = TrainTransform(ImageConfig(size=32), AugmentConfig(crop="none", flip=0, erase=0.5))
        images = torch.zeros(400, 3, 32, 32, dtype=torch.uint8)
        result = transform.batch(images, seeds(400))
        changed = (result != result[:, :, :1, :1]) | (result > 0)
        shares = changed.any(1).flatten(1).float().mean(1)
        erased = shares > 0
        assert 160 < erased.sum() < 240
        assert shares[erased].min() > 0.01
        assert shares.max() < 0.37
        values = result[changed]
        assert abs(values.mean()) < 0.05
        assert abs(values.std() - 1) < 0.05

    def test_colour_jitter_of_an_even_image(self):
        transform = TrainTransform(ImageConfig(size=8, **PLAIN), AugmentConfig(crop="none", color_jitter=0.4))
        result = transform.batch(torch.full((200, 3, 8, 8), 100, dtype=torch.uint8), seeds(200))[:, 0, 0, 0] * 255
        assert 58 <= result.min() < 70
        assert 130 < result.max() <= 142

    def test_three_augment_is_one_of_three(self):
        image = ImageConfig(size=16, crop_fraction=1.0, **PLAIN)
        transform = TrainTransform(image, AugmentConfig(crop="none", flip=0, auto="three"))
        pixels = noise(3, 16, 16)
        result = (transform.batch(pixels.expand(300, -1, -1, -1), seeds(300)) * 255).round()
        grey = (result[:, 0] == result[:, 1]).all((1, 2))
        solarised = (result == v2.functional.solarize(pixels, 128).float()).all((1, 2, 3))
        blurred = ~grey & ~solarised
        assert min(grey.sum(), solarised.sum(), blurred.sum()) > 70
        assert result[blurred].var((2, 3)).mean() < 0.7 * pixels.float().var()

    @pytest.mark.parametrize(("noise_of", "expected"), [(0.0, {12}), (2.0, set(range(4, 21)))])
    def test_the_magnitude_of_randaugment(self, noise_of, expected):
        augment = AugmentConfig(auto="rand", rand_ops=3, rand_magnitude=12, rand_noise=noise_of)
        steps = TrainTransform(ImageConfig(size=16), augment)._colours[1]
        torch.manual_seed(0)
        drawn = [steps._magnitude() for _ in range(500)]
        assert set(drawn) <= expected
        assert abs(np.mean(drawn) - 12) < 0.4
        assert abs(np.std(drawn) - noise_of) < 0.2

    def test_magnitudes_stay_on_the_scale(self):
        augment = AugmentConfig(auto="rand", rand_magnitude=30, rand_noise=100.0)
        steps = TrainTransform(ImageConfig(size=16), augment)._colours[1]
        assert {steps._magnitude() for _ in range(100)} >= {0, 30}

    def test_randaugment_without_noise_is_torchvisions(self):
        augment = AugmentConfig(crop="none", flip=0, auto="rand", rand_ops=2, rand_magnitude=9)
        image = ImageConfig(size=16, mean=(0.4, 0.5, 0.6), std=(1, 1, 1), crop_fraction=1.0)
        fill = [102, 128, 153]
        theirs = v2.RandAugment(2, 9, interpolation=InterpolationMode.BILINEAR, fill=fill)
        pixels = noise(3, 16, 16)
        for seed in range(20):
            torch.manual_seed(seed)
            expected = v2.functional.pil_to_tensor(theirs(v2.functional.to_pil_image(pixels)))
            result = TrainTransform(image, augment).batch([pixels], np.array([seed], dtype=np.uint64))[0]
            torch.testing.assert_close(result, normalise(expected, image))

    def test_what_is_fast(self):
        fast = [TrainTransform(ImageConfig(size=16), augment).is_fast for augment in KINDS]
        assert fast == [False, True, False, False, False, False]
