"""SciPy and PyTorch: the same results where they are right, and the right ones where they are not.

A failure of a peer is asserted beside our value, so that a version that mends it is noticed; the book's sentence about
it must then go. The values were seen on scipy 1.17.1 and torch 2.13.0.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import numpy.typing as npt
import pytest
import scipy.special
import scipy.stats
import torch
import torch.nn.functional as F

import logitkit as lk
from tests import oracle

Array = npt.NDArray[Any]

INF = np.inf
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
    """Moderate numbers, on which everybody is right."""

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

    @pytest.mark.parametrize("axis", [0, 1, 2, -1])
    def test_simplex(self, axis: int) -> None:
        z = RNG.normal(0, 2, (3, 4, 5))
        for name in ("softmax", "log_softmax", "logsumexp"):
            agree(getattr(lk, name)(z, axis=axis), getattr(scipy.special, name)(z, axis=axis))
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


def f32(*values: float) -> Array:
    return np.array(values, dtype=np.float32)


def is_exact(got: Any, expected: Any, digits: float) -> None:
    """The value agrees with an exact one to the digits of its dtype."""
    assert float(got) == pytest.approx(float(expected), rel=digits, abs=0)


class TestWhatPeersLose:
    """Our value against mpmath, and the peer's as it stands."""

    def test_loss_of_a_sure_class(self) -> None:
        z = f32(17, 0)
        is_exact(lk.cross_entropy(0, logits=z), oracle.cross_entropy([1, 0], oracle.exact(z)), 6e-8)
        assert F.cross_entropy(tensor(z), torch.tensor(0)) == 0

    def test_loss_of_a_rather_sure_class(self) -> None:
        z = f32(15, 0)
        true = float(oracle.cross_entropy([1, 0], oracle.exact(z)))
        is_exact(lk.cross_entropy(0, logits=z), true, 6e-8)
        assert abs(float(F.cross_entropy(tensor(z), torch.tensor(0))) / true - 1) > 0.1

    def test_gradient_of_a_sure_class(self) -> None:
        z = f32(17, 0)
        _, grad = lk.cross_entropy_value_and_grad(0, logits=z)
        for got, true in zip(grad, oracle.cross_entropy_grad([1, 0], oracle.exact(z)), strict=True):
            is_exact(got, true, 6e-8)
        assert grad.sum() == 0
        _, theirs = torch_value_and_grad(F.cross_entropy, z, torch.tensor(0))
        assert theirs[0] == 0
        assert theirs[1] > 4e-8

    def test_loss_of_a_confident_no(self) -> None:
        is_exact(lk.binary_cross_entropy(0, logits=f32(-30)[0]), oracle.softplus(mp.mpf(-30)), 6e-8)
        is_exact(lk.binary_cross_entropy(1, logits=f32(30)[0]), oracle.softplus(mp.mpf(-30)), 6e-8)
        loss = F.binary_cross_entropy_with_logits
        assert loss(tensor(f32(-30)), tensor(f32(0))) == 0
        assert loss(tensor(f32(30)), tensor(f32(1))) > 9e-14

    def test_gradient_of_a_confident_yes(self) -> None:
        _, grad = lk.binary_cross_entropy_value_and_grad(1, logits=f32(30)[0])
        is_exact(grad, oracle.binary_cross_entropy_grad(1, mp.mpf(30)), 6e-8)
        _, theirs = torch_value_and_grad(F.binary_cross_entropy_with_logits, f32(30), tensor(f32(1)))
        assert theirs == 0

    @pytest.mark.parametrize(("x", "y", "limit"), [(INF, 1, 0), (-INF, 0, 0), (-INF, 1, INF)])
    def test_loss_of_a_certain_answer(self, x: float, y: float, limit: float) -> None:
        assert lk.binary_cross_entropy(y, logits=x) == limit
        assert torch.isnan(F.binary_cross_entropy_with_logits(tensor(f32(x)), tensor(f32(y))))

    def test_mistake_of_a_target_that_is_no_probability(self) -> None:
        with pytest.raises(ValueError, match="target must lie in"):
            lk.binary_cross_entropy(2, logits=2.0)
        assert F.binary_cross_entropy_with_logits(torch.tensor(2.0), torch.tensor(2.0)) < 0

    def test_loss_beyond_100(self) -> None:
        is_exact(lk.binary_cross_entropy(1, logits=f32(-200)[0]), oracle.softplus(mp.mpf(200)), 6e-8)
        p = torch.sigmoid(torch.tensor(-200.0)).requires_grad_()
        loss = F.binary_cross_entropy(p, torch.tensor(1.0))
        assert loss == 100
        x = torch.tensor(-200.0, requires_grad=True)
        F.binary_cross_entropy(torch.sigmoid(x), torch.tensor(1.0)).backward()
        assert x.grad == 0
        assert lk.binary_cross_entropy_value_and_grad(1, logits=f32(-200)[0])[1] == -1

    def test_tail_of_softplus(self) -> None:
        is_exact(lk.softplus(20.5), oracle.softplus(mp.mpf(20.5)), 2e-16)
        assert F.softplus(torch.tensor(20.5, dtype=torch.float64)) == 20.5

    def test_log_odds_near_one_half(self) -> None:
        p = f32(0.4999999)
        (true,) = (oracle.logit(v) for v in oracle.exact(p))
        is_exact(lk.logit(p)[0], true, 6e-8)
        assert abs(float(torch.logit(tensor(p))) / float(true) - 1) > 0.1

    def test_loss_with_a_masked_class(self) -> None:
        z, target = [0.0, -INF, 1.0], [0.3, 0.0, 0.7]
        true = oracle.cross_entropy(oracle.exact(target), oracle.exact(z))
        is_exact(lk.cross_entropy(target, logits=z), true, 2e-15)
        assert torch.isnan(F.cross_entropy(tensor(z), tensor(target)))

    def test_divergence_with_a_masked_class(self) -> None:
        log_t, log_p = (lk.log_softmax([a, -INF, 1.0]) for a in (0.0, 0.5))
        true = oracle.kl_divergence(*([mp.exp(v) for v in oracle.exact(a)] for a in (log_t, log_p)))
        is_exact(lk.kl_divergence(target_log_probs=log_t, log_probs=log_p), true, 1e-14)
        assert torch.isnan(F.kl_div(tensor(log_p), tensor(log_t), log_target=True, reduction="sum"))

    def test_one_meaning_of_weights_and_label_smoothing(self) -> None:
        z, weight, label = Z[:2], 10 * WEIGHT, LABELS[:2]
        options = {"logits": z, "weight": weight, "label_smoothing": 0.1}
        one_hot = np.eye(5)[label]
        assert lk.cross_entropy(label, **options) == pytest.approx(lk.cross_entropy(one_hot, **options), rel=1e-15)
        theirs = [
            F.cross_entropy(tensor(z), t, weight=tensor(weight), label_smoothing=0.1)
            for t in (tensor(label), tensor(one_hot))
        ]
        assert theirs[1] > 2 * theirs[0]

    def test_probabilities_of_integer_logits(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for z, theirs in (([0, 255], np.uint8), ([-100, 100], np.int8)):
                got = lk.softmax(np.array(z, dtype=theirs))
                for g, true in zip(got, oracle.softmax(oracle.exact(z)), strict=True):
                    is_exact(g, true, 1e-15)
                assert not np.allclose(scipy.special.softmax(np.array(z, dtype=theirs)), got, rtol=0, atol=0.1)

    def test_probability_of_a_certain_class(self) -> None:
        assert lk.softmax([INF, 0.0]).tolist() == [1, 0]
        with np.errstate(invalid="ignore"):
            assert np.isnan(scipy.special.softmax([INF, 0.0])).any()
        assert torch.softmax(tensor([INF, 0.0]), -1).isnan().any()

    def test_log_of_a_sum_of_many_in_half_precision(self) -> None:
        z = np.zeros(70_000, np.float16)
        assert lk.logsumexp(z) == np.float16(float(mp.log(70_000)))
        with np.errstate(over="ignore"):
            assert scipy.special.logsumexp(z) == INF
        assert torch.logsumexp(tensor(z), -1) == INF

    def test_difference_formed_after_rounding(self) -> None:
        z = f32(10_000, 9999)
        is_exact(lk.cross_entropy(0, logits=z), oracle.cross_entropy([1, 0], oracle.exact(z)), 6e-8)
        late = lk.logsumexp(z) - z[0]
        assert float(late) == pytest.approx(0.313477, abs=1e-6)
        assert float(torch.logsumexp(tensor(z), -1) - z[0]) == pytest.approx(0.313477, abs=1e-6)

    def test_smallest_probabilities(self) -> None:
        for x, dtype in ((f32(-100), np.float32), (np.array([-740.0]), np.float64)):
            (true,) = (oracle.expit(v) for v in oracle.exact(x))
            assert lk.expit(x)[0] == dtype(float(true)) > 0
            assert scipy.special.expit(x)[0] == 0
            assert torch.sigmoid(tensor(x))[0] == 0

    def test_log_probability_of_a_sure_class(self) -> None:
        z = np.array([40.0, 0.0])
        is_exact(lk.log_softmax(z)[0], oracle.log_softmax(oracle.exact(z))[0], 2e-16)
        assert scipy.special.log_softmax(z)[0] == 0
        assert torch.log_softmax(tensor(z), -1)[0] == 0

    def test_logsumexp_of_log_probabilities(self) -> None:
        z = np.log([0.5, 0.3, 0.2])
        true = oracle.logsumexp(oracle.exact(z))
        assert 0 < abs(true) < 1e-15
        is_exact(lk.logsumexp(z), true, 1e-12)
        for theirs in (scipy.special.logsumexp(z), torch.logsumexp(tensor(z), -1)):
            assert abs(float(theirs) / float(true) - 1) > 0.1

    def test_probabilities_far_from_zero(self) -> None:
        z = np.array([600.1, -40.3, 599.7])
        true = oracle.softmax(oracle.exact(z))
        for got, t in zip(lk.softmax(z), true, strict=True):
            is_exact(got, t, 1.4e-15)
        worst = max(abs(float(s) / float(t) - 1) for s, t in zip(scipy.special.softmax(z), true, strict=True))
        assert worst > 1e-14
