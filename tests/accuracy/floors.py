"""The least units in which an error counts: where a result cancels, it is held to its operands instead."""

from __future__ import annotations

from typing import Any

import numpy as np

import logitkit as lk

# Where a difference vanishes, it is held to this share of its operands, unless its own last place is larger:
# double-double operands carry about 2^-104 of themselves.
VANISHED = 2.0**-100


def sum_floor(dtype: type, expected: np.ndarray, z: np.ndarray) -> list[float]:
    """Errors count against max(1, |result|), in float16 and float32 where the result is not lost in the input."""
    (result,) = np.abs(expected)
    if dtype is np.float64:
        return [2.2e-16 * max(1.0, result)]
    return [np.inf if result <= 2.0**-25 * float(np.abs(z).max()) else 0.0]


def difference_floor(dtype: type, expected: np.ndarray, z: np.ndarray) -> list[float]:
    return [VANISHED * float(np.abs(z).max())] * len(expected)


def gradient_floor(target: np.ndarray) -> list[float]:
    """The operands of p - t are t where it vanishes, and those of (1 - t) - (1 - p) are 1 - t."""
    wide = target.astype(np.float64)
    return list(VANISHED * np.minimum(wide, 1 - wide))


def divergence_floor(dtype: type, expected: np.ndarray, z: np.ndarray, target: np.ndarray) -> list[float]:
    """The last digits of log p and log t count as often as p and t differ, and their squares as often as t has them."""
    log_p, t = lk.log_softmax(z.astype(np.float64)), target.astype(np.float64)
    digits = 2.0**-50 * (np.abs(np.log(np.where(t == 0, 1, t))) + np.abs(log_p))
    return [float((np.abs(np.exp(log_p) - t) * digits + t * digits**2).sum())]


def _bound_of_logits(features: np.ndarray, weight: np.ndarray) -> float:
    """The largest error that a product in float64 may have."""
    return 2.0**-53 * features.size * float((np.abs(features) @ np.abs(weight).T).max())


def linear_loss_floor(dtype: type, expected: np.ndarray, *layer: np.ndarray) -> list[float]:
    # What all logits are wrong by changes a loss by at most twice that, and by twice that share of itself.
    return [2 * _bound_of_logits(*layer[:2]) * min(1.0, expected[0])] if dtype is np.float64 else [0.0]


def linear_grad_floor(dtype: type, expected: np.ndarray, features: np.ndarray, weight: np.ndarray, label: Any) -> Any:
    grad = lk.cross_entropy_value_and_grad(label, logits=features.astype(float) @ weight.astype(float).T)[1]
    sizes = np.abs(grad[0]) @ np.abs(weight.astype(float))
    if dtype is np.float64:
        return list(sizes * (2.0**-53 * len(weight) + 2 * _bound_of_logits(features, weight)))
    return list(sizes * 2.0**-30)  # narrower sums may cancel to less than float64 resolves


def last_place_of_operands(dtype: type, expected: np.ndarray, z: np.ndarray, target: np.ndarray) -> list[float]:
    """The gradient p - t of a distribution t is held to the last place of the larger of both."""
    wide = target.astype(np.float64)
    return [float(np.spacing(dtype(max(t, g + t)))) for g, t in zip(expected, wide, strict=True)]


def last_place_of_proportion(dtype: type, expected: np.ndarray, target: np.ndarray, x: np.ndarray) -> list[float]:
    """The same of a yes or no, where a hard target has the gradient itself for its operand."""
    wide = target.astype(np.float64)
    return [float(np.spacing(dtype(min(t, 1 - t)))) for t in wide]
