"""Double-double arithmetic: numbers held as an unevaluated sum of two float64, about 106 bits.

A difference of two nearly equal float64 results has lost the digits that a reader wants. Where the other modules
detect such a cancellation they come here and compute the difference from operands with twice the digits.

Sources: Dekker (1971), doi:10.1007/BF01397083, for the product; Knuth, *The Art of Computer Programming*, vol. 2,
section 4.2.2, for the sum.
"""

from __future__ import annotations

from fractions import Fraction
from math import factorial

import numpy as np
import numpy.typing as npt

Float64s = npt.NDArray[np.float64]
Extended = tuple[Float64s, Float64s]


def two_sum(a: Float64s, b: Float64s | float) -> Extended:
    """Return the rounded sum and its rounding error, exactly: a + b == total + error (finite values)."""
    total = a + b
    b_used = total - a
    return total, (a - (total - b_used)) + (b - b_used)


def two_prod(a: Float64s, b: Float64s) -> Extended:
    """Return the rounded product and its rounding error, exactly (no overflow or underflow on the way)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    return product, a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)


def _split(a: Float64s) -> Extended:
    """Two halves of at most 26 bits each, whose products are exact in float64."""
    scaled = a * 134217729.0  # 2^27 + 1
    high = scaled - (scaled - a)
    return high, a - high


def _normalized(high: Float64s, low: Float64s) -> Extended:
    """Return the same value with `low` below half a unit in the last place of `high`; needs abs(high) >= abs(low)."""
    total = high + low
    return total, low - (total - high)


def add(x: Extended, y: Extended) -> Extended:
    """Return the sum, to about 2^-104 of the operands."""
    total, error = two_sum(x[0], y[0])
    return _normalized(total, error + (x[1] + y[1]))


def sub(x: Extended, y: Extended) -> Extended:
    """Return the difference, to about 2^-104 of the operands."""
    return add(x, (-y[0], -y[1]))


def mul(x: Extended, y: Extended) -> Extended:
    """Return the product, to about 2^-102 of it."""
    product, error = two_prod(x[0], y[0])
    return _normalized(product, error + (x[0] * y[1] + x[1] * y[0]))


def row_sum(x: Extended) -> Extended:
    """Return the sum along the last axis, by halves: the error grows with the logarithm of the length."""
    high, low = x
    if high.shape[-1] == 0:
        return high.sum(axis=-1), low.sum(axis=-1)
    while (n := high.shape[-1]) > 1:
        half = n // 2
        pairs = add((high[..., :half], low[..., :half]), (high[..., half : 2 * half], low[..., half : 2 * half]))
        high, low = (np.concatenate([p, r[..., 2 * half :]], axis=-1) for p, r in zip(pairs, (high, low), strict=True))
    return high[..., 0], low[..., 0]


def others(x: Extended) -> Extended:
    """Return for each entry of a row of non-negative numbers the sum of all other entries."""
    high, low = x
    # For the largest, the total less itself would cancel; any other entry is at most half of the total.
    largest = np.arange(high.shape[-1]) == high.argmax(axis=-1, keepdims=True)
    rest = row_sum((np.where(largest, 0, high), np.where(largest, 0, low)))
    total = row_sum(x)
    without = sub((total[0][..., None], total[1][..., None]), x)
    return np.where(largest, rest[0][..., None], without[0]), np.where(largest, rest[1][..., None], without[1])


def _pieces(value: Fraction, *bits: int) -> tuple[float, ...]:
    """Floats that add up to `value`: the leading ones cut to so many bits after the point, the last one rounded."""
    cut = []
    for b in bits:
        cut.append(float(Fraction(int(value * 2**b), 2**b)))
        value -= Fraction(cut[-1])
    return (*cut, float(value))


def _nearest(value: Fraction) -> tuple[float, float]:
    return float(value), float(value - Fraction(float(value)))


_LOG2 = Fraction(
    "0.693147180559945309417232121458176568075500134360255254120680009493393621969694715605863326996418687"
)
# k * a leading piece is exact for every exponent k of a float64, which has 11 bits.
_LOG2_PIECES = _pieces(_LOG2, 40, 80)
LOG2_HIGH, LOG2_LOW = _pieces(_LOG2, 40)
# With abs(r) <= log(2)/2, r^24/24! is below 2^-106 of the result. From r^14/14! on the terms are below 2^-53 of it,
# so that their own rounding errors are below 2^-106 and float64 is enough.
_TERMS, _DOUBLE_TERMS = 24, 14
_INVERSE_FACTORIALS = [_nearest(Fraction(1, factorial(n))) for n in range(_TERMS)]


def exp(x: Extended) -> Extended:
    """Return the exponential of x, for x no larger than log of the largest float64, to about 2^-104 of it."""
    # Far below the smallest subnormal nothing is left, and the reduction below would lose itself.
    vanished = x[0] < -800
    high, low = np.where(vanished, -800, x[0]), np.where(vanished, 0, x[1])
    k = np.where(np.isfinite(high), np.rint(high * float(1 / _LOG2)), 0)
    r = two_sum(high, -k * _LOG2_PIECES[0])
    for piece in _LOG2_PIECES[1:]:
        r = add(r, (-k * piece, np.zeros_like(k)))
    r = add(r, (low, np.zeros_like(low)))
    series = (np.zeros_like(k), np.zeros_like(k))
    for n in reversed(range(_DOUBLE_TERMS, _TERMS)):
        series = (series[0] * r[0] + _INVERSE_FACTORIALS[n][0], series[1])
    for n in reversed(range(_DOUBLE_TERMS)):
        leading, trailing = (np.full_like(k, c) for c in _INVERSE_FACTORIALS[n])
        series = add(mul(series, r), (leading, trailing))
    exponent = k.astype(np.int32)
    return np.ldexp(series[0], exponent), np.ldexp(series[1], exponent)
