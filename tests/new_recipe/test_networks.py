"""The networks of new recipes, and the memory that training takes."""

from attnkit.new_recipe.networks import (
    CLASSIFIER_NANO,
    CLASSIFIERS,
    DETECTORS,
    SEGMENTER_NANO,
    SEGMENTERS,
    classifier_bytes,
    segmenter_bytes,
    supported,
)


def test_what_a_classifier_remembers():
    # one stage of one block, 2 x 2 tokens of 3 channels, one head, windows of 2
    config = CLASSIFIER_NANO.config(32).model_copy(
        update={"patch_size": 4, "depths": (1,), "num_heads": (1,), "embed_dim": 3, "window_size": 2}
    )
    assert classifier_bytes(config, 8) == 4 * 4 * (20 * 3 + 2 * 4)


def test_what_a_segmenter_remembers():
    # one stage of one block, 2 x 2 tokens of 3 channels, one head, windows of 2; 5 channels; 7 classes
    model = SEGMENTER_NANO.config(128)
    changes = {"depths": (1,), "num_heads": (1,), "embed_dim": 3, "window_size": 2}
    model = model.model_copy(update={"channels": 5, "backbone": model.backbone.model_copy(update=changes)})
    assert segmenter_bytes(model, 8, 7) == 4 * (4 * (28 * 3 + 2 * 4) + 12 * 5 * 4 + 6 * 7 * 64)
    model = model.model_copy(update={"backbone": model.backbone.model_copy(update={"mlp_convolution": False})})
    assert segmenter_bytes(model, 8, 7) == 4 * (4 * (20 * 3 + 2 * 4) + 12 * 5 * 4 + 6 * 7 * 64)


def test_more_images_support_larger_networks():
    for family in (CLASSIFIERS, SEGMENTERS, DETECTORS):
        few, many = supported(family, 10), supported(family, 10**9)
        assert many == list(family)
        assert {network.least_images for network in few} == {0}
        assert not any(network.published for network in supported(family, 10**9, published=False))
