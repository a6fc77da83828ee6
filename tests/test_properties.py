"""What holds for all inputs, tried on many: inverses, invariances, the five identities, signs and scales."""

from __future__ import annotations

from collections.abc import Callable
from math import fsum

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

import logitkit as lk
from logitkit import kernels
from tests.cases import DTYPES, Array
from tests.gathered import each
from tests.strategies import (
    EPS,
    any_number,
    close,
    dyadic,
    number,
    on_both,
    row_and_class,
    row_and_distribution,
    row_and_order,
    rows,
)

INF = np.inf


class TestInverses:
    @given(st.floats(0, 1, exclude_min=True, exclude_max=True))
    @on_both
    def test_expit_undoes_logit(self, p: float) -> None:
        log_odds = lk.logit(p)
        close(lk.expit(log_odds), p, EPS * (3 + 2 * abs(log_odds) * (1 - p)))

    @given(st.floats(-700, 30))
    @on_both
    def test_logit_undoes_expit(self, x: float) -> None:
        # Above 30 a probability is too near one to hold its log-odds.
        close(lk.logit(lk.expit(x)), x, 3 * EPS, 3 * EPS * (1 + np.exp(x)))

    @given(st.floats(-700, 30))
    @on_both
    def test_odds_are_the_exponential_of_the_log_odds(self, x: float) -> None:
        close(lk.odds(lk.expit(x)), np.exp(x), EPS * (6 + 3 * np.exp(x)))

    @given(number)
    @on_both
    def test_log1mexp_leads_from_one_side_to_the_other(self, x: float) -> None:
        close(lk.log1mexp(lk.log_expit(x)), lk.log_expit(-x), EPS * (5 + 2 * abs(x)))

    @given(number)
    @on_both
    def test_log_expit_is_the_log_of_expit(self, x: float) -> None:
        assume(x < 30)
        close(lk.log_expit(x), np.log(lk.expit(x)), 3 * EPS, 3 * EPS)

    @given(rows(st.floats(-300, 300)))
    @on_both
    def test_probabilities_and_centred_logits_are_one_thing(self, z: Array) -> None:
        p = lk.softmax(z)
        size = np.abs(np.log(p)).max()
        close(lk.logits_from_probs(p), lk.center(z), 0, EPS * (10 + 4 * size))
        close(lk.softmax(lk.logits_from_probs(p)), p, EPS * (20 + 4 * size))
        close(lk.softmax(lk.center(z)), p, EPS * (20 + 4 * np.abs(z).max()))

    @given(rows(dyadic))
    @on_both
    def test_centred_logits_have_mean_zero(self, z: Array) -> None:
        assert abs(fsum(lk.center(z))) <= 3 * EPS * np.abs(lk.center(z)).sum()
        close(lk.center(lk.center(z)), lk.center(z), 0, 6 * EPS * np.abs(z).max())


class TestSymmetry:
    @given(number)
    @on_both
    def test_yes_and_no_change_places_with_the_sign(self, x: float) -> None:
        close(lk.expit(x) + lk.expit(-x), 1, 2 * EPS)
        assert lk.log_expit(x) == -lk.softplus(-x)
        close(lk.softplus(x) - lk.softplus(-x), x, 0, 2 * EPS * (1 + abs(x)))

    @given(st.integers(1, 2**53 - 1).map(lambda k: k / 2.0**53))
    @on_both
    def test_log_odds_against_are_minus_those_in_favour(self, p: float) -> None:
        close(lk.logit(1 - p), -lk.logit(p), 4 * EPS)

    @given(number, st.floats(0, 1))
    @on_both
    def test_binary_loss_does_not_know_which_side_is_yes(self, x: float, y: float) -> None:
        assume(1 - (1 - y) == y)
        (loss, grad), (mirrored, mirrored_grad) = (
            lk.binary_cross_entropy_value_and_grad(target, logits=logit) for target, logit in ((y, x), (1 - y, -x))
        )
        close(loss, mirrored, 5 * EPS)
        close(grad, -mirrored_grad, 4 * EPS, 2.0**-100)


ROW_FUNCTIONS = [lk.softmax, lk.log_softmax, lk.class_log_odds, lk.center]


class TestInvariance:
    @given(z=rows(dyadic), shift=st.integers(-(2**30), 2**30))
    @on_both
    @each(function=ROW_FUNCTIONS)
    def test_constant_added_to_a_row_is_forgotten(self, function: Callable[..., Array], z: Array, shift: int) -> None:
        np.testing.assert_array_equal(function(z + shift), function(z))

    @given(rows(dyadic), st.integers(-(2**30), 2**30))
    @on_both
    def test_logsumexp_moves_along_with_the_row(self, z: Array, shift: int) -> None:
        total = lk.logsumexp(z)
        close(lk.logsumexp(z + shift), total + shift, 2 * EPS, EPS * (3 + abs(total)))

    @given(row_and_class(dyadic), st.integers(-(2**30), 2**30))
    @on_both
    def test_loss_and_gradient_forget_the_constant_too(self, row: tuple[Array, int], shift: int) -> None:
        z, label = row
        (loss, grad), (moved, moved_grad) = (lk.cross_entropy_value_and_grad(label, logits=v) for v in (z, z + shift))
        assert loss == moved
        np.testing.assert_array_equal(grad, moved_grad)

    @given(row=row_and_order())
    @on_both
    @each(function=ROW_FUNCTIONS)
    def test_order_of_the_classes_does_not_matter(
        self, function: Callable[..., Array], row: tuple[Array, Array]
    ) -> None:
        z, order = row
        got, expected = function(z[order]), function(z)[order]
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(got[~finite], expected[~finite])
        close(got[finite], expected[finite], 12 * EPS, 2.0**-99)

    @given(z=rows(), place=st.integers(0, 40))
    @on_both
    @each(function=ROW_FUNCTIONS)
    def test_masked_class_changes_nothing(self, function: Callable[..., Array], z: Array, place: int) -> None:
        place = min(place, len(z))
        got, expected = np.delete(function(np.insert(z, place, -INF)), place), function(z)
        finite = np.isfinite(expected)
        np.testing.assert_array_equal(got[~finite], expected[~finite])
        close(got[finite], expected[finite], 12 * EPS, 2.0**-99)

    @given(row_and_distribution(), st.integers(0, 40))
    @on_both
    def test_masked_class_changes_no_loss(self, row: tuple[Array, Array], place: int) -> None:
        z, target = row
        place = min(place, len(z))
        wide, wide_target = np.insert(z, place, -INF), np.insert(target, place, 0.0)
        (loss, grad), (got, got_grad) = (
            lk.cross_entropy_value_and_grad(t, logits=v) for t, v in ((target, z), (wide_target, wide))
        )
        close(got, loss, 12 * EPS)
        assert got_grad[place] == 0
        close(np.delete(got_grad, place), grad, 16 * EPS, 2.0**-99)
        close(
            lk.kl_divergence(target_probs=wide_target, logits=wide),
            lk.kl_divergence(target_probs=target, logits=z),
            16 * EPS * len(z),
        )


class TestIdentities:
    """The five identities that the book rests on."""

    @given(rows(smallest=2))
    @on_both
    def test_difference_of_logits_is_the_log_of_the_ratio_of_probabilities(self, z: Array) -> None:
        log_probs = lk.log_softmax(z)
        size = 4 * EPS * (1 + np.abs(log_probs).max() + np.abs(z).max())
        close(np.subtract.outer(log_probs, log_probs), np.subtract.outer(z, z), 0, size)

    @given(rows(smallest=2))
    @on_both
    def test_one_against_the_rest_is_a_log_odds(self, z: Array) -> None:
        log_odds = lk.class_log_odds(z)
        rest = np.array([lk.logsumexp(np.delete(z, i)) for i in range(len(z))])
        close(log_odds, z - rest, 0, 4 * EPS * (1 + np.abs(z).max()))
        # A probability too near one does not hold its log-odds.
        held = log_odds < 30
        bound = 8 * EPS * (1 + np.exp(log_odds[held]))
        tiny = lk.softmax(z)[held] < np.finfo(np.float64).tiny
        close(lk.logit(lk.softmax(z))[held][~tiny], log_odds[held][~tiny], 5 * EPS, bound[~tiny])

    @given(dyadic, dyadic)
    @on_both
    def test_two_logits_are_one_log_odds(self, z0: float, z1: float) -> None:
        assume(abs(z1 - z0) < 700)
        close(lk.class_log_odds([z0, z1]), [z0 - z1, z1 - z0], 3 * EPS)
        close(lk.softmax([z0, z1]), lk.expit([z0 - z1, z1 - z0]), 8 * EPS)

    @given(rows(dyadic, smallest=2), st.integers(-(2**30), 2**30))
    @on_both
    def test_log_odds_are_unique_where_logits_are_not(self, z: Array, shift: int) -> None:
        np.testing.assert_array_equal(lk.class_log_odds(z + shift), lk.class_log_odds(z))
        # And they determine the probabilities, hence the centered logits.
        close(lk.expit(lk.class_log_odds(z)), lk.softmax(z), EPS * (10 + 3 * np.abs(lk.class_log_odds(z))))

    @given(row_and_class(smallest=2))
    @on_both
    def test_loss_sees_nothing_but_the_log_odds_of_the_target(self, row: tuple[Array, int]) -> None:
        z, label = row
        log_odds = lk.class_log_odds(z)[label]
        expected = lk.softplus(-log_odds)
        close(lk.cross_entropy(label, logits=z), expected, EPS * (5 + 3 * abs(log_odds)))
        close(lk.binary_cross_entropy(1, logits=log_odds), expected, 4 * EPS)


class TestGradients:
    @given(row=row_and_class(st.floats(-90, 90)))
    @on_both
    @each(dtype=DTYPES)
    def test_pull_and_push_of_a_class_target_balance(self, dtype: type, row: tuple[Array, int]) -> None:
        # Each entry is good to 6 units in the last place in float64, and to 0.51 in narrower dtypes.
        units, info = (6, np.finfo(dtype)) if dtype is np.float64 else (0.51, np.finfo(dtype))
        _, grad = lk.cross_entropy_value_and_grad(row[1], logits=row[0].astype(dtype))
        slack = len(grad) * float(info.smallest_subnormal)
        assert abs(fsum(grad)) <= units * float(info.eps) * fsum(np.abs(grad)) + slack

    @given(row_and_distribution())
    @on_both
    def test_pull_and_push_of_a_soft_target_balance(self, row: tuple[Array, Array]) -> None:
        z, target = row
        _, grad = lk.cross_entropy_value_and_grad(target, logits=z)
        assert abs(fsum(grad)) <= 8 * EPS * fsum(np.abs(grad)) + len(z) * 2.0**-99

    @given(row_and_class(smallest=2))
    @on_both
    def test_target_is_pushed_up_and_every_other_class_down(self, row: tuple[Array, int]) -> None:
        z, label = row
        _, grad = lk.cross_entropy_value_and_grad(label, logits=z)
        assert grad[label] <= 0
        assert (np.delete(grad, label) >= 0).all()
        assume(np.ptp(z) < 700)
        assert grad[label] < 0


class TestSigns:
    @given(row_and_distribution(any_number), st.floats(0, 1))
    @on_both
    def test_cross_entropy_is_never_negative(self, row: tuple[Array, Array], smoothing: float) -> None:
        z, target = row
        assert lk.cross_entropy(target, logits=z, label_smoothing=smoothing) >= 0
        assert lk.cross_entropy(int(target.argmax()), logits=z, label_smoothing=smoothing) >= 0

    @given(row_and_distribution(any_number))
    @on_both
    def test_divergence_is_never_negative(self, row: tuple[Array, Array]) -> None:
        z, target = row
        with np.errstate(divide="ignore"):
            targets = ({"target_probs": target}, {"target_log_probs": np.log(target)})
        predictions = ({"logits": z}, {"probs": lk.softmax(z)}, {"log_probs": lk.log_softmax(z)})
        for t in targets:
            for p in predictions:
                assert lk.kl_divergence(**t, **p) >= 0

    @given(any_number, st.floats(0, 1), st.floats(0, 5))
    @on_both
    def test_binary_losses_are_never_negative(self, x: float, y: float, pos_weight: float) -> None:
        assert lk.binary_cross_entropy(y, logits=x, pos_weight=pos_weight) >= 0
        assert lk.focal_loss(round(y), logits=x, gamma=pos_weight) >= 0

    @given(rows(any_number))
    @on_both
    def test_results_stay_on_their_scale(self, z: Array) -> None:
        for p in (lk.softmax(z), lk.expit(z)):
            assert ((p >= 0) & (p <= 1)).all()
        assert (lk.log_softmax(z) <= 0).all()
        assert (lk.log_expit(z) <= 0).all()
        assert (lk.softplus(z) >= np.maximum(z, 0)).all()
        assert lk.logsumexp(z) >= z.max()

    @given(st.tuples(any_number, any_number).map(sorted))
    @on_both
    def test_order_is_kept(self, pair: list[float]) -> None:
        # Monotonous up to the error of each of the two results.
        for function, units in ((lk.expit, 4), (lk.softplus, 3)):
            low, high = function(pair)
            assert low * (1 - units * EPS) <= high + 4 * np.finfo(np.float64).smallest_subnormal


class TestScales:
    """The three scales of one prediction give one loss."""

    @given(row_and_class())
    @on_both
    def test_of_a_class_target(self, row: tuple[Array, int]) -> None:
        z, label = row
        loss = lk.cross_entropy(label, logits=z)
        # By the formulas this is one computation. A kernel leaves the target out of its sum for the loss, the largest
        # class for log_softmax: two sums, and either result is promised within 3 units.
        units = 0 if kernels.why_off() else 4
        close(lk.cross_entropy(label, log_probs=lk.log_softmax(z)), loss, units * EPS)
        assume(loss < 700)
        close(lk.cross_entropy(label, probs=lk.softmax(z)), loss, 2 * EPS, 8 * EPS)

    @given(row_and_distribution(st.floats(-300, 300)))
    @on_both
    def test_of_a_soft_target(self, row: tuple[Array, Array]) -> None:
        z, target = row
        loss = lk.cross_entropy(target, logits=z)
        close(lk.cross_entropy(target, log_probs=lk.log_softmax(z)), loss, 12 * EPS)
        close(lk.cross_entropy(target, probs=lk.softmax(z)), loss, 8 * EPS, 8 * EPS)

    @given(number, st.floats(0, 1))
    @on_both
    def test_of_a_binary_target(self, x: float, y: float) -> None:
        loss = lk.binary_cross_entropy(y, logits=x)
        close(lk.binary_cross_entropy(y, log_probs=lk.log_expit(x)), loss, EPS * (9 + 2 * abs(x)))
        assume(x < 30)
        close(lk.binary_cross_entropy(y, probs=lk.expit(x)), loss, 6 * EPS, 6 * EPS * (1 + np.exp(x)))

    @given(row_and_distribution(st.floats(-30, 30)))
    @on_both
    def test_of_a_divergence(self, row: tuple[Array, Array]) -> None:
        z, target = row
        expected = lk.kl_divergence(target_probs=target, logits=z)
        for given_as in ({"log_probs": lk.log_softmax(z)}, {"probs": lk.softmax(z)}):
            close(lk.kl_divergence(target_probs=target, **given_as), expected, 1e-13, 1e-15 * np.sqrt(expected))
