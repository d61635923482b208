"""Random numbers of an image that depend on (seed, epoch, which image, which repeat) and on nothing else.

So the pixels of training are the same whatever the size of the batch, the number of workers, and what was drawn before.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray

from attnkit.structures.arrays import FloatArray, IntArray

UIntArray = NDArray[np.uint64]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


def image_seeds(seed: int, epoch: int, indices: IntArray, repeats: IntArray) -> UIntArray:
    """A seed for each image of a batch.

    Args:
        epoch: counted from 0.
        indices: (B,) which images.
        repeats: (B,) how often each has stood in this epoch before.

    Returns:
        (B,) uint64.
    """
    seeds = np.full(len(indices), seed % (1 << 64), dtype=np.uint64)
    for part in (np.full(len(indices), epoch), indices, repeats):
        seeds = _scrambled(seeds + _GOLDEN) ^ part.astype(np.uint64)
    return _scrambled(seeds + _GOLDEN)


def uniforms(seeds: UIntArray, count: int) -> FloatArray:
    """Numbers from 0 up to 1, (B, count): a row for each seed."""
    steps = np.arange(1, count + 1, dtype=np.uint64) * _GOLDEN
    return (_scrambled(seeds[:, None] + steps) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _scrambled(values: UIntArray) -> UIntArray:
    """The output function of SplitMix64.

    Source: Steele, Lea and Flood 2014, Fast splittable pseudorandom number generators.
    """
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: UIntArray = values ^ (values >> np.uint64(31))
    return mixed


@contextmanager
def torch_generator() -> Iterator[torch.Generator]:
    """Torch's generator on the CPU, which torchvision draws from; it is put back as it was afterwards."""
    generator = torch.default_generator  # torch.manual_seed would reach for the GPUs too
    before = generator.get_state()
    try:
        yield generator
    finally:
        generator.set_state(before)
