"""The twins can be differentiated, up to three times, and at the ends of their domain."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad, gradcheck, gradgradcheck

import logitkit.torch as lt
from logitkit import kernels
from tests.twins import ALL, CLASSES, INF, ROWS, logits, proportions


class TestDerivatives:
    @pytest.mark.parametrize("name", ALL)
    def test_first_and_second_are_those_of_the_function(self, name: str) -> None:
        pair = ALL[name]
        gradcheck(pair.twin, pair.tensors)
        gradgradcheck(pair.twin, pair.tensors)

    @pytest.mark.parametrize("factor", [torch.tensor(3.0), torch.tensor([0.5, 2.0, 1.25]), proportions(ROWS, CLASSES)])
    @pytest.mark.parametrize("name", ["weight", "pos_weight"])
    def test_weights_of_a_binary_loss_have_one_too(self, name: str, factor: Tensor) -> None:
        # PyTorch's own loss has none with respect to them.
        def by_terms(x: Tensor, y: Tensor, weight: Any = 1, pos_weight: Any = 1) -> Tensor:
            return (weight * (-pos_weight * y * F.logsigmoid(x) - (1 - y) * F.logsigmoid(-x))).mean()

        slopes = []
        for loss in (lt.binary_cross_entropy_with_logits, by_terms):
            leaves = [logits(ROWS, CLASSES), proportions(ROWS, CLASSES).requires_grad_(), factor.double()]
            leaves[2].requires_grad_()
            slopes.append(grad(loss(*leaves[:2], **{name: leaves[2]}), leaves))
        torch.testing.assert_close(*slopes, rtol=1e-12, atol=1e-14)

    def test_third_derivative(self) -> None:
        for name in ("indices", "distributions", "binary, plain"):
            pair = ALL[name]
            thirds = []
            for function in (pair.ours, pair.theirs):
                value = function(*pair.tensors, **pair.options)
                for _ in range(3):
                    (value,) = grad(
                        (value * torch.arange(1, value.numel() + 1).reshape(value.shape)).sum(),
                        pair.tensors[0],
                        create_graph=True,
                    )
                thirds.append(value.detach())
            torch.testing.assert_close(*thirds)


def test_log_odds_without_a_rival_have_the_derivative_of_their_limit() -> None:
    z = torch.tensor([0.0, -INF], requires_grad=True)
    assert grad(lt.class_log_odds(z)[0], z)[0].tolist() == [1, -1]


@pytest.mark.parametrize(("function", "outside"), [(lt.logit, 1.2), (lt.logit, -0.2), (lt.log1mexp, 0.5)])
def test_outside_of_the_domain_the_derivative_is_no_number_either(
    function: Callable[[Tensor], Tensor], outside: float
) -> None:
    x = torch.tensor(outside, requires_grad=True)
    value = function(x)
    assert value.isnan()
    assert grad(value, x)[0].isnan()


def test_derivatives_at_the_ends_of_the_domain() -> None:
    for function, x, slope in (
        (lt.logit, 0.0, INF),
        (lt.logit, 1.0, INF),
        (lt.log1mexp, 0.0, -INF),
        (lt.softplus, 0.0, 0.5),
    ):
        leaf = torch.tensor(x, requires_grad=True)
        assert grad(function(leaf), leaf)[0] == slope


@pytest.mark.parametrize("p", [-math.inf, -0.5, -0.0, 0.0, 1.0, 1.5, math.inf, math.nan])
def test_slope_of_logit_at_its_ends_and_beyond(p: float, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = math.inf if p in (0, 1) else math.nan
    for why in (kernels.why_off(), "a test asks for the composite"):
        monkeypatch.setattr(kernels, "why_off", lambda why=why: why)
        probs = torch.tensor([p], requires_grad=True)
        lt.logit(probs).backward()
        assert probs.grad is not None
        torch.testing.assert_close(probs.grad.abs(), torch.tensor([expected]), equal_nan=True)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_slope_of_a_binary_loss_at_log_odds_of_zero(share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    for why in (kernels.why_off(), "a test asks for the composite"):
        monkeypatch.setattr(kernels, "why_off", lambda why=why: why)
        x = torch.zeros(1, requires_grad=True)
        loss = lt.binary_cross_entropy_with_logits(x, torch.tensor([share]), pos_weight=torch.tensor(3.0))
        assert grad(loss, x)[0].item() == (1 - share - 3 * share) / 2


def test_log1mexp_at_the_end_of_its_domain_and_beyond(monkeypatch: pytest.MonkeyPatch) -> None:
    for why in (kernels.why_off(), "a test asks for the composite"):
        monkeypatch.setattr(kernels, "why_off", lambda why=why: why)
        x = torch.tensor([0.0, 0.5], requires_grad=True)
        value = lt.log1mexp(x)
        assert [*map(str, value.tolist())] == ["-inf", "nan"]
        assert [*map(str, grad(value.sum(), x)[0].tolist())] == ["-inf", "nan"]
