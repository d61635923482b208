"""What files of OpenMMLab have in common: the order in which a Swin merges patches, and what stands beside weights."""

from pathlib import Path

import pytest
import torch
from torch import nn

from attnkit.interop.foreign_file import ForeignFile
from attnkit.interop.openmmlab import OFFICIAL_BLOCK, SWIN_BLOCK, backbone_of, class_names, data_set_meta

CHANNELS = 3


def merged_as_openmmlab(image, norm, matrix):
    """Neighbours by torch's Unfold, as in its PatchMerging: (H/2 * W/2, 2C) of (C, H, W)."""
    columns = nn.functional.unfold(image[None], kernel_size=2, stride=2)[0].T
    return (columns - columns.mean(1, keepdim=True)) * norm @ matrix.T


def merged_officially(image, norm, matrix):
    """The four neighbours behind each other, as in the official PatchMerging."""
    parts = [image[:, 0::2, 0::2], image[:, 1::2, 0::2], image[:, 0::2, 1::2], image[:, 1::2, 1::2]]
    columns = torch.cat(parts).flatten(1).T
    return (columns - columns.mean(1, keepdim=True)) * norm @ matrix.T


def swin_tensors(block, *, layers, merging):
    """A Swin of two stages of one block each, as far as its sizes show."""
    random = torch.Generator().manual_seed(4)

    def of(*shape):
        return torch.randn(*shape, generator=random)

    tensors = {f"backbone.patch_embed.{'projection' if layers == 'stages' else 'proj'}.weight": of(CHANNELS, 3, 4, 4)}
    for stage, width in enumerate((CHANNELS, 2 * CHANNELS)):
        attention = f"backbone.{layers}.{stage}.blocks.0.attn.{block}"
        tensors |= {
            f"{attention}qkv.weight": of(3 * width, width),
            f"{attention}relative_position_bias_table": of(9, 3),
        }
        up = "ffn.layers.0.0" if layers == "stages" else "mlp.fc1"
        tensors[f"backbone.{layers}.{stage}.blocks.0.{up}.weight"] = of(4 * width, width)
        tensors[f"backbone.norm{stage}.weight"] = of(width)
    return tensors | {f"backbone.{layers}.0.downsample.{name}": value for name, value in merging.items()}


def test_merging_computes_the_same_in_the_official_order():
    random = torch.Generator().manual_seed(3)
    norm = torch.randn(4 * CHANNELS, generator=random)
    matrix = torch.randn(2 * CHANNELS, 4 * CHANNELS, generator=random)
    merging = {"norm.weight": norm, "reduction.weight": matrix}
    file = ForeignFile(Path("a.pth"), swin_tensors("w_msa.", layers="stages", merging=merging))
    found = backbone_of(file)
    ours = [found.tensors[f"backbone.layers.0.downsample.{name}"] for name in merging]
    image = torch.randn(CHANNELS, 4, 6, generator=random)
    torch.testing.assert_close(merged_officially(image, *ours), merged_as_openmmlab(image, norm, matrix))
    assert (found.config.embed_dim, found.config.depths) == (CHANNELS, (1, 1))
    assert found.names["backbone.norms.1"] == "backbone.norm1"


def test_official_names_and_their_order_stay():
    merging = {"reduction.weight": torch.arange(24.0).reshape(2, 12)}
    tensors = swin_tensors("", layers="layers", merging=merging)
    found = backbone_of(ForeignFile(Path("a.pth"), tensors))
    assert torch.equal(found.tensors["backbone.layers.0.downsample.reduction.weight"], merging["reduction.weight"])
    assert OFFICIAL_BLOCK in tensors
    assert SWIN_BLOCK not in tensors


@pytest.mark.parametrize(
    ("meta", "names"),
    [
        ({"CLASSES": ["sky", "sea"]}, ("sky", "sea")),
        ({"dataset_meta": {"classes": ("sky", "sea")}, "CLASSES": ["old"]}, ("sky", "sea")),
        ({"dataset_meta": {"CLASSES": ["sky"]}}, ("sky",)),
        ({"dataset_meta": {"palette": [[1, 2, 3]]}}, None),
        ({"dataset_meta": None, "CLASSES": []}, None),
        ({"CLASSES": "sky"}, None),
        ({}, None),
    ],
)
def test_names_of_classes_of_either_version(meta, names):
    assert class_names(meta) == names


def test_other_facts_of_the_data_set():
    assert data_set_meta({"dataset_meta": {"palette": [[1, 2, 3]]}, "PALETTE": [[0, 0, 0]]}, "palette") == [[1, 2, 3]]
    assert data_set_meta({"PALETTE": [[0, 0, 0]]}, "palette") == [[0, 0, 0]]
    assert data_set_meta({"PALETTE": None}, "palette") is None
