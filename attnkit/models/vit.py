"""The Vision Transformer: "An Image is Worth 16x16 Words" (Dosovitskiy et al. 2020, arXiv:2010.11929), and DeiT:
"Training data-efficient image transformers" (Touvron et al. 2020, arXiv:2012.12877).

Letters: B images, H W pixels, N tokens (the special ones and the patches), C channels (the paper's D), h heads,
K classes.

Where the paper is silent or this differs from it: GELU is exact (the paper's code takes the approximation by tanh:
`activation: gelu_tanh`); the slot of the class token in the table of positions is learned too; with average pooling
there is no class token at all, and the final norm stands before the mean, as in the paper's code; sincos positions are
those of big_vision, with zeros for the special tokens.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from attnkit.errors import AttnkitError
from attnkit.models.config import ViTConfig
from attnkit.models.layers.attention import MultiHeadAttention, attend
from attnkit.models.layers.dropout import Dropout, DropPath
from attnkit.models.layers.mlp import Mlp
from attnkit.models.layers.patches import PatchEmbed, resize_positions, sincos_positions
from attnkit.models.resnet_v2 import ResNetV2

_READINGS = 4
"""Maps that a dense task reads."""
_EMBEDDING_NAMES = ("patch_embed", "class_token", "distillation_token", "positions")


class ViTTrunk(nn.Module, ABC):
    """Patches with their positions and a stack of pre-norm blocks: what all ViTs share."""

    representation: nn.Linear | None
    head_names: tuple[str, ...]

    def __init__(self, config: ViTConfig, *, image_size: int) -> None:
        super().__init__()
        self.config = config
        self.image_size = image_size
        self.patch_embed = _patch_embed(config)
        self.grid_size = _grid_size(config, self.patch_embed.stem, image_size)
        """Rows, and columns, of patches."""
        self.special_tokens = (config.pooling == "class_token") + config.distillation
        """Tokens in front of the patches."""
        self._make_tokens_and_positions()
        self.dropout = Dropout(config.dropout)
        rates = torch.linspace(0, config.drop_path_rate, config.depth, device="cpu").tolist()
        self.blocks = nn.ModuleList(Block(config, drop_path_rate=rate) for rate in rates)
        self.num_layers = config.depth + 1
        self.no_weight_decay = frozenset(
            name for name, _ in self.named_parameters() if name in ("positions", "class_token", "distillation_token")
        )
        """Names of parameters that weight decay spares, beside those of one dimension."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "B 3 H W"]) -> Tensor | list[Tensor]:
        """What is made of the tokens."""

    @property
    def layers(self) -> Iterator["Block"]:
        """The blocks, first to last."""
        yield from cast("list[Block]", self.blocks)

    def layer_of(self, parameter_name: str) -> int:
        """Which layer a parameter belongs to, for layer-wise decay: embeddings 0, block i i + 1, the rest the last."""
        first, *rest = parameter_name.split(".")
        if first in _EMBEDDING_NAMES:
            return 0
        return int(rest[0]) + 1 if first == "blocks" else self.num_layers

    def _make_tokens_and_positions(self) -> None:
        config, patches = self.config, self.grid_size**2
        if config.pooling == "class_token":
            self.class_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim))
        if config.distillation:
            self.distillation_token = nn.Parameter(torch.zeros(1, 1, config.embed_dim))
        self.positions: Tensor
        if config.positions == "learned":
            self.positions = nn.Parameter(torch.empty(1, self.special_tokens + patches, config.embed_dim))
        else:
            special = torch.zeros(self.special_tokens, config.embed_dim)
            table = torch.cat([special, sincos_positions(self.grid_size, config.embed_dim)])
            self.register_buffer("positions", table[None], persistent=False)

    def _place(self, patches: Float[Tensor, "B M C"], positions: Float[Tensor, "1 N C"]) -> Float[Tensor, "B N C"]:
        """The special tokens in front of the patches, and to each its position."""
        special = [self.class_token] if self.config.pooling == "class_token" else []
        special += [self.distillation_token] if self.config.distillation else []
        # also without special tokens: the patches come as columns, and what follows wants rows
        x = torch.cat([*(token.expand(patches.shape[0], -1, -1) for token in special), patches], dim=1)
        return self.dropout(x + positions)

    def _run(self, block: "Block", x: Tensor, capture: list[Tensor] | None = None) -> Float[Tensor, "B N C"]:
        if self.training and self.config.gradient_checkpointing and capture is None:
            return checkpoint(block, x, use_reentrant=False)
        return block(x, capture=capture)


class VisionTransformer(ViTTrunk):
    """The classifier: a norm, and a head on the class token or on the mean of the patches."""

    def __init__(self, config: ViTConfig, *, num_classes: int, image_size: int) -> None:
        super().__init__(config, image_size=image_size)
        self.norm = nn.LayerNorm(config.embed_dim, eps=config.norm_eps)
        self.representation = nn.Linear(config.embed_dim, config.embed_dim) if config.representation else None
        self.head = nn.Linear(config.embed_dim, num_classes)
        self.distillation_head = nn.Linear(config.embed_dim, num_classes) if config.distillation else None
        self.head_names = ("head", "distillation_head") if config.distillation else ("head",)
        self._skips_unread = False
        _INITS[config.init](self)

    def forward(self, images: Float[Tensor, "B 3 H W"], *, capture: list[Tensor] | None = None) -> Float[Tensor, "B K"]:
        """Logits; with distillation the mean of both heads.

        Args:
            images: normalised as those that the model was trained on.
            capture: a list to which the attention weights of each block are appended, (B, h, N, N); rows sum to one.
        """
        return _mean(*self.forward_heads(images, capture=capture))

    def forward_heads(
        self, images: Float[Tensor, "B 3 H W"], *, capture: list[Tensor] | None = None
    ) -> tuple[Tensor, Tensor | None]:
        """Logits of the class head, and those of the distillation head where there is one; (B, K) each."""
        x = self._embed(images)
        for block in self.layers:
            x = self._run(block, x, capture)
        return self._heads(x)

    def skip_unread_tokens(self) -> None:
        """From here on let the last block compute only the tokens that the heads read, as a finished model may."""
        self._skips_unread = True

    def _embed(self, images: Tensor) -> Float[Tensor, "B N C"]:
        if images.shape[-2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"vit: images of {images.shape[-2]}x{images.shape[-1]} pixels, but the positions are for "
                f"{self.image_size}x{self.image_size}; expected that size"
            )
        return self._place(self.patch_embed(images), self.positions)

    def _run(self, block: "Block", x: Tensor, capture: list[Tensor] | None = None) -> Float[Tensor, "B N C"]:
        if self._skips_unread and self.special_tokens and block is self.blocks[-1] and capture is None:
            return block(x, read=self.special_tokens)
        return super()._run(block, x, capture)

    def _heads(self, x: Float[Tensor, "B N C"]) -> tuple[Tensor, Tensor | None]:
        x = self.norm(x)
        if self.config.pooling == "average":
            return self.head(self._represent(x.mean(dim=1))), None
        logits = self.head(self._represent(x[:, 0]))
        return logits, None if self.distillation_head is None else self.distillation_head(self._represent(x[:, 1]))

    def _represent(self, x: Float[Tensor, "B C"]) -> Float[Tensor, "B C"]:
        return x if self.representation is None else torch.tanh(self.representation(x))


class ViTBackbone(ViTTrunk):
    """The patches after each quarter of the blocks, as maps for a dense task; images of any size.

    An image is padded with zeros on the right and at the bottom until patches cover it. Positions, made for
    `image_size`, are brought to its grid by DeiT's bicubic kernel. There is no norm behind the last block.
    """

    def __init__(self, config: ViTConfig, *, image_size: int) -> None:
        super().__init__(config, image_size=image_size)
        self.channels = (config.embed_dim,) * _READINGS
        """Of each map."""
        self.representation = None
        self.head_names = ()
        _INITS[config.init](self)

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> list[Float[Tensor, "B C rows columns"]]:
        """Maps of one size, that of the first reading first."""
        side = self.config.patch_size
        grid = (-(-images.shape[2] // side), -(-images.shape[3] // side))
        images = F.pad(images, (0, grid[1] * side - images.shape[3], 0, grid[0] * side - images.shape[2]))
        positions = resize_positions(
            self.positions, grid_size=grid, special_tokens=self.special_tokens, interpolation="deit"
        )
        x, outputs = self._place(self.patch_embed(images), positions), []
        for block in self.layers:
            x = self._run(block, x)
            outputs.append(x)
        read = (-(-self.config.depth * quarter // _READINGS) for quarter in range(1, _READINGS + 1))  # rounded up
        patches = (outputs[block - 1][:, self.special_tokens :] for block in read)
        return [x.unflatten(1, grid).permute(0, 3, 1, 2) for x in patches]


class Block(nn.Module):
    """Self-attention, then the MLP; a norm in front of each and a residual sum around both."""

    def __init__(self, config: ViTConfig, *, drop_path_rate: float) -> None:
        super().__init__()
        width = config.embed_dim
        self.norm1 = nn.LayerNorm(width, eps=config.norm_eps)
        self.attention = MultiHeadAttention(width, config.num_heads, dropout=config.attention_dropout)
        self.norm2 = nn.LayerNorm(width, eps=config.norm_eps)
        self.mlp = Mlp(width, int(width * config.mlp_ratio), activation=config.activation, dropout=config.dropout)
        self.dropout = Dropout(config.dropout)
        self.drop_path = DropPath(drop_path_rate)

    def forward(
        self, x: Float[Tensor, "B N C"], *, read: int | None = None, capture: list[Tensor] | None = None
    ) -> Float[Tensor, "B M C"]:
        """One block up: of every token, or of the first `read` ones alone, for which all are looked at."""
        x = self.drop_path(x[:, :read], lambda kept: self._attention(kept, read, capture), of=x)
        return self.drop_path(x, self._mlp)

    def _attention(self, x: Tensor, read: int | None, capture: list[Tensor] | None) -> Tensor:
        if read is None:
            return self.dropout(self.attention(self.norm1(x), capture=capture))
        q, k, v = self.attention.project(self.norm1(x))
        return self.dropout(self.attention.merge(attend(q[:, :, :read], k, v, capture=capture)))

    def _mlp(self, x: Tensor) -> Tensor:
        return self.dropout(self.mlp(self.norm2(x)))


def _patch_embed(config: ViTConfig) -> PatchEmbed:
    if config.resnet_depths is None:
        return PatchEmbed(3, config.embed_dim, patch_size=config.patch_size)
    stem = ResNetV2(config.resnet_depths)
    return PatchEmbed(stem.out_channels, config.embed_dim, patch_size=config.patch_size, stem=stem)


def _grid_size(config: ViTConfig, stem: nn.Module | None, image_size: int) -> int:
    cells = stem.map_size(image_size) if isinstance(stem, ResNetV2) else image_size
    if cells % config.patch_size:
        what = f"{image_size} gives a feature map of {cells}, which" if isinstance(stem, ResNetV2) else f"{image_size}"
        raise AttnkitError(
            f"image.size: {what} is no multiple of model.patch_size {config.patch_size}; "
            "expected whole patches; change one of the two"
        )
    return cells // config.patch_size


def _mean(logits: Tensor, distilled: Tensor | None) -> Tensor:
    return logits if distilled is None else (logits + distilled) / 2


def _init_truncated(model: ViTTrunk) -> None:
    """DeiT's: everything from a normal of 0.02, biases zero; convolutions are left as torch makes them."""
    for module in model.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
    for name, parameter in model.named_parameters():
        if name in model.no_weight_decay:
            nn.init.trunc_normal_(parameter, std=0.02)


def _init_google(model: ViTTrunk) -> None:
    """The paper's code: Xavier in the blocks, LeCun elsewhere; special tokens and heads begin at zero."""
    for block in model.layers:
        # queries, keys and values are three matrices, each with its own bound
        for matrix in (*block.attention.qkv.weight.data.chunk(3), block.attention.out.weight):
            nn.init.xavier_uniform_(matrix)
        for linear in (block.attention.qkv, block.attention.out):
            nn.init.zeros_(linear.bias)
        for linear in (block.mlp.up, block.mlp.down):
            nn.init.xavier_uniform_(linear.weight)
            nn.init.normal_(linear.bias, std=1e-6)
    for layer in (model.patch_embed.proj, model.representation):
        if layer is not None and layer.bias is not None:
            _lecun_normal(layer.weight)
            nn.init.zeros_(layer.bias)
    for name in model.head_names:
        nn.init.zeros_(model.get_parameter(f"{name}.weight"))
        nn.init.zeros_(model.get_parameter(f"{name}.bias"))
    if model.config.positions == "learned":
        nn.init.normal_(model.positions, std=0.02)


def _lecun_normal(weight: Tensor) -> None:
    """JAX's default: a normal cut at two deviations, of variance 1 / (inputs of an output)."""
    std = weight[0].numel() ** -0.5 / 0.87962566
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std)


_INITS = {"truncated": _init_truncated, "google": _init_google}
