"""How large a detection recipe is made, by what was seen of images, objects and machine."""

import subprocess
import sys
from dataclasses import replace

import pytest

from attnkit.data.detection.config import CocoConfig, CocoSplitConfig
from attnkit.new_recipe.detection_size import ObjectSurvey, size_recipe
from attnkit.new_recipe.networks import DETECTOR_MICRO as MICRO
from attnkit.new_recipe.networks import DETECTOR_NANO as NANO
from attnkit.new_recipe.networks import DETECTOR_SMALL as SMALL
from attnkit.new_recipe.networks import DETECTOR_TINY as TINY
from attnkit.new_recipe.networks import detector_bytes
from attnkit.new_recipe.sizing import Machine

CORES = Machine("2 processor cores", is_gpu=False, memory=8 << 30)
GPU = Machine("a GPU", is_gpu=True, memory=80 << 30)
CELLS = ObjectSurvey(
    "cells",
    train=500,
    valid=0,
    test=0,
    with_objects=1.0,
    num_classes=3,
    masks=True,
    outlined=1.0,
    side=256,
    ratio=1.5,
    objects=31.7,
    most_objects=131,
    box_sides=(0.05, 0.1, 0.2),
)


def sized(seen=CELLS, machine=CORES, rate=5.0, *, minutes=60.0, side=None):
    tried = []

    def speed(config, size):
        tried.append((config.backbone.embed_dim, sum(config.backbone.depths), size))
        return rate if isinstance(rate, float) else rate[config.backbone.embed_dim, size[0]]

    data = CocoConfig(path="cells", train=CocoSplitConfig(images="images", annotations="objects.json"))
    return size_recipe("x", data, seen, machine, speed, minutes=minutes, side=side), tried


def reason(sizing, start):
    (line,) = (line for line in sizing.reasons if line.startswith(f"{start}: "))
    return line.removeprefix(f"{start}: ")


# sizes


@pytest.mark.parametrize(
    ("side", "quarter", "machine", "short"),
    [
        (256, 0.05, CORES, 256),
        (270, 0.05, CORES, 256),
        (300, 0.05, CORES, 288),
        (1024, 0.05, CORES, 320),
        (1024, 0.05, GPU, 800),
        (64, 0.5, CORES, 128),
        (160, 0.025, CORES, 320),  # 8 / 0.025: objects of 8 pixels
        (128, 0.01, CORES, 256),  # twice the image's size at most
        (500, 0.01, GPU, 800),
    ],
)
def test_sides_follow_the_images_and_their_small_objects(side, quarter, machine, short):
    sizing, _ = sized(replace(CELLS, side=side, box_sides=(quarter, 0.5, 0.6)), machine)
    assert sizing.recipe.image.short_side == short


def test_why_a_side():
    assert reason(sized()[0], "size") == "a shorter side of 256 pixels: half of the images have 256 or fewer"
    sizing, _ = sized(replace(CELLS, side=160, box_sides=(0.025, 0.1, 0.2)))
    assert reason(sizing, "size") == (
        "a shorter side of 320 pixels: half of the images have 160 or fewer, and a quarter of their objects would be "
        "under 8 wide"
    )
    small, _ = sized(replace(CELLS, side=64, box_sides=(0.125, 0.2, 0.3)))
    assert (
        reason(small, "size") == "a shorter side of 128 pixels: half of the images have 64 or fewer; 128 is the minimum"
    )
    rounded, _ = sized(replace(CELLS, side=150, box_sides=(0.1, 0.2, 0.3)))
    assert reason(rounded, "size") == "a shorter side of 160 pixels: half of the images have 150 or fewer"
    large = reason(sized(replace(CELLS, side=1024))[0], "size")
    assert large.endswith(": half of the images have 1024 or fewer; more costs time by its square: --image-size")
    assert reason(sized(side=96)[0], "size") == "a shorter side of 96 pixels: as you ask"


def test_sides_in_training_lie_around_it():
    sizing, tried = sized()
    assert sizing.recipe.augment.short_sides == (192, 224, 256, 288, 320)
    assert sizing.recipe.image.long_side == 480  # 320 x 1.5
    assert tried == [(48, 10, (256, 384))]
    assert reason(sizing, "augmentation").startswith("shorter sides of 192 to 320 pixels, mirroring left and right; ")
    sizing, tried = sized(replace(CELLS, ratio=1.31), side=100)
    assert (sizing.recipe.image.short_side, sizing.recipe.augment.short_sides) == (100, (80, 80, 96, 112, 128))
    assert sizing.recipe.image.long_side == 192  # 128 x 1.31 is 168
    assert tried == [(48, 10, (128, 160))]


# anchors and objects


@pytest.mark.parametrize(
    ("quarter", "scale", "pixels"),
    [(0.09, 8, "32 to 512"), (0.083, 4, "16 to 256"), (0.042, 4, "16 to 256"), (0.041, 2, "8 to 128"), (1e-3, 2, "8 ")],
)
def test_anchors_follow_the_small_objects(quarter, scale, pixels):
    # at 256 pixels 32 are at most one and a half times 0.0833 of them, 16 of 0.0417
    sizing, _ = sized(replace(CELLS, box_sides=(quarter, 0.1, 0.4)), side=256)
    assert sizing.recipe.model.rpn.anchor_scale == scale
    assert reason(sizing, "anchors").startswith(pixels)
    assert reason(sizing, "anchors").endswith(
        f"have at most {quarter * 256:.3g} at that size, half 25.6, nine in ten 102: model.rpn.anchor_scale={scale}"
    )


@pytest.mark.parametrize(("most", "detections"), [(1, 100), (50, 100), (51, 200), (131, 500), (251, 1000), (900, 2000)])
def test_detections_are_twice_what_an_image_has(most, detections):
    assert sized(replace(CELLS, most_objects=most))[0].recipe.inference.max_detections == detections


def test_why_so_many_detections():
    assert reason(sized()[0], "objects") == (
        "31.7 per image, 131 at most: up to 500 detections per image are kept and scored, inference.max_detections; "
        "the usual 100 would lose the rest"
    )
    few, _ = sized(replace(CELLS, objects=2.0, most_objects=7))
    assert reason(few, "objects") == "2 per image, 7 at most: 100 detections per image are enough"


@pytest.mark.parametrize(
    ("mean", "most", "proposals", "samples"), [(2.0, 50, 300, 128), (10.0, 51, 600, 128), (11.0, 151, 1000, 256)]
)
def test_proposals_and_samples_follow_the_objects(mean, most, proposals, samples):
    model = sized(replace(CELLS, objects=mean, most_objects=most))[0].recipe.model
    assert (model.rpn.train_proposals, model.rpn.proposals, model.box_head.samples) == (proposals, proposals, samples)


@pytest.mark.parametrize(("machine", "usual"), [(CORES, (1000, 1000)), (GPU, (2000, 1000))])
def test_proposals_are_no_fewer_than_detections(machine, usual):
    def proposals(most):
        sizing, _ = sized(replace(CELLS, train=2000, most_objects=most), machine, 1e9)
        return sizing.recipe.model.rpn.train_proposals, sizing.recipe.model.rpn.proposals

    assert [proposals(most) for most in (500, 900, 1500)] == [usual, (2000, 2000), (5000, 5000)]


def test_masks_or_none():
    assert "so there is a mask head; boxes alone take less time: --set data.masks=false" in reason(sized()[0], "masks")
    none, _ = sized(replace(CELLS, masks=False, outlined=0.0))
    assert reason(none, "masks") == "the objects have no outlines, so there is no mask head, and boxes alone are scored"
    few, _ = sized(replace(CELLS, masks=False, outlined=0.304))
    assert reason(few, "masks") == (
        "30% of the objects have an outline, too few, so there is no mask head, and boxes alone are scored"
    )


# networks and time


def test_slow_machines_get_smaller_networks_and_images():
    rates = {(width, size): 0.1 for width in (48, 32) for size in (256, 192, 128)}
    sizing, tried = sized(rate=rates)
    assert [(width, size) for width, _, size in tried] == [
        (48, (256, 384)),
        (32, (256, 384)),
        (48, (192, 288)),
        (32, (192, 288)),
        (48, (128, 192)),
        (32, (128, 192)),
    ]
    assert (sizing.recipe.model.backbone.embed_dim, sizing.recipe.image.short_side) == (32, 128)
    assert reason(sizing, "size").endswith(
        "; anything larger would go through them fewer than 20 times in the time available"
    )
    sizing, tried = sized(rate=rates | {(32, 256): 2.8})  # 60 minutes, 500 images 20 times: 2.78 a second
    assert (sizing.recipe.model.backbone.embed_dim, sizing.recipe.image.short_side, len(tried)) == (32, 256, 2)


@pytest.mark.parametrize(
    ("images", "machine", "network"),
    [(50_000, CORES, MICRO), (1999, GPU, MICRO), (2000, GPU, TINY), (49_999, GPU, TINY), (50_000, GPU, SMALL)],
)
def test_more_images_bear_larger_networks(images, machine, network):
    sizing, _ = sized(replace(CELLS, train=images), machine, 1e9)
    assert sizing.recipe.model == network.config(anchor_scale=4, proposals=600, samples=256)
    assert reason(sizing, "network").startswith(f"{network.name}: {network.why}; ")


def test_published_networks_keep_their_proposals():
    for network in (TINY, SMALL):
        model = network.config(anchor_scale=2, proposals=3, samples=5)
        assert (model.rpn.anchor_scale, model.rpn.train_proposals, model.rpn.proposals) == (2, 2000, 1000)
        assert model.box_head.samples == 512
    assert NANO.config(anchor_scale=2, proposals=3, samples=5).box_head.samples == 5


def test_steps_follow_the_time_or_the_images():
    sizing, _ = sized(rate=10.0, minutes=30)  # 18,000 images at most
    assert (sizing.recipe.batch.images, sizing.recipe.train.steps, sizing.recipe.train.schedule.warmup_steps) == (
        4,
        4500,
        450,
    )
    assert reason(sizing, "steps").endswith("what fits into 30 minutes")
    sizing, _ = sized(rate=1e6)
    assert (sizing.recipe.train.steps, sizing.recipe.train.schedule.warmup_steps) == (
        200 * 100,
        500,
    )  # 400 images that are not held back
    assert reason(sizing, "steps").endswith("more would not help with so few images")
    assert reason(sizing, "batch") == "4 images; an epoch is 100 steps"


def test_images_without_objects_are_not_counted():
    sizing, _ = sized(replace(CELLS, with_objects=0.25), rate=1e6)
    assert (sizing.recipe.batch.images, sizing.recipe.train.steps) == (4, 200 * 25)


@pytest.mark.parametrize(("images", "epochs"), [(999, 200), (1000, 100), (9999, 100), (10_000, 72)])
def test_many_images_are_of_use_less_often(images, epochs):
    sizing, _ = sized(replace(CELLS, train=images, valid=5, test=7), rate=1e9)
    assert sizing.recipe.train.steps == pytest.approx(epochs * (images // 4), rel=0.05)


def test_what_is_missing_is_held_back():
    assert [
        (one.recipe.data.hold_back.valid, one.recipe.data.hold_back.test)
        for one in (sized()[0], sized(replace(CELLS, valid=3, test=5))[0])
    ] == [
        (0.1, 0.1),
        (0.0, 0.0),
    ]


def test_batches_fit_into_memory():
    sizing, _ = sized(machine=replace(CORES, memory=1 << 20))
    assert sizing.recipe.batch.images == 1
    model = MICRO.config(anchor_scale=4, proposals=600, samples=256)
    needed = detector_bytes(model, (256, 384), masks=True)
    sizing, _ = sized(machine=replace(CORES, memory=2 * 3 * needed))
    assert sizing.recipe.batch.images == 2
    assert sizing.recipe.train.schedule.lr == 4.9e-4  # 7e-4 at 4, by the root
    assert sized(replace(CELLS, train=30), GPU)[0].recipe.batch.images == 2  # 24 are left of 30
    assert sized(replace(CELLS, train=5000), GPU)[0].recipe.batch.images == 16


def test_activation_bytes():
    # one stage of one block, 2 x 4 cells of 3 channels, one head, windows of 2; a pyramid of 5, 8 samples, a head of 7
    model = NANO.config(anchor_scale=8, proposals=11, samples=8)
    small = {"depths": (1,), "num_heads": (1,), "embed_dim": 3, "window_size": 2}
    head = {"backbone": model.backbone.model_copy(update=small), "channels": 5}
    head |= {"box_head": model.box_head.model_copy(update={"channels": 7})}
    head |= {"mask_head": model.mask_head.model_copy(update={"convs": 1, "channels": 2})}
    model = model.model_copy(update=head)
    boxes = 8 * (20 * 3 + 2 * 4) + 12 * 5 * 8 + 8 * (98 * 5 + 4 * 7)
    masks = 2 * 196 * (5 + 2 * 5) + 2 * 784 * (2 + 2)  # logits of the own class alone
    assert detector_bytes(model, (8, 16), masks=False) == 4 * boxes
    assert detector_bytes(model, (8, 16), masks=True) == 4 * (boxes + masks)


def test_no_torch():
    code = "import sys, attnkit.new_recipe.detection_size; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
