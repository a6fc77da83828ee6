"""The numbers on which accuracy is measured: all sizes, the neighbors of every cut, and the worst that were found."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache, wraps
from typing import Any

import numpy as np

import logitkit as lk

DTYPES = (np.float16, np.float32, np.float64)
FULL_ROWS = (1, 2, 3, 4, 10, 32, 33, 100, 1000, 5000)

Arguments = tuple[np.ndarray, ...]
Draws = Callable[..., Iterable[Arguments]]

# The worst in float64 of some millions that were tried apart from the tests: for expit, the gradient of a sure binary
# loss, softplus, log_expit and log1mexp; for the gradient of an unsure one; for the log-probability of a largest logit
# with n equal others.
HARD_NUMBERS = (-1.213063410743131, -4.849521350316118, -4.158295451471883, 4.155055179774982, -0.9357900777769528)
HARD_TARGETS = np.array([0.006330749884091658, 0.991425198700457]), np.array([-3.3614805425212144, 3.3196774696321265])
HARD_ROWS = (
    (0.37761481051078116, -3.086230558415747, 1),
    (0.7744040511733755, -4.075654788347146, 2),
    (0.11587159808722636, -5.424443124843425, 4),
    (0.8206874307767315, -6.799596032661197, 32),
)


def _drawn_once(draw: Draws) -> Draws:
    """Draw once for all promises: some draws call softmax or logsumexp for each of their rows."""

    @cache
    @wraps(draw)
    def drawn(*args: Any) -> tuple[Arguments, ...]:
        return tuple(draw(*args))

    return drawn


def _neighbours(points: Any, dtype: type) -> np.ndarray:
    """Each point with the next numbers on both sides, and a cloud at growing distances from it."""
    points = np.asarray(points, dtype=dtype)
    near = [points]
    for direction in (-np.inf, np.inf):
        step = points
        for _ in range(3):
            step = np.nextafter(step, dtype(direction))
            near.append(step)
    cloud = [points * dtype(1 + sign * 2.0**-k) for k in range(1, 24) for sign in (-1, 1)]
    return np.concatenate(near + cloud)


def _magnitudes(rng: np.random.Generator, dtype: type, largest: float, n: int) -> np.ndarray:
    """Numbers of every size from the smallest subnormal to `largest`, evenly on the log scale."""
    smallest = float(np.finfo(dtype).smallest_subnormal)
    return np.exp(rng.uniform(np.log(smallest), np.log(largest), n)).astype(dtype)


@_drawn_once
def probabilities(dtype: type) -> Iterator[Arguments]:
    rng = np.random.default_rng(1)
    values = [
        _magnitudes(rng, dtype, 1.0, 400),
        rng.uniform(0, 1, 600).astype(dtype),
        (0.5 + rng.choice([-1, 1], 400) * 10 ** rng.uniform(-16, -0.3, 400)).astype(dtype),
        (1 - 10 ** rng.uniform(-16, -1, 200)).astype(dtype),
        _neighbours([0.25, 0.5, 0.75], dtype),
    ]
    p = np.concatenate(values)
    yield (p[(p > 0) & (p < 1)],)


def _reals(dtype: type) -> np.ndarray:
    rng = np.random.default_rng(2)
    vanishing = -np.log(float(np.finfo(dtype).smallest_subnormal))
    signs = rng.choice(np.array([-1, 1], dtype=dtype), 400)
    values = [
        signs * _magnitudes(rng, dtype, 10.0, 400),
        rng.uniform(-2, 2, 400).astype(dtype),
        rng.uniform(-40, 40, 400).astype(dtype),
        rng.uniform(-1.02 * vanishing, 1.02 * vanishing, 400).astype(dtype),
        np.array(HARD_NUMBERS, dtype),
        _neighbours([-vanishing, -np.log(2), np.log(2), vanishing], dtype),
        np.zeros(1, dtype),
    ]
    return np.concatenate(values)


@_drawn_once
def real_numbers(dtype: type) -> Iterator[Arguments]:
    yield (_reals(dtype),)


@_drawn_once
def negative_numbers(dtype: type) -> Iterator[Arguments]:
    x = -np.abs(_reals(dtype))
    yield (x[x < 0],)


@_drawn_once
def binary_targets(dtype: type) -> Iterator[Arguments]:
    """Hard targets, soft ones, and ones close to the prediction, where the gradient is a small difference."""
    rng = np.random.default_rng(3)
    x = _reals(dtype)
    close = lk.expit(x).astype(np.float64) * (1 + rng.choice([-1, 1], x.size) * 10 ** rng.uniform(-12, 0, x.size))
    for target in (np.zeros_like(x), np.ones_like(x), rng.uniform(0, 1, x.size), np.clip(close, 0, 1)):
        yield target.astype(dtype), x
    yield HARD_TARGETS[0].astype(dtype), HARD_TARGETS[1].astype(dtype)


@_drawn_once
def hard_binary_targets(dtype: type) -> Iterator[Arguments]:
    x = _reals(dtype)
    yield np.zeros_like(x), x
    yield np.ones_like(x), x


@_drawn_once
def rows(dtype: type, classes: tuple[int, ...] = FULL_ROWS) -> Iterator[Arguments]:
    rng = np.random.default_rng(4)
    vanishing = -np.log(float(np.finfo(dtype).smallest_subnormal))
    for n in classes:
        for _ in range(1 if n >= 1000 else 12):
            spread = rng.normal(0, 10 ** rng.uniform(-6, np.log10(vanishing / 3)), n)
            yield (spread.astype(dtype),)
            yield (rng.normal(0, 1, n).astype(dtype),)
            # Far from zero, where the rounding of z - max(z) is what is lost.
            yield ((spread + rng.choice([-1, 1]) * 10 ** rng.uniform(0, 3)).astype(dtype),)
            # One sure class and the others down to where exp vanishes.
            sure = rng.uniform(-1.02 * vanishing, 0, n)
            sure[rng.integers(n)] = 0
            yield (sure.astype(dtype),)
            # Nearly equal logits; a log-odds near zero; log-probabilities, whose logsumexp is near zero.
            yield ((rng.normal() + rng.normal(0, 1e-8, n)).astype(dtype),)
            even = rng.normal(0, 2, n)
            even[0] = lk.logsumexp(even[1:]) * (1 + 10 ** rng.uniform(-15, -1)) if n > 1 else 0
            yield (even.astype(dtype),)
            yield (np.maximum(lk.log_softmax(even * 2), -vanishing).astype(dtype),)
    for top, other, n in HARD_ROWS:
        yield (np.array([top] + n * [other], dtype),)


def rows_with_rivals(dtype: type) -> Iterable[Arguments]:
    return rows(dtype, FULL_ROWS[1:])


@_drawn_once
def rows_with_class(dtype: type) -> Iterator[Arguments]:
    rng = np.random.default_rng(5)
    for (z,) in rows(dtype):
        for label in {int(z.argmax()), int(rng.integers(len(z)))}:
            yield z, np.array(label)


@_drawn_once
def rows_with_distribution(dtype: type) -> Iterator[Arguments]:
    rng = np.random.default_rng(6)
    for (z,) in rows(dtype, FULL_ROWS[:-1]):
        yield z, lk.softmax(rng.normal(0, 2, len(z))).astype(dtype)
        yield z, lk.softmax(z * dtype(1 + 10 ** rng.uniform(-6, 0)))


@_drawn_once
def layers(dtype: type) -> Iterator[Arguments]:
    """One row of features, a matrix and a class; the larger the weights, the surer the layer."""
    rng = np.random.default_rng(7)
    for width, classes in ((1, 2), (1, 50), (3, 3), (8, 40), (64, 300), (700, 20)):
        for spread in (0.01, 1.0, 5.0, 25.0):
            features = rng.normal(0, 1, (1, width)).astype(dtype)
            weight = rng.normal(0, spread / np.sqrt(width), (classes, width)).astype(dtype)
            for label in {int((features @ weight.T).argmax()), int(rng.integers(classes))}:
                yield features, weight, np.array([label])
