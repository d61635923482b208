"""A sized detection recipe as YAML."""

from __future__ import annotations

import json
from collections.abc import Iterator
from textwrap import indent

from attnkit.data.config import SPLITS
from attnkit.data.detection.config import CocoConfig
from attnkit.models.config import SwinConfig
from attnkit.new_recipe.detection_data import OwnData
from attnkit.new_recipe.detection_size import Sizing
from attnkit.new_recipe.recipe_text import recipe_head

_AVERAGED = 2000
"""From so many steps on an average of the weights is kept; it looks back over some five hundred."""


def recipe_text(name: str, config: OwnData, sizing: Sizing, reasons: tuple[str, ...]) -> str:
    """The recipe as YAML, its reasons on top."""
    model, backbone = sizing.model, sizing.model.backbone
    assert isinstance(backbone, SwinConfig)
    rpn, average = model.rpn, "\n  ema_decay: 0.998" if sizing.steps >= _AVERAGED else ""
    proposals = f"train_proposals: {rpn.train_proposals}, proposals: {rpn.proposals}"
    return f"""\
{recipe_head("detection", name, reasons)}
data:
{indent(_data_text(config, sizing), "  ")}
image:
  short_side: {sizing.short_side}
  long_side: {sizing.long_side}
augment:
  short_sides: {list(sizing.short_sides)}
  flip: 0.5
# init: {{from: runs/imported}} # to begin with weights that exist (attnkit import): the model of that run, or its
#                            # backbone below then, and lr 1e-4
model:
  name: mask_rcnn
  channels: {model.channels}
  rpn: {{anchor_scale: {rpn.anchor_scale:g}, {proposals}}}
  box_head: {{name: 2fc, channels: {model.box_head.channels}, samples: {model.box_head.samples}}}
  mask_head: {{convs: {model.mask_head.convs}, channels: {model.mask_head.channels}}}
  backbone:
    name: swin
    patch_size: {backbone.patch_size}
    embed_dim: {backbone.embed_dim}
    depths: {list(backbone.depths)}
    num_heads: {list(backbone.num_heads)}
    window_size: {backbone.window_size}
    drop_path_rate: {backbone.drop_path_rate}
inference:
  max_detections: {sizing.max_detections}
batch:
  images: {sizing.batch_images}
train:
  steps: {sizing.steps}
  optimizer: {{name: adamw, weight_decay: 0.05}}
  schedule: {{name: poly, lr: {sizing.lr}, warmup_steps: {sizing.warmup_steps}}}
  clip_norm: 5.0{average}
  validate_every: {max(1, sizing.steps // 6)}
  save_every: {max(1, sizing.steps // 12)}
  keep_last: 1
  average_last: 1
"""


def _data_text(config: OwnData, sizing: Sizing) -> str:
    """The section of the data, each line of it JSON, which is YAML too."""
    lines = [f"format: {config.format}", f"path: {_written(config.path)}"]
    if isinstance(config, CocoConfig):
        lines += _split_lines(config)
    shares = {"valid": sizing.valid_share, "test": sizing.test_share}
    given = [f"{split}: {share:g}" for split, share in shares.items() if share != (0.1 if split == "valid" else 0.0)]
    lines += [f"hold_back: {{{', '.join(given)}}}"] if given else []
    return "\n".join(lines)


def _split_lines(config: CocoConfig) -> Iterator[str]:
    for split in SPLITS:
        given = getattr(config, split)
        if given is not None:
            yield f"{split}: {{images: {_written(given.images)}, annotations: {_written(given.annotations)}}}"


def _written(value: str) -> str:
    return json.dumps(value, ensure_ascii=False)
