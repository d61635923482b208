"""How large a classification recipe should be for a folder of images and a machine, and why. Free of torch.

From scratch a Swin needs fewer images than a ViT, for its windows know what lies side by side. Published sizes are
those of Liu et al. 2021 (T, S and B, for the million images of ImageNet-1k) and of Lee et al. 2021, arXiv:2112.13492 (7
million parameters, for 50 thousand small images). What is smaller, and the limits between them, are judgement.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from attnkit.models.config import SwinConfig
from attnkit.new_recipe.sizing import Machine, hold_back, largest_affordable, power_of_two, training_length

FEW_IMAGES = 20_000
"""With fewer, weights that exist help more than anything else here."""
SMALL_SIDE = 48
"""Up to this many pixels images are shown whole, in patches of 2 pixels."""
MEDIUM_SIDE = 96
"""From there on four stages of patches of 4 pixels, as in the paper; between the two three stages."""
LARGEST_SIDE = 224
LEAST_EPOCHS = 10
"""A network that gets fewer in the time that there is gives way to a smaller one, or to smaller images."""
PLENTY_OF_EPOCHS = 30
"""With fewer, strong augmentation costs more than it gives."""


@dataclass(frozen=True)
class Folder:
    """What was seen of somebody's images."""

    path: str
    train: int
    """Images, those that will be held back among them."""
    valid: int
    test: int
    classes: int
    rarest: tuple[str, int]
    """The class with the fewest training images, and how many."""
    side: int
    """Median of the shorter sides, in pixels."""


@dataclass(frozen=True)
class Network:
    """A Swin, and how many training images it takes to pay."""

    name: str
    embed_dim: int
    depths: tuple[int, ...]
    num_heads: tuple[int, ...]
    least_images: int
    drop_path_rate: float
    why: str

    def config(self, image_size: int) -> SwinConfig:
        """The model for an image size, its windows so that the last map is one of them."""
        patch_size = 2 if image_size <= SMALL_SIDE else 4
        last = image_size / patch_size / 2 ** (len(self.depths) - 1)
        return SwinConfig(
            name="swin",
            patch_size=patch_size,
            embed_dim=self.embed_dim,
            depths=self.depths,
            num_heads=self.num_heads,
            window_size=min(max(2, round(last)), 12),
            drop_path_rate=self.drop_path_rate,
        )


NANO = Network("a Swin of 48 channels", 48, (2, 2, 2), (2, 4, 8), 0, 0.0, "small enough for a few processor cores")
SEVEN = Network(
    "a Swin of 96 channels", 96, (2, 6, 4), (3, 6, 12), 5000, 0.1, "published with 94.5 on the small images of CIFAR-10"
)
MICRO = Network("a Swin of 48 channels", 48, (2, 2, 4, 2), (2, 4, 8, 16), 0, 0.1, "half the width of Swin-T")
TINY = Network("Swin-T", 96, (2, 2, 6, 2), (3, 6, 12, 24), 20_000, 0.2, "the paper's smallest")
SMALL = Network(
    "Swin-S", 96, (2, 2, 18, 2), (3, 6, 12, 24), 500_000, 0.3, "from half a million images on its depth pays"
)
BASE = Network(
    "Swin-B", 128, (2, 2, 18, 2), (4, 8, 16, 32), 3_000_000, 0.2, "from millions of images on its width pays"
)

Speed = Callable[[SwinConfig, int], float]
"""Training images per second of a model at an image size."""


@dataclass(frozen=True)
class Sizing:
    """The numbers of a recipe that depend on the images and the machine."""

    model: SwinConfig
    image_size: int
    batch_images: int
    accumulate: int
    steps: int
    epoch: int
    """Steps of an epoch."""
    warmup_steps: int
    lr: float
    strong: bool
    """Whether augmentation is strong."""
    valid_share: float
    test_share: float
    reasons: tuple[str, ...]
    """One line per choice: what, and why."""


def size_recipe(folder: Folder, machine: Machine, speed: Speed, *, minutes: float, image_size: int | None) -> Sizing:
    """Choose image size, network, batches and steps.

    Args:
        folder: the images.
        machine: what will train.
        speed: measures a network there.
        minutes: of training.
        image_size: pixels, where the user chose.
    """
    valid_share, test_share, images = hold_back(folder.train, folder.valid, folder.test)
    network, size, rate, tried = _choose(folder, machine, speed, minutes=minutes, image_size=image_size)
    model = network.config(size)
    batch, accumulate = _batch(images, size, machine, network)
    per_step = batch * accumulate
    length = training_length(images, per_step=per_step, epochs=_epochs(images), rate=rate, minutes=minutes)
    strong = length.epochs >= PLENTY_OF_EPOCHS
    return Sizing(
        model=model,
        image_size=size,
        batch_images=batch,
        accumulate=accumulate,
        steps=length.steps,
        epoch=length.epoch,
        warmup_steps=max(1, min(length.steps // 10, 20 * length.epoch)),
        lr=_lr(per_step, network),
        strong=strong,
        valid_share=valid_share,
        test_share=test_share,
        reasons=(
            _why_size(folder, size, chosen=image_size is not None, tried=tried),
            f"network: {network.name}, patches of {model.patch_size}, windows of {model.window_size}: {network.why}; "
            "from scratch a Swin needs fewer images than a ViT",
            _why_augmentation(length.epochs, strong=strong),
            f"batch: {per_step} images"
            + (f", in {accumulate} parts that fit into memory" if accumulate > 1 else "")
            + f"; {length.epoch_line}",
            *length.reasons(machine, f"{rate:,.0f}"),
        ),
    )


def _choose(
    folder: Folder, machine: Machine, speed: Speed, *, minutes: float, image_size: int | None
) -> tuple[Network, int, float, int]:
    """The largest network and image that see the images often enough; its images a second; how many were too large."""
    sizes = [image_size] if image_size is not None else _sizes(folder.side, machine)
    candidates = [(network, size) for size in sizes for network in _networks(folder, size)]

    def rate_of(candidate: tuple[Network, int]) -> float:
        network, size = candidate
        return speed(network.config(size), size)

    images = LEAST_EPOCHS * folder.train
    (network, size), rate, tried = largest_affordable(candidates, rate_of, minutes=minutes, images=images)
    return network, size, rate, tried


def _sizes(side: int, machine: Machine) -> list[int]:
    """Image sizes to try, the largest first, in steps that windows divide evenly."""
    if side <= SMALL_SIDE:
        return [max(16, -(-side // 8) * 8)]
    if side <= MEDIUM_SIDE:
        return [max(SMALL_SIDE + 16, side // 16 * 16)]
    largest = min(side // 32 * 32, LARGEST_SIDE)
    # on processor cores 224 pixels are slow; objects can be told at less
    sizes = [largest] if machine.is_gpu else [min(largest, 128)]
    return [*sizes, *(size for size in (96, 64) if not machine.is_gpu and size < sizes[0])]


def _networks(folder: Folder, size: int) -> list[Network]:
    """Networks for an image size, the largest first, that the number of images supports."""
    family = (BASE, SMALL, TINY, MICRO) if size > MEDIUM_SIDE else (SEVEN, NANO)
    return [network for network in family if folder.train >= network.least_images]


def _epochs(images: int) -> int:
    """How often images are of use: ImageNet-1k is published with 300 epochs, and few images need more rounds."""
    return 300 if images < 5000 else 200 if images < 100_000 else 300 if images < 3_000_000 else 90


def _batch(images: int, size: int, machine: Machine, network: Network) -> tuple[int, int]:
    """Images per batch, and batches per step: some twenty steps an epoch at least, and what memory holds."""
    wanted = 1024 if network in (TINY, SMALL, BASE) and images > 200_000 else 256 if machine.is_gpu else 128
    wanted = power_of_two(min(wanted, max(16, images // 20)))
    fits = power_of_two(max(1, int(machine.memory / 2 / activation_bytes(network.config(size), size))))
    batch = min(wanted, fits, images)
    return max(1, batch), max(1, wanted // max(1, batch)) if batch < min(wanted, images) else 1


def activation_bytes(model: SwinConfig, image_size: int) -> int:
    """About what training keeps of one image, in float32: some 20 values per channel of each block, and attention."""
    total = 0
    side = image_size // model.patch_size
    for stage, (depth, heads) in enumerate(zip(model.depths, model.num_heads, strict=True)):
        tokens, channels = max(1, side // 2**stage) ** 2, model.embed_dim * 2**stage
        total += depth * tokens * (20 * channels + 2 * heads * model.window_size**2)
    return 4 * total


def _lr(batch: int, network: Network) -> float:
    """The paper's 1e-3 at 1,024 images for its own sizes; small networks bear more, by the root of the batch."""
    if network in (TINY, SMALL, BASE):
        return float(f"{1e-3 * min(1.0, (batch / 1024) ** 0.5):.2g}")
    return float(f"{1e-3 * (batch / 128) ** 0.5:.2g}")


def _why_size(folder: Folder, size: int, *, chosen: bool, tried: int) -> str:
    if chosen:
        return f"image size: {size} pixels, as you say"
    why = f"the shorter side of the images has {folder.side}"
    if tried:
        why += f"; what is larger would see them under {LEAST_EPOCHS} times in the time that there is"
    elif size < folder.side // 32 * 32:
        why += "; more detail costs time by its square: --image-size"
    return f"image size: {size} pixels: {why}"


def _why_augmentation(epochs: float, *, strong: bool) -> str:
    if strong:
        return (
            "augmentation: strong (TrivialAugment, cutmix, erasing): the images are seen often, and else would be "
            "learnt by heart; mirrored too, so --set augment.flip=0 where left and right matter"
        )
    return (
        f"augmentation: light (crops, mirroring): {epochs:.3g} times through the images leave little to regularise; "
        "--set augment.flip=0 where left and right matter"
    )
