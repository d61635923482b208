import copy

import pytest
import torch
from torch import nn

from attnkit.engine.config import AdamConfig, AdamWConfig, SgdConfig
from attnkit.engine.optimizer import build_optimizer
from attnkit.errors import AttnkitError


def one_number(value=1.0):
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, value)
    return model


def step(optimizer, model, *, lr, grad):
    for group in optimizer.param_groups:
        group["lr"] = lr
    for p in model.parameters():
        p.grad = torch.full_like(p, grad)
    optimizer.step()


def test_adam_by_hand():
    model = one_number()
    adam = build_optimizer(AdamConfig(), model)
    step(adam, model, lr=0.1, grad=0.5)
    assert model.weight.item() == pytest.approx(0.9)  # the first step is lr * sign
    step(adam, model, lr=0.1, grad=-0.25)
    # m = 0.02 / (1 - 0.9**2), v = 0.00615 / (1 - 0.98**2)
    assert model.weight.item() == pytest.approx(0.9 - 0.1 * 0.1052632 / 0.3940849, rel=1e-6)


@pytest.mark.parametrize("config", [AdamConfig(beta2=0.95, eps=1e-3), AdamWConfig(name="adamw", weight_decay=0.2)])
def test_equals_torch_without_fusion(config):
    torch.manual_seed(3)
    ours = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 2))
    theirs = copy.deepcopy(ours)
    betas = (config.beta1, config.beta2)
    if isinstance(config, AdamConfig):
        reference = torch.optim.Adam(theirs.parameters(), lr=0.02, betas=betas, eps=config.eps, foreach=False)
    else:
        decayed, plain = ([p for p in theirs.parameters() if (p.ndim < 2) == is_plain] for is_plain in (False, True))
        groups = [{"params": decayed}, {"params": plain, "weight_decay": 0.0}]
        reference = torch.optim.AdamW(groups, lr=0.02, betas=betas, eps=config.eps, weight_decay=0.2, foreach=False)
    optimizer = build_optimizer(config, ours)
    for group in optimizer.param_groups:
        group["lr"] = 0.02
    for number in range(5):
        x = torch.randn(4, 5, generator=torch.Generator().manual_seed(number))
        for model, one in ((ours, optimizer), (theirs, reference)):
            model.zero_grad()
            model(x).square().sum().backward()
            one.step()
    for p, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p, other, rtol=1e-6, atol=1e-7)


class Everything(nn.Module):
    """One of each kind of parameter; the output matrix is the embedding."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(11, 6)
        self.linear = nn.Linear(6, 3)
        self.norm = nn.LayerNorm(3)
        self.output = nn.Linear(6, 11, bias=False)
        self.output.weight = self.embedding.weight


def test_decay_spares_biases_norms_and_embeddings():
    model = Everything()
    nn.init.ones_(model.linear.bias)
    before = copy.deepcopy(model.state_dict())
    step(build_optimizer(AdamWConfig(name="adamw", weight_decay=0.2), model), model, lr=0.5, grad=0.0)
    after = model.state_dict()
    torch.testing.assert_close(after["linear.weight"], before["linear.weight"] * (1 - 0.5 * 0.2))
    for name in ("embedding.weight", "linear.bias", "norm.weight", "norm.bias", "output.weight"):
        assert torch.equal(after[name], before[name]), name


def test_biases_of_layers_may_decay():
    model = nn.Sequential(Everything(), nn.Conv2d(2, 3, 5), nn.BatchNorm2d(3))
    for p in model.parameters():
        nn.init.ones_(p)
    step(
        build_optimizer(AdamWConfig(name="adamw", weight_decay=0.2, decay_biases=True), model), model, lr=0.5, grad=0.0
    )
    decayed = {name for name, p in model.named_parameters() if not torch.equal(p, torch.ones_like(p))}
    assert decayed == {"0.linear.weight", "0.linear.bias", "1.weight", "1.bias"}
    torch.testing.assert_close(model[1].bias, torch.full((3,), 1 - 0.5 * 0.2))


def test_the_bias_of_a_layer_whose_weight_is_tied_may_decay():
    model = Everything()
    model.output.bias = nn.Parameter(torch.ones(11))
    step(
        build_optimizer(AdamWConfig(name="adamw", weight_decay=0.2, decay_biases=True), model), model, lr=0.5, grad=0.0
    )
    torch.testing.assert_close(model.output.bias, torch.full((11,), 0.9))


def test_a_model_without_matrices_has_no_empty_group():
    assert len(build_optimizer(AdamWConfig(name="adamw"), nn.LayerNorm(3)).param_groups) == 1


# Gradient descent with momentum


def test_momentum_by_hand():
    model = one_number(2.0)
    sgd = build_optimizer(SgdConfig(name="sgd", momentum=0.5, weight_decay=0.1), model)
    nn.init.constant_(model.weight, 2.0)
    step(sgd, model, lr=0.1, grad=3.0)
    assert model.weight.item() == pytest.approx(2.0 - 0.1 * (3.0 + 0.2))
    weight, velocity = model.weight.item(), 3.2
    step(sgd, model, lr=0.1, grad=-1.0)
    velocity = 0.5 * velocity - 1.0 + 0.1 * weight
    assert model.weight.item() == pytest.approx(weight - 0.1 * velocity)


def test_nesterov_looks_ahead():
    model = one_number(2.0)
    sgd = build_optimizer(SgdConfig(name="sgd", momentum=0.5, nesterov=True), model)
    step(sgd, model, lr=0.1, grad=3.0)
    assert model.weight.item() == pytest.approx(2.0 - 0.1 * (3.0 + 0.5 * 3.0))


def test_nesterov_without_momentum_is_refused():
    with pytest.raises(ValueError, match="nesterov: needs momentum, which is 0; expected more than 0; change one of"):
        SgdConfig(name="sgd", momentum=0.0, nesterov=True)


# Layers


class Tower(nn.Module):
    """An embedding of positions and three layers, of which the last is the head."""

    num_layers = 3
    no_weight_decay = frozenset({"positions"})

    def __init__(self):
        super().__init__()
        self.positions = nn.Parameter(torch.ones(2, 3))
        self.first = nn.Linear(3, 5)
        self.second = nn.Linear(5, 2)
        self.head = nn.Linear(2, 7, bias=False)

    def layer_of(self, parameter):
        return {"positions": 0, "first": 1, "second": 2, "head": 3}[parameter.split(".")[0]]


def test_layer_decay_slows_lower_layers():
    model = Tower()
    optimizer = build_optimizer(AdamWConfig(name="adamw", weight_decay=0.2, layer_decay=0.5), model)
    names = {id(p): name for name, p in model.named_parameters()}
    found = {
        names[id(p)]: (group["lr_scale"], group["weight_decay"])
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert found == {
        "positions": (0.125, 0.0),
        "first.weight": (0.25, 0.2),
        "first.bias": (0.25, 0.0),
        "second.weight": (0.5, 0.2),
        "second.bias": (0.5, 0.0),
        "head.weight": (1.0, 0.2),
    }


def test_layer_decay_needs_numbered_layers():
    config = AdamWConfig(name="adamw", layer_decay=0.5)
    with pytest.raises(
        AttnkitError,
        match=r"^train\.optimizer\.layer_decay: Linear has no numbered layers; expected a ViT or Swin; leave it out$",
    ):
        build_optimizer(config, nn.Linear(2, 3))


@pytest.mark.parametrize("config", [AdamConfig(), AdamWConfig(name="adamw"), SgdConfig(name="sgd")])
def test_what_is_frozen_is_left_out(config):
    model = Tower()
    model.first.requires_grad_(False)
    chosen = {id(p) for group in build_optimizer(config, model).param_groups for p in group["params"]}
    assert chosen == {id(p) for name, p in model.named_parameters() if not name.startswith("first.")}
