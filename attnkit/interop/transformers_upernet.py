"""Weights of UperNet in transformers (https://github.com/huggingface/transformers) on its Swin, in and out.

In memory version 5 has one more module, `backbone.swin`, and a norm behind it that nothing uses; in files it goes on to
write the names of version 4, and reads both, as this does. It has no dropout in front of its classifiers, which matters
in training alone.
"""

from collections.abc import Mapping

from torch import Tensor

from attnkit.data.segmentation.config import SegmentationImageConfig
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import SCENE_SIZE, SCENE_SIZE_NOTE, ImportedWeights
from attnkit.interop.mmseg_weights import HEADS, head_names
from attnkit.interop.name_table import (
    backbone_weights,
    count,
    join_qkv,
    leave_out,
    split_qkv,
    to_foreign_names,
    to_own_names,
)
from attnkit.interop.sizes import swin_config, upernet_config
from attnkit.interop.swin_official import without_computed
from attnkit.interop.transformers_config import STAGES_OF_AUXILIARY
from attnkit.interop.transformers_weights import (
    Version,
    class_names,
    mean_and_std,
    name_prefix,
    swin_depths,
    swin_names,
    version_of,
)
from attnkit.models.config import SwinConfig, UperNetConfig

Weights = Mapping[str, Tensor]

UNUSED = ("backbone.swin.layernorm.weight", "backbone.swin.layernorm.bias")


def matches(file: ForeignFile) -> bool:
    """Whether these are the names of transformers' UperNet on a Swin."""
    return "decode_head.psp_modules.0.1.batch_norm.weight" in file.tensors and any(
        name.startswith("backbone.") and name.endswith("relative_position_bias_table") for name in file.tensors
    )


def import_upernet(file: ForeignFile, _num_heads: int | None = None) -> ImportedWeights:
    """UperNet of transformers; the weights show the heads of its Swin themselves.

    Raises:
        CheckpointError: the weights do not show an architecture.
    """
    tensors, computed = without_computed(file.tensors)
    tensors, unused = leave_out(tensors, lambda name: name in UNUSED)
    prefix, version = name_prefix(tensors) or "", version_of(tensors)
    depths = swin_depths(tensors, prefix=prefix)
    branches = count(tensors, r"decode_head\.psp_modules\.(\d+)\.")
    weights, unknown = to_own_names(tensors, upernet_names(depths, branches, prefix=prefix, version=version))
    weights = join_qkv(weights)
    scales = file.settings.get("pool_scales")
    config = upernet_config(
        weights, swin_config(backbone_weights(weights)), pool_scales=tuple(scales) if scales else None
    )
    return ImportedWeights(
        "transformers",
        config,
        _image_config(file),
        weights,
        heads=HEADS if config.auxiliary_channels else HEADS[:1],
        unknown=unknown,
        left_out=computed + unused,
        class_names=class_names(file.settings),
        size_note=None if _side(file) else SCENE_SIZE_NOTE,
    )


def export_upernet(
    weights: Weights, config: UperNetConfig, *, version: Version = 4
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights under the names of transformers, and attnkit's names of those that it has no place for.

    The auxiliary head, which is for training alone, is left out where transformers would have it on another map.
    """
    assert isinstance(config.backbone, SwinConfig)
    if len(config.backbone.depths) != STAGES_OF_AUXILIARY:
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("auxiliary.")}
    prefix = "backbone." if version == 4 else "backbone.swin."
    table = upernet_names(config.backbone.depths, len(config.pool_scales), prefix=prefix, version=version)
    return to_foreign_names(split_qkv(weights), table)


def upernet_names(depths: tuple[int, ...], branches: int, *, prefix: str, version: Version) -> dict[str, str]:
    """Names of attnkit for UperNet on a Swin, with queries, keys and values apart, to those of transformers."""
    swin = swin_names(depths, prefix=prefix, version=version)
    names = {f"backbone.{own}": theirs for own, theirs in swin.items() if own not in ("norm", "head")}
    for stage in range(len(depths)):
        names[f"backbone.norms.{stage}"] = f"backbone.hidden_states_norms.stage{stage + 1}"
    return names | head_names(len(depths) - 1, branches, norm="batch_norm", classifier="classifier")


def _side(file: ForeignFile) -> int | None:
    """The height, or shorter side, to which images are brought, where preprocessor_config.json says it."""
    size = file.preprocessing.get("size")
    if isinstance(size, Mapping):
        size = size.get("height") or size.get("shortest_edge")
    return size if isinstance(size, int) else None


def _image_config(file: ForeignFile) -> SegmentationImageConfig:
    """How its files say that images are prepared."""
    side = _side(file) or SCENE_SIZE
    return SegmentationImageConfig.model_validate({"crop": (side, side), **mean_and_std(file)})
