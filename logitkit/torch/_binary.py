"""The binary loss, element by element: a y softplus(-x) + (1 - y) softplus(x), and its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from logitkit.torch._blocks import RowFormula, block_rows, in_blocks, widened
from logitkit.torch._soft import zero_safe_product
from logitkit.torch.links import softplus


def binary_loss(log_odds: Tensor, target: Tensor, pos_weight: Tensor | None) -> Tensor:
    """Return the loss of each element."""
    if log_odds.dim() == 0:
        return binary_loss(log_odds[None], target[None], pos_weight if pos_weight is None else pos_weight[None])[0]
    rows = [log_odds, target] if pos_weight is None else [log_odds, target, pos_weight]
    return in_blocks(FORMULA, rows, (), block_rows(log_odds))


def _composite(log_odds: Tensor, target: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    x, y = widened(log_odds), widened(target)
    of_yes = y if pos_weight is None else pos_weight * y
    return zero_safe_product(of_yes, softplus(-x)) + zero_safe_product(1 - y, softplus(x))


def _value(log_odds: Tensor, target: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    x, y = widened(log_odds), widened(target)
    size = x.abs()
    if not size.numel() or not size.amax() < torch.inf:  # nothing at all, or 0 times infinity
        return _composite(log_odds, target, pos_weight)
    of_yes, of_no = y if pos_weight is None else pos_weight * y, 1 - y
    losses = size.neg_().exp_().log1p_().mul_(of_yes + of_no)
    return losses.addcmul_(x.clamp(min=0), of_no).addcmul_(x.clamp(max=0), of_yes, value=-1)


def _gradients(
    wanted: Sequence[bool], grad: Tensor, log_odds: Tensor, target: Tensor, pos_weight: Tensor | None = None
) -> list[Tensor]:
    x, y = widened(log_odds), widened(target)
    results = []
    if wanted[0]:
        # (1 - y) expit(x) - a y expit(-x), from one fraction: of the two exponentials one is 1, the other exp(-|x|).
        pull, push = x.clamp(max=0).exp_(), x.clamp(min=0).neg_().exp_()
        below = pull + push
        push.mul_(y if pos_weight is None else pos_weight * y)
        results.append(pull.mul_(1 - y).sub_(push).div_(below).mul_(grad))
    if wanted[1]:
        loss_if_positive = softplus(-x) if pos_weight is None else pos_weight * softplus(-x)
        results.append(grad * (loss_if_positive - softplus(x)))
    if wanted[2:] == (True,):
        results.append(grad * y * softplus(-x))
    return results


FORMULA = RowFormula(_composite, _value, _gradients)
