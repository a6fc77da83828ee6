"""One target class a row: the loss of the target's log-odds, and its gradient, block by block.

A row's rivals are its classes but the target, and all that the loss needs of them is the sum of their exponentials:
the target's log-odds against the rest is l = z_y - log(sum_j exp(z_j)), j != y; the loss is softplus(-l) and its
gradient expit(-l) (softmax of the rivals - one-hot of y). Nothing is subtracted from a probability near one, so loss
and gradient keep their digits at any margin, in the precision of the logits.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit.torch._blocks import batch_first, block_rows, blocks, values_are_readable, widened
from logitkit.torch.simplex import exp_of_difference, two_difference

# Up to this many classes a block is stored class by class, so that a reduction runs along the rows.
FEW_CLASSES = 32


def hard_loss(logits: Tensor, target: Tensor) -> Tensor:
    """Return minus the log-probability of one class a row; the classes are in the last dimension."""
    losses: Tensor = _HardLoss.apply(logits, target)[0]
    return losses


def class_first(rows: Tensor) -> Tensor:
    """Return the rows of a block with their classes in the first dimension."""
    view = widened(rows).movedim(-1, 0)
    return view.contiguous() if len(view) <= FEW_CLASSES else view


class _Rows(NamedTuple):
    """What the loss needs to know of each row: rivals are its classes but the target."""

    loss: Tensor  # softplus(-l)
    share: Tensor  # the probability of all rivals together, expit(-l)
    scale: Tensor  # scale * exp(z - pivot) is the probability of a rival
    pivot: Tensor


def _row_of(logits: Tensor, target: Tensor) -> _Rows:
    """Return the rows of a block, whose classes are in the first dimension."""
    return (_unshifted(logits, target) if values_are_readable(logits) else None) or _shifted(logits, target)


def _unshifted(logits: Tensor, target: Tensor) -> _Rows | None:
    """Return the rows of a block in which no exponential and no ratio of two leaves the normal numbers; else None.

    Without a shift there is no rounding error of z - pivot, which a large difference would multiply.
    """
    exps = logits.exp()
    least, own = exps.amin(), exps.gather(0, target[None])[0]
    rest = exps.scatter_(0, target[None], 0).sum(dim=0)
    total, ratio = rest + own, rest / own
    limit = torch.finfo(logits.dtype).tiny ** -0.5 / 2
    if not (least * limit >= 1 and total.amax() <= limit):
        return None
    return _Rows(torch.log1p(ratio), ratio / (1 + ratio), 1 / total, torch.zeros_like(own))


def _shifted(logits: Tensor, target: Tensor) -> _Rows:
    own = logits.gather(0, target[None])[0]
    largest = logits.scatter(0, target[None], -torch.inf).amax(dim=0)
    pivot = _finite(largest)
    rest = _exps(logits, pivot).scatter_(0, target[None], 0).sum(dim=0)
    # The largest rival against the target, from the side on which the exponential of their difference is at most 1.
    gap, error = two_difference(largest, own)
    error = torch.where(gap.isfinite(), error, 0)
    behind = gap <= 0
    e = torch.exp(-gap.abs()) * (1 + torch.where(behind, error, -error))
    of_rivals, of_own = torch.where(behind, e, 1), torch.where(behind, 1, e)
    scaled = of_rivals * rest
    loss = gap.clamp(min=0) + (torch.log1p(scaled + (of_own - 1)) + torch.where(behind, 0, error))
    return _Rows(loss, scaled / (scaled + of_own), of_rivals / (scaled + of_own), pivot)


def _finite(values: Tensor) -> Tensor:
    """Infinities as numbers that can be subtracted, and are as good as infinite."""
    return values.clamp(-(most := torch.finfo(values.dtype).max), most)


def _exps(logits: Tensor, pivot: Tensor) -> Tensor:
    looking = values_are_readable(pivot)
    if looking and not pivot.any():  # the rows of `_unshifted`, and those whose largest rival is 0
        return logits.exp()
    exps = exp_of_difference(_finite(logits), pivot)
    # NaN is a difference below all numbers, of which nothing is left; or a whole row, whose scale says so.
    if not looking or not pivot.abs().amax() < torch.finfo(pivot.dtype).max ** 0.5:
        exps.nan_to_num_(nan=0.0)
    return exps


class _HardLoss(Function):
    """Minus the log-probability of one class a row, the classes in the last dimension; and what the gradient needs."""

    @staticmethod
    def forward(logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        results = _Rows(*(torch.empty_like(target, dtype=widened(logits).dtype) for _ in _Rows._fields))
        for block in blocks(logits, block_rows(logits)):
            for result, value in zip(results, _row_of(class_first(logits[block]), target[block]), strict=True):
                result[block] = value
        return tuple(results)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: _Rows) -> None:
        _, *of_rows = output
        ctx.mark_non_differentiable(*of_rows)
        ctx.save_for_backward(*inputs, *of_rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor, *_: Tensor) -> tuple[Tensor, None]:
        return _HardGradient.apply(grad, *ctx.saved_tensors), None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *tensors: Tensor) -> Any:
        return _HardLoss.apply(*batch_first(info, in_dims, tensors)), (0, 0, 0, 0)


class _HardGradient(Function):
    """The derivative of `_HardLoss` with respect to the logits, each row multiplied by its `grad`."""

    @staticmethod
    def forward(grad: Tensor, logits: Tensor, target: Tensor, share: Tensor, scale: Tensor, pivot: Tensor) -> Tensor:
        result = torch.empty_like(logits)
        for block in blocks(logits, block_rows(logits)):
            factor = grad[block]
            # 0 * NaN = 0 here: a row without a cotangent has no gradient.
            of_rivals, of_own = (torch.where(factor == 0, 0, factor * v[block]) for v in (scale, share))
            exps = _exps(class_first(logits[block]), pivot[block])
            place = result[block].movedim(-1, 0)
            if place.dtype == exps.dtype and not torch.compiler.is_compiling():
                torch.mul(exps, of_rivals, out=place)
            else:
                place.copy_(exps.mul_(of_rivals))
            place.scatter_(0, target[block][None], -of_own[None].to(place.dtype))
        return result

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        grad, logits, *of_rows = ctx.saved_tensors
        logits, cotangent = widened(logits), widened(cotangent)
        one_each = _HardGradient.apply(torch.ones_like(grad), logits, *of_rows)
        slope = (one_each * cotangent).sum(dim=-1)
        # The cotangent minus its mean under p: at the target exactly -slope, small when the network is confident.
        deviation = cotangent - cotangent.gather(-1, of_rows[0][..., None]) - slope[..., None]
        return slope, grad[..., None] * torch.softmax(logits, dim=-1) * deviation, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *tensors: Tensor) -> tuple[Tensor, int]:
        return _HardGradient.apply(*batch_first(info, in_dims, tensors)), 0
