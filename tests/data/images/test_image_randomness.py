import numpy as np
import torch

from attnkit.data.images.image_randomness import image_seeds, torch_generator, uniforms


def test_seeds_depend_on_each_part():
    indices, repeats = np.array([3, 7, 3, 3]), np.array([0, 0, 1, 0])
    seeds = image_seeds(1, 2, indices, repeats)
    assert seeds.dtype == np.uint64
    assert seeds[0] == seeds[3]
    assert len(set(seeds.tolist())) == 3
    for other in (image_seeds(2, 2, indices, repeats), image_seeds(1, 3, indices, repeats)):
        assert not set(seeds.tolist()) & set(other.tolist())
    assert image_seeds(1, 2, indices[1:2], repeats[1:2]).tolist() == seeds[1:2].tolist()


def test_seeds_of_many_images_differ():
    epochs = [image_seeds(0, epoch, np.arange(20_000), np.zeros(20_000, dtype=np.int64)) for epoch in range(5)]
    assert len(np.unique(np.concatenate(epochs))) == 100_000


def test_a_negative_seed_is_a_seed():
    one = np.zeros(1, dtype=np.int64)
    assert image_seeds(-1, 0, one, one) != image_seeds(1, 0, one, one)


def test_splitmix_as_published():
    """The first outputs for the seed 1234567, of the reference implementation (prng.di.unimi.it/splitmix64.c)."""
    numbers = uniforms(np.array([1234567], dtype=np.uint64), 3)[0]
    expected = [6457827717110365317, 3203168211198807973, 9817491932198370423]
    assert (numbers * 2**53).astype(np.int64).tolist() == [number >> 11 for number in expected]


def test_numbers_are_uniform_and_columns_independent():
    numbers = uniforms(image_seeds(5, 0, np.arange(20_000), np.zeros(20_000, dtype=np.int64)), 3)
    assert numbers.shape == (20_000, 3)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    counts = np.stack([np.histogram(numbers[:, column], 10, (0, 1))[0] for column in range(3)])
    assert abs(counts - 2000).max() < 5 * 2000**0.5
    assert abs(np.corrcoef(numbers.T) - np.eye(3)).max() < 0.03


def test_torchs_generator_is_put_back():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with torch_generator() as generator:
        generator.manual_seed(8)
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    torch.manual_seed(8)
    assert torch.equal(torch.rand(2), inside)
