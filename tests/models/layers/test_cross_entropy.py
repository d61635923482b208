import math
from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from attnkit.models.layers.cross_entropy import SmoothingForm, linear_cross_entropy, smoothed_targets

N, C, V = 53, 7, 31


def tensors(*, dtype: torch.dtype = torch.float32, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    hidden = scale * torch.randn(N, C, generator=generator, dtype=torch.float64)
    weight = torch.randn(V, C, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, V, (N,), generator=generator)
    targets[:3] = targets[3]  # a word that comes more than once
    return hidden.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_(), targets


def by_definition(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, label_smoothing: float, form: SmoothingForm
) -> tuple[Tensor, Tensor]:
    """The cross entropy of a distribution that is written out."""
    log_probs = (hidden @ weight.t()).log_softmax(dim=-1)
    if form == "paper":
        wanted = torch.full_like(log_probs, label_smoothing / (len(weight) - 1))
        wanted[torch.arange(len(targets)), targets] = 1 - label_smoothing
    else:
        wanted = (1 - label_smoothing) * F.one_hot(targets, len(weight)) + label_smoothing / len(weight)
    torch.testing.assert_close(wanted.sum(dim=-1), torch.ones(len(targets), dtype=wanted.dtype))
    return -(wanted * log_probs).sum(), -log_probs.gather(1, targets[:, None]).sum()


# the fixed vectors: four tokens whose predictions are all (.1, .1, .6, .1, .1), epsilon .4


def fixed(label_smoothing: float, form: SmoothingForm) -> tuple[float, float]:
    """The logits are the logarithms, brought about by the second of three channels."""
    weight = torch.zeros(5, 3)
    weight[:, 1] = torch.tensor([0.1, 0.1, 0.6, 0.1, 0.1]).log()
    hidden = torch.tensor([[0.0, 1.0, 0.0]]).expand(4, 3)
    loss, nll = linear_cross_entropy(
        hidden, weight, torch.tensor([2, 1, 2, 1]), label_smoothing=label_smoothing, form=form
    )
    return loss.item(), nll.item()


@pytest.mark.parametrize(("form", "expected"), [("torch", 6.48687), ("paper", 6.70188)])
def test_fixed_vectors(form: SmoothingForm, expected: float) -> None:
    loss, nll = fixed(0.4, form)
    assert loss == pytest.approx(expected, abs=1e-5)
    assert nll == pytest.approx(5.62682, abs=1e-5)


@pytest.mark.parametrize("form", ["torch", "paper"])
def test_without_smoothing_the_loss_is_the_plain_likelihood(form: SmoothingForm) -> None:
    loss, nll = fixed(0.0, form)
    assert loss == pytest.approx(nll, abs=1e-6)
    assert nll == pytest.approx(-2 * math.log(0.6) - 2 * math.log(0.1), abs=1e-5)


def test_smoothed_targets_by_hand() -> None:
    assert smoothed_targets(0.4, 5, "paper") == (pytest.approx(0.6), pytest.approx(0.1))
    assert smoothed_targets(0.4, 5, "torch") == (pytest.approx(0.68), pytest.approx(0.08))
    assert smoothed_targets(0.0, 5, "paper") == smoothed_targets(0.0, 5, "torch") == (1.0, 0.0)


# against other code


@pytest.mark.parametrize("epsilon", [0.0, 0.1, 0.4])
@pytest.mark.parametrize("form", ["paper", "torch"])
def test_value_and_gradients_by_definition(epsilon: float, form: SmoothingForm) -> None:
    exact_hidden, exact_weight, targets = tensors(dtype=torch.float64)
    exact, exact_nll = by_definition(exact_hidden, exact_weight, targets, label_smoothing=epsilon, form=form)
    exact.backward()
    hidden, weight, _ = tensors()
    loss, nll = linear_cross_entropy(hidden, weight, targets, label_smoothing=epsilon, form=form)
    loss.backward()
    assert loss.item() == pytest.approx(exact.item(), rel=1e-6)
    assert nll.item() == pytest.approx(exact_nll.item(), rel=1e-6)
    torch.testing.assert_close(hidden.grad.double(), exact_hidden.grad, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(weight.grad.double(), exact_weight.grad, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("epsilon", [0.0, 0.1])
def test_form_torch_is_torch_s(epsilon: float) -> None:
    hidden, weight, targets = tensors()
    loss, _ = linear_cross_entropy(hidden, weight, targets, label_smoothing=epsilon, form="torch")
    own = torch.autograd.grad(loss, (hidden, weight))
    theirs = F.cross_entropy(hidden @ weight.t(), targets, label_smoothing=epsilon, reduction="sum")
    assert loss.item() == pytest.approx(theirs.item(), rel=1e-6)
    torch.testing.assert_close(own, torch.autograd.grad(theirs, (hidden, weight)), rtol=1e-5, atol=1e-5)


# chunks


@pytest.mark.parametrize("form", ["paper", "torch"])
def test_many_chunks_are_one(form: SmoothingForm) -> None:
    def run(**chunks: int) -> tuple[Tensor, ...]:
        hidden, weight, targets = tensors()
        loss, nll = linear_cross_entropy(hidden, weight, targets, label_smoothing=0.1, form=form, **chunks)
        return loss, nll, *torch.autograd.grad(loss, (hidden, weight))

    whole = run()
    in_chunks = partial(run, chunk_elements=17 * V)  # 17, 17, 17 and 2 rows
    assert products(in_chunks) == 3 * 4
    torch.testing.assert_close(in_chunks(), whole, rtol=1e-5, atol=1e-5)


def products(run: Callable[[], object]) -> int:
    """How many products of two matrices are done."""

    class Count(TorchDispatchMode):
        done = 0

        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            self.done += func is torch.ops.aten.mm.default
            return func(*args, **(kwargs or {}))

    with Count() as count:
        run()
    return count.done


# with and without a gradient


def test_no_gradient_is_computed_where_none_is_wanted() -> None:
    hidden, weight, targets = tensors()

    @torch.no_grad()
    def without() -> tuple[Tensor, Tensor]:
        return linear_cross_entropy(hidden, weight, targets, label_smoothing=0.1)

    assert products(without) == 1
    assert products(lambda: linear_cross_entropy(hidden, weight, targets)) == 3
    assert not without()[0].requires_grad
    expected = linear_cross_entropy(hidden, weight, targets, label_smoothing=0.1)
    assert torch.equal(torch.stack(without()), torch.stack(expected))


def test_the_plain_likelihood_has_no_gradient() -> None:
    hidden, weight, targets = tensors()
    loss, nll = linear_cross_entropy(hidden, weight, targets)
    assert loss.requires_grad
    assert not nll.requires_grad


@pytest.mark.parametrize("frozen", ["hidden", "weight"])
def test_one_side_may_be_frozen(frozen: str) -> None:
    hidden, weight, targets = tensors()
    loss, _ = linear_cross_entropy(hidden, weight, targets)
    expected = torch.autograd.grad(loss, weight if frozen == "hidden" else hidden)[0]
    (hidden if frozen == "hidden" else weight).requires_grad_(False)
    linear_cross_entropy(hidden, weight, targets)[0].backward()
    assert torch.equal((weight if frozen == "hidden" else hidden).grad, expected)
    assert (hidden if frozen == "hidden" else weight).grad is None


def test_the_gradient_is_scaled_with_the_loss() -> None:
    """As when the loss is divided by the number of tokens, or weighted."""
    hidden, weight, targets = tensors()
    loss, _ = linear_cross_entropy(hidden, weight, targets)
    once = torch.autograd.grad(loss, (hidden, weight), retain_graph=True)
    thrice = torch.autograd.grad(3 * loss, (hidden, weight))
    torch.testing.assert_close(thrice, tuple(3 * grad for grad in once))


# edges


def test_bfloat16_autocast_is_near_float32() -> None:
    hidden, weight, targets = tensors()
    loss, nll = linear_cross_entropy(hidden, weight, targets, label_smoothing=0.1)
    expected = torch.autograd.grad(loss, (hidden, weight))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fast, fast_nll = linear_cross_entropy(hidden, weight, targets, label_smoothing=0.1)
    grads = torch.autograd.grad(fast, (hidden, weight))
    assert fast.dtype == fast_nll.dtype == grads[0].dtype == grads[1].dtype == torch.float32
    assert fast.item() != loss.item()
    assert fast.item() == pytest.approx(loss.item(), rel=5e-3)
    assert fast_nll.item() == pytest.approx(nll.item(), rel=5e-3)
    for grad, wanted in zip(grads, expected, strict=True):
        assert (grad - wanted).norm() < 0.02 * wanted.norm()


def test_a_truth_whose_probability_underflows() -> None:
    """Logits 0 and -200: float32 holds the likelihood, exp(-200), as 0; its logarithm is asked for all the same."""
    weight = torch.tensor([[0.0], [-200.0], [-1000.0]], requires_grad=True)
    hidden = torch.ones(1, 1, requires_grad=True)
    loss, nll = linear_cross_entropy(hidden, weight, torch.tensor([1]))
    loss.backward()
    assert loss.item() == nll.item() == pytest.approx(200.0)
    # p - [v = truth], times the hidden state and times the weights
    torch.testing.assert_close(weight.grad, torch.tensor([[1.0], [-1.0], [0.0]]))
    torch.testing.assert_close(hidden.grad, torch.tensor([[200.0]]))


def test_large_logits_stay_finite() -> None:
    hidden, weight, targets = tensors(scale=1e4)
    loss, nll = linear_cross_entropy(hidden, weight, targets, label_smoothing=0.1)
    loss.backward()
    assert loss.isfinite()
    assert nll.isfinite()
    assert hidden.grad.isfinite().all()
    exact, _ = by_definition(*tensors(dtype=torch.float64, scale=1e4), label_smoothing=0.1, form="paper")
    assert loss.item() == pytest.approx(exact.item(), rel=1e-4)


def test_no_token_at_all() -> None:
    _, weight, _ = tensors()
    hidden = torch.zeros(0, C, requires_grad=True)
    loss, nll = linear_cross_entropy(hidden, weight, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss.item() == nll.item() == 0.0
    assert not weight.grad.any()
