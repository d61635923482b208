"""Which library and which model a file of weights is of, from names and shapes alone."""

from collections.abc import Callable
from typing import NamedTuple

from pydantic import ValidationError

from attnkit.errors import CheckpointError
from attnkit.interop import (
    google_vit,
    mmdet_weights,
    mmseg_weights,
    swin_official,
    timm_weights,
    torchvision_rcnn,
    torchvision_weights,
    transformers_upernet,
    transformers_weights,
)
from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.imported_weights import ImportedWeights


class Source(NamedTuple):
    """A row of the list: what it is called, whether a file is of it, and how to convert it.

    Conversion takes the file, and the number of attention heads for weights that do not show it.
    """

    name: str
    matches: Callable[[ForeignFile], bool]
    convert: Callable[[ForeignFile, int | None], ImportedWeights]


SOURCES = (
    Source("Google's ViT (.npz)", google_vit.matches, google_vit.import_vit),
    Source("torchvision's ViT", torchvision_weights.matches_vit, torchvision_weights.import_vit),
    Source("torchvision's Swin", torchvision_weights.matches_swin, torchvision_weights.import_swin),
    Source("torchvision's ResNet", torchvision_weights.matches_resnet, torchvision_weights.import_resnet),
    Source("torchvision's AlexNet", torchvision_weights.matches_alexnet, torchvision_weights.import_alexnet),
    Source("transformers' UperNet", transformers_upernet.matches, transformers_upernet.import_upernet),
    Source("transformers' Swin", transformers_weights.matches_swin, transformers_weights.import_swin),
    Source("transformers' ViT or DeiT", transformers_weights.matches_vit, transformers_weights.import_vit),
    Source("the official Swin", swin_official.matches, swin_official.import_swin),
    Source("timm's Swin", timm_weights.matches_swin, timm_weights.import_swin),
    Source("the official DeiT", timm_weights.matches_official_deit, timm_weights.import_official_deit),
    Source("timm's ViT or DeiT", timm_weights.matches_vit, timm_weights.import_vit),
    Source("the official Swin for segmentation", mmseg_weights.matches_official, mmseg_weights.import_official),
    Source("mmsegmentation's UPerNet", mmseg_weights.matches, mmseg_weights.import_upernet),
    Source("the official Swin for detection", mmdet_weights.matches_official, mmdet_weights.import_official),
    Source("mmdetection's R-CNN", mmdet_weights.matches, mmdet_weights.import_rcnn),
    Source("torchvision's R-CNN", torchvision_rcnn.matches, torchvision_rcnn.import_rcnn),
)
"""In the order in which they are asked: the first that matches it is. A new source is one row here."""

UNSUPPORTED = (
    ("logit_scale", "Swin V2"),
    ("cpb_mlp.0.weight", "Swin V2"),
    ("ls1.gamma", "a ViT with layer scale (DeiT III, CaiT)"),
    ("gamma_1", "a ViT with layer scale (DeiT III, CaiT, BEiT)"),
    ("attn.q_norm.weight", "a ViT that normalises its queries and keys"),
    ("fc_norm.weight", "a ViT that normalises after the mean"),
    ("attn_pool.latent", "a ViT with a pooling by attention"),
    ("rel_pos.relative_position_bias_table", "a ViT with relative positions (BEiT)"),
    ("layer_scale_parameter", "a ConvNeXt"),
    ("backbone.ln1.weight", "mmsegmentation's ViT with a norm behind its last block (LN + MLN)"),
    ("backbone.stem.0.weight", "a ResNet with a deep stem (ResNetV1c, ResNetV1d of OpenMMLab)"),
    ("conv2.conv_offset.weight", "a ResNet with deformable convolutions (DCN)"),
    ("backbone.fpn.inner_blocks.0.1.running_mean", "torchvision's second version of R-CNN, a pyramid with norms"),
    ("neck.lateral_convs.0.bn.weight", "a detector whose pyramid has norms"),
    ("neck.lateral_convs.0.gn.weight", "a detector whose pyramid has norms"),
)
"""Ends of names that give away a model which attnkit does not have, so that an error can name it."""
OWN = ("blocks.0.attention.qkv.weight", "pyramid.fuse.conv.weight", "fpn.laterals.0.weight")
"""Ends of attnkit's own names."""


def recognise(file: ForeignFile, *, num_heads: int | None = None) -> ImportedWeights:
    """Find out what a file holds, and rename its weights.

    Args:
        file: the weights by their own names.
        num_heads: attention heads of a ViT whose weights do not show them; none takes the published number.

    Raises:
        CheckpointError: it is of no known source, or of a model that attnkit does not have.
    """
    for name in file.tensors:
        for ending, model in UNSUPPORTED:
            if name.endswith(ending):
                raise CheckpointError(
                    f"{file.path}: {model}, by its weight {name}; expected a model that attnkit has; "
                    "see docs/import.md for the list"
                )
    for source in SOURCES:
        if source.matches(file):
            return _convert(source, file, num_heads)
    if any(name.endswith(OWN) for name in file.tensors):
        raise CheckpointError(
            f"{file.path}: attnkit's own names already; expected weights of another library; "
            "use it as it is, by init: {from: ...} in a recipe"
        )
    names = sorted(file.tensors)
    raise CheckpointError(
        f"{file.path}: unknown weights, {', '.join(names[:3])} and {max(len(names) - 3, 0)} more; "
        f"expected those of {', '.join(source.name for source in SOURCES)}; see docs/import.md"
    )


def _convert(source: Source, file: ForeignFile, num_heads: int | None) -> ImportedWeights:
    try:
        return source.convert(file, num_heads)
    except ValidationError as error:
        why = "; ".join(str(mistake["msg"]).removeprefix("Value error, ") for mistake in error.errors())
        raise CheckpointError(
            f"{file.path}: shapes that are no model: {why}; expected weights that fit each other; "
            "give another file, or another --num-heads"
        ) from error
