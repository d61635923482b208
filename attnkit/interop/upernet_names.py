"""Names of UperNet's heads, on which mmsegmentation, transformers and the official Swin nearly agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

HEADS = ("head", "auxiliary.head")
"""attnkit's names of the two layers that know the classes."""
STATISTICS = ("running_mean", "running_var", "num_batches_tracked")
"""What batch norm keeps beside its weight and bias, by the same names everywhere."""


def head_names(laterals: int, branches: int, *, norm: str, classifier: str) -> dict[str, str]:
    """Names of attnkit for all but the backbone to those of others.

    Args:
        laterals: one less than the backbone has maps.
        branches: of pyramid pooling.
        norm: theirs for the norm behind a convolution.
        classifier: theirs for the layers that give the logits.
    """
    blocks = {
        "pyramid.fuse": "decode_head.bottleneck",
        "fuse": "decode_head.fpn_bottleneck",
        "auxiliary.conv": "auxiliary_head.convs.0",
    }
    blocks |= {f"pyramid.branches.{i}": f"decode_head.psp_modules.{i}.1" for i in range(branches)}
    for i in range(laterals):
        blocks |= {f"laterals.{i}": f"decode_head.lateral_convs.{i}", f"smooth.{i}": f"decode_head.fpn_convs.{i}"}
    names = {"head": f"decode_head.{classifier}", "auxiliary.head": f"auxiliary_head.{classifier}"}
    for own, theirs in blocks.items():
        names |= {f"{own}.conv": f"{theirs}.conv", f"{own}.norm": f"{theirs}.{norm}"}
        names |= {f"{own}.norm.{kept}": f"{theirs}.{norm}.{kept}" for kept in STATISTICS}
    return names


def below_backbone(names: Mapping[str, str], *, but: Sequence[str] = ()) -> dict[str, str]:
    """The table of a classifier as that of a backbone on both sides, without the modules `but`."""
    return {f"backbone.{own}": f"backbone.{theirs}" for own, theirs in names.items() if own not in but}


def backbone_weights(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights of the backbone, as if it were alone."""
    prefix = "backbone."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
