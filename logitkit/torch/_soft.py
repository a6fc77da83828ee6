"""Rows whose target is spread over classes: distributions, and class indices under label smoothing.

With shares q_j of the target the loss is the sum of q_j (-log p_j), every term of it positive, and its gradient
p_j sum(q) - q_j. Only for the largest logit can p_j come near one; there the gradient is taken from what is left,
(e_j (sum of the other q) - q_j (sum of the other e)) / sum(e), e = exp(z).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from logitkit.torch._blocks import RowFormula, block_rows, in_blocks, pullback, widened
from logitkit.torch._rows import class_first
from logitkit.torch.simplex import log_softmax

Shares = Callable[..., Tensor]  # of logits, a target and a weight or None


def loss_of_distributions(logits: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Return the loss of each row under a distribution; the classes are in the last dimension."""
    return _loss(partial(_shares_of_distribution, label_smoothing), logits, target, weight)


def smoothed_loss(logits: Tensor, labels: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Return the loss of each row under a class that gives up a share for all; a label of -1 may stand beside NaN."""
    return _loss(partial(_shares_of_class, label_smoothing), logits, labels, weight)


def times(weight: Tensor, values: Tensor) -> Tensor:
    """Return the product in which nothing counts for nothing, also where the value is infinite."""
    return weight * values.masked_fill((weight == 0) & values.isinf(), 0)


def _loss(shares: Shares, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    formula = RowFormula(partial(_composite, shares), partial(_value, shares), partial(_gradients, shares))
    return in_blocks(formula, (logits, target), () if weight is None else (weight,), block_rows(logits))


def _shares_of_distribution(label_smoothing: float, target: Tensor, logits: Tensor, weight: Tensor | None) -> Tensor:
    shares = widened(target)
    if label_smoothing:
        shares = (1 - label_smoothing) * shares + label_smoothing / logits.shape[-1]
    return shares if weight is None else widened(weight) * shares


def _shares_of_class(label_smoothing: float, labels: Tensor, logits: Tensor, weight: Tensor | None) -> Tensor:
    classes = torch.arange(logits.shape[-1], device=labels.device)
    hard = (labels[..., None] == classes).to(widened(logits).dtype)
    shares = (1 - label_smoothing) * hard + label_smoothing / len(classes)
    return shares if weight is None else widened(weight) * shares


def _composite(shares: Shares, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    parts = shares(target, logits, weight)
    if not target.is_floating_point():  # a row that is left out may hold NaN
        logits = logits.masked_fill((target < 0)[..., None], 0)
    return -times(parts, log_softmax(widened(logits), dim=-1)).sum(dim=-1)


class _Row(NamedTuple):
    exps: Tensor  # of the logits, class first
    top: Tensor  # the largest logit
    place: Tensor  # and its class, as an index along the first dimension
    of_top: Tensor  # its exponential
    rest: Tensor  # the sum of the others


def _look_at(logits: Tensor) -> _Row | None:
    """Return the rows of a block in which no exponential and no ratio of two leaves the normal numbers; else None."""
    exps = logits.exp()
    top, place = logits.max(dim=0)
    of_top, place = top.exp(), place[None]
    rest = exps.scatter(0, place, 0).sum(dim=0)
    limit = torch.finfo(logits.dtype).tiny ** -0.5 / 2
    if not (exps.amin() * limit >= 1 and (of_top + rest).amax() <= limit):
        return None
    return _Row(exps, top, place, of_top, rest)


def _value(shares: Shares, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    z = class_first(logits)
    row = _look_at(z)
    if row is None:
        return _composite(shares, logits, target, weight)
    q = class_first(shares(target, logits, weight))
    # -log p_j is top - z_j, and -log p of the top.
    return (q * (row.top - z)).sum(dim=0) + q.sum(dim=0) * torch.log1p(row.rest / row.of_top)


def _gradients(
    shares: Shares, wanted: Sequence[bool], grad: Tensor, logits: Tensor, target: Tensor, weight: Tensor | None = None
) -> Any:
    z = class_first(logits)
    row = _look_at(z) if wanted[0] and not any(wanted[1:]) else None
    if row is None:
        tensors = (logits, target) if weight is None else (logits, target, weight)
        return pullback(partial(_composite, shares), wanted, tensors)(grad)
    q = class_first(shares(target, logits, weight))
    total = row.rest + row.of_top
    at_top = row.of_top * q.scatter(0, row.place, 0).sum(dim=0) - q.gather(0, row.place)[0] * row.rest
    slope = row.exps.mul_(q.sum(dim=0) / total).sub_(q)
    return (slope.scatter_(0, row.place, (at_top / total)[None]).mul_(grad).movedim(0, -1),)
