"""A sized segmentation recipe as YAML."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from textwrap import fill, indent

from attnkit.data.config import SPLITS
from attnkit.data.segmentation.config import MaskFilesConfig, MaskSplitConfig
from attnkit.models.config import SwinConfig
from attnkit.new_recipe.recipe_text import recipe_head
from attnkit.new_recipe.segmentation_size import Sizing


def recipe_text(
    name: str, config: MaskFilesConfig, class_names: Sequence[str], sizing: Sizing, reasons: tuple[str, ...]
) -> str:
    """The recipe as YAML, its reasons on top."""
    model, backbone = sizing.model, sizing.model.backbone
    assert isinstance(backbone, SwinConfig)
    short_side = f"\n  short_side: {sizing.short_side}" if sizing.short_side else ""
    mostly = f"\naugment:\n  most_of_one_class: {sizing.most_of_one_class}" if sizing.most_of_one_class == 1.0 else ""
    convolution = "\n    mlp_convolution: true" if backbone.mlp_convolution else ""
    weights = "\nloss:\n  class_weights: median_frequency" if sizing.weighted else ""
    return f"""\
{recipe_head("segmentation", name, reasons)}
data:
{indent(_data_text(config, class_names, sizing), "  ")}
image:
  crop: [{sizing.crop}, {sizing.crop}]{short_side}{mostly}
# init: {{from: runs/imported}} # to begin with weights that exist (attnkit import): the model of that run is the
#                            # backbone below then, and lr 6e-5
model:
  name: upernet
  channels: {model.channels}
  pool_scales: {list(model.pool_scales)}
  auxiliary_channels: {model.auxiliary_channels}
  backbone:
    name: swin
    patch_size: {backbone.patch_size}
    embed_dim: {backbone.embed_dim}
    depths: {list(backbone.depths)}
    num_heads: {list(backbone.num_heads)}
    window_size: {backbone.window_size}{convolution}
    drop_path_rate: {backbone.drop_path_rate}{weights}
batch:
  images: {sizing.batch_images}
train:
  steps: {sizing.steps}
  optimizer: {{name: adamw, weight_decay: 0.01}}
  schedule: {{name: poly, lr: {sizing.lr}, warmup_steps: {sizing.warmup_steps}}}
  clip_norm: 1.0
  validate_every: {max(1, sizing.steps // 15)}
  save_every: {max(1, sizing.steps // 30)}
  keep_last: 3
  average_last: 1
"""


def _data_text(config: MaskFilesConfig, class_names: Sequence[str], sizing: Sizing) -> str:
    """The section of the data, each line of it JSON, which is YAML too."""

    def written(value: object) -> str:
        return json.dumps(value, ensure_ascii=False)

    lines = ["format: mask_files", f"path: {written(config.path)}"]
    for split in SPLITS:
        folders: MaskSplitConfig | None = getattr(config, split)
        if folders is not None:
            lines.append(f"{split}: {{images: {written(folders.images)}, masks: {written(folders.masks)}}}")
    if isinstance(config.classes, Mapping):
        lines.append(f"classes: {{{', '.join(f'{number}: {name}' for number, name in config.classes.items())}}}")
    elif isinstance(config.classes, str):
        lines.append(f"classes: {written(config.classes)}")
    else:
        lines.append(fill(f"classes: [{', '.join(class_names)}]", 116, subsequent_indent="  "))
    lines += [] if config.ignore == (255,) else [f"ignore: {list(config.ignore)}"]
    shares = {"valid": sizing.valid_share, "test": sizing.test_share}
    given = [f"{split}: {share:g}" for split, share in shares.items() if share != (0.1 if split == "valid" else 0.0)]
    lines += [f"hold_back: {{{', '.join(given)}}}"] if given else []
    return "\n".join(lines)
