"""What a network costs: its speed as it is given, and the memory of training by hand."""

import torch
from torch import nn
from torch.nn import functional as F

from attnkit import recipe_file
from attnkit.models.build import build_model
from attnkit.recipes.network_costs import measure_speed, saved_bytes


def test_measured_speed_is_rounded():
    model = build_model(recipe_file.load("classification/lenet5_cifar10").model, num_classes=3, image_size=32)
    rate = measure_speed(model, (32, 32), gmacs=0.01, seconds=0.0)["images_per_second"]
    assert rate == float(f"{rate:.3g}")


class Products(nn.Module):
    """Keeps its input (5 values) and what goes into the activation (7 values), of each image."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(5, 7)

    def forward(self, images):
        return F.gelu(self.linear(images.flatten(1)[:, :5].clone()))


def test_saved_bytes_by_hand():
    with torch.device("meta"):
        assert saved_bytes(Products(), (1, 2)) == 4 * (5 + 7)
