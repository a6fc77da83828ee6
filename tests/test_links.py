"""The binary scale: odds, logit, expit, log_expit, softplus, log1mexp."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

import logitkit as lk
from logitkit._arrays import Float64s, by_element
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.cases import DTYPES, Case, log_probs, logits, probs, refuses
from tests.contracts import Elementwise
from tests.gathered import each

INF = np.inf
TINY = float(np.finfo(np.float64).smallest_subnormal)


class Link(Elementwise):
    """A function of one number: its formula, its defined limits, and what lies outside its domain."""

    function: ClassVar[Callable[..., Any]]
    exact: ClassVar[Callable[..., Any]]
    inside: ClassVar[tuple[float, ...]]
    limits: ClassVar[dict[float, float]]
    outside: ClassVar[tuple[float, ...]] = ()
    rule: ClassVar[str] = ""
    hint: ClassVar[str] = ""

    def test_formula(self) -> None:
        got = type(self).function(np.array(self.inside))
        expected = [float(type(self).exact(x)) for x in oracle.exact(self.inside)]
        np.testing.assert_allclose(got, expected, rtol=1e-15)

    def test_digits_survive_in_half_precision(self) -> None:
        # float16 is only where the result is stored: nothing on the way to it is rounded to float16.
        x = np.array(self.inside, dtype=np.float16)
        x = x[np.isfinite(x) & (x != 0) & (x != 1)]
        with np.errstate(over="ignore"):
            expected = np.array([float(type(self).exact(v)) for v in oracle.exact(x)]).astype(np.float16)
        np.testing.assert_array_equal(type(self).function(x), expected)

    @each(dtype=DTYPES)
    def test_limits_are_values_not_errors_or_warnings(self, dtype: type) -> None:
        x = np.array(list(self.limits), dtype=dtype)
        with np.errstate(all="raise"):
            got = type(self).function(x)
        np.testing.assert_array_equal(got, np.array(list(self.limits.values()), dtype=dtype))

    def test_outside_the_domain_the_first_offender_is_shown(self) -> None:
        inside = self.inside[0]
        (name,) = self.cases["plain"].draws
        for bad in self.outside:
            for dtype in DTYPES:
                shown = str(dtype(bad))
                call = type(self).function
                with refuses(ValueError, f"{name} must {self.rule}, but {name} is {shown}", self.hint):
                    call(dtype(bad))
                row = np.array([inside, np.nan, bad, self.outside[0]], dtype=dtype)
                with refuses(ValueError, f"but {name}[2] is {shown}"):
                    call(row)
                with refuses(ValueError, f"but {name}[1, 0] is {shown}"):
                    call(row.reshape(2, 2))
        if not self.outside:
            assert not np.isnan(type(self).function([-1e308, -INF, INF, 1e308])).any()


PROBABILITY = {
    "outside": (1.75, -0.125, INF, -INF, 2.0, 1.03125),
    "rule": "lie in [0, 1]",
    "hint": "did you pass logits? expit turns log-odds into probabilities",
}


class TestOdds(Link):
    function = staticmethod(lk.odds)
    exact = staticmethod(oracle.odds)
    cases: ClassVar = {"plain": Case(lk.odds, {"p": probs})}
    inside = (0.5, 0.75, 0.9, 1e-300, TINY, 1 - 2**-53, 0.1)
    limits: ClassVar = {0.0: 0.0, 0.5: 1.0, 1.0: INF}
    outside, rule, hint = PROBABILITY.values()


class TestLogit(Link):
    function = staticmethod(lk.logit)
    exact = staticmethod(oracle.logit)
    cases: ClassVar = {"plain": Case(lk.logit, {"p": probs})}
    inside = (0.5 + 1e-9, 0.5 - 1e-9, 0.5 + 2**-50, 0.75, 0.76, 0.25, 0.24, 0.9, 1e-300, TINY, 1 - 2**-53, 0.1)
    limits: ClassVar = {0.0: -INF, 0.5: 0.0, 1.0: INF}
    outside, rule, hint = PROBABILITY.values()

    def test_log_odds_of_one_half_have_no_sign(self) -> None:
        assert not np.signbit(lk.logit(np.array([0.5]))).any()


class TestExpit(Link):
    function = staticmethod(lk.expit)
    exact = staticmethod(oracle.expit)
    cases: ClassVar = {"plain": Case(lk.expit, {"x": logits})}
    inside = (0.25, -0.25, 3.0, -3.0, 40.0, -40.0, -700.0, -744.0, 1e-20)
    limits: ClassVar = {0.0: 0.5, INF: 1.0, -INF: 0.0, 60000.0: 1.0, -60000.0: 0.0}


class TestLogExpit(Link):
    function = staticmethod(lk.log_expit)
    exact = staticmethod(oracle.log_expit)
    cases: ClassVar = {"plain": Case(lk.log_expit, {"x": logits})}
    inside = (0.25, -0.25, 3.0, -3.0, 40.0, -40.0, 700.0, -700.0, 744.0)
    limits: ClassVar = {INF: 0.0, -INF: -INF, 60000.0: 0.0, -60000.0: -60000.0}


class TestSoftplus(Link):
    function = staticmethod(lk.softplus)
    exact = staticmethod(oracle.softplus)
    cases: ClassVar = {"plain": Case(lk.softplus, {"x": logits})}
    inside = (0.25, -0.25, 3.0, -3.0, 20.5, 40.0, -40.0, 700.0, -700.0, -744.0)
    limits: ClassVar = {INF: INF, -INF: 0.0, 60000.0: 60000.0, -60000.0: 0.0}


class TestLog1mexp(Link):
    function = staticmethod(lk.log1mexp)
    exact = staticmethod(oracle.log1mexp)
    cases: ClassVar = {"plain": Case(lk.log1mexp, {"x": log_probs})}
    inside = (-0.25, -0.69, -0.7, -3.0, -40.0, -700.0, -1e-20, -TINY, -744.0)
    limits: ClassVar = {-0.0: -INF, -INF: 0.0, -60000.0: 0.0}
    outside = (0.5, INF, 1e-3)
    rule = "be at most 0"
    hint = "a log-probability is never positive: did you pass logits?"


def test_formula_gets_numbers_that_lie_side_by_side() -> None:
    # NumPy's loops for others may round the last bit differently: a result would depend on the storage of the input.
    strides = []

    def formula(x: Float64s) -> tuple[Float64s]:
        strides.append(x.strides)
        return (x,)

    by_element(formula, [np.arange(6.0)[::2]], [np.float64])
    assert strides == [(8,)]
