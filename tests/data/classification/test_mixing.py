import numpy as np
import pytest
import torch

from attnkit.data.classification.config import AugmentConfig
from attnkit.data.classification.mixing import mix


def mixed(rng=0, *, batch=5, height=7, width=11, images=None, labels=None, **options):
    """A batch whose image i is i everywhere, so that a pixel says where it came from."""
    images = torch.arange(batch).float()[:, None, None, None].repeat(1, 3, height, width) if images is None else images
    labels = torch.arange(batch) % 3 if labels is None else labels
    rng = np.random.default_rng(rng) if isinstance(rng, int) else rng
    return mix(images, labels, AugmentConfig(**options), num_classes=3, rng=rng)


def test_nothing_is_mixed_where_nothing_is_asked():
    assert mixed() is None
    assert mixed(mixup=1.0, mix_probability=0.0) is None


@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_targets_are_the_shares_of_the_pixels(options):
    for seed in range(30):
        images, targets = mixed(seed, **options)
        assert images.shape == (5, 3, 7, 11)
        assert targets.shape == (5, 3)
        torch.testing.assert_close(targets.sum(1), torch.ones(5))
        # image 0 is 0 and its partner 4: the mean pixel says how much is of which; labels are 0 and 1
        share_of_partner = images[0].mean() / 4
        torch.testing.assert_close(
            targets[0], torch.tensor([1 - share_of_partner, share_of_partner, 0]), atol=1e-6, rtol=0
        )
        # the middle one of five meets itself
        assert torch.equal(images[2], torch.full((3, 7, 11), 2.0))
        torch.testing.assert_close(targets[2], torch.tensor([0.0, 0.0, 1.0]))


def test_cutmix_pastes_a_rectangle_of_the_partner():
    for seed in range(20):
        images, _ = mixed(seed, cutmix=1.0)
        assert set(images.unique().tolist()) <= {0.0, 1.0, 2.0, 3.0, 4.0}
        pasted = images[0, 0] == 4
        assert torch.equal(pasted, pasted.any(1)[:, None] & pasted.any(0))
        assert torch.equal(images[1, 2] == 3, pasted)


def test_rectangles_are_anywhere_and_of_their_size():
    rng = np.random.default_rng(2)
    pasted = sum((mixed(rng, cutmix=1.0, height=32, width=40)[0][0, 0] == 4).float() for _ in range(1500)) / 1500
    assert abs(pasted - pasted.flip(0)).max() < 0.08
    assert abs(pasted - pasted.flip(1)).max() < 0.08
    assert pasted[16, 20] > 2 * pasted[0, 0]  # what is cut off at the border is lost


def test_by_chance_one_or_the_other_or_none():
    rng = np.random.default_rng(0)
    kinds = []
    for _ in range(600):
        result = mixed(rng, mixup=1.0, cutmix=1.0, mix_probability=0.5)
        cut = result is not None and bool((result[0] == result[0].round()).all())
        kinds.append("none" if result is None else "cut" if cut else "up")
    assert 250 < kinds.count("none") < 350
    assert 100 < kinds.count("cut") < 200
    assert 100 < kinds.count("up") < 200


def test_shares_are_of_the_beta_distribution():
    """The quantiles of Beta(1, 1) are uniform; Beta(0.2, 0.2) is mostly near 0 or 1."""
    rng = np.random.default_rng(1)
    shares = {a: np.sort([float(mixed(rng, mixup=a)[1][0, 0]) for _ in range(1000)]) for a in (1.0, 0.2)}
    assert abs(shares[1.0] - np.linspace(0, 1, 1000)).max() < 0.05
    assert 0.3 < np.mean(abs(shares[0.2] - 0.5) > 0.49) < 0.65


@pytest.mark.peers
@pytest.mark.parametrize("options", [{"mixup": 0.8}, {"cutmix": 1.0}, {"mixup": 0.8, "cutmix": 1.0}])
def test_shares_are_distributed_as_timms(options):
    """Two samples of 4000 shares each: Kolmogorov-Smirnov, at 1 in a thousand."""
    mixup = pytest.importorskip("timm.data.mixup")
    theirs = mixup.Mixup(
        mixup_alpha=options.get("mixup", 0.0),
        cutmix_alpha=options.get("cutmix", 0.0),
        label_smoothing=0.0,
        num_classes=3,
    )
    np.random.seed(3)  # timm draws from it
    rng, labels = np.random.default_rng(3), torch.tensor([0, 1])
    images = torch.zeros(2, 3, 32, 32)
    ours = np.sort([float(mixed(rng, images=images, labels=labels, **options)[1][0, 0]) for _ in range(4000)])
    others = np.sort([float(theirs(images, labels)[1][0, 0]) for _ in range(4000)])
    grid = np.concatenate([ours, others])
    distance = abs(np.searchsorted(ours, grid, side="right") - np.searchsorted(others, grid, side="right")).max() / 4000
    assert distance < 1.95 * (2 / 4000) ** 0.5
