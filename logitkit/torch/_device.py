"""Ordinary tensors on a GPU: losses by the kernels of `logitkit.kernels._triton`, which are launched here.

The value takes one pass over the logits. The gradient takes another one in the backward pass, when its cotangent is
known. So nothing as large as the logits is kept until then, and a gradient in float16 is rounded once, after a scaled
loss has lifted it. Nothing here waits for the device.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit import kernels
from logitkit.torch._eager import by_composite, is_dense
from logitkit.torch._inputs import ROUNDINGS, is_plain

# Logits in a tile, 16 for each of the threads of 8 warps.
TILE, WARPS = 4096, 8


Composite = Callable[[Tensor], Tensor]


class Loss(Protocol):
    """A loss and its gradient, given what `value` returned beside the loss, and a cotangent."""

    def value(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]: ...

    def gradient(self, x: Tensor, known: tuple[Tensor, ...], cotangents: Tensor) -> Tensor: ...


def cross_entropy(
    composite: Composite,
    rows: Tensor,
    target: Tensor,
    weight: Tensor | None,
    ignored: int,
    smoothing: float,
) -> Tensor:
    """Return composite(rows), the loss of each row, by kernels if all are ordinary tensors on a GPU."""
    if not suits(rows, target, *(() if weight is None else (weight,))):
        return composite(rows)
    return _by_kernels(composite, CrossEntropy(target, weight, ignored, smoothing), rows)


def binary_cross_entropy(
    composite: Composite, x: Tensor, target: Tensor, factors: dict[str, Tensor], reduction: str
) -> Tensor:
    """Return composite(x), the losses or the sum that a reduction needs, by kernels if that's possible."""
    if not suits(x, target, *factors.values()):
        return composite(x)
    loss = BinaryCrossEntropy(target, factors.get("weight"), factors.get("pos_weight"), reduction != "none")
    return _by_kernels(composite, loss, x)


def suits(x: Tensor, *others: Tensor) -> bool:
    """Whether kernels should compute with ordinary tensors, all but the first of which need no derivative."""
    if not is_on_gpu(x) or not is_plain(x, *others):
        return False
    if any(t.requires_grad or t.device != x.device for t in others):  # PyTorch takes one number on a CPU too
        return False
    return x.numel() > 0 and can_run(x.device)


def is_on_gpu(x: Tensor) -> bool:
    """Whether the kernels' compiler knows the device of a tensor."""
    return x.is_cuda


@cache
def can_run(device: torch.device) -> bool:
    """Whether kernels run on a device: Triton also needs a C compiler, and a GPU that isn't too old."""
    if kernels.why_off_on_gpu() is not None:
        return False
    from logitkit.kernels import _triton

    try:
        out = torch.zeros((), device=device)
        with torch.cuda.device_of(out):
            _triton.answer[(1,)](out)
    except Exception as error:  # whatever stops Triton, there are the composites
        warnings.warn(f"Triton can't run on {device}, so losses take longer there: {error!r}", stacklevel=2)
        return False
    return True


def _by_kernels(composite: Composite, loss: Loss, x: Tensor) -> Tensor:
    """Return a loss; only derivatives of derivatives are the composite's."""
    # Past the transforms of torch.func, as in `_eager`.
    result: Tensor = super(Function, _ByKernels).apply(x, composite, loss)
    return result


class _ByKernels(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, composite: Composite, loss: Loss) -> Tensor:
        ctx.composite, ctx.loss = composite, loss
        value, known = loss.value(x.detach())
        ctx.save_for_backward(x, *known)
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        x, *known = ctx.saved_tensors
        if torch.is_grad_enabled() or not is_dense(cotangent):
            return by_composite(ctx.composite, x, cotangent), None, None
        return ctx.loss.gradient(x, tuple(known), cotangent), None, None


@dataclass(frozen=True)
class CrossEntropy:
    """The losses, in float64, of rows of logits under classes or distributions."""

    target: Tensor
    weight: Tensor | None
    ignored: int
    smoothing: float

    def value(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the loss of each row, and what the gradient needs to know."""
        rows = x.shape[:-1].numel()
        losses, wholes, totals, slopes = x.new_empty((4, rows), dtype=torch.float64)
        tops = x.new_empty(rows, dtype=torch.promote_types(x.dtype, torch.float32))
        known = tops, wholes, totals, x.new_empty(rows, dtype=torch.int64), slopes
        self._launch("losses_of_rows", _batches(x), (losses, *known))
        return losses.reshape(x.shape[:-1]), known

    def gradient(self, x: Tensor, known: tuple[Tensor, ...], cotangents: Tensor) -> Tensor:
        """Return the gradient."""
        z = _batches(x)
        grads = torch.empty_like(z)
        cotangents, step = _one_or_all(cotangents)
        self._launch("gradient_of_rows", z, (grads, *known, cotangents), *grads.stride(), step)
        return grads.reshape(x.shape)

    def _launch(self, kernel: str, z: Tensor, results: tuple[Tensor, ...], *steps: int) -> None:
        from logitkit.kernels import _triton

        (outer, inner, classes), soft = z.shape, self.target.is_floating_point()
        target = _batches(self.target) if soft else self.target.contiguous()
        block = 1 << min(TILE - 1, classes - 1).bit_length()
        lanes = TILE // block
        tensors = z, target, z if self.weight is None else self.weight.contiguous(), *results
        sizes = outer * inner, classes, inner, *z.stride(), *(target.stride() if soft else (0, 0, 0))
        with torch.cuda.device_of(z):
            getattr(_triton, kernel)[(-(-outer * inner // lanes),)](
                *(*tensors, *sizes, *steps, self.ignored),
                soft=soft,
                weighted=self.weight is not None,
                smoothing=float(self.smoothing),
                spread=self.smoothing / classes,
                slack=_slack(target),
                lanes=lanes,
                block=block,
                num_warps=WARPS,
            )


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """The losses of log-odds under proportions, or their sum in float64."""

    target: Tensor
    weight: Tensor | None
    pos_weight: Tensor | None
    summed: bool

    def value(self, x: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the losses or their sum, and nothing that the gradient needs to know."""
        if not self.summed:
            losses = x.new_empty(x.shape)
            self._launch("binary_losses", x, (losses,), summed=False)
            return losses, ()
        sums = x.new_empty(_programs(x), dtype=torch.float64)
        self._launch("binary_losses", x, (sums,), summed=True)
        return sums.sum(), ()

    def gradient(self, x: Tensor, known: tuple[Tensor, ...], cotangents: Tensor) -> Tensor:
        """Return the gradient."""
        grads = x.new_empty(x.shape)
        cotangents, step = _one_or_all(cotangents)
        self._launch("gradient_of_binary", x, (grads, cotangents), step)
        return grads

    def _launch(self, kernel: str, x: Tensor, results: tuple[Tensor, ...], *steps: int, **options: Any) -> None:
        from logitkit.kernels import _triton

        one = x.new_ones(())
        weight, of_weight = _one_or_all(one if self.weight is None else self.weight)
        pos_weight, of_pos_weight = _one_or_all(one if self.pos_weight is None else self.pos_weight)
        tensors = x.contiguous(), self.target.contiguous(), weight, pos_weight, *results
        options |= {"slack": _slack(self.target), "block": TILE, "num_warps": WARPS}
        with torch.cuda.device_of(x):
            getattr(_triton, kernel)[(_programs(x),)](*tensors, x.numel(), of_weight, of_pos_weight, *steps, **options)


def _batches(rows: Tensor) -> Tensor:
    """Return rows in the shape (outer, inner, classes), which is a view of logits of shape (N, C, d1, ...)."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:-1]), rows.shape[-1])


def _programs(x: Tensor) -> int:
    """Return how many tiles elements fill."""
    return -(-x.numel() // TILE)


def _one_or_all(factor: Tensor) -> tuple[Tensor, int]:
    """Return a factor's numbers one after another, and 1; if all are the same place in memory, that and 0."""
    return (factor.contiguous(), 1) if any(factor.stride()) else (factor, 0)


def _slack(target: Tensor) -> float:
    """Return by how much shares may be outside [0, 1]."""
    return ROUNDINGS * torch.finfo(target.dtype).eps if target.is_floating_point() else 0.0
