"""The promises: a bound on the error of each function, in units in the last place, beside those who compute it too."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import mpmath as mp
import numpy as np
import scipy.special
import torch
import torch.nn.functional as F

import logitkit as lk
import logitkit.torch as lt
from tests import oracle
from tests.accuracy.draws import (
    Arguments,
    binary_targets,
    layers,
    negative_numbers,
    probabilities,
    real_numbers,
    rows,
    rows_with_class,
    rows_with_distribution,
    rows_with_rivals,
)

# Where a difference vanishes, it is held to this share of its operands, unless its own last place is larger:
# double-double operands carry about 2^-104 of themselves.
VANISHED = 2.0**-100


@dataclass(frozen=True)
class Promise:
    """A bound on the error of one function, in units in the last place, and who else computes the function."""

    name: str
    bound: dict[type, float]
    arguments: Callable[[type], Iterator[Arguments]]
    ours: Callable[..., Any]
    exact: Callable[..., list[Any]]
    peers: dict[str, Callable[..., Any]] = field(default_factory=dict)
    floors: Callable[..., list[float]] | None = None  # the least units of the results, from results and arguments

    def worst(self, dtype: type, function: Callable[..., Any]) -> float:
        worst = 0.0
        for arguments, expected in self.cases(dtype):
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                got = function(*arguments)
            floors = self.floors and self.floors(dtype, expected, *arguments)
            worst = max(worst, oracle.ulps(got, expected, floors).max())
        return worst

    @cache  # noqa: B019 - a promise lives as long as the module
    def cases(self, dtype: type) -> list[tuple[Arguments, list[Any]]]:
        return [(a, self.exact(*map(oracle.exact, a))) for a in self.arguments(dtype)]

    def __hash__(self) -> int:
        return hash(self.name)


def _one_by_one(formula: Callable[..., Any]) -> Callable[..., list[Any]]:
    return lambda *columns: [formula(*values) for values in zip(*columns, strict=True)]


def _torch(function: Callable[..., Any]) -> Callable[..., np.ndarray]:
    return lambda *arrays: function(*map(torch.as_tensor, arrays)).numpy(force=True)


def _torch_grad(loss: Callable[..., Any]) -> Callable[..., np.ndarray]:
    def grad(target: np.ndarray, logits: np.ndarray) -> np.ndarray:
        z = torch.tensor(logits, requires_grad=True)
        loss(z, torch.as_tensor(target)).backward()
        return z.grad.numpy(force=True)

    return grad


def _label(label: list[Any], z: list[Any]) -> list[Any]:
    return oracle.one_hot(int(label[0]), len(z))


def _class_weights(z: Any) -> np.ndarray:
    return np.linspace(0.5, 2, len(z))


def _sum_floor(dtype: type, expected: list[Any], z: np.ndarray) -> list[float]:
    """Errors count against max(1, |result|), in float16 and float32 where the result is not lost in the input."""
    (result,) = map(abs, expected)
    if dtype is np.float64:
        return [2.2e-16 * max(1.0, float(result))]
    return [np.inf if result <= 2.0**-25 * float(np.abs(z).max()) else 0.0]


def _difference_floor(dtype: type, expected: list[Any], z: np.ndarray) -> list[float]:
    return [VANISHED * float(np.abs(z).max())] * len(expected)


def _gradient_floor(target: np.ndarray) -> list[float]:
    """The operands of p - t are t where it vanishes, and those of (1 - t) - (1 - p) are 1 - t."""
    wide = target.astype(np.float64)
    return list(VANISHED * np.minimum(wide, 1 - wide))


def _layer_of(features: list[Any], weight: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    """The logits and the columns of the matrix."""
    width = len(features)
    rows = [weight[i : i + width] for i in range(0, len(weight), width)]
    (logits,) = oracle.linear([features], rows, [mp.mpf(0)] * len(rows))
    return logits, list(map(list, zip(*rows, strict=True)))


def _linear_loss(features: list[Any], weight: list[Any], label: list[Any]) -> list[Any]:
    logits, _ = _layer_of(features, weight)
    return [oracle.cross_entropy(_label(label, logits), logits)]


def _linear_grad(features: list[Any], weight: list[Any], label: list[Any]) -> list[Any]:
    logits, columns = _layer_of(features, weight)
    grad = oracle.cross_entropy_grad(_label(label, logits), logits)
    return [mp.fdot(grad, column) for column in columns]


def _bound_of_logits(features: np.ndarray, weight: np.ndarray) -> float:
    """The largest error that a product in float64 may have."""
    return 2.0**-53 * features.size * float((np.abs(features) @ np.abs(weight).T).max())


def _linear_loss_floor(dtype: type, expected: list[Any], *layer: np.ndarray) -> list[float]:
    # What all logits are wrong by changes a loss by at most twice that, and by twice that share of itself.
    return [2 * _bound_of_logits(*layer[:2]) * min(1.0, float(expected[0]))] if dtype is np.float64 else [0.0]


def _linear_grad_floor(dtype: type, expected: list[Any], features: np.ndarray, weight: np.ndarray, label: Any) -> Any:
    grad = lk.cross_entropy_value_and_grad(label, logits=features.astype(float) @ weight.astype(float).T)[1]
    sizes = np.abs(grad[0]) @ np.abs(weight.astype(float))
    if dtype is np.float64:
        return list(sizes * (2.0**-53 * len(weight) + 2 * _bound_of_logits(features, weight)))
    return list(sizes * 2.0**-30)  # narrower sums may cancel to less than float64 resolves


def _torch_linear(features: np.ndarray, weight: np.ndarray, label: np.ndarray) -> np.ndarray:
    h = torch.tensor(features, requires_grad=True)
    loss = F.cross_entropy(F.linear(h, torch.tensor(weight)), torch.tensor(label))
    loss.backward()
    return np.atleast_1d(loss.detach().numpy()), h.grad.numpy()


def _rounded_once(float64: float) -> dict[type, float]:
    return {np.float16: 0.51, np.float32: 0.51, np.float64: float64}


def _own_precision(single_and_double: float) -> dict[type, float]:
    """The twins compute float16 in float32, and the others in themselves."""
    return {np.float16: 0.52, np.float32: single_and_double, np.float64: single_and_double}


def _last_place_of_operands(dtype: type, expected: list[Any], z: np.ndarray, target: np.ndarray) -> list[float]:
    """The gradient p - t of a distribution t is held to the last place of the larger of both."""
    wide = target.astype(np.float64)
    return [float(np.spacing(dtype(max(t, float(g) + t)))) for g, t in zip(expected, wide, strict=True)]


def _last_place_of_proportion(dtype: type, expected: list[Any], target: np.ndarray, x: np.ndarray) -> list[float]:
    """The same of a yes or no, where a hard target has the gradient itself for its operand."""
    wide = target.astype(np.float64)
    return [float(np.spacing(dtype(min(t, 1 - t)))) for t in wide]


def _swap(function: Callable[..., Any]) -> Callable[..., Any]:
    return lambda z, target: function(target, z)


def _value(target: np.ndarray, z: np.ndarray) -> Any:
    return lk.cross_entropy_value_and_grad(target, logits=z)[0]


def _grad(target: np.ndarray, z: np.ndarray) -> Any:
    return lk.cross_entropy_value_and_grad(target, logits=z)[1]


PROMISES = (
    Promise("odds", _rounded_once(2), probabilities, lk.odds, _one_by_one(oracle.odds)),
    Promise(
        "logit",
        _rounded_once(2),
        probabilities,
        lk.logit,
        _one_by_one(oracle.logit),
        {"SciPy": scipy.special.logit, "PyTorch": _torch(torch.logit)},
    ),
    Promise(
        "expit",
        _rounded_once(2),
        real_numbers,
        lk.expit,
        _one_by_one(oracle.expit),
        {"SciPy": scipy.special.expit, "PyTorch": _torch(torch.sigmoid)},
    ),
    Promise(
        "log_expit",
        _rounded_once(1.75),
        real_numbers,
        lk.log_expit,
        _one_by_one(oracle.log_expit),
        {"SciPy": scipy.special.log_expit, "PyTorch": _torch(F.logsigmoid)},
    ),
    Promise(
        "softplus",
        _rounded_once(1.75),
        real_numbers,
        lk.softplus,
        _one_by_one(oracle.softplus),
        {"PyTorch": _torch(F.softplus)},
    ),
    Promise("log1mexp", _rounded_once(1.5), negative_numbers, lk.log1mexp, _one_by_one(oracle.log1mexp)),
    Promise(
        "logsumexp",
        {np.float16: 0.51, np.float32: 0.51, np.float64: 1.0},
        rows,
        lk.logsumexp,
        lambda z: [oracle.logsumexp(z)],
        {"SciPy": scipy.special.logsumexp, "PyTorch": _torch(lambda z: torch.logsumexp(z, -1))},
        _sum_floor,
    ),
    Promise(
        "softmax",
        _rounded_once(4),
        rows,
        lk.softmax,
        oracle.softmax,
        {"SciPy": scipy.special.softmax, "PyTorch": _torch(lambda z: torch.softmax(z, -1))},
    ),
    Promise(
        "log_softmax",
        _rounded_once(3),
        rows,
        lk.log_softmax,
        oracle.log_softmax,
        {"SciPy": scipy.special.log_softmax, "PyTorch": _torch(lambda z: torch.log_softmax(z, -1))},
    ),
    Promise(
        "class_log_odds",
        _rounded_once(2),
        rows_with_rivals,
        lk.class_log_odds,
        oracle.class_log_odds,
        floors=_difference_floor,
    ),
    Promise("center", _rounded_once(3), rows, lk.center, oracle.center, floors=_difference_floor),
    Promise(
        "cross_entropy, class",
        _rounded_once(3),
        rows_with_class,
        _swap(lambda t, z: lk.cross_entropy(t, logits=z)),
        lambda z, t: [oracle.cross_entropy(_label(t, z), z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, class: gradient",
        _rounded_once(4),
        rows_with_class,
        _swap(_grad),
        lambda z, t: oracle.cross_entropy_grad(_label(t, z), z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
    ),
    Promise(
        "cross_entropy, distribution",
        _rounded_once(3),
        rows_with_distribution,
        _swap(_value),
        lambda z, t: [oracle.cross_entropy(t, z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, distribution: gradient",
        _rounded_once(5),
        rows_with_distribution,
        _swap(_grad),
        lambda z, t: oracle.cross_entropy_grad(t, z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
        lambda dtype, expected, z, target: _gradient_floor(target),
    ),
    Promise(
        "cross_entropy, smoothed and weighted: gradient",
        _rounded_once(6),
        rows_with_class,
        lambda z, t: lk.cross_entropy_value_and_grad(
            t, logits=z, weight=_class_weights(z), label_smoothing=0.1, reduction="sum"
        )[1],
        lambda z, t: oracle.cross_entropy_grad(oracle.smoothed(_label(t, z), 0.1), z, oracle.exact(_class_weights(z))),
        floors=lambda dtype, expected, z, t: [VANISHED / len(z)] * len(z),
    ),
    Promise(
        "linear_cross_entropy",
        _rounded_once(4),
        layers,
        lk.linear_cross_entropy,
        _linear_loss,
        {"PyTorch": lambda *a: _torch_linear(*a)[0]},
        _linear_loss_floor,
    ),
    Promise(
        "linear_cross_entropy: gradient of the features",
        _rounded_once(4),
        layers,
        lambda *a: lk.linear_cross_entropy_value_and_grad(*a)[1][0],
        _linear_grad,
        {"PyTorch": lambda *a: _torch_linear(*a)[1]},
        _linear_grad_floor,
    ),
    Promise(
        "binary_cross_entropy",
        _rounded_once(2),
        binary_targets,
        lambda t, x: lk.binary_cross_entropy(t, logits=x, reduction="none"),
        _one_by_one(oracle.binary_cross_entropy),
        {"PyTorch": _torch(lambda t, x: F.binary_cross_entropy_with_logits(x, t, reduction="none"))},
    ),
    Promise(
        "binary_cross_entropy: gradient",
        _rounded_once(3),
        binary_targets,
        lambda t, x: lk.binary_cross_entropy_value_and_grad(t, logits=x, reduction="none")[1],
        _one_by_one(oracle.binary_cross_entropy_grad),
        {"PyTorch": _torch_grad(lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"))},
        lambda dtype, expected, target, x: _gradient_floor(target),
    ),
)

TWINS = (
    Promise(
        "logit",
        _own_precision(4),
        probabilities,
        _torch(lt.logit),
        _one_by_one(oracle.logit),
        {"PyTorch": _torch(torch.logit)},
    ),
    Promise(
        "softplus",
        _own_precision(4),
        real_numbers,
        _torch(lt.softplus),
        _one_by_one(oracle.softplus),
        {"PyTorch": _torch(F.softplus)},
    ),
    Promise("log1mexp", _own_precision(4), negative_numbers, _torch(lt.log1mexp), _one_by_one(oracle.log1mexp)),
    Promise(
        "log_softmax",
        _own_precision(6),
        rows,
        _torch(lambda z: lt.log_softmax(z, -1)),
        oracle.log_softmax,
        {"PyTorch": _torch(lambda z: torch.log_softmax(z, -1))},
    ),
    Promise(
        "cross_entropy, class",
        _own_precision(6),
        rows_with_class,
        _torch(lt.cross_entropy),
        lambda z, t: [oracle.cross_entropy(_label(t, z), z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, class: gradient",
        _own_precision(6),
        rows_with_class,
        _swap(_torch_grad(lt.cross_entropy)),
        lambda z, t: oracle.cross_entropy_grad(_label(t, z), z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
    ),
    Promise(
        "cross_entropy, distribution",
        _own_precision(6),
        rows_with_distribution,
        _torch(lt.cross_entropy),
        lambda z, t: [oracle.cross_entropy(t, z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, distribution: gradient",
        _own_precision(6),
        rows_with_distribution,
        _swap(_torch_grad(lt.cross_entropy)),
        lambda z, t: oracle.cross_entropy_grad(t, z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
        _last_place_of_operands,
    ),
    Promise(
        "binary_cross_entropy_with_logits",
        _own_precision(6),
        binary_targets,
        _torch(lambda t, x: lt.binary_cross_entropy_with_logits(x, t, reduction="none")),
        _one_by_one(oracle.binary_cross_entropy),
        {"PyTorch": _torch(lambda t, x: F.binary_cross_entropy_with_logits(x, t, reduction="none"))},
    ),
    Promise(
        "binary_cross_entropy_with_logits: gradient",
        _own_precision(6),
        binary_targets,
        _torch_grad(lambda x, t: lt.binary_cross_entropy_with_logits(x, t, reduction="sum")),
        _one_by_one(oracle.binary_cross_entropy_grad),
        {"PyTorch": _torch_grad(lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"))},
        _last_place_of_proportion,
    ),
)
