import numpy as np

from attnkit.data.classification.image_set import ArrayImages, split_off
from attnkit.data.config import HoldBackConfig

LABELS = np.repeat([0, 1, 2], [50, 20, 11])


def test_a_set_is_split():
    images = ArrayImages(np.zeros((81, 3, 2, 5), dtype=np.uint8), LABELS, "abc", place=str)
    config = HoldBackConfig(valid=0.2)
    valid = split_off(images, "valid", config, has_valid=False, has_test=False)
    assert np.bincount(valid.labels).tolist() == [10, 4, 2]
    assert split_off(images, "test", config, has_valid=False, has_test=False) is None
    assert split_off(images, "valid", config, has_valid=True, has_test=True) is None
    assert split_off(images, "train", config, has_valid=True, has_test=True) is images
