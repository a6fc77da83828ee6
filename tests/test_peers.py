"""SciPy and PyTorch on numbers that are moderate, on which everybody is right: the same results.

Where they are not is in the table of edge cases, chapters/edge-cases.toml, which test_edge_cases.py runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import scipy.stats
import torch
import torch.nn.functional as F

import logitkit as lk

Array = npt.NDArray[Any]

RNG = np.random.default_rng(0)
X = RNG.normal(0, 3, (6, 5))
P = RNG.uniform(0, 1, (6, 5))
Z = RNG.normal(0, 2, (6, 5))
LABELS = RNG.integers(0, 5, 6)
WEIGHT = RNG.uniform(0.5, 2, 5)
REDUCTIONS = ("none", "sum", "mean")


def tensor(values: Any) -> torch.Tensor:
    return torch.as_tensor(np.asarray(values))


def agree(got: Any, expected: Any, rtol: float = 1e-12) -> None:
    np.testing.assert_allclose(got, np.asarray(expected), rtol=rtol, atol=1e-14)


def torch_value_and_grad(
    loss: Callable[..., torch.Tensor], logits: Array, *args: Any, **options: Any
) -> tuple[Any, Any]:
    z = tensor(logits).clone().requires_grad_()
    value = loss(z, *args, **options)
    value.sum().backward()
    assert z.grad is not None
    return value.detach().numpy(), z.grad.numpy()


class TestAgreement:
    @pytest.mark.parametrize(
        ("ours", "theirs", "values"),
        [
            (lk.logit, scipy.special.logit, P),
            (lk.expit, scipy.special.expit, X),
            (lk.log_expit, scipy.special.log_expit, X),
            (lk.softplus, lambda x: np.logaddexp(0, x), X),
            (lk.log1mexp, lambda x: np.log(-scipy.special.expm1(x)), -P),
            (lk.logit, lambda p: torch.logit(tensor(p)), P),
            (lk.expit, lambda x: torch.sigmoid(tensor(x)), X),
            (lk.log_expit, lambda x: F.logsigmoid(tensor(x)), X),
            (lk.softplus, lambda x: F.softplus(tensor(x)), X),
        ],
    )
    def test_links(self, ours: Callable[..., Any], theirs: Callable[..., Any], values: Array) -> None:
        agree(ours(values), theirs(values))

    @pytest.mark.parametrize("axis", [0, 1, 2, -1, (0, 2), (-1, 1), (2, 0, 1)])
    def test_simplex(self, axis: int | tuple[int, ...]) -> None:
        z = RNG.normal(0, 2, (3, 4, 5))
        for name in ("softmax", "log_softmax", "logsumexp"):
            agree(getattr(lk, name)(z, axis=axis), getattr(scipy.special, name)(z, axis=axis))
            if isinstance(axis, int):
                agree(getattr(lk, name)(z, axis=axis), getattr(torch, name)(tensor(z), axis))
        kept = lk.logsumexp(z, axis=axis, keepdims=True)
        agree(kept, scipy.special.logsumexp(z, axis=axis, keepdims=True))

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("ignore_index", [None, 2, -100])
    @pytest.mark.parametrize("weight", [None, WEIGHT])
    @pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
    def test_class_indices(
        self, shape: tuple[int, ...], weight: Array | None, ignore_index: int | None, reduction: str
    ) -> None:
        rng = np.random.default_rng(len(shape))
        z, labels = rng.normal(0, 2, (6, 5, *shape)), rng.integers(0, 5, (6, *shape))
        labels.flat[0] = 2
        if ignore_index == -100:
            labels.flat[-1] = -100
        theirs = {"weight": None if weight is None else tensor(weight), "reduction": reduction}
        theirs |= {} if ignore_index is None else {"ignore_index": ignore_index}
        value, grad = torch_value_and_grad(F.cross_entropy, z, tensor(labels), **theirs)
        options = {"axis": 1, "weight": weight, "ignore_index": ignore_index, "reduction": reduction}
        agree(lk.cross_entropy(labels, logits=z, **options), value)
        got_value, got_grad = lk.cross_entropy_value_and_grad(labels, logits=z, **options)
        agree(got_value, value)
        agree(got_grad, grad)
        agree(lk.cross_entropy(labels, log_probs=lk.log_softmax(z, axis=1), **options), value)
        agree(lk.cross_entropy(labels, probs=lk.softmax(z, axis=1), **options), value)

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("smoothing", [0.1, 1.0])
    def test_label_smoothing_of_class_indices(self, smoothing: float, reduction: str) -> None:
        options = {"label_smoothing": smoothing, "reduction": reduction}
        expected = torch_value_and_grad(F.cross_entropy, Z, tensor(LABELS), **options)
        for got, theirs in zip(lk.cross_entropy_value_and_grad(LABELS, logits=Z, **options), expected, strict=True):
            agree(got, theirs)

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    @pytest.mark.parametrize("shape", [(), (3,), (2, 3)])
    def test_distributions(self, shape: tuple[int, ...], smoothing: float, reduction: str) -> None:
        rng = np.random.default_rng(len(shape))
        z, target = rng.normal(0, 2, (6, 5, *shape)), lk.softmax(rng.normal(0, 1, (6, 5, *shape)), axis=1)
        options = {"label_smoothing": smoothing, "reduction": reduction}
        expected = torch_value_and_grad(F.cross_entropy, z, tensor(target), **options)
        for got, theirs in zip(
            lk.cross_entropy_value_and_grad(target, logits=z, axis=1, **options), expected, strict=True
        ):
            agree(got, theirs)

    @pytest.mark.parametrize("reduction", ["none", "sum"])
    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_weighted_distributions(self, smoothing: float, reduction: str) -> None:
        # The mean is left out: PyTorch divides by the number of rows here, by the weights where targets are indices.
        target = lk.softmax(RNG.normal(0, 1, Z.shape))
        options = {"label_smoothing": smoothing, "reduction": reduction}
        expected = torch_value_and_grad(F.cross_entropy, Z, tensor(target), weight=tensor(WEIGHT), **options)
        for got, theirs in zip(
            lk.cross_entropy_value_and_grad(target, logits=Z, weight=WEIGHT, **options), expected, strict=True
        ):
            agree(got, theirs)

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("pos_weight", [None, 3.0, WEIGHT])
    @pytest.mark.parametrize("weight", [None, 0.5, P])
    def test_binary_cross_entropy(self, weight: Any, pos_weight: Any, reduction: str) -> None:
        given = {name: w for name, w in (("weight", weight), ("pos_weight", pos_weight)) if w is not None}
        theirs = {name: tensor(w) for name, w in given.items()}
        for target in (P, np.rint(P)):
            loss = F.binary_cross_entropy_with_logits
            value, grad = torch_value_and_grad(loss, X, tensor(target), **theirs, reduction=reduction)
            agree(lk.binary_cross_entropy(target, logits=X, **given, reduction=reduction), value)
            got_value, got_grad = lk.binary_cross_entropy_value_and_grad(target, logits=X, **given, reduction=reduction)
            agree(got_value, value)
            agree(got_grad, grad)
            if pos_weight is None:
                p = lk.expit(X)
                expected = F.binary_cross_entropy(tensor(p), tensor(target), **theirs, reduction=reduction)
                agree(lk.binary_cross_entropy(target, probs=p, **given, reduction=reduction), expected)

    @pytest.mark.parametrize(("ours", "theirs"), [("none", "none"), ("sum", "sum"), ("mean", "batchmean")])
    def test_kl_divergence(self, ours: str, theirs: str) -> None:
        target, log_probs = lk.softmax(Z), lk.log_softmax(X)
        got = lk.kl_divergence(target_probs=target, log_probs=log_probs, reduction=ours)
        expected = F.kl_div(tensor(log_probs), tensor(target), reduction=theirs)
        agree(got, expected.sum(dim=1) if theirs == "none" else expected, rtol=1e-11)
        rows = [scipy.stats.entropy(t, np.exp(p)) for t, p in zip(target, log_probs, strict=True)]
        agree(lk.kl_divergence(target_probs=target, logits=X, reduction="none"), rows, rtol=1e-11)

    @pytest.mark.parametrize("alpha", [None, 0.25])
    @pytest.mark.parametrize("gamma", [0.0, 2.0])
    def test_focal_loss(self, gamma: float, alpha: float | None) -> None:
        # No peer has it; this is the code that PyTorch's own vision library publishes, written out.
        target, x = tensor(np.rint(P)), tensor(X)
        p, loss = torch.sigmoid(x), F.binary_cross_entropy_with_logits(x, target, reduction="none")
        loss = loss * (1 - (p * target + (1 - p) * (1 - target))) ** gamma
        if alpha is not None:
            loss = loss * (alpha * target + (1 - alpha) * (1 - target))
        agree(lk.focal_loss(np.rint(P), logits=X, gamma=gamma, alpha=alpha), loss.mean())
