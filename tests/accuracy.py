"""What `logitkit` promises about accuracy, and the measurement behind it: one code asserts it and writes the tables.

`python -m tests.accuracy` measures logitkit, its PyTorch twins, SciPy and PyTorch on the same numbers and writes the
book's tables, chapters/accuracy-*.csv. tests/test_accuracy.py asserts the promises, and that the tables show them.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import mpmath as mp
import numpy as np
import scipy
import scipy.special
import torch
import torch.nn.functional as F

import logitkit as lk
import logitkit.torch as lt
from tests import oracle

DTYPES = (np.float16, np.float32, np.float64)
CHAPTERS = Path(__file__).parents[1] / "chapters"
# Where a difference vanishes, it is held to this share of its operands, unless its own last place is larger:
# double-double operands carry about 2^-104 of themselves.
VANISHED = 2.0**-100
FULL_ROWS = (1, 2, 3, 4, 10, 32, 33, 100, 1000, 5000)

Arguments = tuple[np.ndarray, ...]


@dataclass(frozen=True)
class Claim:
    """A bound on the error of one function, in units in the last place, and who else computes the function."""

    name: str
    promise: dict[type, float]
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

    @cache  # noqa: B019 - a claim lives as long as the module
    def cases(self, dtype: type) -> list[tuple[Arguments, list[Any]]]:
        return [(a, self.exact(*map(oracle.exact, a))) for a in self.arguments(dtype)]

    def __hash__(self) -> int:
        return hash(self.name)


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


def real_numbers(dtype: type) -> Iterator[Arguments]:
    yield (_reals(dtype),)


def negative_numbers(dtype: type) -> Iterator[Arguments]:
    x = -np.abs(_reals(dtype))
    yield (x[x < 0],)


def yes_or_no(dtype: type) -> Iterator[Arguments]:
    """Hard targets, soft ones, and ones close to the prediction, where the gradient is a small difference."""
    rng = np.random.default_rng(3)
    x = _reals(dtype)
    close = lk.expit(x).astype(np.float64) * (1 + rng.choice([-1, 1], x.size) * 10 ** rng.uniform(-12, 0, x.size))
    for target in (np.zeros_like(x), np.ones_like(x), rng.uniform(0, 1, x.size), np.clip(close, 0, 1)):
        yield target.astype(dtype), x
    yield HARD_TARGETS[0].astype(dtype), HARD_TARGETS[1].astype(dtype)


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


def rows_with_rivals(dtype: type) -> Iterator[Arguments]:
    return rows(dtype, FULL_ROWS[1:])


def rows_with_class(dtype: type) -> Iterator[Arguments]:
    rng = np.random.default_rng(5)
    for (z,) in rows(dtype):
        for label in {int(z.argmax()), int(rng.integers(len(z)))}:
            yield z, np.array(label)


def rows_with_distribution(dtype: type) -> Iterator[Arguments]:
    rng = np.random.default_rng(6)
    for (z,) in rows(dtype, FULL_ROWS[:-1]):
        yield z, lk.softmax(rng.normal(0, 2, len(z))).astype(dtype)
        yield z, lk.softmax(z * dtype(1 + 10 ** rng.uniform(-6, 0)))


def layers(dtype: type) -> Iterator[Arguments]:
    """One row of features, a matrix and a class; the larger the weights, the surer the layer."""
    rng = np.random.default_rng(7)
    for width, classes in ((1, 2), (1, 50), (3, 3), (8, 40), (64, 300), (700, 20)):
        for spread in (0.01, 1.0, 5.0, 25.0):
            features = rng.normal(0, 1, (1, width)).astype(dtype)
            weight = rng.normal(0, spread / np.sqrt(width), (classes, width)).astype(dtype)
            for label in {int((features @ weight.T).argmax()), int(rng.integers(classes))}:
                yield features, weight, np.array([label])


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


def _promise(float64: float) -> dict[type, float]:
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


CLAIMS = (
    Claim("odds", _promise(2), probabilities, lk.odds, _one_by_one(oracle.odds)),
    Claim(
        "logit",
        _promise(2),
        probabilities,
        lk.logit,
        _one_by_one(oracle.logit),
        {"SciPy": scipy.special.logit, "PyTorch": _torch(torch.logit)},
    ),
    Claim(
        "expit",
        _promise(2),
        real_numbers,
        lk.expit,
        _one_by_one(oracle.expit),
        {"SciPy": scipy.special.expit, "PyTorch": _torch(torch.sigmoid)},
    ),
    Claim(
        "log_expit",
        _promise(1.75),
        real_numbers,
        lk.log_expit,
        _one_by_one(oracle.log_expit),
        {"SciPy": scipy.special.log_expit, "PyTorch": _torch(F.logsigmoid)},
    ),
    Claim(
        "softplus",
        _promise(1.75),
        real_numbers,
        lk.softplus,
        _one_by_one(oracle.softplus),
        {"PyTorch": _torch(F.softplus)},
    ),
    Claim("log1mexp", _promise(1.5), negative_numbers, lk.log1mexp, _one_by_one(oracle.log1mexp)),
    Claim(
        "logsumexp",
        {np.float16: 0.51, np.float32: 0.51, np.float64: 1.0},
        rows,
        lk.logsumexp,
        lambda z: [oracle.logsumexp(z)],
        {"SciPy": scipy.special.logsumexp, "PyTorch": _torch(lambda z: torch.logsumexp(z, -1))},
        _sum_floor,
    ),
    Claim(
        "softmax",
        _promise(4),
        rows,
        lk.softmax,
        oracle.softmax,
        {"SciPy": scipy.special.softmax, "PyTorch": _torch(lambda z: torch.softmax(z, -1))},
    ),
    Claim(
        "log_softmax",
        _promise(3),
        rows,
        lk.log_softmax,
        oracle.log_softmax,
        {"SciPy": scipy.special.log_softmax, "PyTorch": _torch(lambda z: torch.log_softmax(z, -1))},
    ),
    Claim(
        "class_log_odds",
        _promise(2),
        rows_with_rivals,
        lk.class_log_odds,
        oracle.class_log_odds,
        floors=_difference_floor,
    ),
    Claim("center", _promise(3), rows, lk.center, oracle.center, floors=_difference_floor),
    Claim(
        "cross_entropy, class",
        _promise(3),
        rows_with_class,
        _swap(lambda t, z: lk.cross_entropy(t, logits=z)),
        lambda z, t: [oracle.cross_entropy(_label(t, z), z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Claim(
        "cross_entropy, class: gradient",
        _promise(4),
        rows_with_class,
        _swap(_grad),
        lambda z, t: oracle.cross_entropy_grad(_label(t, z), z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
    ),
    Claim(
        "cross_entropy, distribution",
        _promise(3),
        rows_with_distribution,
        _swap(_value),
        lambda z, t: [oracle.cross_entropy(t, z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Claim(
        "cross_entropy, distribution: gradient",
        _promise(5),
        rows_with_distribution,
        _swap(_grad),
        lambda z, t: oracle.cross_entropy_grad(t, z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
        lambda dtype, expected, z, target: _gradient_floor(target),
    ),
    Claim(
        "cross_entropy, smoothed and weighted: gradient",
        _promise(6),
        rows_with_class,
        lambda z, t: lk.cross_entropy_value_and_grad(
            t, logits=z, weight=_class_weights(z), label_smoothing=0.1, reduction="sum"
        )[1],
        lambda z, t: oracle.cross_entropy_grad(oracle.smoothed(_label(t, z), 0.1), z, oracle.exact(_class_weights(z))),
        floors=lambda dtype, expected, z, t: [VANISHED / len(z)] * len(z),
    ),
    Claim(
        "linear_cross_entropy",
        _promise(4),
        layers,
        lk.linear_cross_entropy,
        _linear_loss,
        {"PyTorch": lambda *a: _torch_linear(*a)[0]},
        _linear_loss_floor,
    ),
    Claim(
        "linear_cross_entropy: gradient of the features",
        _promise(4),
        layers,
        lambda *a: lk.linear_cross_entropy_value_and_grad(*a)[1][0],
        _linear_grad,
        {"PyTorch": lambda *a: _torch_linear(*a)[1]},
        _linear_grad_floor,
    ),
    Claim(
        "binary_cross_entropy",
        _promise(2),
        yes_or_no,
        lambda t, x: lk.binary_cross_entropy(t, logits=x, reduction="none"),
        _one_by_one(oracle.binary_cross_entropy),
        {"PyTorch": _torch(lambda t, x: F.binary_cross_entropy_with_logits(x, t, reduction="none"))},
    ),
    Claim(
        "binary_cross_entropy: gradient",
        _promise(3),
        yes_or_no,
        lambda t, x: lk.binary_cross_entropy_value_and_grad(t, logits=x, reduction="none")[1],
        _one_by_one(oracle.binary_cross_entropy_grad),
        {"PyTorch": _torch_grad(lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"))},
        lambda dtype, expected, target, x: _gradient_floor(target),
    ),
)

TWINS = (
    Claim(
        "logit",
        _own_precision(4),
        probabilities,
        _torch(lt.logit),
        _one_by_one(oracle.logit),
        {"PyTorch": _torch(torch.logit)},
    ),
    Claim(
        "softplus",
        _own_precision(4),
        real_numbers,
        _torch(lt.softplus),
        _one_by_one(oracle.softplus),
        {"PyTorch": _torch(F.softplus)},
    ),
    Claim("log1mexp", _own_precision(4), negative_numbers, _torch(lt.log1mexp), _one_by_one(oracle.log1mexp)),
    Claim(
        "log_softmax",
        _own_precision(6),
        rows,
        _torch(lambda z: lt.log_softmax(z, -1)),
        oracle.log_softmax,
        {"PyTorch": _torch(lambda z: torch.log_softmax(z, -1))},
    ),
    Claim(
        "cross_entropy, class",
        _own_precision(6),
        rows_with_class,
        _torch(lt.cross_entropy),
        lambda z, t: [oracle.cross_entropy(_label(t, z), z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Claim(
        "cross_entropy, class: gradient",
        _own_precision(6),
        rows_with_class,
        _swap(_torch_grad(lt.cross_entropy)),
        lambda z, t: oracle.cross_entropy_grad(_label(t, z), z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
    ),
    Claim(
        "cross_entropy, distribution",
        _own_precision(6),
        rows_with_distribution,
        _torch(lt.cross_entropy),
        lambda z, t: [oracle.cross_entropy(t, z)],
        {"PyTorch": _torch(F.cross_entropy)},
    ),
    Claim(
        "cross_entropy, distribution: gradient",
        _own_precision(6),
        rows_with_distribution,
        _swap(_torch_grad(lt.cross_entropy)),
        lambda z, t: oracle.cross_entropy_grad(t, z),
        {"PyTorch": _swap(_torch_grad(F.cross_entropy))},
        _last_place_of_operands,
    ),
    Claim(
        "binary_cross_entropy_with_logits",
        _own_precision(6),
        yes_or_no,
        _torch(lambda t, x: lt.binary_cross_entropy_with_logits(x, t, reduction="none")),
        _one_by_one(oracle.binary_cross_entropy),
        {"PyTorch": _torch(lambda t, x: F.binary_cross_entropy_with_logits(x, t, reduction="none"))},
    ),
    Claim(
        "binary_cross_entropy_with_logits: gradient",
        _own_precision(6),
        yes_or_no,
        _torch_grad(lambda x, t: lt.binary_cross_entropy_with_logits(x, t, reduction="sum")),
        _one_by_one(oracle.binary_cross_entropy_grad),
        {"PyTorch": _torch_grad(lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"))},
        _last_place_of_proportion,
    ),
)

VERSIONS = {"SciPy": scipy.__version__, "PyTorch": torch.__version__.split("+")[0]}


@dataclass(frozen=True)
class Table:
    """The claims of one dtype, as the book shows them."""

    claims: tuple[Claim, ...]
    dtype: type
    file: str
    ours: str
    peers: tuple[str, ...]

    @property
    def path(self) -> Path:
        return CHAPTERS / f"{self.file}-{self.dtype.__name__}.csv"

    @property
    def header(self) -> list[str]:
        return ["function", "promise", self.ours, *(f"{peer} {VERSIONS[peer]}" for peer in self.peers)]

    @property
    def promised(self) -> list[list[str]]:
        """The first columns: what is promised."""
        return [[claim.name, f"{claim.promise[self.dtype]:g}"] for claim in self.claims]

    def measured(self) -> Iterator[list[str]]:
        """Yield the other columns: the largest error of each library; a dash where it has no such function."""
        for claim in self.claims:
            peers = [claim.peers.get(peer) for peer in self.peers]
            worst = [_figure(claim.worst(self.dtype, f)) if f else "–" for f in (claim.ours, *peers)]
            print(f"{self.dtype.__name__} {claim.name:45}", *worst)
            yield worst


TABLES = [
    *(Table(CLAIMS, dtype, "accuracy", "logitkit", ("SciPy", "PyTorch")) for dtype in DTYPES),
    *(Table(TWINS, dtype, "accuracy-torch", "logitkit.torch", ("PyTorch",)) for dtype in DTYPES),
]


def _figure(ulps: float) -> str:
    if ulps < 1000:
        return f"{ulps:.2f}" if ulps < 10 else f"{ulps:.0f}"
    return f"{ulps:.0e}".replace("e+0", "e").replace("e+", "e")


if __name__ == "__main__":
    for table in TABLES:
        lines = [table.header, *(p + m for p, m in zip(table.promised, table.measured(), strict=True))]
        with table.path.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(lines)
