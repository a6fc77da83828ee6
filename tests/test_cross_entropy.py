"""Cross entropy on every scale, among many rivals and with weights of any size."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import logitkit as lk
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.cases import class_log_probs, class_probs, logits, refuses, same
from tests.class_loss_contracts import OPTIONS, ClassLoss, class_cases, expected_cross_entropy
from tests.gathered import each
from tests.loss_contracts import INF, NAN, REDUCTIONS, Z, floats, on_scale


class TestCrossEntropy(ClassLoss):
    function = staticmethod(lk.cross_entropy)
    cases: ClassVar = class_cases(
        lk.cross_entropy, {"logits": logits, "probs": class_probs, "log_probs": class_log_probs}
    )

    @each(scale=["probs", "log_probs"], options=OPTIONS, reduction=REDUCTIONS)
    def test_scale_of_the_prediction_does_not_show(self, scale: str, options: dict[str, Any], reduction: str) -> None:
        z = Z - Z.mean(axis=1, keepdims=True)
        z[2] /= 4  # a probability of 1 - 1e-13 could not be stored with its digits
        got = lk.cross_entropy(**options, **{scale: on_scale(z, scale)}, reduction=reduction)
        expected = expected_cross_entropy([oracle.exact(row) for row in z], reduction=reduction, **options)
        np.testing.assert_allclose(got, floats(expected), rtol=1e-12)

    def test_probability_of_zero_counts_for_nothing_unless_the_target_wants_it(self) -> None:
        for given in ({"probs": [0.25, 0.0, 0.75]}, {"log_probs": [np.log(0.25), -INF, np.log(0.75)]}):
            assert lk.cross_entropy(0, **given) == pytest.approx(np.log(4), rel=1e-15)
            assert lk.cross_entropy(1, **given) == INF
            assert np.isfinite(lk.cross_entropy([0.5, 0.0, 0.5], **given))
            assert lk.cross_entropy([0.5, 0.25, 0.25], **given) == INF

    def test_probability_of_one_is_free(self) -> None:
        for given in ({"probs": [1.0, 0.0]}, {"log_probs": [0.0, -INF]}, {"probs": [1, 0]}):
            assert lk.cross_entropy(0, **given) == 0
            assert lk.cross_entropy([1, 0], **given) == 0

    @each(scale=["probs", "log_probs"])
    def test_nan_in_a_row_is_never_passed_over(self, scale: str) -> None:
        for target in (0, 2, [1.0, 0.0, 0.0]):
            assert np.isnan(
                lk.cross_entropy(target, **{scale: [-0.5, -1.0, NAN] if scale == "log_probs" else [0.5, 0.5, NAN]})
            )

    def test_what_is_no_probability_is_shown(self) -> None:
        hint = "did you pass logits? softmax turns them into probabilities"
        with refuses(ValueError, "probs must lie in [0, 1], but probs[1, 0] is 2.0", hint):
            lk.cross_entropy([0, 0], probs=[[0.5, 0.5], [2.0, -1.0]])
        rule, hint = "the sum of probs must be 1 in each row", "are these independent (sigmoid) outputs?"
        with refuses(ValueError, rule, "the sum of probs[1] is 1.5", hint):
            lk.cross_entropy([0, 0], probs=[[0.5, 0.5], [0.75, 0.75]])

    def test_what_is_no_log_probability_is_shown(self) -> None:
        hint = "did you pass logits? log_softmax turns them into log-probabilities"
        with refuses(ValueError, "log_probs must be at most 0, but log_probs[1, 0] is 2.0", hint):
            lk.cross_entropy([0, 0], log_probs=[[0.0, -800.0], [2.0, -1.0]])
        rule = "the sum of exp(log_probs) must be 1 in each row"
        with refuses(ValueError, rule, "the sum of exp(log_probs)[1] is 2.0", hint):
            lk.cross_entropy([0, 0], log_probs=[[0.0, -800.0], [0.0, 0.0]])


class TestLogitsFarApart:
    """Two logits may be further apart than the largest number, and their loss be a number all the same."""

    ROWS: ClassVar = [([0.0, 1.7e308, -1.7e308], [0.9, 0.05, 0.05]), ([1.7e308, -1.7e308, 2.0], [1.0, 1e-300, 0.0])]

    @pytest.mark.parametrize(("row", "target"), ROWS)
    def test_under_a_distribution(self, row: list[float], target: list[float]) -> None:
        exact = float(oracle.cross_entropy(oracle.exact(np.array(target)), oracle.exact(np.array(row))))
        for loss in (
            lk.cross_entropy(target, logits=row),
            lk.cross_entropy_value_and_grad(target, logits=row)[0],
            lk.kl_divergence(target_probs=target, logits=row),  # the entropy is lost beside the loss
        ):
            assert loss == pytest.approx(exact, rel=1e-15)
        # One row says nothing about another.
        losses = lk.cross_entropy([target, [0.0, 0.0, 1.0]], logits=[row, [0.0, 0.0, 40.0]], reduction="none")
        assert losses[1] == lk.cross_entropy([0.0, 0.0, 1.0], logits=[0.0, 0.0, 40.0])

    def test_under_a_smoothed_class(self) -> None:
        row = np.array([0.0, 1.7e308, -1.7e308])
        exact = oracle.cross_entropy(oracle.smoothed(oracle.one_hot(0, 3), 0.1), oracle.exact(row))
        for loss in (
            lk.cross_entropy(0, logits=row, label_smoothing=0.1),
            lk.cross_entropy_value_and_grad(0, logits=row, label_smoothing=0.1)[0],
        ):
            assert loss == pytest.approx(float(exact), rel=1e-15)

    def test_masked_class_with_a_share_is_still_impossible(self) -> None:
        assert lk.cross_entropy([0.5, 0.5], logits=[0.0, -INF]) == INF
        assert lk.kl_divergence(target_probs=[0.5, 0.5], logits=[0.0, -INF]) == INF


class TestFaintRivals:
    """Rivals that have few digits left, or none, one by one, may have many together."""

    ROWS: ClassVar = [(-742.3, 5000), (-744.0, 40_000), (-745.5, 5000), (-755.0, 100_000), (-665.5, 3), (-708.0, 30)]

    @pytest.mark.parametrize(("margin", "rivals"), ROWS)
    def test_count_by_their_sum(self, margin: float, rivals: int) -> None:
        z = np.append(np.full(rivals, margin), 0.0)
        rest = rivals * oracle.exp(margin)
        value, grad = lk.cross_entropy_value_and_grad(rivals, logits=z)
        _, soft = lk.cross_entropy_value_and_grad(np.eye(1, rivals + 1, rivals)[0], logits=z)
        for got in (value, -grad[-1], -soft[-1], -lk.log_softmax(z)[-1]):
            assert oracle.ulps(got, [rest])[0] <= 2

    def test_are_told_from_masked_ones_and_from_none(self) -> None:
        z = np.array([[0.0, -750.0, -INF], [0.0, -INF, -INF], [0.0, -1e300, -3000.0], [-750.0, -1500.0, -INF]])
        assert lk.cross_entropy([0, 0, 0, 0], logits=z, reduction="none").tolist() == [0.0, 0.0, 0.0, 0.0]
        assert lk.logsumexp(np.full((2, 3), -INF)).tolist() == [-INF, -INF]

    def test_are_free_of_the_rounding_of_their_margin(self) -> None:
        # Next to 700 it is worth hundreds of units in the last place of each exponential.
        z = np.append(np.linspace(-45, -0.1, 300), 700.3)
        exact = oracle.cross_entropy(oracle.one_hot(300, 301), oracle.exact(z))
        assert oracle.ulps(lk.cross_entropy(300, logits=z), [exact])[0] <= 2


class TestScaleOfClassWeights:
    @each(target=[[0, 2], [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]], scale=[2.0**-1074, 2.0**-1022, 2.0**-600, 2.0**330])
    def test_is_not_seen_by_a_mean(self, target: Any, scale: float) -> None:
        # The second row is so sure that its loss has few digits left when it is multiplied by a small weight.
        z, plain = np.array([[1.0, 2.0, -1.0], [-500.0, -300.0, 400.0]]), np.array([1.0, 2.0, 3.0])
        for smoothing in (0.0, 0.25):
            expected = lk.cross_entropy_value_and_grad(target, logits=z, weight=plain, label_smoothing=smoothing)
            got = lk.cross_entropy_value_and_grad(target, logits=z, weight=plain * scale, label_smoothing=smoothing)
            same(tuple(map(np.asarray, got)), tuple(map(np.asarray, expected)))
