"""Swin Transformer: hierarchical vision transformer using shifted windows (Liu et al. 2021, arXiv:2103.14030).

Letters: B images, C channels of a stage (they double from stage to stage), H W tokens of its map, h heads, M side of a
window, K classes.

Where the paper is silent or this differs from it: images and maps of any size are padded with zeros on the right and at
the bottom, wherever patches, windows or mergings do not cover them, as the official backbones do. Nothing is kept from
one call to the next, so an output depends on its image alone. Two rules for the shift are in use: the classifier drops
it along an axis that one window covers (torchvision; at 224 and 384 the official classifier does the same), whereas the
official backbones for detection and segmentation never drop it. `SwinTransformer` follows the first, `SwinBackbone` the
second. `mlp_convolution`, which the paper has not, lets neighbours meet inside the MLPs as well (layers/mlp.py).
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import cast

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from attnkit.models.config import SwinConfig
from attnkit.models.kernels.layer_norm import LayerNorm
from attnkit.models.kernels.linear import Linear
from attnkit.models.layers.dropout import Dropout, DropPath
from attnkit.models.layers.mlp import ConvMlp, Mlp
from attnkit.models.layers.window_attention import Shift, WindowAttention, WindowWeights, classifier_shift, padded_size

Map = Float[Tensor, "B H W C"]


class SwinTrunk(nn.Module, ABC):
    """Patches and stages (four as a rule) of blocks with a merging between them: what all Swins share."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.config = config
        depth = sum(config.depths)
        rates = iter(config.drop_path_rate * block / max(1, depth - 1) for block in range(depth))
        self.patch_embed = PatchEmbed(config.patch_size, config.embed_dim)
        self.dropout = Dropout(config.dropout)
        self.stages = nn.ModuleList(
            Stage(config, stage, drop_path_rates=[next(rates) for _ in range(blocks)])
            for stage, blocks in enumerate(config.depths)
        )
        self.channels = tuple(config.embed_dim * 2**stage for stage in range(len(config.depths)))
        """Of the map of each stage."""
        self.num_layers = depth + 1
        """Layers for layer-wise learning rates, see `layer_of`."""
        self.no_weight_decay = frozenset(name for name, _ in self.named_parameters() if name.endswith("bias_table"))
        """Parameters of more than one dimension that weight decay spares."""

    @abstractmethod
    def forward(self, images: Float[Tensor, "B 3 height width"]) -> Tensor | list[Tensor]:
        """What is made of the maps of the stages."""

    def stage_outputs(
        self, images: Float[Tensor, "B 3 height width"], *, dense: bool = True
    ) -> list[Float[Tensor, "B _C _H _W"]]:
        """The map of each stage before it is merged, without a norm, finest first.

        Args:
            images: normalised, of any size.
            dense: shift always, as the official backbones for detection and segmentation do; False: as the classifier.
        """
        return [x.permute(0, 3, 1, 2) for x in self._maps(images, dense=dense)]

    def layer_of(self, name: str) -> int:
        """The layer of a parameter: patches 0, blocks from 1 on across the stages, what comes after them `num_layers`.

        A merging belongs to the last block of its stage.
        """
        parts = name.split(".")
        if parts[0] == "patch_embed":
            return 0
        if parts[0] != "stages":
            return self.num_layers
        before = sum(self.config.depths[: int(parts[1])])
        return before + (int(parts[3]) + 1 if parts[2] == "blocks" else self.config.depths[int(parts[1])])

    def _maps(self, images: Float[Tensor, "B 3 height width"], *, dense: bool) -> Iterator[Map]:
        x = self._embed(images)
        for stage in self._stages:
            x = stage.attend(x, dense=dense)
            yield x
            x = stage.merge(x)

    def _embed(self, images: Float[Tensor, "B 3 height width"]) -> Map:
        return self.dropout(self.patch_embed(images))

    def _init_weights(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    @property
    def _stages(self) -> Iterator["Stage"]:
        yield from cast("list[Stage]", self.stages)


class SwinTransformer(SwinTrunk):
    """The classifier: the mean of the tokens of the last stage, and a linear layer."""

    head_names = ("head",)

    def __init__(self, config: SwinConfig, *, num_classes: int) -> None:
        super().__init__(config)
        self.norm = LayerNorm(self.channels[-1])
        self.head = nn.Linear(self.channels[-1], num_classes)
        self._init_weights()

    def forward(
        self, images: Float[Tensor, "B 3 height width"], *, capture: list[WindowWeights] | None = None
    ) -> Float[Tensor, "B K"]:
        """Logits of images of any size.

        Args:
            images: normalised as those that the model was trained on.
            capture: a list to which the attention weights of each block are appended, first block first.
        """
        x = self._embed(images)
        for stage in self._stages:
            x = stage(x, dense=False, capture=capture)
        return self.head(self.norm(x).mean(dim=(1, 2)))

    def attention_maps(self, images: Float[Tensor, "B 3 height width"]) -> list[WindowWeights]:
        """What each block of `forward` looks at, first block first."""
        maps: list[WindowWeights] = []
        self(images, capture=maps)
        return maps


class SwinBackbone(SwinTrunk):
    """The maps of all stages for a dense task, each behind a norm of its own; the dense rule for the shift."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__(config)
        self.norms = nn.ModuleList(LayerNorm(channels) for channels in self.channels)
        self._init_weights()

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> list[Float[Tensor, "B _C _H _W"]]:
        """A map per stage, finest first; each has half the size of the one before it, rounded up."""
        maps = self._maps(images, dense=True)
        return [norm(x).permute(0, 3, 1, 2) for norm, x in zip(self.norms, maps, strict=True)]


class PatchEmbed(nn.Module):
    """Each patch of the image as a token, by one matrix, and a norm."""

    def __init__(self, patch_size: int, embed_dim: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.proj = nn.Conv2d(3, embed_dim, patch_size, stride=patch_size)
        self.norm = LayerNorm(embed_dim)

    def forward(self, images: Float[Tensor, "B 3 height width"]) -> Map:
        """The finest map; the image is padded to whole patches."""
        height, width = images.shape[2:]
        padded_height, padded_width = padded_size(height, width, self.patch_size)
        if (padded_height, padded_width) != (height, width):
            images = F.pad(images, (0, padded_width - width, 0, padded_height - height))
        return self.norm(self.proj(images).permute(0, 2, 3, 1))


class Stage(nn.Module):
    """Blocks on a map of one size; every second one shifts its windows. All stages but the last end with a merging."""

    def __init__(self, config: SwinConfig, number: int, *, drop_path_rates: list[float]) -> None:
        super().__init__()
        channels = config.embed_dim * 2**number
        self.blocks = nn.ModuleList(
            Block(config, channels, config.num_heads[number], shifted=place % 2 == 1, drop_path_rate=rate)
            for place, rate in enumerate(drop_path_rates)
        )
        self.downsample = PatchMerging(channels) if number < len(config.depths) - 1 else None
        self.checkpointing = config.gradient_checkpointing

    def forward(
        self, x: Map, *, dense: bool, capture: list[WindowWeights] | None = None
    ) -> Float[Tensor, "B H2 W2 C2"]:
        """The map for the next stage."""
        return self.merge(self.attend(x, dense=dense, capture=capture))

    def attend(self, x: Map, *, dense: bool, capture: list[WindowWeights] | None = None) -> Map:
        """The blocks alone; `dense` is the rule for their shift."""
        for block in self.all_blocks:
            if self.checkpointing and self.training and capture is None:
                x = checkpoint(block, x, dense=dense, use_reentrant=False)
            else:
                x = block(x, dense=dense, capture=capture)
        return x

    def merge(self, x: Map) -> Float[Tensor, "B H2 W2 C2"]:
        """What comes after the blocks: the merging, where there is one."""
        return x if self.downsample is None else self.downsample(x)

    @property
    def all_blocks(self) -> Iterator["Block"]:
        """The blocks, first to last."""
        yield from cast("list[Block]", self.blocks)


class Block(nn.Module):
    """Attention in windows and an MLP, each behind a norm and added to what came in (figure 3b)."""

    def __init__(
        self, config: SwinConfig, channels: int, num_heads: int, *, shifted: bool, drop_path_rate: float
    ) -> None:
        super().__init__()
        self.shifted = shifted
        self.norm1 = LayerNorm(channels)
        self.attention = WindowAttention(channels, num_heads, config.window_size, dropout=config.attention_dropout)
        self.norm2 = LayerNorm(channels)
        hidden = int(channels * config.mlp_ratio)
        self.mlp: nn.Module
        if config.mlp_convolution:
            self.mlp = ConvMlp(channels, hidden, dropout=config.dropout)
        else:
            self.mlp = Mlp(channels, hidden, activation="gelu", dropout=config.dropout)
        self.dropout = Dropout(config.dropout)
        self.drop_path = DropPath(drop_path_rate)

    def forward(self, x: Map, *, dense: bool, capture: list[WindowWeights] | None = None) -> Map:
        """First x + attention(norm(x)), then of that x + mlp(norm(x))."""
        shift = self._shift(x, dense=dense)
        x = self.drop_path(x, lambda kept: self.dropout(self.attention(self.norm1(kept), shift, capture=capture)))
        return self.drop_path(x, self._mlp)

    def _mlp(self, x: Map) -> Map:
        return self.dropout(self.mlp(self.norm2(x)))

    def _shift(self, x: Map, *, dense: bool) -> Shift:
        window = self.attention.window_size
        if not self.shifted:
            return 0, 0
        return (window // 2, window // 2) if dense else classifier_shift(x.shape[1], x.shape[2], window)


class PatchMerging(nn.Module):
    """Four neighbours become one token of twice the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm(4 * channels)
        self.reduction = Linear(4 * channels, 2 * channels, bias=False)

    def forward(self, x: Map) -> Float[Tensor, "B H2 W2 C2"]:
        """A map of half the height and width, rounded up; odd ones get a row or column of zeros."""
        if x.shape[1] % 2 or x.shape[2] % 2:
            x = F.pad(x, (0, 0, 0, x.shape[2] % 2, 0, x.shape[1] % 2))
        x = x.unflatten(2, (-1, 2)).unflatten(1, (-1, 2))  # (B, H/2, 2, W/2, 2, C)
        return self.reduction(self.norm(x.permute(0, 1, 3, 4, 2, 5).flatten(3)))  # (0,0), (1,0), (0,1), (1,1)
