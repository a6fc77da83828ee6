"""Layer and loss of ordinary tensors, block by block: logits are made once, used and dropped.

Where the loss is one number, its gradients are made along with it: each block's logits give the losses and, in the same
pass, the slopes that the products with features and weights need. The backward pass then only has to scale them by its
cotangent. A second backward pass, or one with a cotangent for each row, goes through the blocks again.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from logitkit import kernels
from logitkit.formulas import softcap as formulas
from logitkit.formulas.binary import zero_safe_product
from logitkit.torch import _namespace as xp
from logitkit.torch._blocks import in_blocks, places_of_blocks, pullback, rows_in_block
from logitkit.torch._classes import ClassTarget, reduced
from logitkit.torch._eager import is_dense
from logitkit.torch._inputs import widened
from logitkit.torch._rows import logsumexp

Gradients: TypeAlias = "list[Tensor | None]"


@dataclass(frozen=True)
class LayerLoss:
    """The loss of rows of features under a layer, its weights and perhaps its bias."""

    goal: ClassTarget
    softcap: float
    z_loss: float
    reduction: str

    def of_all(self, features: Tensor, *layer: Tensor) -> Tensor:
        """Return the loss, all logits at once, by operations that PyTorch differentiates and transforms."""
        logits = F.linear(self._kept(features, self.goal), *layer)
        return reduced(self._losses(logits, self.goal), self.goal.divisor(), self.reduction)

    def of_ordinary(self, step: int, *operands: Tensor) -> Tensor:
        """Return the same, so many rows at a time."""
        if operands[0].is_cpu:
            _ = self.goal.of_rows  # an error names the place among all rows
        narrow = _exact(operands[0]).dtype == torch.float16
        # A loss is scaled to keep gradients in float16 from vanishing: they must wait for the scale.
        early = torch.is_grad_enabled() and self.reduction != "none" and not narrow
        # Past the transforms of torch.func, as in `_eager`.
        result: Tensor = super(Function, _InBlocks).apply(self, step, early, *operands)
        return result

    def in_blocks(
        self, step: int, operands: Sequence[Tensor], wanted: Sequence[bool], cotangents: Tensor | None = None
    ) -> tuple[Tensor, Gradients]:
        """Return the loss of each row, and the gradients of the wanted operands, in at least float32.

        They are those of the sum of the losses, each times its cotangent if those are given.
        """
        features, *layer = map(_exact, operands)
        wide = widened(features).dtype
        grads: Gradients = [
            t.new_zeros(t.shape, dtype=wide) if w else None for t, w in zip(operands, wanted, strict=True)
        ]
        losses = []
        for place in places_of_blocks(features, step):
            goal = self.goal.of(self.goal.given[place])
            block = self._kept(features[place], goal)
            given = None if cotangents is None else cotangents[place]
            own, slopes = self._of_logits(F.linear(block, *layer), goal, any(wanted), given)
            losses.append(own)
            if slopes is not None:
                _add_products(grads, place, slopes, block, layer[0])
            del slopes  # before the next block needs the room
        return torch.cat(losses), grads

    def _kept(self, features: Tensor, goal: ClassTarget) -> Tensor:
        # A row that is left out may hold NaN, which times 0 would spoil the gradient of the layer.
        return features if goal.is_distribution else features.masked_fill(~goal.checked_classes[1].unsqueeze(-1), 0)

    def _losses(self, logits: Tensor, goal: ClassTarget) -> Tensor:
        z = widened(logits)
        if self.softcap < math.inf:
            z = in_blocks(self._capped, (z,), (), z.shape[-1])
        losses = goal.losses_of_all(z)
        if not self.z_loss:
            return losses
        squares = in_blocks(lambda z: logsumexp(z, -1) ** 2, (z,), (), z.shape[-1])
        if not goal.is_distribution:
            squares = squares.where(goal.checked_classes[1], 0)
        return losses + self._price() * squares

    def _of_logits(
        self, logits: Tensor, goal: ClassTarget, sloping: bool, cotangents: Tensor | None
    ) -> tuple[Tensor, Tensor | None]:
        """Return the losses of a block, and if wanted their slopes times the cotangents."""
        soft = goal.is_distribution or goal.smoothing
        if logits.is_cpu and kernels.why_off() is None and logits.numel() and not (self.z_loss and soft):
            losses, slopes = self._by_kernel(logits, goal, sloping)
            if cotangents is not None:
                slopes *= cotangents.unsqueeze(-1)
            return losses, slopes if sloping else None
        with torch.set_grad_enabled(sloping):
            losses = self._losses(logits.requires_grad_(sloping), goal)
            if not sloping:
                return losses, None
            cotangents = torch.ones_like(losses) if cotangents is None else cotangents.to(losses.dtype)
            return losses.detach(), torch.autograd.grad(losses, logits, cotangents)[0]

    def _by_kernel(self, logits: Tensor, goal: ClassTarget, sloping: bool) -> tuple[Tensor, Tensor]:
        classes = logits.shape[-1]
        z, blocks = logits, []
        if self.softcap < math.inf:
            z, blocks = torch.empty_like(logits), list(places_of_blocks(logits, rows_in_block(logits, classes)))
        for block in blocks:
            z[block] = self._capped(logits[block])
        unweighted = ClassTarget(goal.given, classes, None, goal.ignored, 0.0) if self.z_loss else goal
        losses, grads = unweighted.by_kernel(z, sloping, "none", torch.float64)
        slopes = torch.from_numpy(grads)
        if self.z_loss:
            losses, slopes = self._with_price(z, goal, losses, slopes)
        for block in blocks if sloping else ():
            slopes[block] *= formulas.slope(logits[block], self.softcap, xp)
        return losses, slopes

    def _with_price(self, z: Tensor, goal: ClassTarget, losses: Tensor, slopes: Tensor) -> tuple[Tensor, Tensor]:
        """Weight losses and slopes of classes, and add those of the z-loss, whose slope is 2 lse times softmax."""
        labels, kept, _ = goal.checked_classes
        weights = kept.double() if goal.weight is None else goal.weight.double()[labels].where(kept, 0)
        labels = labels.unsqueeze(-1)
        lse = z.gather(-1, labels).squeeze(-1).double() + losses
        masked = ~lse.isfinite() & kept
        if masked.any():  # the target is, perhaps
            lse[masked] = z[masked].double().logsumexp(-1)
        price = self._price() * kept.double()
        if slopes.numel():
            # Of every class but the target the slope is its probability.
            push = 2 * price * lse.where(kept, 0)
            own = weights.unsqueeze(-1) * slopes.gather(-1, labels) + (push * torch.exp(-losses)).unsqueeze(-1)
            factor = (weights + push).unsqueeze(-1).to(slopes.dtype)  # else all slopes would be widened
            slopes.mul_(factor).scatter_(-1, labels, own.to(slopes.dtype))
        return zero_safe_product(weights, losses, xp) + price * lse.where(kept, 0) ** 2, slopes

    def _price(self) -> Tensor | float:
        """Return the factor of the squares: their mean is over the rows that are kept, whatever their weights."""
        if self.reduction != "mean" or self.goal.is_distribution or self.goal.weight is None:
            return self.z_loss
        return self.z_loss * self.goal.divisor() / self.goal.checked_classes[1].sum()

    def _capped(self, z: Tensor) -> Tensor:
        result: Tensor = formulas.capped(z, self.softcap, xp)
        return result


class _InBlocks(Function):
    @staticmethod
    def forward(ctx: Any, loss: LayerLoss, step: int, early: bool, *operands: Tensor) -> Tensor:
        ctx.loss, ctx.step, ctx.early = loss, step, early
        ctx.save_for_backward(*operands)
        wanted = [early and wanted for wanted in ctx.needs_input_grad[3:]]
        losses, grads = loss.in_blocks(step, [t.detach() for t in operands], wanted)
        ctx.held = grads if any(wanted) else None
        return reduced(losses, loss.goal.divisor(), loss.reduction).to(widened(operands[0]).dtype)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        loss, operands, wanted = ctx.loss, ctx.saved_tensors, ctx.needs_input_grad[3:]
        # As in `_eager`, the first backward pass may have the memory of the gradients.
        grads, ctx.held = ctx.held, None
        if torch.is_grad_enabled() or not is_dense(cotangent):
            again = torch.is_grad_enabled()
            leaves = operands if again else [t.detach() for t in operands]
            found = iter(pullback(loss.of_all, leaves, wanted, cotangent, create_graph=again))
            return None, None, None, *(next(found) if w else None for w in wanted)
        if loss.reduction == "mean":
            cotangent = cotangent / loss.goal.divisor()
        detached = [t.detach() for t in operands]
        if ctx.early:
            grads = loss.in_blocks(ctx.step, detached, wanted)[1] if grads is None else grads
            grads = [g if g is None else g.mul_(cotangent) for g in grads]
        else:
            grads = loss.in_blocks(ctx.step, detached, wanted, cotangent.expand(len(operands[0])))[1]
        return None, None, None, *(g if g is None else g.to(t.dtype) for g, t in zip(grads, operands, strict=True))


def _add_products(grads: Gradients, place: slice, slopes: Tensor, features: Tensor, weight: Tensor) -> None:
    """Add what the slopes of a block make of the gradients."""
    narrow = slopes.to(weight.dtype)
    of_features, of_weight, *of_bias = grads
    if of_features is not None:
        if of_features.dtype == narrow.dtype:
            torch.mm(narrow, weight, out=of_features[place])
        else:
            of_features[place] = narrow @ weight
    if of_weight is not None:
        if of_weight.dtype == narrow.dtype:
            of_weight.addmm_(narrow.T, features)
        else:
            of_weight += narrow.T @ features
    for bias in of_bias:
        if bias is not None:
            bias += slopes.sum(0, dtype=bias.dtype)


def _exact(operand: Tensor) -> Tensor:
    """Return an operand of products: in the precision that it has, which on a CPU is at least float32.

    Many processors have no narrow products, and PyTorch's take a hundred times longer there.
    """
    return widened(operand) if operand.is_cpu else operand
