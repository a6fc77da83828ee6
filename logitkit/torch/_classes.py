"""The target of rows of classes, and the losses that it makes of their logits: by a kernel, or by operations."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from logitkit import kernels
from logitkit._arrays import Floats
from logitkit.formulas.binary import zero_safe_product
from logitkit.torch import _device, _func
from logitkit.torch import _namespace as xp
from logitkit.torch._blocks import in_blocks
from logitkit.torch._inputs import (
    as_classes,
    require_class_weights,
    require_classes,
    require_integer,
    require_proportion,
    require_share,
    widened,
)
from logitkit.torch._rows import pick, surprisal_of_class, surprisals, total


class ClassTarget:
    """What rows of logits should be: a class each, perhaps smoothed or ignored, or a distribution."""

    def __init__(
        self, target: Tensor, classes: int, weight: Tensor | None, ignore_index: int, label_smoothing: float
    ) -> None:
        self.smoothing, self.classes = require_share(label_smoothing, "label_smoothing"), classes
        self.weight = None if weight is None else require_class_weights(weight, classes)
        self.shared = () if self.weight is None else (self.weight,)
        self.ignored = require_integer(ignore_index, "ignore_index")
        self.is_distribution = target.is_floating_point()
        if self.is_distribution and self.ignored >= 0:
            raise ValueError("ignore_index goes with class indices, but target holds distributions")
        self.given = target if self.is_distribution else as_classes(target)
        self._checked_target: Tensor | None = None
        self._checked_classes: tuple[Tensor, Tensor, Tensor | None] | None = None

    @property
    def target(self) -> Tensor:
        """The classes, or shares in [0, 1]."""
        if self._checked_target is None:  # a kernel for a GPU sees for itself what is none
            self._checked_target = require_proportion(self.given) if self.is_distribution else self.given
        return self._checked_target

    @property
    def checked_classes(self) -> tuple[Tensor, Tensor, Tensor | None]:
        """The classes, 0 where there is none; which rows are kept; and a factor that is NaN for no class."""
        if self._checked_classes is None:  # a kernel sees for itself what is none
            self._checked_classes = require_classes(self.target, self.classes, self.ignored)
        return self._checked_classes

    @property
    def of_rows(self) -> tuple[Tensor, ...]:
        """What the losses need to know of each row beside its logits."""
        return (self.target,) if self.is_distribution else self.checked_classes[:2]

    @property
    def losses(self) -> Callable[..., Tensor]:
        """The losses as a function of logits, `of_rows` and `shared`."""
        return self._losses_of_distributions if self.is_distribution else self._losses_of_classes

    def _losses_of_classes(self, logits: Tensor, labels: Tensor, kept: Tensor, weight: Tensor | None = None) -> Tensor:
        # A row that is left out may hold NaN, which times 0 would spoil its gradient.
        z = widened(logits).masked_fill(~kept.unsqueeze(-1), 0)
        own_weight = torch.ones_like(labels, dtype=z.dtype) if weight is None else weight[labels].to(z.dtype)
        if not self.smoothing:
            return zero_safe_product(own_weight, surprisal_of_class(z, labels, -1), xp).where(kept, 0)
        losses = surprisals(z, -1)
        own = pick(losses, labels.unsqueeze(-1), -1).squeeze(-1)
        if weight is not None:
            losses = zero_safe_product(weight.to(z.dtype), losses, xp)
        spread = total(self.smoothing / self.classes * losses, -1).squeeze(-1)  # the sum itself may be no number
        hard = zero_safe_product((1 - self.smoothing) * own_weight, own, xp)
        return (hard + spread).where(kept, 0)

    def _losses_of_distributions(self, logits: Tensor, target: Tensor, weight: Tensor | None = None) -> Tensor:
        shares = widened(target)
        if self.smoothing:
            shares = (1 - self.smoothing) * shares + self.smoothing / self.classes
        if weight is not None:
            shares = shares * weight
        terms = zero_safe_product(shares, surprisals(widened(logits), -1), xp)
        return total(terms, -1).squeeze(-1)

    def losses_of_all(self, rows: Tensor) -> Tensor:
        """Return the losses of all rows, NaN where the target is none and no error could be raised."""

        def composite(rows: Tensor) -> Tensor:
            return self.checked(in_blocks(self.losses, (rows, *self.of_rows), self.shared, rows[:1].numel()))

        def kernel(rows: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
            losses, slopes = self.of(target).by_kernel(rows, True, "none", widened(rows).dtype)
            return losses, torch.from_numpy(slopes).reshape(rows.shape)

        def elsewhere(rows: Tensor) -> Tensor:
            return _device.cross_entropy(composite, rows, self.given, self.weight, self.ignored, self.smoothing)

        return _func.with_kernel(elsewhere, kernel, rows, self.given, *self.shared)

    def checked(self, losses: Tensor) -> Tensor:
        """Return the losses, NaN where the target is no class and no error could be raised."""
        factor = None if self.is_distribution else self.checked_classes[2]
        return losses if factor is None else losses * factor.to(losses.dtype)

    def divisor(self) -> Tensor | int:
        """Return what the mean divides the sum of the losses by, as PyTorch does."""
        if self.is_distribution:
            return math.prod(self.given.shape[:-1])
        if self.weight is None:
            return (self.given != self.ignored).sum()
        labels, kept, _ = self.checked_classes
        return self.weight[labels].where(kept, 0).sum()

    def of(self, target: Tensor) -> ClassTarget:
        """Return what other rows should be, given their target."""
        return ClassTarget(target, self.classes, self.weight, self.ignored, self.smoothing)

    def by_kernel(self, rows: Tensor, grad: bool, reduction: str, dtype: torch.dtype) -> tuple[Tensor, Floats]:
        """Return the losses of ordinary rows, or their sum or mean, in a dtype, and the derivatives in that of rows."""
        before = rows.dim() - 2  # the last dimension before the classes
        shape, classes = rows.shape[:-1], self.target
        if before:
            rows, classes = rows.flatten(0, before), classes.flatten(0, before)
        logits, target = widened(rows).numpy(), widened(classes).numpy()
        wide = np.float64 if dtype == torch.float64 else np.float32  # what's narrower is rounded to that first anyway
        soft = self.is_distribution or self.smoothing
        if reduction == "mean" and not soft and self.weight is None and logits.size < kernels.WORTH_A_THREAD:
            mean, slopes, some_left = kernels.mean_cross_entropy(logits, target, self.ignored, grad, wide)
            if not some_left:
                return torch.from_numpy(mean).to(dtype), slopes
        weights = None if self.weight is None else self.weight.numpy().astype(np.float64)
        if reduction != "mean":
            divisor = 1.0
        elif self.is_distribution or self.weight is not None:
            divisor = float(self.divisor()) or math.nan
        else:
            divisor = float(np.count_nonzero(target != self.ignored)) or math.nan
        threads = torch.get_num_threads()
        if soft:
            losses, grads, left = kernels.soft_cross_entropy(
                logits, target, self.ignored, weights, self.smoothing, divisor, 0.0, grad, threads
            )
        else:
            losses, grads, left = kernels.cross_entropy(logits, target, self.ignored, weights, divisor, grad, threads)
        if np.count_nonzero(left):
            few = torch.from_numpy(logits[left]).requires_grad_()
            of_few = [t.flatten(0, before)[torch.from_numpy(left)] for t in self.of_rows]
            with torch.enable_grad():
                few_losses = self.losses(few, *of_few, *self.shared)
                losses[left] = few_losses.detach()
                if grad:
                    grads[left] = torch.autograd.grad(few_losses.sum(), few)[0] / divisor
        with np.errstate(all="ignore"):  # what is beyond the largest number is inf
            value = losses.reshape(shape) if reduction == "none" else losses.sum() / divisor
            return torch.from_numpy(np.asarray(value, wide)).to(dtype), grads


def reduced(losses: Tensor, divisor: Tensor | int, reduction: str) -> Tensor:
    """Return the losses, their sum, or the sum divided by `divisor`, which is NaN where there is nothing to average."""
    if reduction == "none":
        return losses
    # A sum without dimensions could not be divided where no sample at all is mapped.
    result = losses.reshape(math.prod(losses.shape)).sum(dim=0, keepdim=True)
    return (result if reduction == "sum" else result / divisor).squeeze(0)
