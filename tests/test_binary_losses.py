"""Binary cross entropy and the focal loss: every option against a textbook formula in exact numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pytest

import logitkit as lk
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.cases import DTYPES, Case, Draw, log_probs, logits, probs, refuses, weights, yes_or_no
from tests.contracts import Elementwise
from tests.gathered import each
from tests.loss_contracts import (
    INF,
    NAN,
    REDUCTIONS,
    Differentiated,
    Loss,
    PlainMean,
    central_difference,
    floats,
    value,
)

X = np.array([-700.0, -30.0, -2.5, -0.125, 0.0, 0.5, 3.0, 30.0, 700.0])


Y = np.array([0.0, 0.25, 0.5, 0.9, 1.0])


BINARY_OPTIONS = [{"weight": w, "pos_weight": a} for w in (None, 0.75) for a in (None, 0.0, 1.0, 3.5)]


def expected_binary(y: Any, x: Any, weight: float | None = None, pos_weight: float | None = None) -> Any:
    w, a = (oracle.number(1) if v is None else oracle.number(v) for v in (weight, pos_weight))
    p = oracle.expit(x)
    return w * (-a * y * oracle.log(p) - (1 - y) * oracle.log(1 - p))


def binary_cases(call: Callable[..., Any], scales: dict[str, Draw]) -> dict[str, Case]:
    call, cases = partial(call, reduction="none"), {}
    for scale, draw in scales.items():
        hard, soft = {"target": yes_or_no, scale: draw}, {"target": probs, scale: draw}
        cases[f"hard, {scale}"] = Case(call, hard)
        cases[f"soft, {scale}"] = Case(call, soft)
        cases[f"soft, {scale}, weights"] = Case(call, soft | {"weight": weights, "pos_weight": weights})
    return cases


class BinaryLoss(Loss, PlainMean, Elementwise):
    """What the loss alone and the loss with its gradient have in common."""

    function: ClassVar[Callable[..., Any]]

    def value(self, *args: Any, **options: Any) -> Any:
        return value(type(self).function(*args, **options))

    @each(options=BINARY_OPTIONS)
    def test_every_option_is_the_textbook_formula(self, options: dict[str, Any]) -> None:
        x, y = (a.ravel() for a in np.meshgrid(X, Y))
        got = self.value(y, logits=x, reduction="none", **options)
        expected = [expected_binary(b, a, **options) for b, a in zip(oracle.exact(y), oracle.exact(x), strict=True)]
        np.testing.assert_allclose(got, floats(expected), rtol=1e-15)

    def test_without_a_word_the_mean_is_returned(self) -> None:
        y = np.linspace(0, 1, len(X))
        assert self.value(y, logits=X) == self.value(y, logits=X, reduction="mean")

    def test_mean_counts_elements_not_weights(self) -> None:
        assert self.value([1.0, 1.0], logits=[0.0, 0.0], weight=[3.0, 0.0]) == pytest.approx(1.5 * np.log(2), rel=1e-15)

    @each(shape=[(), (1,), (3,), (1, 3), (2, 1), (2, 3)], name=["weight", "pos_weight"])
    def test_weights_broadcast_to_the_prediction(self, name: str, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        y, x, w = rng.uniform(size=(2, 3)), rng.normal(size=(2, 3)), rng.uniform(size=shape)
        got = self.value(y, logits=x, reduction="none", **{name: w})
        full = np.broadcast_to(w, (2, 3))
        expected = [
            self.value(*a[:1], logits=a[1], **{name: a[2]}) for a in zip(y.flat, x.flat, full.flat, strict=True)
        ]
        np.testing.assert_array_equal(got.ravel(), expected)

    @each(shape=[(2,), (3, 2), (1, 2, 3), (2, 3, 1), (0,)], name=["weight", "pos_weight"])
    def test_weights_never_make_the_prediction_larger(self, name: str, shape: tuple[int, ...]) -> None:
        message = f"{name} must broadcast to the shape of the prediction, (2, 3), but has {shape}"
        given = {"logits": np.zeros((2, 3)), name: np.ones(shape)}
        with refuses(ValueError, message):
            self.value(np.zeros((2, 3)), **given)

    @each(bad=[-1.0, NAN, INF, 1e101], name=["weight", "pos_weight"])
    def test_weight_that_weighs_nothing_sensible_is_shown(self, name: str, bad: float) -> None:
        message = f"{name} must lie in [0, 1e+100], but {name}[1] is {bad}"
        given = {"logits": [0.0, 1.0], name: [1.0, bad]}
        with refuses(ValueError, message, "relative importance"):
            self.value([0, 1], **given)

    @each(bad=[2.0, -1.0, 1.0625, INF])
    def test_target_that_is_no_probability_is_shown(self, bad: float) -> None:
        message = f"target must lie in [0, 1], but target[1] is {bad}"
        hint = "it is the probability of the positive class, not a label of -1 or 2, nor a logit"
        with refuses(ValueError, message, hint):
            self.value([0, bad, -7], logits=[0.0, 1.0, 2.0])

    @each(shape=[(), (1,), (2, 1), (1, 2), (3,)])
    def test_target_of_another_shape_is_never_broadcast(self, shape: tuple[int, ...]) -> None:
        message = f"target must have the shape of the prediction, (2,), but has {shape}"
        with refuses(ValueError, message):
            self.value(np.zeros(shape), logits=[0.0, 1.0])

    def test_infinite_logits_are_certain_yes_and_no(self) -> None:
        got = self.value([0, 1, 0.5, 0, 1, 0.5], logits=[INF] * 3 + [-INF] * 3, reduction="none")
        assert got.tolist() == [INF, 0, INF, 0, INF, INF]

    def test_nothing_times_infinity_counts_as_nothing(self) -> None:
        assert self.value(1, logits=-INF, pos_weight=0) == 0
        assert self.value(1, logits=-INF, weight=0) == 0
        assert self.value(0, logits=INF, weight=0) == 0
        assert np.isnan(self.value(NAN, logits=0.0, weight=0))

    @each(dtype=DTYPES)
    def test_loss_keeps_its_digits_when_the_network_is_sure(self, dtype: type) -> None:
        for size in (8.0, 10.0, 17.0, 30.0, 90.0, 700.0):
            expected = dtype(float(oracle.softplus(-oracle.exact(size)[0])))
            for y, x in ((1, dtype(size)), (0, dtype(-size))):
                assert self.value(y, logits=x) == pytest.approx(expected, rel=4e-16, abs=0)


class TestBinaryCrossEntropy(BinaryLoss):
    function = staticmethod(lk.binary_cross_entropy)
    cases: ClassVar = binary_cases(lk.binary_cross_entropy, {"logits": logits, "probs": probs, "log_probs": log_probs})

    @each(p=[1e-300, 0.1, 0.5, 0.75, 1 - 2.0**-53], options=BINARY_OPTIONS)
    def test_scale_of_the_prediction_does_not_show(self, p: float, options: dict[str, Any]) -> None:
        exact = oracle.number(p)
        for y in Y:
            expected = float(expected_binary(oracle.number(float(y)), oracle.logit(exact), **options))
            # A log-probability near 0, and a logit far from it, hold p only as well as they are rounded.
            assert lk.binary_cross_entropy(y, probs=p, **options) == pytest.approx(expected, rel=4e-16, abs=0)
            if p < 0.9:
                log_p, x = float(oracle.log(exact)), float(oracle.logit(exact))
                assert lk.binary_cross_entropy(y, log_probs=log_p, **options) == pytest.approx(
                    expected, rel=1e-12, abs=0
                )
                assert lk.binary_cross_entropy(y, logits=x, **options) == pytest.approx(expected, rel=1e-12, abs=0)

    def test_probabilities_of_zero_and_one_have_their_limits(self) -> None:
        for sure, never in (({"probs": 1.0}, {"probs": 0.0}), ({"log_probs": 0.0}, {"log_probs": -INF})):
            assert [lk.binary_cross_entropy(y, **sure) for y in (0, 0.5, 1)] == [INF, INF, 0]
            assert [lk.binary_cross_entropy(y, **never) for y in (0, 0.5, 1)] == [0, INF, INF]

    def test_no_loss_of_probabilities_is_negative_zero(self) -> None:
        for y, given in product((0, 1), ({"probs": float}, {"log_probs": lambda y: 0.0 if y else -INF})):
            ((name, to_scale),) = given.items()
            assert not np.signbit(lk.binary_cross_entropy(y, **{name: to_scale(y)}, reduction="none"))

    def test_what_is_no_probability_is_shown(self) -> None:
        hint = "did you pass logits? expit turns log-odds into probabilities"
        with refuses(ValueError, "probs must lie in [0, 1], but probs[1] is 1.5", hint):
            lk.binary_cross_entropy([0, 1], probs=[0.5, 1.5])
        hint = "did you pass logits? log_expit turns them into log-probabilities"
        with refuses(ValueError, "log_probs must be at most 0, but log_probs[1] is 1.5", hint):
            lk.binary_cross_entropy([0, 1], log_probs=[-0.5, 1.5])


class TestBinaryCrossEntropyValueAndGrad(Differentiated, BinaryLoss):
    function = staticmethod(lk.binary_cross_entropy_value_and_grad)
    loss = staticmethod(lk.binary_cross_entropy)
    cases: ClassVar = binary_cases(lk.binary_cross_entropy_value_and_grad, {"logits": logits})

    @each(options=BINARY_OPTIONS, reduction=REDUCTIONS)
    def test_gradient_is_the_derivative_of_the_value(self, options: dict[str, Any], reduction: str) -> None:
        x, y = (a.ravel() for a in np.meshgrid(X[1:-1], Y))
        divisor = len(x) if reduction == "mean" else 1
        _, got = lk.binary_cross_entropy_value_and_grad(y, logits=x, reduction=reduction, **options)
        expected = [
            central_difference(lambda x, b=b: expected_binary(b, x[0], **options) / divisor, [a], 0)
            for b, a in zip(oracle.exact(y), oracle.exact(x), strict=True)
        ]
        np.testing.assert_allclose(got, expected, rtol=1e-14, atol=1e-150)

    def test_infinite_logits_have_the_gradient_of_their_limit(self) -> None:
        _, grad = lk.binary_cross_entropy_value_and_grad(
            [0, 1, 0.25, 0, 1, 0.25], logits=[INF] * 3 + [-INF] * 3, reduction="none"
        )
        assert grad.tolist() == [1, 0, 0.75, 0, -1, -0.25]

    def test_gradient_of_a_no_is_within_two_units_where_a_quotient_alone_is_not(self) -> None:
        # Of some millions the worst for the plain quotient, and for one whose correction is too large.
        x = np.array([-4.8512553047943054, -3.4637133031753997, -0.24441126552526493, -0.2851004133717504])
        _, grad = lk.binary_cross_entropy_value_and_grad(np.zeros(4), logits=x, reduction="none")
        assert (oracle.ulps(grad, [oracle.expit(x) for x in oracle.exact(x)]) < 2).all()

    @each(dtype=DTYPES)
    def test_sure_yes_and_sure_no_still_learn(self, dtype: type) -> None:
        for size in (8.0, 10.0, 17.0, 30.0, 90.0, 700.0):
            expected = dtype(float(oracle.expit(-oracle.exact(size)[0])))
            for y, x, sign in ((1, dtype(size), -1), (0, dtype(-size), 1)):
                assert lk.binary_cross_entropy_value_and_grad(y, logits=x)[1] == pytest.approx(
                    sign * expected, rel=4e-16, abs=0
                )

    def test_difference_of_prediction_and_soft_target_keeps_its_digits(self) -> None:
        x = np.array([-700.0, -3.0, -0.3, 0.0, 1.5, 20.0])
        y = lk.expit(x)
        _, got = lk.binary_cross_entropy_value_and_grad(y, logits=x, reduction="none")
        expected = [
            oracle.binary_cross_entropy_grad(b, a) for b, a in zip(oracle.exact(y), oracle.exact(x), strict=True)
        ]
        np.testing.assert_allclose(got, floats(expected), rtol=1e-13, atol=1e-320)


class TestFocalLoss(Loss, PlainMean, Elementwise):
    cases: ClassVar = {
        "plain": Case(partial(lk.focal_loss, reduction="none"), {"target": yes_or_no, "logits": logits}),
        "alpha, gamma": Case(
            partial(lk.focal_loss, gamma=0.5, alpha=0.25, reduction="none"), {"target": yes_or_no, "logits": logits}
        ),
    }

    @each(gamma=[0.0, 0.5, 1.0, 2.0, 5.0], alpha=[None, 0.0, 0.25, 1.0])
    def test_formula_of_the_paper(self, gamma: float, alpha: float | None) -> None:
        x = np.array([-150.0, -30.0, -2.5, -0.125, 0.0, 0.5, 3.0, 30.0, 140.0])
        for y in (0, 1):
            expected = []
            for a in oracle.exact(x):
                p = oracle.expit(a)
                p_t = p if y == 1 else 1 - p
                alpha_t = 1 if alpha is None else oracle.number(alpha) if y == 1 else 1 - oracle.number(alpha)
                expected.append(-alpha_t * (1 - p_t) ** oracle.number(gamma) * oracle.log(p_t))
            got = lk.focal_loss(np.full_like(x, y), logits=x, gamma=gamma, alpha=alpha, reduction="none")
            np.testing.assert_allclose(got, floats(expected), rtol=4e-15)

    def test_defaults_are_those_of_the_paper_without_its_weights(self) -> None:
        assert lk.focal_loss([0, 1], logits=[2.0, 3.0]) == lk.focal_loss([0, 1], logits=[2.0, 3.0], gamma=2, alpha=None)

    def test_without_focus_it_is_the_binary_cross_entropy(self) -> None:
        y = np.arange(len(X)) % 2
        got, expected = (
            lk.focal_loss(y, logits=X, gamma=0, reduction="none"),
            lk.binary_cross_entropy(y, logits=X, reduction="none"),
        )
        np.testing.assert_allclose(got, expected, rtol=1e-15)

    def test_infinite_logits_have_their_limits(self) -> None:
        assert lk.focal_loss([0, 1, 0, 1], logits=[INF, INF, -INF, -INF], reduction="none").tolist() == [INF, 0, 0, INF]
        for y, x, alpha in ((1, -INF, 0.0), (0, INF, 1.0)):
            assert lk.focal_loss(y, logits=x, alpha=alpha) == 0

    def test_soft_target_is_refused(self) -> None:
        message, hint = "target must be 0 or 1, but target[1] is 0.5", "the focal loss is not defined for soft targets"
        with refuses(ValueError, message, hint):
            lk.focal_loss([0, 0.5, 2], logits=[0.0, 1.0, 2.0])

    @each(shape=[(), (1,), (2, 1), (3,)])
    def test_target_of_another_shape_is_never_broadcast(self, shape: tuple[int, ...]) -> None:
        message = f"target must have the shape of logits, (2,), but has {shape}"
        with refuses(ValueError, message):
            lk.focal_loss(np.zeros(shape), logits=[0.0, 1.0])

    def test_gamma_and_alpha_out_of_range_are_shown(self) -> None:
        for bad in (-0.5, NAN):
            message = f"gamma must be at least 0, but gamma is {bad}"
            with refuses(ValueError, message, "exponent of 1 - p"):
                lk.focal_loss(0, logits=0.0, gamma=bad)
        for bad in (-0.5, 1.5, NAN):
            message = f"alpha must lie in [0, 1], but alpha is {bad}"
            with refuses(ValueError, message, "share of the whole"):
                lk.focal_loss(0, logits=0.0, alpha=bad)
        for name in ("gamma", "alpha"):
            message = f"{name} must be one number, but has shape (2,)"
            with refuses(TypeError, message):
                lk.focal_loss([0, 1], logits=[0.0, 1.0], **{name: [0.5, 0.5]})

    @each(dtype=[np.float16, np.float32])
    def test_alpha_keeps_its_value_whatever_its_dtype(self, dtype: type) -> None:
        got, expected = (lk.focal_loss(0, logits=1.0, alpha=a) for a in (dtype(0.1), float(dtype(0.1))))
        assert got == expected
