import re
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from attnkit.models.rcnn.config import BoxHeadConfig
from attnkit.models.rcnn.rcnn import Rcnn
from attnkit.structures.boxes import decode_boxes
from attnkit.structures.objects import Objects
from tests.models.rcnn.nano import (
    CONFIGS,
    CONVS,
    IMAGE_SIZES,
    OPTIONS,
    RESNET,
    K,
    S,
    build,
    images,
    objects,
    semantic,
)

every_detector = pytest.mark.parametrize("name", CONFIGS)

TERMS = {
    "mask_rcnn": {"rpn_class", "rpn_box", "class", "box", "mask"},
    "cascade": {"rpn_class", "rpn_box"}
    | {f"stage{stage}_{term}" for stage in (1, 2, 3) for term in ("class", "box", "mask")},
}
TERMS["htc"] = TERMS["htcpp"] = TERMS["cascade"] | {"semantic"}


def losses(name: str, of_images: list[Objects], **changes: object) -> dict[str, Tensor]:
    model = build(name, **changes).train()
    torch.manual_seed(5)
    return model.losses(images(), IMAGE_SIZES, of_images, semantic() if name.startswith("htc") else None)


# at work


@every_detector
@torch.no_grad()
def test_detections(name: str) -> None:
    for found, (height, width) in zip(build(name).detect(images(), IMAGE_SIZES, **OPTIONS), IMAGE_SIZES, strict=True):
        assert 0 < len(found) <= 13
        assert found.boxes.shape == (len(found), 4)
        assert found.boxes.min() >= 0
        assert found.boxes[:, [0, 2]].max() <= width
        assert found.boxes[:, [1, 3]].max() <= height
        assert (found.scores > 0.1).all()
        assert torch.equal(found.scores.sort(descending=True).values, found.scores)
        assert ((found.labels >= 0) & (found.labels < K)).all()
        assert found.mask_probs is not None
        assert found.mask_probs.shape == (len(found), 28, 28)
        assert ((found.mask_probs > 0) & (found.mask_probs < 1)).all()


@every_detector
@torch.no_grad()
def test_a_row_of_a_batch_is_a_batch_of_one(name: str) -> None:
    model = build(name)
    together = model.detect(images(), IMAGE_SIZES, **OPTIONS)
    for row, found in enumerate(together):
        (alone,) = model.detect(images()[row : row + 1], IMAGE_SIZES[row : row + 1], **OPTIONS)
        torch.testing.assert_close(alone.boxes, found.boxes, rtol=1e-3, atol=1e-3)
        torch.testing.assert_close(alone.scores, found.scores, rtol=1e-4, atol=1e-5)
        assert torch.equal(alone.labels, found.labels)
        torch.testing.assert_close(alone.mask_probs, found.mask_probs, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_soft_suppression_and_bounds_are_handed_on() -> None:
    model = build("mask_rcnn")
    options = OPTIONS | {"max_detections": 500, "nms_threshold": 0.2}
    hard = model.detect(images(), IMAGE_SIZES, **options)
    soft = model.detect(images(), IMAGE_SIZES, **(options | {"soft_nms": True}))
    assert all(len(more) > len(less) for more, less in zip(soft, hard, strict=True))
    few = model.detect(images(), IMAGE_SIZES, **(OPTIONS | {"max_detections": 2}))
    assert [len(found) for found in few] == [2, 2]


@torch.no_grad()
def test_one_stage_written_out() -> None:
    """Classes of the only head, and boxes of each class by its own offsets."""
    model = build("mask_rcnn")
    maps = model.features(images())
    proposals = model.propose(maps, IMAGE_SIZES)[0]
    regions = model.pool.levels(maps.fine, proposals, 7)
    logits, deltas = model.box_heads[0](regions)
    first = len(proposals[0])
    for (boxes, probs), rows, start, size in zip(
        model.classify(maps, proposals, IMAGE_SIZES),
        (slice(None, first), slice(first, None)),
        proposals,
        IMAGE_SIZES,
        strict=True,
    ):
        torch.testing.assert_close(probs, logits[rows].softmax(dim=1))
        expected = decode_boxes(deltas[rows], start, stds=(0.1, 0.1, 0.2, 0.2), image_size=size)
        torch.testing.assert_close(boxes, expected)


@torch.no_grad()
def test_a_cascade_written_out() -> None:
    """Each stage moves the boxes by the offsets of the likeliest class; logits are averaged before the softmax."""
    model = build("cascade")
    maps = model.features(images())
    boxes = model.propose(maps, IMAGE_SIZES)[0]
    for head in model.box_heads:  # the likeliest class differs from region to region
        head.classes.bias.data -= head(model.pool.levels(maps.fine, boxes, 7))[0].mean(dim=0)
    found = model.classify(maps, boxes, IMAGE_SIZES)
    total: Tensor | float = 0.0
    for head, std in zip(model.box_heads, (0.1, 0.05, 0.033), strict=True):
        logits, deltas = head(model.pool.levels(maps.fine, boxes, 7))
        total = total + logits
        stds = (std, std, 0.067, 0.067) if std == 0.033 else (std, std, 2 * std, 2 * std)
        counts = [len(of_image) for of_image in boxes]
        by_class = [
            decode_boxes(offsets, of_image, stds=stds, image_size=size)
            for offsets, of_image, size in zip(deltas.split(counts), boxes, IMAGE_SIZES, strict=True)
        ]
        likeliest = logits[:, :K].argmax(dim=1).split(counts)
        boxes = [
            torch.stack([row[best] for row, best in zip(rows, bests, strict=True)])
            for rows, bests in zip(by_class, likeliest, strict=True)
        ]
    assert len(likeliest[0].unique()) > 1  # or any class would do
    for (found_boxes, probs), expected, mean in zip(found, by_class, (total / 3).split(counts), strict=True):
        torch.testing.assert_close(found_boxes, expected)
        torch.testing.assert_close(probs, mean.softmax(dim=1))


@torch.no_grad()
def test_masks_of_a_cascade_are_means() -> None:
    model = build("cascade")
    maps = model.features(images())
    boxes, labels = [of_image.boxes for of_image in objects()], [of_image.labels for of_image in objects()]
    regions = model.pool.levels(maps.fine, boxes, 14)
    drawn = [head(head.features(regions))[range(5), torch.cat(labels)].sigmoid() for head in model.mask_heads]
    torch.testing.assert_close(torch.cat(model.predict_masks(maps, boxes, labels)), sum(drawn) / 3)


@torch.no_grad()
def test_heads_of_htc_are_told_of_each_other_and_of_the_semantic_map() -> None:
    model = build("htc")
    maps = model.features(images())
    boxes, labels = [of_image.boxes for of_image in objects()], [of_image.labels for of_image in objects()]
    assert model.semantic is not None
    told = model.pool.semantic([model.semantic.embed(model.semantic(maps.levels))], boxes, 14)
    regions = model.pool.levels(maps.fine, boxes, 14) + told
    drawn, before = [], None
    for head in model.mask_heads:
        before = head.features(regions, before)
        drawn.append(head(before)[range(5), torch.cat(labels)].sigmoid())
    torch.testing.assert_close(torch.cat(model.predict_masks(maps, boxes, labels)), sum(drawn) / 3)
    small = model.pool.levels(maps.fine, boxes, 7) + told.unflatten(3, (7, 2)).unflatten(2, (7, 2)).mean(dim=(3, 5))
    torch.testing.assert_close(model.pool(maps, boxes, 7), small)


@torch.no_grad()
def test_the_global_block_stands_before_the_pyramid() -> None:
    model = build("htcpp")
    *finer, last = model.backbone(images())
    assert model.global_block is not None
    expected = model.fpn([*finer, model.global_block(last)])
    torch.testing.assert_close(model.features(images()).levels, expected)
    assert build("htc").global_block is None


@torch.no_grad()
def test_many_masks_are_drawn_in_parts() -> None:
    model = build("cascade")
    maps = model.features(images())
    boxes = [objects()[0].boxes.repeat(90, 1), objects()[1].boxes]
    labels = [torch.arange(270) % K, objects()[1].labels]
    together = model.predict_masks(maps, boxes, labels)
    assert [len(of_image) for of_image in together] == [270, 2]
    some = model.predict_masks(maps, [boxes[0][120:140], boxes[1]], [labels[0][120:140], labels[1]])
    torch.testing.assert_close(together[0][120:140], some[0])
    torch.testing.assert_close(together[1], some[1])


@pytest.mark.parametrize("masks", [True, False])
@torch.no_grad()
def test_forward_of_one_image(masks: bool) -> None:
    model = build("mask_rcnn", masks=masks)
    (expected,) = model.detect(images(batch=1), [(64, 96)], **OPTIONS)
    outputs = model(images(batch=1), score_threshold=0.1, nms_threshold=0.6, max_detections=13)
    wanted = [expected.boxes, expected.scores, expected.labels, *([expected.mask_probs] if masks else [])]
    assert all(torch.equal(*pair) for pair in zip(outputs, wanted, strict=True))


@every_detector
@torch.no_grad()
def test_nothing_is_found(name: str) -> None:
    for found in build(name).detect(images(), IMAGE_SIZES, **(OPTIONS | {"score_threshold": 0.999})):
        assert len(found) == 0
        assert found.mask_probs is not None
        assert found.mask_probs.shape == (0, 28, 28)


@torch.no_grad()
def test_boxes_for_all_classes() -> None:
    model = build("cascade", box_head=CONVS.model_copy(update={"class_specific": False}))
    maps = model.features(images())
    boxes, _ = model.classify(maps, model.propose(maps, IMAGE_SIZES)[0], IMAGE_SIZES)[0]
    assert boxes.shape[1:] == (K, 4)
    assert torch.equal(boxes[:, 0], boxes[:, K - 1])
    assert model.head_names == tuple(
        f"{heads}.{stage}.{part}"
        for heads, part in (("box_heads", "classes"), ("mask_heads", "logits"))
        for stage in range(3)
    )


# training


@every_detector
def test_terms(name: str) -> None:
    terms = losses(name, objects())
    assert terms.keys() == TERMS[name]
    for term, value in terms.items():
        assert value.shape == (), term
        assert value.isfinite(), term
        assert value > 0, term


@every_detector
def test_every_parameter_gets_a_gradient(name: str) -> None:
    every_anchor = CONFIGS[name].rpn.model_copy(update={"samples": 10_000})  # or a level may not be looked at
    model = build(name, rpn=every_anchor).train()
    torch.manual_seed(5)
    terms = model.losses(images(), IMAGE_SIZES, objects(), semantic())
    torch.stack(list(terms.values())).sum().backward()
    for parameter_name, parameter in model.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.isfinite().all(), parameter_name
        assert parameter.grad.abs().max() > 1e-9, parameter_name


@every_detector
def test_images_without_objects(name: str) -> None:
    """Nothing is to be moved or drawn, and everything is background."""
    nothing = [Objects.none(size) for size in IMAGE_SIZES]
    terms = losses(name, nothing)
    for term, value in terms.items():
        assert value.isfinite(), term
        assert bool(value > 0) == term.endswith(("class", "semantic")), term
    torch.stack(list(terms.values())).sum().backward()
    mixed = losses(name, [objects()[0], nothing[1]])
    assert all(value > 0 for value in mixed.values())


@every_detector
def test_a_step_in_bfloat16(name: str) -> None:
    model = build(name).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        terms = model.losses(images(), IMAGE_SIZES, objects(), semantic())
    assert all(value.dtype == torch.float32 and value.isfinite() for value in terms.values())
    torch.stack(list(terms.values())).sum().backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())


def test_seeds_rule() -> None:
    first, again = losses("cascade", objects()), losses("cascade", objects())
    assert {name: float(term.detach()) for name, term in first.items()} == {
        name: float(term.detach()) for name, term in again.items()
    }


@every_detector
def test_boxes_alone(name: str) -> None:
    without = [replace(of_image, masks=None) for of_image in objects()]
    terms = losses(name, without, masks=False)
    assert terms.keys() == {term for term in TERMS[name] if not term.endswith("mask")}
    model = build(name, masks=False)
    assert not [parameter for parameter, _ in model.named_parameters() if parameter.startswith("mask_heads")]
    with torch.no_grad():
        assert all(found.mask_probs is None for found in model.detect(images(), IMAGE_SIZES, **OPTIONS))


def test_nothing_for_the_semantic_branch() -> None:
    message = "losses: no classes of pixels for the semantic branch; expected a map (B, H, W)"
    with pytest.raises(ValueError, match=re.escape(message)):
        build("htc").losses(images(), IMAGE_SIZES, objects())


def test_the_semantic_branch_is_left_out() -> None:
    """Where the recipe says so, and where there is nothing to learn for it."""
    assert build("htc", semantic="none").semantic is None
    assert Rcnn(CONFIGS["htc"], num_classes=K, masks=True).semantic is None
    assert Rcnn(CONFIGS["cascade"], num_classes=K, masks=True, semantic_classes=S).semantic is None


def test_the_weight_of_the_semantic_loss() -> None:
    once, twice = losses("htc", objects()), losses("htc", objects(), semantic_weight=0.4)
    torch.testing.assert_close(twice["semantic"], 2 * once["semantic"])


def test_frozen_norms_stay_as_they_came() -> None:
    model = build("mask_rcnn", backbone=RESNET, frozen_norms=True).train()
    before = {name: tensor.clone() for name, tensor in model.backbone.state_dict().items()}
    torch.stack(list(model.losses(images(), IMAGE_SIZES, objects()).values())).sum().backward()
    norms = {name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)}
    assert len(norms) == 20
    for name, parameter in model.named_parameters():
        assert (parameter.grad is None) == (name.rpartition(".")[0] in norms), name
    for name, tensor in model.backbone.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    plain = build("mask_rcnn", backbone=RESNET).train()
    plain.losses(images(), IMAGE_SIZES, objects())
    assert not torch.equal(plain.backbone.bn1.running_mean, before["bn1.running_mean"])


# names


def test_names_of_the_state() -> None:
    """Others import by them."""
    names = set(build("htcpp").state_dict()) | set(build("mask_rcnn", backbone=RESNET).state_dict())
    assert {name.split(".")[0] for name in names} == {
        "backbone", "global_block", "fpn", "rpn", "box_heads", "mask_heads", "semantic",
    }  # fmt: skip
    for name in (
        "backbone.norms.3.weight", "backbone.layer4.1.bn2.running_var", "global_block.attention.qkv.bias",
        "fpn.laterals.3.bias", "fpn.outputs.0.weight", "rpn.conv.weight", "rpn.objectness.bias", "rpn.deltas.weight",
        "box_heads.0.fcs.1.weight", "box_heads.2.convs.3.conv.weight", "box_heads.2.convs.0.norm.running_mean",
        "box_heads.1.classes.bias", "box_heads.1.deltas.weight", "mask_heads.0.convs.0.bias",
        "mask_heads.1.flow.weight", "mask_heads.2.deconv.weight", "mask_heads.2.logits.bias",
        "semantic.laterals.4.bias", "semantic.convs.3.weight", "semantic.embedding.bias", "semantic.logits.weight",
    ):  # fmt: skip
        assert name in names, name
    assert "mask_heads.0.flow.weight" not in names


@every_detector
def test_head_names_are_what_has_classes(name: str) -> None:
    """Another number of classes changes them and nothing else."""
    model = build(name)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    other = Rcnn(CONFIGS[name], num_classes=K + 1, masks=True, semantic_classes=S + 1 if "htc" in name else None)
    changed = {key for key, value in other.state_dict().items() if value.shape != shapes[key]}
    assert {key.rpartition(".")[0] for key in changed} == set(model.head_names)


def test_layers_for_the_learning_rate() -> None:
    model = build("htcpp")
    assert model.num_layers == 6
    for name, layer in (
        ("backbone.patch_embed.proj.weight", 0),
        ("backbone.stages.2.blocks.1.norm1.bias", 4),
        ("backbone.norms.0.bias", 6),
        ("global_block.norm1.bias", 6),
        ("fpn.laterals.0.weight", 6),
    ):
        assert model.layer_of(name) == layer, name


def test_what_decay_spares_is_named_from_the_outside() -> None:
    model = build("mask_rcnn")
    assert len(model.no_weight_decay) == 5
    assert model.no_weight_decay <= {name for name, _ in model.named_parameters()}


def test_a_head_for_every_stage() -> None:
    two = build("cascade", iou_thresholds=(0.5, 0.55), stage_weights=(1.0, 0.7))
    assert [stage.iou_threshold for stage in two.stages] == [0.5, 0.55]
    assert [stage.weight for stage in two.stages] == [1.0, 0.7]
    assert [stage.stds for stage in two.stages] == [(0.1, 0.1, 0.2, 0.2), (0.05, 0.05, 0.1, 0.1)]
    (only,) = build("mask_rcnn", box_head=BoxHeadConfig(channels=3)).stages
    assert (only.stds, only.iou_threshold, only.weight) == ((0.1, 0.1, 0.2, 0.2), 0.5, 1.0)
