"""The exact answer, by brute force: textbook formulas in mpmath with 400 digits, and the distance to it in ULP.

Nothing here is arranged to be stable. With 400 digits even log(1 + exp(-745)) and exp(-745)/(1 + exp(-745)) - 1 keep
more than 70 digits, so the formulas can be those of a textbook and share no idea with the code under test.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cached_property, lru_cache
from itertools import accumulate
from typing import Any

import mpmath as mp
import numpy as np

mp.mp.dps = 400

Row = Sequence[Any]
_once = lru_cache(2**13)  # one function after the other is asked about the same numbers


class Numbers(list[Any]):
    """Exact numbers. What takes long to compute of them is computed once for all that ask."""

    @cached_property
    def exps(self) -> list[Any]:
        return [mp.exp(v) for v in self]

    @cached_property
    def softmax(self) -> list[Any]:
        total = mp.fsum(self.exps)
        return [e / total for e in self.exps]

    @cached_property
    def logsumexp(self) -> Any:
        return mp.log(mp.fsum(self.exps))

    @cached_property
    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """The nearest float64, and the nearest to what's left: together good to 2^-106 of the number."""
        nearest = [float(true) for true in self]
        left = [float(true - high) if math.isfinite(high) else 0.0 for true, high in zip(self, nearest, strict=True)]
        return np.array(nearest), np.array(left)


def numbers(values: Row) -> Numbers:
    return values if isinstance(values, Numbers) else Numbers(values)


def exact(values: Any) -> Numbers:
    """The same numbers as mpmath numbers; every float is one exactly."""
    return _exact(np.asarray(values, dtype=np.float64).tobytes())


@_once
def _exact(floats: bytes) -> Numbers:
    return Numbers(map(mp.mpmathify, np.frombuffer(floats).tolist()))


def odds(p: Any) -> Any:
    return p / (1 - p)


def logit(p: Any) -> Any:
    return mp.log(p / (1 - p))


@_once
def expit(x: Any) -> Any:
    return 1 / (1 + mp.exp(-x))


def log_expit(x: Any) -> Any:
    return mp.log(expit(x))


@_once
def softplus(x: Any) -> Any:
    return mp.log(1 + mp.exp(x))


def log1mexp(x: Any) -> Any:
    return mp.log(1 - mp.exp(x))


def logsumexp(z: Row) -> Any:
    return numbers(z).logsumexp


def softmax(z: Row) -> list[Any]:
    return numbers(z).softmax


def log_softmax(z: Row) -> list[Any]:
    total = logsumexp(z)
    return [v - total for v in z]


def class_log_odds(z: Row) -> list[Any]:
    exps = numbers(z).exps
    before = list(accumulate(exps, initial=mp.mpf(0)))
    after = list(accumulate(reversed(exps), initial=mp.mpf(0)))[::-1]
    return [v - mp.log(b + a) for v, b, a in zip(z, before[:-1], after[1:], strict=True)]


def center(z: Row) -> list[Any]:
    mean = mp.fsum(z) / len(z)
    return [v - mean for v in z]


def one_hot(label: int, classes: int) -> list[Any]:
    zero, one = mp.mpf(0), mp.mpf(1)
    return [one if i == label else zero for i in range(classes)]


def smoothed(target: Row, smoothing: float) -> list[Any]:
    kept, spread = 1 - mp.mpf(smoothing), mp.mpf(smoothing) / len(target)
    return [kept * t + spread for t in target]


def cross_entropy(target: Row, z: Row, weight: Row | None = None) -> Any:
    weights, total = weight or [1] * len(z), logsumexp(z)
    # A class without a share of the target counts for nothing, also where its log-probability is -inf.
    return -mp.fsum(w * t * (v - total) for w, t, v in zip(weights, target, z, strict=True) if w and t)


def cross_entropy_grad(target: Row, z: Row, weight: Row | None = None) -> list[Any]:
    shares = [w * t for w, t in zip(weight, target, strict=True)] if weight else target
    total = mp.fsum(shares)
    return [p * total - s for p, s in zip(softmax(z), shares, strict=True)]


def linear(features: Sequence[Row], weight: Sequence[Row], bias: Row) -> list[list[Any]]:
    return [[mp.fdot(f, w) + b for w, b in zip(weight, bias, strict=True)] for f in features]


def binary_cross_entropy(y: Any, x: Any, pos_weight: Any = 1) -> Any:
    return pos_weight * y * softplus(-x) + (1 - y) * softplus(x)


def binary_cross_entropy_grad(y: Any, x: Any, pos_weight: Any = 1) -> Any:
    return (1 - y) * expit(x) - pos_weight * y * expit(-x)


def focal_loss(y: int, x: Any, gamma: Any) -> Any:
    p = expit(x) if y else expit(-x)
    return (1 - p) ** gamma * -mp.log(p)


def kl_divergence(target: Row, p: Row) -> Any:
    return mp.fsum(t * mp.log(t / q) for t, q in zip(target, p, strict=True) if t != 0)


def generalized_kl_divergence(t: list[Any], p: list[Any]) -> Any:
    """The same where the sides don't add up to one exactly."""
    return kl_divergence(t, p) - mp.fsum(t) + mp.fsum(p)


# Below this what's left of a number has no digits of its own in float64.
SMALL = 2.0**-960


def ulps(got: Any, expected: Sequence[Any], floors: Sequence[float] | None = None) -> np.ndarray:
    """Distance from the exact results, in units of the last place of the exact result rounded to the dtype.

    A floor makes the unit of its result at least that large.
    """
    values = np.atleast_1d(got).ravel()
    true = numbers(expected)
    high, low = true.parts
    if not values.shape == high.shape == np.shape(high if floors is None else floors):
        raise ValueError(f"{values.size} results, but {high.size} exact ones")
    with np.errstate(all="ignore"):
        rounded = high.astype(values.dtype)
        units = np.maximum(np.spacing(np.abs(rounded)).astype(np.float64), 0.0 if floors is None else floors)
        # The first difference is exact where it matters, which is where both numbers are close.
        distances = np.abs((values.astype(np.float64) - high) - low) / units
    finite = np.isfinite(rounded) & np.isfinite(values)
    for i in np.flatnonzero(finite & (np.abs(high) < SMALL)):
        distances[i] = abs(mp.mpf(float(values[i])) - true[i]) / mp.mpf(float(units[i]))
    return np.where(finite, distances, np.where(values == rounded, 0.0, np.inf))
