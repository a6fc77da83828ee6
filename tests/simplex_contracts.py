"""What functions of rows of classes promise where a class is masked, certain or alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

import logitkit as lk
from logitkit._arrays import FEW_CLASSES
from tests import oracle
from tests.cases import DTYPES, refuses
from tests.contracts import Rowwise
from tests.gathered import each

INF, NAN = np.inf, np.nan
LOWEST = float(np.finfo(np.float64).min)


class Simplex(Rowwise):
    """A function of rows of classes: its formula, and its values where a class is masked, certain or alone."""

    function: ClassVar[Callable[..., Any]]
    exact: ClassVar[Callable[..., Any]]
    rows: ClassVar[tuple[tuple[float, ...], ...]] = (
        (1.0, 0.5, -2.0),
        (3.0, 3.0),
        (1.0, 1.0, 0.9, 0.8),
        (0.0, -40.0, -41.0, 1e-3),
        (1000.0, 999.0, 998.0),
        tuple(np.linspace(-3, 3, FEW_CLASSES + 5)),
    )
    limits: ClassVar[dict[tuple[float, ...], Any]]

    def test_formula(self) -> None:
        for row in self.rows:
            expected = np.array(type(self).exact(oracle.exact(row)), dtype=np.float64)
            np.testing.assert_allclose(type(self).function(row), expected, rtol=5e-15)

    def test_classes_may_lie_along_several_dimensions(self) -> None:
        (values,) = self.cases["plain"].draw((2, 3, 4)).values()
        table = np.moveaxis(values.reshape(2, 3, 2, 2), 2, 0)
        got, expected = type(self).function(table, axis=(0, -1)), type(self).function(values)
        if got.ndim == table.ndim:
            got = np.moveaxis(got, 0, 2).reshape(values.shape)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(type(self).function(values, axis=(2,)), expected)
        for axis in ((), (0, -3)):
            with refuses(ValueError, "axis must name dimensions of", f"each of them once, but is {axis}"):
                type(self).function(values, axis=axis)

    @each(dtype=DTYPES)
    def test_limits_are_values_not_errors_or_warnings(self, dtype: type) -> None:
        for row, expected in self.limits.items():
            with np.errstate(all="raise"):
                got = type(self).function(np.array(row, dtype=dtype))
            np.testing.assert_array_equal(got, np.array(expected, dtype=dtype), err_msg=str(row))
            assert not np.signbit(got[got == 0]).any(), row

    def test_limits_hold_within_a_batch(self) -> None:
        for row, expected in self.limits.items():
            plain = np.linspace(0.1, 0.2, len(row))
            plain /= plain.sum()
            batch = np.array([plain, row, plain])
            got = type(self).function(batch)
            np.testing.assert_array_equal(got[1], expected)
            np.testing.assert_array_equal(got[0], type(self).function(plain))
            np.testing.assert_array_equal(got[2], got[0])


class Softmaxlike(Simplex):
    """Rows of logits that stand for probabilities."""

    def test_a_row_without_a_class_left_is_refused(self) -> None:
        call = type(self).function
        rule, hint = "the largest of z must be above -inf", "all classes of the row are masked"
        with refuses(ValueError, rule, "but the largest of z is -inf", hint):
            call([-INF, -INF])
        with refuses(ValueError, rule, "but the largest of z[1] is -inf", hint):
            call([[0.0, 1], [-INF, -INF]])
        with refuses(ValueError, "but the largest of z[1] is -inf"):
            call([[0.0, -INF], [0.0, -INF]], axis=0)

    def test_no_classes_no_values(self) -> None:
        for shape in ((0,), (3, 0), (2, 0, 4)):
            got = type(self).function(np.zeros(shape), axis=-1 if shape[-1] == 0 else 1)
            assert got.shape == shape

    def test_digits_survive_far_from_zero(self) -> None:
        # There the rounding of z - max(z) is worth hundreds of units in the last place of its exponential.
        for row in (
            (600.1, -40.3, 599.7, 580.2),
            (-1000.7, -1001.3, -999.9),
            (300.1, 299.4),
            (1.1, 1000.3, 1000.2),
            (0.1, -40.3),
        ):
            exact = type(self).exact(oracle.exact(row))
            assert oracle.ulps(type(self).function(row), exact).max() <= 4

    def test_shifted_row_is_the_same_row(self) -> None:
        z = np.array([[3.0, 1.0, -2.0], [0.0, -0.5, 8.0]])  # exact when shifted
        if type(self).function is not lk.logsumexp:
            np.testing.assert_allclose(type(self).function(z + 1024), type(self).function(z), rtol=4e-16)


class Certain(Softmaxlike):
    """One +inf in a row is certainty; more have no meaning."""

    def test_two_certain_classes_are_refused(self) -> None:
        call = type(self).function
        rule, hint = "the number of inf in z must be 0 or 1", "only one class of a row can be certain"
        with refuses(ValueError, rule, "but the number of inf in z is 2", hint):
            call([INF, 0, INF])
        with refuses(ValueError, rule, "inf in z[1] is 3", hint):
            call([[0, INF, 0], [INF, INF, INF]])

    def test_nan_wins_over_what_has_no_meaning(self) -> None:
        assert np.isnan(type(self).function([[NAN, INF, INF], [NAN, -INF, -INF], [NAN, INF, 0]])).all()
