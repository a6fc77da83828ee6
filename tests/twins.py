"""The twins in pairs with their originals, and the tensors that both are called with."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

import logitkit.torch as lt

INF, NAN = torch.inf, torch.nan


CLASSES = 3


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def logits(*shape: int, seed: int = 0) -> Tensor:
    return (3 * doubles(*shape, seed=seed)).requires_grad_()


def labels(*shape: int, classes: int = CLASSES) -> Tensor:
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(1))


def distributions(*shape: int) -> Tensor:
    return torch.softmax(doubles(*shape, seed=2), dim=1)


def proportions(*shape: int) -> Tensor:
    return torch.sigmoid(doubles(*shape, seed=3))


WEIGHT = torch.tensor([0.5, 2.0, 1.25], dtype=torch.float64)


ROWS = 4


CLASS_CALLS: dict[str, tuple[Tensor, dict[str, Any]]] = {
    "indices": (labels(ROWS), {}),
    "indices, weighted": (labels(ROWS), {"weight": WEIGHT}),
    "indices, some ignored": (torch.tensor([0, 2, -100, 1]), {"weight": WEIGHT}),
    "indices, another ignored": (torch.tensor([0, 2, 2, 1]), {"ignore_index": 2}),
    "indices, smoothed": (labels(ROWS), {"label_smoothing": 0.1}),
    "indices, smoothed, weighted, ignored": (
        torch.tensor([0, 2, -100, 1]),
        {"label_smoothing": 0.3, "weight": WEIGHT},
    ),
    "distributions": (distributions(ROWS, CLASSES), {}),
    "distributions, weighted": (distributions(ROWS, CLASSES), {"weight": WEIGHT}),
    "distributions, smoothed, weighted": (
        distributions(ROWS, CLASSES),
        {"label_smoothing": 0.3, "weight": WEIGHT},
    ),
    "one-hot": (F.one_hot(labels(ROWS), CLASSES).double(), {}),
}


BINARY_CALLS: dict[str, dict[str, Any]] = {
    "plain": {},
    "pos_weight": {"pos_weight": WEIGHT},
    "weight": {"weight": proportions(ROWS, 1)},
    "both": {"weight": WEIGHT, "pos_weight": torch.tensor(3.0, dtype=torch.float64)},
}


class Pair:
    """A twin with its original, called alike."""

    def __init__(self, ours: Callable[..., Tensor], theirs: Callable[..., Tensor], *tensors: Tensor, **options: Any):
        self.ours, self.theirs, self.tensors, self.options = ours, theirs, tensors, options

    def twin(self, *tensors: Tensor) -> Tensor:
        return self.ours(*tensors, **self.options)

    def assert_agree(self, rtol: float = 1e-12, atol: float = 1e-14) -> None:
        results = [f(*self.tensors, **self.options) for f in (self.ours, self.theirs)]
        torch.testing.assert_close(*results, rtol=rtol, atol=atol, equal_nan=True)
        leaves = [t for t in self.tensors if t.requires_grad]
        slopes = doubles(*results[0].shape, seed=9).to(results[0])
        for mine, yours in zip(*(grad(r, leaves, slopes) for r in results), strict=True):
            torch.testing.assert_close(mine, yours, rtol=rtol, atol=atol, equal_nan=True)


def class_pairs(reduction: str = "mean") -> dict[str, Pair]:
    pairs = {}
    for name, (target, options) in CLASS_CALLS.items():
        if target.is_floating_point() and name != "one-hot":  # a finite difference would leave [0, 1]
            target = target.clone().requires_grad_()
        options = {**options, "reduction": reduction}
        pairs[name] = Pair(lt.cross_entropy, F.cross_entropy, logits(ROWS, CLASSES), target, **options)
    for name, options in BINARY_CALLS.items():
        pairs[f"binary, {name}"] = Pair(
            lt.binary_cross_entropy_with_logits,
            F.binary_cross_entropy_with_logits,
            logits(ROWS, CLASSES),
            proportions(ROWS, CLASSES).requires_grad_(),
            **options,
            reduction=reduction,
        )
    return pairs


def linear_pairs() -> dict[str, Pair]:
    pairs = {}
    features, layer, bias = logits(ROWS, 2), logits(CLASSES, 2, seed=5), logits(CLASSES, seed=6)
    for name, (target, options) in CLASS_CALLS.items():

        def ours(h: Tensor, w: Tensor, b: Tensor, t: Tensor, **options: Any) -> Tensor:
            return lt.linear_cross_entropy(h, w, t, linear_bias=b, **options)

        def theirs(h: Tensor, w: Tensor, b: Tensor, t: Tensor, **options: Any) -> Tensor:
            return F.cross_entropy(F.linear(h, w, b), t, **options)

        pairs[f"linear, {name}"] = Pair(ours, theirs, features, layer, bias, target, **options)
    return pairs


def by_probabilities(z: Tensor, dim: int = -1) -> Tensor:
    return torch.logit(torch.softmax(z, dim))


ELEMENTWISE = {
    "logit": Pair(lt.logit, torch.logit, proportions(7).requires_grad_()),
    "logit, clamped": Pair(lt.logit, torch.logit, proportions(7).requires_grad_(), eps=0.3),
    "softplus": Pair(lt.softplus, F.softplus, logits(7)),
    "softplus, steeper": Pair(lt.softplus, F.softplus, logits(7), beta=2.5),
    "log1mexp": Pair(lt.log1mexp, lambda x: torch.log(1 - torch.exp(x)), (-3 * proportions(7)).requires_grad_()),
    "log_softmax": Pair(lt.log_softmax, F.log_softmax, logits(ROWS, CLASSES), dim=1),
    "log_softmax, first axis": Pair(lt.log_softmax, F.log_softmax, logits(ROWS, CLASSES), dim=0),
    "class_log_odds": Pair(lt.class_log_odds, by_probabilities, logits(ROWS, CLASSES)),
}


ALL = {**class_pairs(), **linear_pairs(), **ELEMENTWISE}
