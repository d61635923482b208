import copy

import pytest
import torch
from torch import nn

from attnkit.engine.config import AdamConfig, AdamWConfig
from attnkit.engine.optimizer import build_optimizer


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
        decayed, spared = ([p for p in theirs.parameters() if (p.ndim < 2) == is_spared] for is_spared in (False, True))
        groups = [{"params": decayed}, {"params": spared, "weight_decay": 0.0}]
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


def test_a_model_without_matrices_has_no_empty_group():
    assert len(build_optimizer(AdamWConfig(name="adamw"), nn.LayerNorm(3)).param_groups) == 1
