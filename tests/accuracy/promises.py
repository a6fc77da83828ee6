"""The promises of the package: the largest error of each function, in units in the last place, and who else has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.special
import torch
import torch.nn.functional as F

import logitkit as lk
from tests import oracle
from tests.accuracy.draws import (
    binary_targets,
    hard_binary_targets,
    layers,
    negative_numbers,
    probabilities,
    real_numbers,
    rows,
    rows_with_class,
    rows_with_distribution,
    rows_with_rivals,
)
from tests.accuracy.floors import (
    VANISHED,
    difference_floor,
    divergence_floor,
    gradient_floor,
    linear_grad_floor,
    linear_loss_floor,
    sum_floor,
)
from tests.accuracy.promise import (
    Promise,
    grad_of_class,
    grad_of_distribution,
    grad_on_tensors,
    loss_of_class,
    loss_of_distribution,
    on_tensors,
    one_by_one,
    one_hot,
    swapped,
)


def _class_weights(z: Any) -> np.ndarray:
    return np.linspace(0.5, 2, len(z))


def _layer_of(features: list[Any], weight: list[Any]) -> tuple[list[Any], list[list[Any]]]:
    """The logits and the columns of the matrix."""
    width = len(features)
    rows = [weight[i : i + width] for i in range(0, len(weight), width)]
    (logits,) = oracle.linear([features], rows, [oracle.number(0)] * len(rows))
    return logits, list(map(list, zip(*rows, strict=True)))


def _linear_loss(features: list[Any], weight: list[Any], label: list[Any]) -> list[Any]:
    logits, _ = _layer_of(features, weight)
    return [oracle.cross_entropy(one_hot(label, logits), logits)]


def _linear_grad(features: list[Any], weight: list[Any], label: list[Any]) -> list[Any]:
    logits, columns = _layer_of(features, weight)
    grad = oracle.cross_entropy_grad(one_hot(label, logits), logits)
    return [oracle.dot(grad, column) for column in columns]


def _torch_linear(features: np.ndarray, weight: np.ndarray, label: np.ndarray) -> np.ndarray:
    h = torch.tensor(features, requires_grad=True)
    loss = F.cross_entropy(F.linear(h, torch.tensor(weight)), torch.tensor(label))
    loss.backward()
    return np.atleast_1d(loss.detach().numpy()), h.grad.numpy()


def _rounded_once(float64: float) -> dict[type, float]:
    return {np.float16: 0.51, np.float32: 0.51, np.float64: float64}


def _value(target: np.ndarray, z: np.ndarray) -> Any:
    return lk.cross_entropy_value_and_grad(target, logits=z)[0]


def _grad(target: np.ndarray, z: np.ndarray) -> Any:
    return lk.cross_entropy_value_and_grad(target, logits=z)[1]


PROMISES = (
    Promise("odds", _rounded_once(2), probabilities, lk.odds, one_by_one(oracle.odds)),
    Promise(
        "logit",
        _rounded_once(2),
        probabilities,
        lk.logit,
        one_by_one(oracle.logit),
        {"SciPy": scipy.special.logit, "PyTorch": on_tensors(torch.logit)},
    ),
    Promise(
        "expit",
        _rounded_once(2),
        real_numbers,
        lk.expit,
        one_by_one(oracle.expit),
        {"SciPy": scipy.special.expit, "PyTorch": on_tensors(torch.sigmoid)},
    ),
    Promise(
        "log_expit",
        _rounded_once(1.75),
        real_numbers,
        lk.log_expit,
        one_by_one(oracle.log_expit),
        {"SciPy": scipy.special.log_expit, "PyTorch": on_tensors(F.logsigmoid)},
    ),
    Promise(
        "softplus",
        _rounded_once(1.75),
        real_numbers,
        lk.softplus,
        one_by_one(oracle.softplus),
        {"PyTorch": on_tensors(F.softplus)},
    ),
    Promise("log1mexp", _rounded_once(1.5), negative_numbers, lk.log1mexp, one_by_one(oracle.log1mexp)),
    Promise(
        "logsumexp",
        {np.float16: 0.51, np.float32: 0.51, np.float64: 1.0},
        rows,
        lk.logsumexp,
        lambda z: [oracle.logsumexp(z)],
        {"SciPy": scipy.special.logsumexp, "PyTorch": on_tensors(lambda z: torch.logsumexp(z, -1))},
        sum_floor,
    ),
    Promise(
        "softmax",
        _rounded_once(4),
        rows,
        lk.softmax,
        oracle.softmax,
        {"SciPy": scipy.special.softmax, "PyTorch": on_tensors(lambda z: torch.softmax(z, -1))},
    ),
    Promise(
        "log_softmax",
        _rounded_once(3),
        rows,
        lk.log_softmax,
        oracle.log_softmax,
        {"SciPy": scipy.special.log_softmax, "PyTorch": on_tensors(lambda z: torch.log_softmax(z, -1))},
    ),
    Promise(
        "class_log_odds",
        _rounded_once(2),
        rows_with_rivals,
        lk.class_log_odds,
        oracle.class_log_odds,
        floors=difference_floor,
    ),
    Promise("center", _rounded_once(3), rows, lk.center, oracle.center, floors=difference_floor),
    Promise(
        "cross_entropy, class",
        _rounded_once(3),
        rows_with_class,
        swapped(lambda t, z: lk.cross_entropy(t, logits=z)),
        loss_of_class,
        {"PyTorch": on_tensors(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, class: gradient",
        _rounded_once(4),
        rows_with_class,
        swapped(_grad),
        grad_of_class,
        {"PyTorch": swapped(grad_on_tensors(F.cross_entropy))},
    ),
    Promise(
        "cross_entropy, distribution",
        _rounded_once(3),
        rows_with_distribution,
        swapped(_value),
        loss_of_distribution,
        {"PyTorch": on_tensors(F.cross_entropy)},
    ),
    Promise(
        "cross_entropy, distribution: gradient",
        _rounded_once(5),
        rows_with_distribution,
        swapped(_grad),
        grad_of_distribution,
        {"PyTorch": swapped(grad_on_tensors(F.cross_entropy))},
        lambda dtype, expected, z, target: gradient_floor(target),
    ),
    Promise(
        "cross_entropy, smoothed and weighted: gradient",
        _rounded_once(6),
        rows_with_class,
        lambda z, t: lk.cross_entropy_value_and_grad(
            t, logits=z, weight=_class_weights(z), label_smoothing=0.1, reduction="sum"
        )[1],
        lambda z, t: oracle.cross_entropy_grad(oracle.smoothed(one_hot(t, z), 0.1), z, oracle.exact(_class_weights(z))),
        floors=lambda dtype, expected, z, t: [VANISHED / len(z)] * len(z),
    ),
    Promise(
        "linear_cross_entropy",
        _rounded_once(4),
        layers,
        lk.linear_cross_entropy,
        _linear_loss,
        {"PyTorch": lambda *a: _torch_linear(*a)[0]},
        linear_loss_floor,
    ),
    Promise(
        "linear_cross_entropy: gradient of the features",
        _rounded_once(4),
        layers,
        lambda *a: lk.linear_cross_entropy_value_and_grad(*a)[1][0],
        _linear_grad,
        {"PyTorch": lambda *a: _torch_linear(*a)[1]},
        linear_grad_floor,
    ),
    Promise(
        "binary_cross_entropy",
        _rounded_once(2),
        binary_targets,
        lambda t, x: lk.binary_cross_entropy(t, logits=x, reduction="none"),
        one_by_one(oracle.binary_cross_entropy),
        {"PyTorch": on_tensors(lambda t, x: F.binary_cross_entropy_with_logits(x, t, reduction="none"))},
    ),
    Promise(
        "binary_cross_entropy: gradient",
        _rounded_once(3),
        binary_targets,
        lambda t, x: lk.binary_cross_entropy_value_and_grad(t, logits=x, reduction="none")[1],
        one_by_one(oracle.binary_cross_entropy_grad),
        {"PyTorch": grad_on_tensors(lambda x, t: F.binary_cross_entropy_with_logits(x, t, reduction="sum"))},
        lambda dtype, expected, target, x: gradient_floor(target),
    ),
    Promise(
        "focal_loss",
        _rounded_once(5),
        hard_binary_targets,
        lambda t, x: lk.focal_loss(t, logits=x, reduction="none"),
        one_by_one(lambda y, x: oracle.focal_loss(y, x, 2)),
    ),
    Promise(
        "kl_divergence",
        _rounded_once(1),
        rows_with_distribution,
        lambda z, t: lk.kl_divergence(target_probs=t, logits=z),
        lambda z, t: [oracle.generalized_kl_divergence(t, oracle.softmax(z))],
        floors=divergence_floor,
    ),
)
