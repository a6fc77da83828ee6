"""A loss of ordinary tensors on a CPU: a kernel that computes the gradient along with the value, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit.torch._inputs import is_plain

Composite = Callable[[Tensor], Tensor]
Kernel = Callable[[Tensor, bool], tuple[Tensor, Tensor] | None]


class WithKernel(Function):
    """The composite as a kernel computes it, which returns None where it can't."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, composite: Composite, kernel: Kernel) -> Tensor:
        ctx.composite, ctx.kernel, ctx.gradient, ctx.shape, ctx.dtype = composite, kernel, None, rows.shape, rows.dtype
        ctx.save_for_backward(rows)
        computed = kernel(rows, ctx.needs_input_grad[0])
        if computed is None:
            return composite(rows)
        value, ctx.gradient = computed
        return value.to(rows.dtype)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        gradient, ctx.gradient = (
            ctx.gradient,
            None,
        )  # the first backward pass may have the memory, the next one computes
        if torch.is_grad_enabled() or gradient is None:
            (rows,), again = ctx.saved_tensors, torch.is_grad_enabled()
            computed = None if again or not _is_dense(cotangent) else ctx.kernel(rows, True)
            if computed is None:
                with torch.enable_grad():
                    rows = rows if again else rows.detach().requires_grad_()
                    return *torch.autograd.grad(ctx.composite(rows), rows, cotangent, create_graph=again), None, None
            gradient = computed[1]
        gradient = gradient.reshape(ctx.shape)
        slopes = cotangent.unsqueeze(-1) if cotangent.dim() else cotangent
        if not _is_dense(cotangent):
            gradient = gradient * slopes
        elif cotangent.dim() or cotangent != 1:
            gradient *= slopes
        return gradient.to(ctx.dtype), None, None


def _is_dense(cotangent: Tensor) -> bool:
    """Whether these are numbers on a CPU; a batch of cotangents has another key of dispatch."""
    return is_plain(cotangent) and torch._C._dispatch_keys(cotangent).has(torch._C.DispatchKey.CPU)
