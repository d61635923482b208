"""What the pixels of rare classes weigh more."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from attnkit.data.segmentation.segmentation_set import SegmentationSet, pixels_per_class
from attnkit.errors import DataError


def median_frequency_weights(data: SegmentationSet) -> Tensor:
    """(K,) the median of the classes' frequencies over the frequency of each; 0 of a class that never occurs.

    The frequency of a class is its share of the pixels of the images that it occurs in, those of no class included.

    Source: Eigen and Fergus 2015, "Predicting depth, surface normals and semantic labels", section 6.3.2; on CamVid
    Badrinarayanan et al. 2015, "SegNet".
    """
    pixels = np.zeros(len(data.class_names))
    of_images = np.zeros(len(data.class_names))
    for index in range(len(data)):
        try:
            labels = data.read_labels(index)
        except DataError:  # named when its turn in training comes
            continue
        counts = pixels_per_class(labels, len(pixels))
        pixels += counts
        of_images += np.where(counts > 0, labels.size, 0)
    occurs = pixels > 0
    frequency = pixels[occurs] / of_images[occurs]
    weights = np.zeros(len(pixels), dtype=np.float32)
    weights[occurs] = np.median(frequency) / frequency
    return torch.from_numpy(weights)
