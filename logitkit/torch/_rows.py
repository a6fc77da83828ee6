"""Rows of logits in native differentiable operations: log-probabilities whose derivatives keep their digits too.

A row is seen from its largest logit, as in `logitkit.simplex`: minus the log-probability of a class is

    log(1 + rest) - (z - largest),    rest = sum of exp(z - largest) over the other classes.

Its derivative can be written in two ways, since log-probabilities do not change when a constant is added to the row.
Where the largest class has more than half of the probability, the row's derivatives are those of the differences
z - largest: its own probability, which is near one, then appears only as one minus the sum of the others, and nothing
has to be subtracted from it later. Elsewhere the shift is a constant, and no probability comes near one. Either way
automatic differentiation finds terms that do not cancel, in the first derivative and in those that follow. The
rounding error of each difference is known exactly; it has no derivative and is put back as a factor.
"""

from __future__ import annotations

import torch
from torch import Tensor


class Rows:
    """Rows along one dimension, seen from their largest logit."""

    def __init__(self, logits: Tensor, dim: int) -> None:
        self.dim = dim
        self.top = logits.argmax(dim=dim, keepdim=True)
        largest = pick(logits, self.top, dim)
        constant = largest.detach()
        difference, self.error = difference_with_error(logits, constant)
        # The largest logit leaves its own sum, before a certain class makes a NaN of inf - inf.
        exps = without(difference, self.top, dim).exp()
        self.exps = torch.addcmul(exps, exps, self.error)
        rest = total(self.exps, dim)
        certain = (largest == torch.inf) & (rest == 0)
        own = torch.exp(largest.masked_fill(certain, 0) - constant.masked_fill(certain, 0))  # 1, with a derivative
        self.confident = rest < 1
        self.rest = torch.where(self.confident, rest / own, rest + (own - 1))
        self.sum = rest + own
        self.pivot = torch.where(self.confident, largest, constant)

    def surprisal(self, logits: Tensor, error: Tensor, is_top: Tensor) -> Tensor:
        """Return minus the log-probability of classes: given their logits, the errors, and whether they are top."""
        difference = (logits - self.pivot).masked_fill(is_top & self.confident, 0)
        return (torch.log1p(self.rest) - error) - difference


def surprisals(logits: Tensor, dim: int) -> Tensor:
    """Return minus the log-probability of each class."""
    if not logits.size(dim):
        return -logits
    logits = logits * 1  # gather keeps its operand, which the caller may overwrite before the backward pass
    rows = Rows(logits, dim)
    return rows.surprisal(logits, rows.error, is_at(rows.top, logits, dim))


def surprisal_of_class(logits: Tensor, labels: Tensor, dim: int) -> Tensor:
    """Return minus the log-probability of one class a row; without any class, 0."""
    if not logits.size(dim):
        return logits.sum(dim)
    rows, place = Rows(logits, dim), labels.unsqueeze(dim)
    own, error = pick(logits, place, dim), pick(rows.error, place, dim)
    return rows.surprisal(own, error, place == rows.top).squeeze(dim)


def logsumexp(logits: Tensor, dim: int) -> Tensor:
    """Return the logarithm of the sum of exponentials, of no class -inf."""
    if not logits.size(dim):
        return logits.logsumexp(dim)
    rows = Rows(logits * 1, dim)  # as in surprisals
    return (rows.pivot + torch.log1p(rows.rest)).squeeze(dim)


def log_odds(logits: Tensor, dim: int) -> Tensor:
    """Return the log-odds of each of at least two classes, if any, against the others."""
    if not logits.size(dim):
        return -logits
    logits = logits * 1  # as in surprisals
    rows = Rows(logits, dim)
    top, is_top = rows.top, is_at(rows.top, logits, dim)
    # Any class but the largest has the largest among its rivals: taking its own term from their sum cancels nothing.
    of_others = (logits - pick(logits, top, dim).detach()) + (rows.error - torch.log(rows.sum - rows.exps))
    # The largest against its rivals; if they are all masked, against the first of them.
    two = logits.topk(2, dim=dim).indices
    largest, second = logits.gather(dim, two).split(1, dim)
    masked = second == -torch.inf
    rivals = Rows(without(logits, top, dim).masked_fill(masked, 0), dim)
    difference, error = difference_with_error(largest, second)
    of_top = torch.where(masked, difference, -rivals.surprisal(largest, error, torch.zeros_like(masked)))
    return torch.where(is_top, of_top, of_others)


def pick(values: Tensor, place: Tensor, dim: int) -> Tensor:
    """Return the value at one place of each row."""
    # Compiled, the derivative of gather, a scatter, would be a pass of its own. And what's gathered from rows that are
    # spread over processes can't be calculated with.
    if torch.compiler.is_compiling() or hasattr(values, "placements"):
        return torch.where(is_at(place, values, dim), values, 0).sum(dim, keepdim=True)
    return values.gather(dim, place)


def without(values: Tensor, place: Tensor, dim: int) -> Tensor:
    """Return rows of which one value each is masked."""
    if torch.compiler.is_compiling():
        return torch.where(is_at(place, values, dim), -torch.inf, values)
    return values.scatter(dim, place, -torch.inf)


def is_at(place: Tensor, values: Tensor, dim: int) -> Tensor:
    """Return where the one place of each row is."""
    if torch.compiler.is_compiling():  # which fuses this into what it's used for
        after = values.dim() - 1 - dim % values.dim()
        return torch.arange(values.shape[dim], device=values.device).reshape(-1, *after * [1]) == place
    # A subclass of tensors makes its own of this; it would have to be told what a range of classes is a part of.
    # And True in place of 1 couldn't be saved by torch.jit.
    return torch.zeros_like(values, dtype=torch.bool).scatter(dim, place, 1)


def difference_with_error(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Return a - b and what rounding took from it (Knuth): a number without a derivative, 0 beside infinity."""
    difference = a - b
    total, minuend = difference.detach(), a.detach()
    used = minuend - total
    error = (minuend - (total + used)) + (used - b.detach())
    return difference, error.nan_to_num(nan=0.0)


def total(values: Tensor, dim: int) -> Tensor:
    """Return the sum along a dimension, which is kept."""
    # Compiled for a CPU, a sum in float32 is added up one by one; eager code and accelerators add by halves.
    wide = torch.float64 if torch.compiler.is_compiling() and values.device.type == "cpu" else None
    return values.sum(dim=dim, keepdim=True, dtype=wide).to(values.dtype)
