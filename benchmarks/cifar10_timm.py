"""How far does timm come on CIFAR-10 in the same minutes, with its own network of that size and the same augmentations?

timm's hybrid of a convolutional root and a ViT, with the dimensions of recipes/classification/r_vit_nano_cifar10.yaml,
trained with timm's parts: its optimizer factory, label smoothing and average of the weights, in bfloat16 by autocast
where the processor has it. The images are decoded once and lie in memory, as attnkit's do, and are shifted and
mirrored as there. The learning rate follows the clock, so that its cosine ends with the minutes.

    ATTNKIT_DATA=... python benchmarks/cifar10_timm.py --minutes 60 --out timm.json

attnkit's side is `attnkit train classification/r_vit_nano_cifar10`. Run both at the same time, each bound to a core
of its own, so that whatever else the machine does meets both alike.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import timm
import torch
from timm.layers import StdConv2dSame
from timm.loss import LabelSmoothingCrossEntropy
from timm.models.resnetv2 import create_resnetv2_stem
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import HybridEmbed
from timm.optim import create_optimizer_v2
from timm.utils import ModelEmaV3
from torch import Tensor
from torchvision.transforms import v2

from attnkit import recipe_file
from attnkit.data.classification.image_set import ImageSet
from attnkit.data.open import OpenedData
from attnkit.engine.precision import has_fast_bfloat16

_WARM_UP = 0.05
"""Share of the time in which the learning rate rises."""


class Images(torch.utils.data.Dataset):
    """Decoded images with torchvision's transforms, as timm's readers give them."""

    def __init__(self, images: ImageSet, transform: v2.Transform) -> None:
        self.pixels = [images.read(index) for index in range(len(images))]
        self.labels = images.labels
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(self.pixels[index]), int(self.labels[index])


def main() -> None:
    options = parse()
    recipe = recipe_file.load(options.recipe, options.set or [])
    torch.manual_seed(recipe.train.seed)
    normalise = [v2.ToDtype(torch.float32, scale=True), v2.Normalize(recipe.image.mean, recipe.image.std)]
    varied = [v2.RandomCrop(recipe.image.size, recipe.augment.padding), v2.RandomHorizontalFlip(recipe.augment.flip)]
    train = Images(OpenedData(recipe.data)["train"], v2.Compose([*varied, *normalise]))
    held_out = {
        split: Images(images, v2.Compose(normalise))
        for split in ("valid", "test")
        if (images := OpenedData(recipe.data)[split]) is not None
    }
    model = network(recipe, num_classes=10)
    print(f"timm {timm.__version__}: {sum(p.numel() for p in model.parameters()):,} parameters", flush=True)
    started = time.perf_counter()
    steps, ema = fit(model, train, recipe, seconds=60 * options.minutes)
    scores = {split: accuracy(ema.module, images) for split, images in held_out.items()}
    report = {
        "timm": timm.__version__,
        "torch": torch.__version__,
        "minutes": round((time.perf_counter() - started) / 60, 2),
        "steps": steps,
        "epochs": round(steps * recipe.batch.images / len(train), 2),
        "parameters": sum(p.numel() for p in model.parameters()),
        "top1": scores,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(report, indent=2))
    options.out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--recipe", default="classification/r_vit_nano_cifar10")
    parser.add_argument("--set", action="append", metavar="KEY=VALUE")
    parser.add_argument("--out", type=Path, default=Path("cifar10_timm.json"))
    return parser.parse_args()


def network(recipe, *, num_classes: int) -> VisionTransformer:
    config = recipe.model
    assert config.resnet_depths == (), "timm's side is written for the root alone"
    assert config.pooling == "average", "and for the mean of the patches"
    convolution = partial(StdConv2dSame, eps=1e-8)  # as timm's own hybrids have it
    root = create_resnetv2_stem(3, 64, stem_type="same", preact=False, conv_layer=convolution)
    return VisionTransformer(
        img_size=recipe.image.size,
        patch_size=config.patch_size,
        num_classes=num_classes,
        embed_layer=partial(HybridEmbed, backbone=root),
        embed_dim=config.embed_dim,
        depth=config.depth,
        num_heads=config.num_heads,
        mlp_ratio=config.mlp_ratio,
        global_pool="avg",
        class_token=False,
        fc_norm=False,
        drop_path_rate=config.drop_path_rate,
    )


def fit(model: torch.nn.Module, images: Images, recipe, *, seconds: float) -> tuple[int, ModelEmaV3]:
    """Train for so long."""
    peak = recipe.train.schedule.lr
    optimizer = create_optimizer_v2(model, opt="adamw", lr=peak, weight_decay=recipe.train.optimizer.weight_decay)
    ema = ModelEmaV3(model, decay=recipe.train.ema_decay or 0.999, use_warmup=True)
    loss_of = LabelSmoothingCrossEntropy(recipe.loss.label_smoothing)
    loader = torch.utils.data.DataLoader(images, recipe.batch.images, shuffle=True, drop_last=True)
    step, started = 0, time.perf_counter()
    model.train()
    while True:
        for pixels, labels in loader:
            spent = (time.perf_counter() - started) / seconds
            if spent >= 1:
                return step, ema
            for group in optimizer.param_groups:
                group["lr"] = peak * rate(spent)
            with autocast():
                logits = model(pixels)
            loss = loss_of(logits.float(), labels)
            loss.backward()
            if recipe.train.clip_norm:
                torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.train.clip_norm)
            optimizer.step()
            optimizer.zero_grad()
            step += 1
            ema.update(model, step)
            if step % 200 == 0:
                speed = step * len(pixels) / (spent * seconds)
                print(f"step {step}  {spent:.1%}  loss {loss.item():.3f}  {speed:.0f} images/s", flush=True)


def rate(spent: float) -> float:
    """Of the peak: a rise, then half a cosine, by the share of the time that is spent."""
    if spent < _WARM_UP:
        return spent / _WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * (spent - _WARM_UP) / (1 - _WARM_UP))


def autocast():
    on = has_fast_bfloat16(torch.device("cpu"))
    return torch.autocast("cpu", dtype=torch.bfloat16) if on else nullcontext()


@torch.no_grad()
def accuracy(model: torch.nn.Module, images: Images) -> float:
    model.eval()
    right = 0
    for pixels, labels in torch.utils.data.DataLoader(images, 500):
        with autocast():
            right += int((model(pixels).argmax(1) == labels).sum())
    return round(100 * right / len(images), 2)


if __name__ == "__main__":
    main()
