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
from logitkit.torch.simplex import log_softmax, others


def loss_of_distributions(logits: Tensor, target: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Return the loss of each row under a distribution; the classes are in the last dimension."""
    shares = partial(_shares_of_distribution, label_smoothing)
    return _loss(_Kind(shares, partial(_all_shares, shares)), logits, target, weight)


def smoothed_loss(logits: Tensor, labels: Tensor, weight: Tensor | None, label_smoothing: float) -> Tensor:
    """Return the loss of each row under a class that gives up a share for all; a label of -1 may stand beside NaN."""
    kind = _Kind(partial(_shares_of_class, label_smoothing), partial(_smoothed_shares, label_smoothing))
    return _loss(kind, logits, labels, weight)


def zero_safe_product(weight: Tensor, values: Tensor) -> Tensor:
    """Return the product with 0 * inf = 0."""
    return weight * values.masked_fill((weight == 0) & values.isinf(), 0)


class _Kind(NamedTuple):
    """The shares q of a target, as functions of a target, logits and a weight or None."""

    shares: Callable[..., Tensor]  # one number for each class of each row, differentiable
    of_block: Callable[..., _AllShares | _SmoothedShares]  # what the fast code for a block asks of them


def _loss(kind: _Kind, logits: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
    formula = RowFormula(partial(_composite, kind.shares), partial(_value, kind), partial(_gradients, kind))
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


def _composite(shares: Callable[..., Tensor], logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    parts = shares(target, logits, weight)
    if not target.is_floating_point():  # a row that is left out may hold NaN
        logits = logits.masked_fill((target < 0)[..., None], 0)
    return -zero_safe_product(parts, log_softmax(widened(logits), dim=-1)).sum(dim=-1)


class _AllShares(NamedTuple):
    """The shares of the rows of a block, class first."""

    shares: Tensor

    def total(self) -> Tensor:
        """Return the sum of each row's shares."""
        return self.shares.sum(dim=0)

    def weigh(self, values: Tensor) -> Tensor:
        """Return the sum of each row's values, each times its share."""
        return (self.shares * values).sum(dim=0)

    def at_and_beside(self, place: Tensor) -> tuple[Tensor, Tensor]:
        """Return one share of each row, and the sum of its others."""
        return self.shares.gather(0, place)[0], self.shares.clone().scatter_(0, place, 0).sum(dim=0)

    def take_from(self, values: Tensor) -> None:
        """Subtract the shares from the values."""
        values.sub_(self.shares)


class _SmoothedShares(NamedTuple):
    """The same for a class a row, without an array of shares: each class has its part, the target its own besides."""

    part: Tensor  # class first
    beside: Tensor  # of each class, the sum of the other parts
    own: Tensor
    label: Tensor

    def total(self) -> Tensor:
        return self.part.sum() + self.own

    def weigh(self, values: Tensor) -> Tensor:
        return (self.part * values).sum(dim=0) + self.own * values.gather(0, self.label[None])[0]

    def at_and_beside(self, place: Tensor) -> tuple[Tensor, Tensor]:
        at_label = (place[0] == self.label).to(self.own.dtype)
        at, beside = self.part.flatten()[place[0]], self.beside[place[0]]
        return at + at_label * self.own, beside + (1 - at_label) * self.own

    def take_from(self, values: Tensor) -> None:
        values.sub_(self.part).scatter_add_(0, self.label[None], -self.own[None])


def _all_shares(shares: Callable[..., Tensor], target: Tensor, logits: Tensor, weight: Tensor | None) -> _AllShares:
    return _AllShares(class_first(shares(target, logits, weight)))


def _smoothed_shares(label_smoothing: float, labels: Tensor, logits: Tensor, weight: Tensor | None) -> _SmoothedShares:
    classes, label = logits.shape[-1], labels.clamp(min=0)
    weights = torch.ones(classes, dtype=widened(logits).dtype) if weight is None else widened(weight)
    beside = (classes - 1) * weights if weight is None else others(weights)
    share = label_smoothing / classes
    part = (share * weights).reshape(-1, *(1 for _ in labels.shape))
    return _SmoothedShares(part, share * beside, (1 - label_smoothing) * weights[label], label)


class _Row(NamedTuple):
    exps: Tensor  # of the logits, class first
    top: Tensor  # the largest logit
    place: Tensor  # and its class, as an index along the first dimension
    of_top: Tensor  # its exponential
    rest: Tensor  # the sum of the others


def _row_of(logits: Tensor) -> _Row | None:
    """Return the rows of a block in which no exponential and no ratio of two leaves the normal numbers; else None."""
    exps = logits.exp()
    top, place = logits.max(dim=0, keepdim=True)
    least, of_top = exps.amin(), exps.gather(0, place)
    rest = exps.scatter_(0, place, 0).sum(dim=0)
    limit = torch.finfo(logits.dtype).tiny ** -0.5 / 2
    if not (least * limit >= 1 and (of_top[0] + rest).amax() <= limit):
        return None
    return _Row(exps.scatter_(0, place, of_top), top[0], place, of_top[0], rest)


def _value(kind: _Kind, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
    z = class_first(logits)
    row = _row_of(z)
    if row is None:
        return _composite(kind.shares, logits, target, weight)
    q = kind.of_block(target, logits, weight)
    # -log p_j is top - z_j, and -log p of the top.
    return q.weigh(row.top - z) + q.total() * torch.log1p(row.rest / row.of_top)


def _gradients(
    kind: _Kind, wanted: Sequence[bool], grad: Tensor, logits: Tensor, target: Tensor, weight: Tensor | None = None
) -> Any:
    row = _row_of(class_first(logits)) if wanted[0] and not any(wanted[1:]) else None
    if row is None:
        tensors = (logits, target) if weight is None else (logits, target, weight)
        return pullback(partial(_composite, kind.shares), wanted, tensors)(grad)
    q = kind.of_block(target, logits, weight)
    at, beside = q.at_and_beside(row.place)
    total = row.rest + row.of_top
    slope = row.exps.mul_(q.total() / total)
    q.take_from(slope)
    at_top = (row.of_top * beside - at * row.rest) / total
    return (slope.scatter_(0, row.place, at_top[None]).mul_(grad).movedim(0, -1),)
