"""Published networks: what is printed of them, and by which sizes one is recognised."""

import pytest

from attnkit.models.config import SwinConfig, UperNetConfig
from attnkit.recipes.detection.architectures import DETECTION_ARCHITECTURES
from attnkit.recipes.published import Published, name_on_a_backbone, published_facts, shown
from attnkit.recipes.segmentation.architectures import SEGMENTATION_ARCHITECTURES

SWIN = SwinConfig(name="swin", embed_dim=12, depths=(1, 1), num_heads=(2, 3), window_size=2)
SMALL = UperNetConfig(name="upernet", backbone=SWIN, channels=5)
NETWORKS = {
    "narrow": Published(SMALL, 123, 4.5, (7, 11), "Somebody 2020, table 3", {"miou": 41.0, "fps": 3}),
    "wide": Published(SMALL.changed(channels=7), 456, 6.0, (5, 13), ""),
}


def test_what_is_printed():
    assert published_facts("narrow", NETWORKS) == {
        "architecture": "narrow",
        "params": 123,
        "gmacs": 4.5,
        "gmacs_size": "7x11",
        "miou": 41.0,
        "fps": 3,
        "source": "Somebody 2020, table 3",
    }
    assert "source" not in published_facts("wide", NETWORKS)
    assert published_facts(None, NETWORKS) is None
    assert shown((3, 5)) == "3x5"


def test_rates_of_dropout_make_no_other_network():
    backbone = SMALL.backbone.changed(drop_path_rate=0.4, dropout=0.1, attention_dropout=0.2)
    assert name_on_a_backbone(SMALL.changed(backbone=backbone, dropout=0.3), NETWORKS) == "narrow"


def test_sizes_make_another_network():
    assert name_on_a_backbone(SMALL.changed(channels=7), NETWORKS) == "wide"
    assert name_on_a_backbone(SMALL.changed(channels=6), NETWORKS) is None
    deeper = SMALL.backbone.changed(depths=(1, 2))
    assert name_on_a_backbone(SMALL.changed(backbone=deeper), NETWORKS) is None


@pytest.mark.parametrize("networks", [SEGMENTATION_ARCHITECTURES, DETECTION_ARCHITECTURES])
def test_published_networks_are_recognised(networks):
    """Or the first of those that differ by their training or the size of its images alone."""
    for row in networks.values():
        found = networks[name_on_a_backbone(row.model, networks)]
        assert found.params == row.params
