"""The promises about accuracy hold, and the tables in the book show them."""

import csv
from typing import Any

import numpy as np
import pytest

from logitkit.formulas import double_double
from tests import oracle
from tests.accuracy.draws import DTYPES
from tests.accuracy.promise import Promise
from tests.accuracy.table import TABLES, Table
from tests.backends import backend  # noqa: F401 - runs every test on both


@pytest.mark.parametrize(
    ("promise", "dtype"),
    [(promise, table.dtype) for table in TABLES for promise in table.promises],
    ids=[f"{table.ours}-{promise.name}-{table.dtype.__name__}" for table in TABLES for promise in table.promises],
)
def test_error_stays_within_the_promise(promise: Promise, dtype: type) -> None:
    assert promise.worst(dtype, promise.ours) <= promise.bound[dtype]


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.path.stem)
def test_book_shows_the_promises_and_figures_that_keep_them(table: Table) -> None:
    with table.path.open(newline="", encoding="utf-8") as file:
        header, *lines = csv.reader(file)
    assert header == table.header
    assert [line[:2] for line in lines] == table.promised
    assert all(float(measured) <= float(promise) for _, promise, measured, *_ in lines)


def test_oracle_sees_an_error_of_one_unit() -> None:
    for dtype in DTYPES:
        one_up = np.nextafter(dtype(0.3), dtype(1))
        assert oracle.ulps(one_up, oracle.exact(dtype(0.3)))[0] == pytest.approx(1, abs=1e-30)
        assert oracle.ulps(dtype(np.inf), [oracle.number(1)])[0] == np.inf
        assert oracle.ulps(dtype(0), [oracle.number(float(np.finfo(dtype).smallest_subnormal))])[0] == 1


def test_oracle_raises_where_its_digits_do_not_suffice() -> None:
    large, zero = oracle.exp(900), oracle.exp(3) - oracle.exp(3)
    for unknown in ((large + 1) - large, large / zero, oracle.log(zero), oracle.number(1) / 0, zero * -oracle.INFINITY):
        for exact in (oracle.to_float, lambda true: oracle.ulps(1.0, [true])):
            with pytest.raises(oracle.TooFewDigitsError, match="only this is known"):
                exact(unknown)


def test_oracle_takes_what_is_nothing_for_zero_and_infinity_less_anything_for_infinity() -> None:
    assert oracle.to_float(oracle.exp(3) - oracle.exp(3)) == 0
    assert oracle.to_float(-oracle.INFINITY - oracle.exp(3)) == -np.inf
    assert oracle.to_float(oracle.log(0)) == -np.inf


def test_oracle_takes_more_digits_where_fewer_do_not_suffice() -> None:
    for x in (-3.0, -600.0):
        nearest, scaled, left = oracle.answer(lambda row: [oracle.softplus(v) for v in row], np.array([x]))
        assert nearest == scaled == float(oracle.softplus(oracle.number(x)))
        assert 0 < abs(left) <= np.spacing(nearest) / 2
    tiny = oracle.answer(lambda row: [oracle.exp(v) for v in row], np.array([-740.0]))
    assert tiny.nearest > 0
    assert abs(tiny.scaled / oracle.SCALE / tiny.nearest - 1) < 1e-2


class TestExtended:
    """Double-double operations keep about 2^-104 of their result."""

    high, low = np.random.default_rng(0).normal(0, 3, (2, 2, 300))
    x, y = (double_double.two_sum(a, a * b * 2.0**-56) for a, b in zip(high, low, strict=True))

    @staticmethod
    def value(pair: double_double.Extended) -> list[Any]:
        return [high + low for high, low in zip(*map(oracle.exact, pair), strict=True)]

    def error(self, got: double_double.Extended, true: list[Any], scale: list[Any]) -> float:
        return float(max(abs(g - t) / abs(s) for g, t, s in zip(self.value(got), true, scale, strict=True)))

    def test_sum_and_product_of_floats_are_exact(self) -> None:
        a, b = self.x[0], self.y[0]
        pairs = list(zip(oracle.exact(a), oracle.exact(b), strict=True))
        assert self.value(double_double.two_sum(a, b)) == [p + q for p, q in pairs]
        assert self.value(double_double.two_prod(a, b)) == [p * q for p, q in pairs]

    def test_add_keeps_104_bits_of_its_operands(self) -> None:
        pairs = list(zip(self.value(self.x), self.value(self.y), strict=True))
        true, scale = [p + q for p, q in pairs], [abs(p) + abs(q) for p, q in pairs]
        assert self.error(double_double.add(self.x, self.y), true, scale) < 2.0**-104

    def test_mul_keeps_102_bits(self) -> None:
        true = [p * q for p, q in zip(self.value(self.x), self.value(self.y), strict=True)]
        assert self.error(double_double.mul(self.x, self.y), true, true) < 2.0**-102

    def test_row_sum_keeps_103_bits(self) -> None:
        for n in (1, 2, 7, 300):
            high, low = (a[:n][None] for a in self.x)
            values = self.value((high, low))
            true, scale = [oracle.total(values)], [oracle.total(abs(v) for v in values)]
            assert self.error(double_double.row_sum((high, low)), true, scale) < 2.0**-103

    def test_sum_of_nothing_is_zero(self) -> None:
        np.testing.assert_array_equal(double_double.row_sum((np.zeros((2, 0)), np.zeros((2, 0)))), np.zeros((2, 2)))

    def test_others_keep_102_bits_of_themselves(self) -> None:
        # The largest entry exceeds the sum of all others by far: the total less itself would cancel.
        rows = np.abs(np.stack([np.append(1e40, self.x[0]), np.append(self.x[0], 1e40)]))
        got = double_double.others((rows, np.zeros_like(rows)))
        for row, *others in zip(rows, *got, strict=True):
            values = oracle.exact(row)
            true = [oracle.total(values[:i] + values[i + 1 :]) for i in range(len(values))]
            assert self.error((others[0], others[1]), true, true) < 2.0**-102

    def test_exp_keeps_104_bits(self) -> None:
        x = (np.concatenate([self.x[0], self.x[0] * 60, np.zeros(1)]), np.concatenate([self.x[1], self.x[1], [1e-20]]))
        true = [oracle.exp(v) for v in self.value(x)]
        assert self.error(double_double.exp(x), true, true) < 2.0**-104

    def test_exp_of_masks_is_zero(self) -> None:
        with np.errstate(all="ignore"):
            high, low = double_double.exp((np.array([-np.inf, -1e300, np.nan]), np.array([np.nan, 0.0, 0.0])))
        assert [*high[:2], *low[:2]] == [0, 0, 0, 0]
        assert np.isnan(high[2])
