"""The binary loss, element by element: a y softplus(-x) + (1 - y) softplus(x), and its gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from logitkit.torch._blocks import RowFormula, block_rows, in_blocks, widened
from logitkit.torch._soft import times
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
    return times(of_yes, softplus(-x)) + times(1 - y, softplus(x))


def _value(log_odds: Tensor, target: Tensor, pos_weight: Tensor | None = None) -> Tensor:
    x, y = widened(log_odds), widened(target)
    of_yes, of_no = y if pos_weight is None else pos_weight * y, 1 - y
    size = x.abs()
    losses = torch.exp(-size).log1p_().mul_(of_yes + of_no)
    return losses.add_(times(torch.where(x < 0, of_yes, of_no), size))


def _gradients(
    wanted: Sequence[bool], grad: Tensor, log_odds: Tensor, target: Tensor, pos_weight: Tensor | None = None
) -> list[Tensor]:
    x, y = widened(log_odds), widened(target)
    of_yes, of_no = y if pos_weight is None else pos_weight * y, 1 - y
    results = []
    if wanted[0]:
        # (1 - y) expit(x) - a y expit(-x) over the common denominator 1 + exp(-|x|).
        e, negative = torch.exp(-x.abs()), x < 0
        pull, push = torch.where(negative, e, 1).mul_(of_no), torch.where(negative, 1, e).mul_(of_yes)
        results.append(pull.sub_(push).div_(e.add_(1)).mul_(grad))
    if wanted[1]:
        surprise_of_yes = softplus(-x) if pos_weight is None else pos_weight * softplus(-x)
        results.append(grad * (surprise_of_yes - softplus(x)))
    if wanted[2:] == (True,):
        results.append(grad * y * softplus(-x))
    return results


FORMULA = RowFormula(_composite, _value, _gradients)
