"""The multiclass scale: logsumexp, softmax, log_softmax, class_log_odds, center, logits_from_probs."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import pytest

import logitkit as lk
from logitkit._arrays import BLOCK, FEW_CLASSES
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.cases import DTYPES, Case, class_probs, logits, refuses
from tests.gathered import each
from tests.simplex_contracts import INF, LOWEST, NAN, Certain, Simplex, Softmaxlike


class TestLogsumexp(Simplex):
    function = staticmethod(lk.logsumexp)
    exact = staticmethod(oracle.logsumexp)
    cases: ClassVar = {"plain": Case(lk.logsumexp, {"z": logits})}
    limits: ClassVar = {
        (5.0,): 5.0,
        (): -INF,
        (-INF, -INF): -INF,
        (-INF, 3.0): 3.0,
        (INF, 3.0): INF,
        (INF, INF, -INF): INF,
        (NAN, INF): NAN,
        (NAN, -INF): NAN,
        (60000.0, -60000.0): 60000.0,
    }

    def test_no_classes_give_the_log_of_nothing(self) -> None:
        np.testing.assert_array_equal(lk.logsumexp(np.zeros((3, 0))), [-INF] * 3)
        np.testing.assert_array_equal(lk.logsumexp(np.zeros((0, 3)), axis=0), [-INF] * 3)
        assert lk.logsumexp(np.zeros((0, 3))).shape == (0,)

    @each(axis=[-3, -2, -1, 0, 1, 2])
    def test_keepdims_keeps_the_place_of_the_axis(self, axis: int) -> None:
        z = self.cases["plain"].draw((2, 3, 4))["z"]
        kept = lk.logsumexp(z, axis=axis, keepdims=True)
        np.testing.assert_array_equal(np.squeeze(kept, axis), lk.logsumexp(z, axis=axis))
        np.testing.assert_allclose(z - kept, lk.log_softmax(z, axis=axis), rtol=1e-12)

    def test_one_row_gives_a_number_or_one_that_broadcasts(self) -> None:
        assert type(lk.logsumexp([1.0, 2.0])) is np.float64
        assert type(lk.logsumexp(np.float32([1.0, 2.0]))) is np.float32
        assert lk.logsumexp([1.0, 2.0], keepdims=True).shape == (1,)

    @each(dtype=DTYPES)
    def test_log_of_many_does_not_overflow_on_the_way(self, dtype: type) -> None:
        assert lk.logsumexp(np.zeros(70_000, dtype)) == dtype(np.log(70_000))

    def test_what_a_sure_class_leaves_to_the_others_is_not_lost(self) -> None:
        for margin in (17.0, 40.0, 300.0, 740.0):
            expected = float(oracle.softplus(-oracle.exact(margin)[0]))
            assert lk.logsumexp([0.0, -margin]) == pytest.approx(expected, rel=1e-15, abs=0)

    def test_digits_survive_between_zero_and_one(self) -> None:
        rng = np.random.default_rng(0)
        rows = rng.normal(0, 1, (200, 5))
        rows[:100] += rng.uniform(0.41, 0.69, (100, 1)) - lk.logsumexp(rows[:100], keepdims=True)
        assert oracle.ulps(lk.logsumexp(rows), [oracle.logsumexp(oracle.exact(row)) for row in rows]).max() <= 1.5

    def test_many_unlikely_classes_add_up_to_an_unlikely_one(self) -> None:
        for z in (-11.1, -11.5, -11.77, -11.9):
            exact = oracle.log(1000) + oracle.exact(z)[0]
            assert oracle.ulps(lk.logsumexp(np.full(1000, z))[None], [exact])[0] <= 1

    @each(mask=[-INF, -1e9, -1e30, -1e100, -1e300, LOWEST])
    def test_digits_near_zero_survive_any_mask(self, mask: float) -> None:
        for p in ((0.5, 0.25, 0.125, 0.125), (0.9, 0.1), (0.3, 0.3, 0.4), (0.05,) * 20, (1e-3, 0.999)):
            z = np.log(p)
            expected = float(oracle.logsumexp(oracle.exact(z)))
            assert lk.logsumexp([*z, mask]) == pytest.approx(expected, rel=2e-14, abs=0)

    def test_digits_near_zero_survive_in_float32(self) -> None:
        # float64 alone would have lost half of those that float32 keeps.
        for row in ((-0.31368533, -1.312111), (-0.30248055, -1.3431692)):
            z = np.float32(row)
            assert oracle.ulps(lk.logsumexp(z)[None], [oracle.logsumexp(oracle.exact(z))])[0] <= 0.51

    @each(offset=[-1000.1, -300.3, 100.7, 700.9])
    def test_result_far_from_zero_is_the_exact_one_rounded(self, offset: float) -> None:
        z = np.random.default_rng(int(abs(offset))).normal(offset, 2, (60, 5))
        exact = [oracle.logsumexp(oracle.exact(row)) for row in z]
        assert oracle.ulps(lk.logsumexp(z), exact).max() <= 0.5001


class TestSoftmax(Certain):
    function = staticmethod(lk.softmax)
    exact = staticmethod(oracle.softmax)
    cases: ClassVar = {"plain": Case(lk.softmax, {"z": logits})}
    limits: ClassVar = {
        (5.0,): [1.0],
        (3.0, 3.0): [0.5, 0.5],
        (-INF, 3.0, 3.0): [0.0, 0.5, 0.5],
        (-INF, 3.0): [0.0, 1.0],
        (INF, 3.0, -INF): [1.0, 0.0, 0.0],
        (INF,): [1.0],
        (60000.0, -60000.0): [1.0, 0.0],
        (-60000.0, -60000.0): [0.5, 0.5],
        (NAN, 0.0): [NAN, NAN],
    }

    def test_rows_sum_to_one(self) -> None:
        for classes in (1, 2, FEW_CLASSES, FEW_CLASSES + 1, 5000):
            p = lk.softmax(np.random.default_rng(classes).normal(0, 5, (7, classes)))
            np.testing.assert_allclose(p.sum(axis=-1), 1, rtol=4e-16 * max(1, classes**0.5))

    @each(dtype=[np.uint8, np.int8, np.int16, np.bool_])
    def test_integers_do_not_wrap(self, dtype: type) -> None:
        ends = (0, 1) if dtype is np.bool_ else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        z = np.array(ends, dtype)
        np.testing.assert_array_equal(lk.softmax(z), lk.softmax([float(v) for v in ends]))


class TestLogSoftmax(Certain):
    function = staticmethod(lk.log_softmax)
    exact = staticmethod(oracle.log_softmax)
    cases: ClassVar = {"plain": Case(lk.log_softmax, {"z": logits})}
    limits: ClassVar = {
        (5.0,): [0.0],
        (-INF, 3.0): [-INF, 0.0],
        (INF, 3.0, -INF): [0.0, -INF, -INF],
        (INF,): [0.0],
        (20000.0, -20000.0): [0.0, -40000.0],
        (NAN, 0.0): [NAN, NAN],
    }

    def test_log_of_a_sure_class_keeps_its_digits(self) -> None:
        for margin in (17.0, 40.0, 300.0, 740.0):
            expected = -float(oracle.softplus(-oracle.exact(margin)[0]))
            assert lk.log_softmax([margin, 0.0])[0] == pytest.approx(expected, rel=1e-15, abs=0)
            assert lk.log_softmax([margin, 0.0])[0] < 0


class TestClassLogOdds(Certain):
    function = staticmethod(lk.class_log_odds)
    exact = staticmethod(oracle.class_log_odds)
    cases: ClassVar = {"plain": Case(lk.class_log_odds, {"z": logits})}
    limits: ClassVar = {
        (5.0,): [INF],
        (INF,): [INF],
        (3.0, 3.0): [0.0, 0.0],
        (-INF, 3.0): [-INF, INF],
        (-INF, 3.0, 1.0): [-INF, 2.0, -2.0],
        (INF, 3.0, -INF): [INF, -INF, -INF],
        (20000.0, -20000.0): [40000.0, -40000.0],
        (NAN, 0.0, -INF): [NAN, NAN, NAN],
    }

    @each(mask=[-INF, -1e9, -1e30, -1e100, LOWEST])
    def test_log_odds_near_zero_survive_any_mask(self, mask: float) -> None:
        z = [float(np.log(2)) + 1e-9, 0.0, 0.0]
        expected = np.array(oracle.class_log_odds(oracle.exact(z)), dtype=np.float64)
        np.testing.assert_allclose(lk.class_log_odds([*z, mask])[:3], expected, rtol=1e-15)

    def test_no_rounding_of_a_difference_is_left_in(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(60):
            top, rest = rng.uniform(0, 1), rng.uniform(3, 60, rng.integers(1, 4))
            for row in ([top, *-rest], [top, *[-rest[0] / 10] * 8]):
                exact = oracle.class_log_odds(oracle.exact(row))
                assert oracle.ulps(lk.class_log_odds(row), exact).max() <= 1.4

    def test_ties_share_their_log_odds(self) -> None:
        for classes in (2, 3, FEW_CLASSES + 1):
            got = lk.class_log_odds(np.full(classes, 7.0))
            assert got.tolist() == pytest.approx([-np.log(classes - 1)] * classes, rel=1e-15, abs=0)
            assert len(set(got.tolist())) == 1


class TestCenter(Softmaxlike):
    function = staticmethod(lk.center)
    exact = staticmethod(oracle.center)
    cases: ClassVar = {"plain": Case(lk.center, {"z": logits})}
    limits: ClassVar = {
        (5.0,): [0.0],
        (3.0, 1.0, 2.0): [1.0, -1.0, 0.0],
        (-INF, 3.0): [-INF, 0.0],
        (-INF, 3.0, 1.0): [-INF, 1.0, -1.0],
        (NAN, -INF, 1.0): [NAN, NAN, NAN],
    }

    def test_certain_class_has_no_centred_logit(self) -> None:
        rule, hint = "z must be below inf", "a certain class has no centered logit"
        with refuses(ValueError, rule, "but z[1] is inf", hint):
            lk.center([0.0, INF])
        with refuses(ValueError, rule, "but z[1, 0] is inf", hint):
            lk.center([[0.0, 1], [INF, INF]])

    def test_mean_of_the_largest_numbers_does_not_overflow(self) -> None:
        np.testing.assert_array_equal(lk.center([1.5e308, 1.5e308, 1.5e308]), [0, 0, 0])
        np.testing.assert_allclose(lk.center([1.5e308, 1.0e308]), [0.25e308, -0.25e308], rtol=1e-15)

    def test_largest_and_smallest_numbers_may_share_a_block_or_a_row(self) -> None:
        z = np.array([[1.5e308, 1.1e308, -0.7e308], [1e-300, 3e-300, 7e-300]])
        for row, got in zip(z, lk.center(z), strict=True):
            assert oracle.ulps(got, oracle.center(oracle.exact(row))).max() <= 0.7
        assert lk.center([2000.0, -2000.0, 3e-300])[2] == pytest.approx(2e-300, rel=1e-15, abs=0)

    def test_small_differences_survive_a_large_offset(self) -> None:
        z = 1e6 + np.array([0.0, 2.0**-30, 2.0**-29])
        expected = np.array(oracle.center(oracle.exact(z)), dtype=np.float64)
        np.testing.assert_allclose(lk.center(z), expected, rtol=1e-15)


class TestLogitsFromProbs(Simplex):
    function = staticmethod(lk.logits_from_probs)
    exact = staticmethod(lambda p: oracle.center([oracle.log(v) for v in p]))
    cases: ClassVar = {"plain": Case(lk.logits_from_probs, {"p": class_probs})}
    rows = ((0.5, 0.25, 0.25), (0.9, 0.1), (1e-300, 1.0, 1e-10), tuple(np.full(FEW_CLASSES * 2, 0.5**6)))
    limits: ClassVar = {
        (1.0,): [0.0],
        (0.5, 0.5): [0.0, 0.0],
        (0.0, 1.0): [-INF, 0.0],
        (0.0, 0.5, 0.5): [-INF, 0.0, 0.0],
        (NAN, 0.0, 0.5): [NAN, NAN, NAN],
    }

    def test_what_is_no_probability_is_shown(self) -> None:
        hint = "did you pass logits? softmax turns them into probabilities"
        call = lk.logits_from_probs
        with refuses(ValueError, "p must lie in [0, 1], but p[1] is 1.75", hint):
            call([0.5, 1.75])
        with refuses(ValueError, "but p[1, 0] is 1.5", hint):
            call([[0.5, 0.5], [1.5, -0.5]])

    def test_rows_that_do_not_sum_to_one_are_shown(self) -> None:
        rule, hint = "the sum of p must be 1 in each row", "are these independent (sigmoid) outputs?"
        call = lk.logits_from_probs
        with refuses(ValueError, rule, "but the sum of p is 1.25", hint):
            call([0.5, 0.75])
        with refuses(ValueError, rule, "but the sum of p[1] is 0.75", hint):
            call([[0.5, 0.5], [0.5, 0.25]])
        with refuses(ValueError, "but the sum of p[1] is 0.75"):
            call([[0.5, 0.5], [0.5, 0.25]], axis=0)
        with refuses(ValueError, "but the sum of p is 0.0"):
            call([])

    @each(dtype=DTYPES)
    def test_probabilities_stored_in_this_dtype_are_near_enough_to_one(self, dtype: type) -> None:
        for classes in (2, 10, 1000, BLOCK):
            p = class_probs(np.random.default_rng(classes), (3, classes)).astype(dtype)
            assert np.isfinite(lk.logits_from_probs(p)).all()
            # Added one after another in float16, many small probabilities would stop counting.
            columns = np.ascontiguousarray(p.T)
            assert np.isfinite(lk.logits_from_probs(columns, axis=0)).all()
            assert np.isfinite(lk.cross_entropy([0] * 3, log_probs=np.log(columns), axis=0))
            assert np.isfinite(lk.cross_entropy(columns, logits=np.zeros_like(columns), axis=0))

    @pytest.mark.parametrize(
        ("dtype", "slack"), [(np.float16, 2.0**-5), (np.float32, 2.0**-11), (np.float64, 2.0**-11)]
    )
    def test_sum_of_a_row_may_be_off_by_what_rounding_explains(self, dtype: type, slack: float) -> None:
        for second in (0.5 + slack, 0.5 - slack):
            assert np.isfinite(lk.logits_from_probs(dtype([0.5, second]))).all()
        with refuses(ValueError, "the sum of p must be 1 in each row"):
            lk.logits_from_probs(dtype([0.5, 0.5 + 1.125 * slack]))
        with refuses(ValueError, "the sum of p must be 1 in each row"):
            lk.logits_from_probs(dtype([0.5, 0.5 - 1.125 * slack]))
