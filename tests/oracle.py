"""The exact answer, by brute force: textbook formulas in ball arithmetic, and the distance to it in ULP.

Nothing here is arranged to be stable: with 400 digits the formulas can be those of a textbook, and share no idea with
the code under test. That the digits suffice isn't argued but proved. Each number is a ball of Arb: a midpoint, and a
radius within which the exact number lies. A ball that's too wide to tell errors by raises `TooFewDigitsError`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from operator import mul
from typing import Any, NamedTuple

import numpy as np
from flint import arb, ctx

ctx.dps = 400
FEWER = 120  # as many digits take a fifth of the time, and suffice for most answers

Row = Sequence[Any]

# A ball may be as wide as this share of its number, or as this, which is nothing even beside the smallest float64.
BITS = 120
NOTHING = arb(2) ** -1200

INFINITY = arb("inf")

# Below this a number is taken times SCALE, or what's left of it had no digits of its own in float64.
SMALL, SCALE = 2.0**-960, 2.0**600


class TooFewDigitsError(ArithmeticError):
    """An answer isn't exact enough to tell errors by."""


class Parts(NamedTuple):
    """Exact numbers as arrays of float64.

    Beside the nearest it's the nearest times a power of two, and the nearest to what's left of that: together they're
    good to 2^-106 of the number.
    """

    nearest: np.ndarray
    scaled: np.ndarray
    left: np.ndarray


class Numbers(list[Any]):
    """Exact numbers. What takes long to compute of them is computed once for all that ask."""

    @cached_property
    def exps(self) -> list[Any]:
        return [v.exp() for v in self]

    @cached_property
    def softmax(self) -> list[Any]:
        whole = total(self.exps)
        return [e / whole for e in self.exps]

    @cached_property
    def logsumexp(self) -> Any:
        return log(total(self.exps))

    @cached_property
    def parts(self) -> Parts:
        nearest = [to_float(true) for true in self]
        small = [-SMALL < high < SMALL for high in nearest]
        enlarged = [true * SCALE if tiny else true for true, tiny in zip(self, small, strict=True)]
        scaled = [float(true) for true in enlarged]
        left = [float(true - high) for true, high in zip(enlarged, scaled, strict=True)]
        return Parts(np.array(nearest), np.array(scaled), np.array(left))


def numbers(values: Row) -> Numbers:
    return values if isinstance(values, Numbers) else Numbers(values)


def number(value: Any) -> Any:
    """One exact number: of an integer or float64, or a ball about the digits of a string."""
    return arb(value)


def exact(values: Any) -> Numbers:
    """The same numbers as exact ones; every float is one exactly."""
    return _exact(np.asarray(values, dtype=np.float64).tobytes(), ctx.dps)


@lru_cache(2**13)  # one function after the other is asked about the same numbers
def _exact(floats: bytes, digits: int) -> Numbers:
    return Numbers(map(arb, np.frombuffer(floats).tolist()))


def to_float(true: Any, nothing: Any = NOTHING) -> float:
    """The nearest float64 to a number that's exact enough."""
    if true.rel_accuracy_bits() < BITS:
        enough = nothing if true.is_finite() else INFINITY  # infinity less any number is infinity
        if true.is_nan() or not true.rad() < enough:
            raise TooFewDigitsError(f"only this is known: {true.str(10)}")
    return float(true)


def answer(formula: Callable[..., Row], *arguments: Any) -> Parts:
    """What a formula makes of arrays, with as many digits as it takes."""
    with ctx.workdps(FEWER):
        try:
            return Numbers(formula(*map(exact, arguments))).parts
        except TooFewDigitsError:
            pass
    return Numbers(formula(*map(exact, arguments))).parts


def exp(x: Any) -> Any:
    return arb(x).exp()


def log(x: Any) -> Any:
    x = arb(x)
    return -INFINITY if x.is_zero() else x.log()


def total(values: Iterable[Any]) -> Any:
    return sum(values, arb(0))


def dot(left: Row, right: Row) -> Any:
    return total(map(mul, left, right))


def odds(p: Any) -> Any:
    return p / (1 - p)


def logit(p: Any) -> Any:
    return log(p / (1 - p))


def expit(x: Any) -> Any:
    return 1 / (1 + exp(-x))


def log_expit(x: Any) -> Any:
    return log(expit(x))


def softplus(x: Any) -> Any:
    return log(1 + exp(x))


def log1mexp(x: Any) -> Any:
    return log(1 - exp(x))


def logsumexp(z: Row) -> Any:
    return numbers(z).logsumexp


def softmax(z: Row) -> list[Any]:
    return numbers(z).softmax


def log_softmax(z: Row) -> list[Any]:
    whole = logsumexp(z)
    return [v - whole for v in z]


def class_log_odds(z: Row) -> list[Any]:
    exps = numbers(z).exps
    before = list(accumulate(exps, initial=arb(0)))
    after = list(accumulate(reversed(exps), initial=arb(0)))[::-1]
    return [v - log(b + a) for v, b, a in zip(z, before[:-1], after[1:], strict=True)]


def center(z: Row) -> list[Any]:
    mean = total(z) / len(z)
    return [v - mean for v in z]


def one_hot(label: Any, classes: int) -> list[Any]:
    zero, one = arb(0), arb(1)
    return [one if i == label else zero for i in range(classes)]


def smoothed(target: Row, smoothing: float) -> list[Any]:
    kept, spread = 1 - arb(smoothing), arb(smoothing) / len(target)
    return [kept * t + spread for t in target]


def cross_entropy(target: Row, z: Row, weight: Row | None = None) -> Any:
    weights, whole = weight or [1] * len(z), logsumexp(z)
    # A class without a share of the target counts for nothing, also where its log-probability is -inf.
    return -total(w * t * (v - whole) for w, t, v in zip(weights, target, z, strict=True) if w != 0 and t != 0)


def cross_entropy_grad(target: Row, z: Row, weight: Row | None = None) -> list[Any]:
    shares = [w * t for w, t in zip(weight, target, strict=True)] if weight else target
    whole = total(shares)
    return [p * whole - s for p, s in zip(softmax(z), shares, strict=True)]


def linear(features: Sequence[Row], weight: Sequence[Row], bias: Row) -> list[list[Any]]:
    return [[dot(f, w) + b for w, b in zip(weight, bias, strict=True)] for f in features]


def binary_cross_entropy(y: Any, x: Any, pos_weight: Any = 1) -> Any:
    return pos_weight * y * softplus(-x) + (1 - y) * softplus(x)


def binary_cross_entropy_grad(y: Any, x: Any, pos_weight: Any = 1) -> Any:
    return (1 - y) * expit(x) - pos_weight * y * expit(-x)


def focal_loss(y: Any, x: Any, gamma: Any) -> Any:
    p, rest = (expit(x), expit(-x)) if y != 0 else (expit(-x), expit(x))
    return rest**gamma * -log(p)


def kl_divergence(target: Row, p: Row) -> Any:
    return total(t * log(t / q) for t, q in zip(target, p, strict=True) if t != 0)


def generalized_kl_divergence(t: list[Any], p: list[Any]) -> Any:
    """The same where the sides don't add up to one exactly."""
    return kl_divergence(t, p) - total(t) + total(p)


def ulps(got: Any, expected: Row | Parts, floors: Sequence[float] | None = None) -> np.ndarray:
    """Distance from the exact results, in units of the last place of the exact result rounded to the dtype.

    A floor makes the unit of its result at least that large.
    """
    values = np.atleast_1d(got).ravel()
    high, scaled, left = expected if isinstance(expected, Parts) else numbers(expected).parts
    if not values.shape == high.shape == np.shape(high if floors is None else floors):
        raise ValueError(f"{values.size} results, but {high.size} exact ones")
    with np.errstate(all="ignore"):
        rounded = high.astype(values.dtype)
        units = np.maximum(np.spacing(np.abs(rounded)).astype(np.float64), 0.0 if floors is None else floors)
        scale = np.where(np.abs(high) < SMALL, SCALE, 1.0)
        # The first difference is exact where it matters, which is where both numbers are close.
        distances = np.abs((values.astype(np.float64) * scale - scaled) - left) / (units * scale)
    finite = np.isfinite(rounded) & np.isfinite(values)
    return np.where(finite, distances, np.where(values == rounded, 0.0, np.inf))
