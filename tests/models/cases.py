"""Every model, small, with sizes that are odd and all different, so that no swapped axis can pass.

A new model is a row of `CASES`, and a row of `PUBLISHED` where its paper gives it a size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from attnkit.models.build import build_model
from attnkit.models.config import (
    LeNet5Config,
    ResNetConfig,
    SwinConfig,
    TransformerConfig,
    UperNetConfig,
    ViTConfig,
)
from attnkit.models.transformer import Transformer

PAD, BOS, EOS = 0, 2, 3

Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Case(ABC):
    """What the conformance tests need to know of a model."""

    name: str

    @abstractmethod
    def build(self) -> nn.Module:
        """The model, with fresh weights and no dropout."""

    @abstractmethod
    def batch(self) -> Inputs:
        """What `forward` takes, for several examples of different size."""

    @abstractmethod
    def singles(self) -> list[Inputs]:
        """The same examples, each as a batch of one without any padding."""

    @abstractmethod
    def outputs(self, model: nn.Module, inputs: Inputs) -> Tensor:
        """What the model says: floating point, the examples first."""

    @abstractmethod
    def output_shape(self) -> tuple[int, ...]:
        """The shape of the outputs of `batch`."""

    @abstractmethod
    def real(self, outputs: Tensor, example: int) -> Tensor:
        """The outputs of one example of `batch`, without those of its padding."""


@dataclass(frozen=True)
class TransformerCase(Case):
    config: TransformerConfig
    src_vocab_size: int = 29
    tgt_vocab_size: int = 29
    src_lengths: tuple[int, ...] = (2, 7, 5)
    tgt_lengths: tuple[int, ...] = (11, 3, 1)

    def build(self) -> Transformer:
        torch.manual_seed(1)
        return Transformer(
            self.config, src_vocab_size=self.src_vocab_size, tgt_vocab_size=self.tgt_vocab_size, pad_id=PAD
        ).eval()

    def batch(self) -> tuple[Tensor, Tensor]:
        src, tgt_in = zip(*self.singles(), strict=True)
        return _pad(src), _pad(tgt_in)

    def singles(self) -> list[Inputs]:
        generator = torch.Generator().manual_seed(2)

        def some(length: int, vocab_size: int) -> Tensor:
            return torch.randint(EOS + 1, vocab_size, (1, length), generator=generator)

        return [
            (
                F.pad(some(src_length - 1, self.src_vocab_size), (0, 1), value=EOS),
                F.pad(some(tgt_length - 1, self.tgt_vocab_size), (1, 0), value=BOS),
            )
            for src_length, tgt_length in zip(self.src_lengths, self.tgt_lengths, strict=True)
        ]

    def outputs(self, model: nn.Module, inputs: Inputs) -> Tensor:
        return F.linear(model(*inputs), model.output_weight)

    def output_shape(self) -> tuple[int, ...]:
        return len(self.tgt_lengths), max(self.tgt_lengths), self.tgt_vocab_size

    def real(self, outputs: Tensor, example: int) -> Tensor:
        return outputs[example, : self.tgt_lengths[example]]


def small(**changes: Any) -> TransformerConfig:
    """A Transformer of 2 heads with 5 channels each, without dropout."""
    sizes: dict[str, Any] = {
        "embed_dim": 10,
        "encoder_depth": 2,
        "decoder_depth": 3,
        "num_heads": 2,
        "mlp_dim": 13,
        "dropout": 0.0,
    }
    return TransformerConfig(**(sizes | changes))


TRANSFORMERS = [
    TransformerCase("transformer-post", small()),
    TransformerCase("transformer-pre", small(norm="pre")),
    TransformerCase("transformer-gelu", small(activation="gelu")),
    TransformerCase("transformer-deep-init", small(init="deep", norm="pre")),
    TransformerCase("transformer-learned", small(positions="learned", max_positions=17)),
    TransformerCase("transformer-index", small(positions="index")),
    TransformerCase("transformer-fraction", small(positions="fraction")),
    TransformerCase("transformer-tied-decoder", small(tied_embeddings="decoder"), src_vocab_size=23),
    TransformerCase("transformer-tied-none", small(tied_embeddings="none", norm="pre"), src_vocab_size=31),
    TransformerCase("transformer-odd-width", small(embed_dim=9, num_heads=3, positions="learned", max_positions=11)),
]


@dataclass(frozen=True)
class ImageCase(Case):
    """A classifier. None of its weights has the value that it is born with, or a head of zeros would hide the rest."""

    config: ViTConfig | SwinConfig | LeNet5Config
    image_size: int
    num_classes: int = 5
    images: int = 3

    def build(self) -> nn.Module:
        torch.manual_seed(1)
        model = build_model(self.config, num_classes=self.num_classes, image_size=self.image_size).eval()
        for parameter in model.parameters():
            parameter.data += 0.1 * torch.randn(parameter.shape)
        return model

    def batch(self) -> tuple[Tensor]:
        generator = torch.Generator().manual_seed(2)
        return (torch.randn(self.images, 3, self.image_size, self.image_size, generator=generator),)

    def singles(self) -> list[Inputs]:
        (images,) = self.batch()
        return [(images[example : example + 1],) for example in range(self.images)]

    def outputs(self, model: nn.Module, inputs: Inputs) -> Tensor:
        return model(*inputs)

    def output_shape(self) -> tuple[int, ...]:
        return self.images, self.num_classes

    def real(self, outputs: Tensor, example: int) -> Tensor:
        return outputs[example]


def small_vit(**changes: Any) -> ViTConfig:
    """A ViT of 2 heads with 6 channels each, for images of 15 pixels: a grid of 3 x 3."""
    sizes: dict[str, Any] = {"patch_size": 5, "embed_dim": 12, "depth": 3, "num_heads": 2, "mlp_ratio": 1.5}
    return ViTConfig(**(sizes | changes))


def small_swin(**changes: Any) -> SwinConfig:
    """A Swin of two stages, for images of any size."""
    sizes: dict[str, Any] = {"patch_size": 2, "embed_dim": 6, "depths": (2, 2), "num_heads": (2, 3), "window_size": 3}
    return SwinConfig(name="swin", **(sizes | changes))


VITS = [
    ImageCase("vit", small_vit(), 15),
    ImageCase("vit-average", small_vit(pooling="average"), 15),
    ImageCase("vit-distilled", small_vit(distillation=True), 15),
    ImageCase("vit-representation", small_vit(representation=True), 15),
    ImageCase("vit-sincos", small_vit(positions="sincos", activation="gelu_tanh"), 15),
    ImageCase("vit-plain", small_vit(positions="sincos", pooling="average", representation=True), 15),
    ImageCase("vit-google", small_vit(init="google"), 15),
    ImageCase("vit-root", small_vit(patch_size=2, resnet_depths=()), 21),
    ImageCase("vit-hybrid", small_vit(patch_size=1, resnet_depths=(1, 2)), 21),
    ImageCase("vit-many-patches", small_vit(patch_size=1, depth=1), 13),
]

CLASSIFIERS = [
    *VITS,
    ImageCase("swin", small_swin(), 22),
    ImageCase("swin-convolution", small_swin(mlp_convolution=True), 22),
    ImageCase("lenet5-28", LeNet5Config(name="lenet5"), 28),
    ImageCase("lenet5-37", LeNet5Config(name="lenet5"), 37),
]


@dataclass(frozen=True)
class SceneCase(Case):
    """A UperNet on images that are no squares. What it says is the logits of both heads."""

    config: UperNetConfig
    image_size: int = 20
    num_classes: int = 5
    images: int = 3
    height: int = 29
    width: int = 23
    shaken: float = 0.1
    """By how much each weight differs from the value that it is born with."""

    def build(self) -> nn.Module:
        torch.manual_seed(1)
        model = build_model(self.config, num_classes=self.num_classes, image_size=self.image_size).eval()
        for parameter in model.parameters():
            parameter.data += self.shaken * torch.randn(parameter.shape)
        return model

    def batch(self) -> tuple[Tensor]:
        generator = torch.Generator().manual_seed(2)
        return (torch.randn(self.images, 3, self.height, self.width, generator=generator),)

    def singles(self) -> list[Inputs]:
        (images,) = self.batch()
        return [(images[example : example + 1],) for example in range(self.images)]

    def outputs(self, model: nn.Module, inputs: Inputs) -> Tensor:
        main, auxiliary = model.forward_heads(*inputs)
        assert (auxiliary is None) == (self.config.auxiliary_channels == 0)
        enlarged = [model(*inputs)]
        enlarged += [] if auxiliary is None else [F.interpolate(auxiliary, size=(self.height, self.width))]
        assert main.shape[2] < self.height
        return torch.cat(enlarged, dim=1)

    def output_shape(self) -> tuple[int, ...]:
        heads = 1 + (self.config.auxiliary_channels > 0)
        return self.images, heads * self.num_classes, self.height, self.width

    def real(self, outputs: Tensor, example: int) -> Tensor:
        return outputs[example]


def small_upernet(backbone: SwinConfig | ViTConfig | ResNetConfig, **changes: Any) -> UperNetConfig:
    """A UperNet of 7 channels that pools to 1 and to 2 x 2."""
    sizes: dict[str, Any] = {"channels": 7, "pool_scales": (1, 2), "auxiliary_channels": 6, "dropout": 0.0}
    return UperNetConfig(backbone=backbone, **(sizes | changes))


UPERNETS = [
    SceneCase("upernet-swin", small_upernet(small_swin(depths=(2, 1, 1), num_heads=(1, 2, 3), drop_path_rate=0.0))),
    SceneCase("upernet-without-auxiliary", small_upernet(small_swin(drop_path_rate=0.0), auxiliary_channels=0)),
    SceneCase("upernet-vit", small_upernet(small_vit())),
    SceneCase("upernet-vit-resized", small_upernet(small_vit(depth=4), neck="resize")),
    SceneCase("upernet-vit-plain", small_upernet(small_vit(positions="sincos", pooling="average"), neck="none")),
    SceneCase("upernet-resnet", small_upernet(ResNetConfig(name="resnet", depth=18)), height=67, width=73, shaken=0.01),
]

CASES: list[Case] = [*TRANSFORMERS, *CLASSIFIERS, *UPERNETS]


def _transformer(config: TransformerConfig, vocab_size: int) -> Callable[[], nn.Module]:
    return lambda: Transformer(config, src_vocab_size=vocab_size, tgt_vocab_size=vocab_size, pad_id=PAD)


PUBLISHED: list[tuple[str, Callable[[], nn.Module], int]] = [
    # Vaswani et al. 2017, tables 2 and 3: 65 and 213 million, with a joint vocabulary of about 37,000. By hand:
    #                         base (512, 2048)             big (1024, 4096)
    # attention  4 (CC + C)   4 * 262,656 =  1,050,624     4 * 1,049,600 =   4,198,400
    # MLP        2 CM + M + C               2,099,712                      8,393,728
    # norm       2 C                            1,024                          2,048
    # encoder    6 (a + m + 2n)            18,914,304                     75,577,344
    # decoder    6 (2a + m + 3n)           25,224,192                    100,780,032
    # embedding  37,000 C                  18,944,000                     37,888,000
    ("transformer-base", _transformer(TransformerConfig(), 37_000), 63_082_496),
    (
        "transformer-big",
        _transformer(TransformerConfig(embed_dim=1024, num_heads=16, mlp_dim=4096), 37_000),
        214_245_376,
    ),
]


def _pad(rows: tuple[Tensor, ...]) -> Tensor:
    width = max(row.shape[1] for row in rows)
    return torch.cat([F.pad(row, (0, width - row.shape[1]), value=PAD) for row in rows])
