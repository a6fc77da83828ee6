"""Ordinary tensors on a GPU: the launches of the kernels of `logitkit.kernels._triton`.

A loss is computed in one pass over the logits. The gradient takes another one, in the backward pass, where its cotangent
is known: so a result in float16 is rounded once, and nothing as large as the logits is kept until then. Nothing here waits
for the device.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from logitkit import kernels
from logitkit.torch._inputs import ROUNDINGS

# Logits in a tile, 16 for each of the threads of 8 warps.
TILE, WARPS = 4096, 8


def suits(x: Tensor) -> bool:
    """Whether a kernel should compute with a tensor."""
    return x.is_cuda and kernels.why_off_on_gpu() is None


@dataclass(frozen=True)
class CrossEntropy:
    """The loss of rows of logits under classes or distributions, and its gradient."""

    target: Tensor
    weight: Tensor | None
    ignored: int
    smoothing: float

    def losses(self, rows: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
        """Return the loss of each row in float64, and what the gradient needs to know."""
        z = _batches(rows)
        count = rows.shape[:-1].numel()
        like = {"device": rows.device, "dtype": torch.float64}
        losses, wholes, totals, slopes = (torch.empty(count, **like) for _ in range(4))
        tops = torch.empty(count, device=rows.device, dtype=torch.promote_types(rows.dtype, torch.float32))
        known = tops, wholes, totals, torch.empty(count, device=rows.device, dtype=torch.int64), slopes
        self._launch("losses_of_rows", z, (losses, *known), (), ())
        return losses.reshape(rows.shape[:-1]), known

    def gradient(self, rows: Tensor, known: tuple[Tensor, ...], cotangents: Tensor) -> Tensor:
        """Return the gradient, given the cotangent of each row's loss or one of all."""
        z = _batches(rows)
        grads = torch.empty_like(z)
        flat = cotangents.reshape(-1)
        step = flat.stride(0) if flat.numel() > 1 else 0
        self._launch("gradient_of_rows", z, (grads, *known, flat), grads.stride(), (step,))
        return grads.reshape(rows.shape)

    def _launch(
        self, kernel: str, z: Tensor, results: tuple[Tensor, ...], strides: tuple[int, ...], step: tuple[int, ...]
    ) -> None:
        from logitkit.kernels import _triton

        soft, classes = self.target.is_floating_point(), z.shape[-1]
        target = _batches(self.target) if soft else self.target.reshape(-1)
        weight = z if self.weight is None else self.weight.contiguous()
        block = 1 << min(TILE - 1, classes - 1).bit_length()
        rows = TILE // block
        sizes = len(z) * z.shape[1], classes, z.shape[1]
        of_target = target.stride() if soft else (target.stride(0), 0, 0)
        with torch.cuda.device_of(z):
            getattr(_triton, kernel)[(-(-sizes[0] // rows),)](
                *(z, target, weight, *results, *sizes, *z.stride(), *of_target, *strides, *step, self.ignored),
                SOFT=soft,
                WEIGHTED=self.weight is not None,
                SMOOTHING=float(self.smoothing),
                SPREAD=self.smoothing / classes,
                SLACK=_slack(target),
                ROWS=rows,
                BLOCK=block,
                num_warps=WARPS,
            )


@dataclass(frozen=True)
class BinaryCrossEntropy:
    """The loss of log-odds under proportions, and its gradient."""

    target: Tensor
    weight: Tensor | None
    pos_weight: Tensor | None

    def losses(self, x: Tensor) -> Tensor:
        """Return the loss of each of the log-odds."""
        losses = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        self._launch("binary_losses", x, (losses, losses), (), SUMMED=False)
        return losses

    def total(self, x: Tensor) -> Tensor:
        """Return the sum of the losses in float64."""
        sums = torch.empty(-(-x.numel() // TILE), dtype=torch.float64, device=x.device)
        self._launch("binary_losses", x, (sums, sums), (), SUMMED=True)
        return sums.sum()

    def gradient(self, x: Tensor, cotangents: Tensor) -> Tensor:
        """Return the gradient, given the cotangent of each loss or one of all."""
        grads = torch.empty(x.shape, dtype=x.dtype, device=x.device)
        cotangents, step = _one_or_all(cotangents)
        self._launch("gradient_of_binary", x, (grads, cotangents), (step,))
        return grads

    def _launch(
        self, kernel: str, x: Tensor, results: tuple[Tensor, ...], step: tuple[int, ...], **options: bool
    ) -> None:
        from logitkit.kernels import _triton

        factors = [_one_or_all(x.new_ones(()) if f is None else f) for f in (self.weight, self.pos_weight)]
        steps = [step for _, step in factors]
        with torch.cuda.device_of(x):
            getattr(_triton, kernel)[(-(-x.numel() // TILE),)](
                *(x.contiguous(), self.target.contiguous(), *(f for f, _ in factors), *results, x.numel(), *steps, *step),
                **options,
                SLACK=_slack(self.target),
                BLOCK=TILE,
                num_warps=WARPS,
            )


def _batches(rows: Tensor) -> Tensor:
    """Return rows in the shape (outer, inner, classes), which is a view of logits of shape (N, C, d1, ...)."""
    return rows.reshape(len(rows), math.prod(rows.shape[1:-1]), rows.shape[-1])


def _one_or_all(factor: Tensor) -> tuple[Tensor, int]:
    """Return a factor's numbers one after another and 1, or its only number and 0."""
    if not any(factor.stride()) or factor.numel() == 1:
        return factor.as_strided((1,), (1,)), 0
    return factor.contiguous(), 1


def _slack(target: Tensor) -> float:
    return ROUNDINGS * torch.finfo(target.dtype).eps if target.is_floating_point() else 0.0
