"""What a recipe may say about models. What the data says is no field: see build.py."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from attnkit.config import Config, Count, Depth, Positive, Width


class TransformerConfig(Config):
    """The encoder-decoder Transformer (Vaswani et al. 2017). The defaults are the paper's base model."""

    name: Literal["transformer"] = "transformer"
    embed_dim: int = Field(default=512, ge=2, le=65_536)
    """The paper's d_model."""
    encoder_depth: Depth = 6
    decoder_depth: Depth = 6
    num_heads: Width = 8
    mlp_dim: Width = 2048
    """The paper's d_ff."""
    norm: Literal["post", "pre"] = "post"
    """Layer norm after the residual sum, as in the paper, or before the sub-layer, with one more norm on each stack."""
    activation: Literal["relu", "gelu"] = "relu"
    positions: Literal["sinusoidal", "learned", "index", "fraction"] = "sinusoidal"
    """`index` adds the plain position, `fraction` the position over the length: the two naive schemes."""
    max_positions: Count = 1024
    """Rows of a learned table; the other schemes have no limit."""
    tied_embeddings: Literal["none", "decoder", "all"] = "all"
    """`decoder`: the output matrix is the target embedding; `all`: the source embedding too (a joint vocabulary)."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """On the sum of embedding and position, and on each sub-layer's output before the residual sum."""
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    activation_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    init: Literal["xavier", "deep"] = "xavier"
    """`deep` shrinks the matrices that write to the residual stream by the square root of twice the depth."""

    @model_validator(mode="after")
    def heads_divide_width(self) -> TransformerConfig:
        """Refuse a width that the heads cannot share."""
        _check_heads(self.embed_dim, self.num_heads)
        if self.embed_dim % 2 and self.positions == "sinusoidal":
            raise ValueError(f"embed_dim {self.embed_dim} is odd; sinusoidal positions need pairs; make it even")
        return self

    @model_validator(mode="after")
    def positions_survive_the_norm(self) -> TransformerConfig:
        """Refuse to add the same number to every channel in front of a norm, which takes it off again."""
        if self.norm == "pre" and self.positions in ("index", "fraction"):
            raise ValueError(
                f"positions '{self.positions}' add the same number to every channel, and with norm 'pre' the first "
                "layer norm takes it off again; expected norm 'post' with them; set one of the two"
            )
        return self


class ViTConfig(Config):
    """The Vision Transformer (Dosovitskiy et al. 2020) and DeiT (Touvron et al. 2020). The defaults are ViT-B/16."""

    name: Literal["vit"] = "vit"
    patch_size: Width = 16
    """Pixels; with `resnet_depths` cells of the feature map."""
    embed_dim: int = Field(default=768, ge=2, le=65_536)
    """The paper's D."""
    depth: Depth = 12
    num_heads: Width = 12
    mlp_ratio: Positive = 4.0
    pooling: Literal["class_token", "average"] = "class_token"
    """What the head sees: the class token, or the mean of the patches."""
    representation: bool = False
    """The pre-logits layer, linear and tanh, which pre-training has and fine-tuning drops."""
    distillation: bool = False
    """DeiT's second token with its own head; predictions are the mean of the two heads."""
    positions: Literal["learned", "sincos"] = "learned"
    resnet_depths: tuple[Depth, ...] | None = None
    """A hybrid: blocks per stage of the ResNet in front; none at all, [], is its root alone."""
    activation: Literal["gelu", "gelu_tanh"] = "gelu"
    norm_eps: Positive = 1e-6
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    drop_path_rate: float = Field(default=0.0, ge=0.0, lt=1.0)
    """Of the last block; it grows linearly from 0 at the first."""
    init: Literal["truncated", "google"] = "truncated"
    """truncated: DeiT's, normal of 0.02; google: the paper's code, Xavier and a head of zeros."""
    gradient_checkpointing: bool = False
    """Compute each block again in the backward pass: less memory, a third more time."""

    @model_validator(mode="after")
    def heads_divide_width(self) -> ViTConfig:
        """Refuse a width that the heads cannot share."""
        _check_heads(self.embed_dim, self.num_heads)
        if self.positions == "sincos" and self.embed_dim % 4:
            raise ValueError(
                f"embed_dim {self.embed_dim}: sincos positions need a multiple of 4; change one of the two"
            )
        if self.distillation and self.pooling == "average":
            raise ValueError("distillation: needs pooling class_token; expected that; set one of the two")
        return self


class SwinConfig(Config):
    """The Swin Transformer (Liu et al. 2021). The defaults are Swin-T."""

    name: Literal["swin"]
    patch_size: Width = 4
    embed_dim: Width = 96
    """The paper's C: channels of the first stage; they double from stage to stage."""
    depths: tuple[Depth, ...] = (2, 2, 6, 2)
    num_heads: tuple[Width, ...] = (3, 6, 12, 24)
    window_size: Width = 7
    """The paper's M."""
    mlp_ratio: Positive = 4.0
    mlp_convolution: bool = False
    """A depthwise convolution over 3x3 tokens inside every MLP: helps from scratch on few images. Not the paper's."""
    dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    attention_dropout: float = Field(default=0.0, ge=0.0, lt=1.0)
    drop_path_rate: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Of the last block; it grows linearly from 0 at the first."""
    gradient_checkpointing: bool = False
    """Compute each block again in the backward pass: less memory, a third more time."""

    @model_validator(mode="after")
    def stages_fit(self) -> SwinConfig:
        """Refuse stages that do not fit each other."""
        if not self.depths or len(self.depths) != len(self.num_heads) or min(self.depths) < 1:
            raise ValueError(
                f"depths {list(self.depths)} and num_heads {list(self.num_heads)}: expected as many of each, "
                "at least 1, one per stage; fix one of the two"
            )
        for stage, heads in enumerate(self.num_heads):
            _check_heads(self.embed_dim * 2**stage, heads)
        return self


class LeNet5Config(Config):
    """LeNet-5 (LeCun et al. 1998), with as many input channels as images have now."""

    name: Literal["lenet5"]


class AlexNetConfig(Config):
    """AlexNet (Krizhevsky et al. 2012), torchvision's single-column form."""

    name: Literal["alexnet"]
    dropout: float = Field(default=0.5, ge=0.0, lt=1.0)


class ResNetConfig(Config):
    """ResNet (He et al. 2015), torchvision's: the stride of a bottleneck is in its 3x3 convolution."""

    name: Literal["resnet"]
    depth: Literal[18, 34, 50, 101, 152] = 50


class TimmConfig(Config):
    """Any network of the package timm (pip install 'attnkit[timm]')."""

    name: Literal["timm"]
    architecture: str
    """timm's name of it: resnest50d, efficientnet_b0, resnetv2_50x1_bit."""
    drop_path_rate: float | None = Field(default=None, ge=0.0, lt=1.0)


ClassifierConfig = Annotated[
    ViTConfig | SwinConfig | LeNet5Config | AlexNetConfig | ResNetConfig | TimmConfig, Field(discriminator="name")
]


class UperNetConfig(Config):
    """UperNet (Xiao et al. 2018) on a backbone, as the Swin paper has it for segmentation."""

    name: Literal["upernet"] = "upernet"
    backbone: Annotated[SwinConfig | ViTConfig | ResNetConfig, Field(discriminator="name")]
    """Its head is left out. A norm per stage of Swin; ViT's blocks are read at each quarter of its depth."""
    channels: Width = 512
    """Of the pyramid, the laterals and the fusion."""
    pool_scales: tuple[Width, ...] = Field(default=(1, 2, 3, 6), min_length=1)
    """Cells per side of what pyramid pooling averages the last map to."""
    dropout: float = Field(default=0.1, ge=0.0, lt=1.0)
    """Of whole channels, in front of both classifiers."""
    auxiliary_channels: int = Field(default=256, ge=0, le=65_536)
    """Of the auxiliary head on the last map but one; 0 leaves that head out."""
    neck: Literal["multi_level", "resize", "none"] = "multi_level"
    """Of ViT: multi_level brings its maps to 4, 2, 1 and 1/2 times their size, with convolutions in front and behind;
    resize without; none leaves all at one size."""

    @model_validator(mode="after")
    def backbone_gives_maps(self) -> UperNetConfig:
        """Refuse backbones without maps of several stages."""
        backbone = self.backbone
        if backbone.name == "swin" and len(backbone.depths) < 2:
            raise ValueError(
                f"backbone.depths {list(backbone.depths)}: one stage is no pyramid; expected 2 or more; add one"
            )
        if backbone.name == "vit" and backbone.resnet_depths is not None:
            raise ValueError(
                f"backbone.resnet_depths {list(backbone.resnet_depths)}: upernet takes no hybrid; expected null; "
                "leave it out"
            )
        return self


def _check_heads(embed_dim: int, num_heads: int) -> None:
    if embed_dim % num_heads:
        raise ValueError(
            f"embed_dim {embed_dim} does not divide into num_heads {num_heads}; "
            "expected a multiple; change one of the two"
        )
