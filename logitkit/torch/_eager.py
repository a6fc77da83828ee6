"""Ordinary tensors on a CPU: kernels that compute the derivative along with the value, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit import kernels
from logitkit._arrays import Floats
from logitkit.torch._inputs import is_plain

Composite = Callable[[Tensor], Tensor]
# Returns the value and, if told that a derivative is wanted, the slopes: what a cotangent is to be multiplied by.
Kernel = Callable[[Tensor, bool], tuple[Tensor, Floats]]


def with_kernel(composite: Composite, kernel: Kernel, x: Tensor, *others: Tensor) -> Tensor:
    """Return composite(x), computed by the kernel if x and what else it uses are ordinary tensors on a CPU.

    The others must not need a derivative.
    """
    ordinary = x.is_cpu and is_plain(x, *others) and not any(t.requires_grad for t in others)
    if not ordinary or not x.numel() or kernels.why_off() is not None:
        return composite(x)
    # Function.apply would first look for the transforms of torch.func, for longer than a kernel takes on a small batch.
    result: Tensor = super(Function, _WithKernel).apply(x, composite, kernel)
    return result


class _WithKernel(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, composite: Composite, kernel: Kernel) -> Tensor:
        ctx.composite, ctx.kernel, ctx.shape, ctx.dtype = composite, kernel, x.shape, x.dtype
        ctx.save_for_backward(x)
        value, slopes = kernel(x.detach(), ctx.needs_input_grad[0])
        ctx.slopes = slopes if ctx.needs_input_grad[0] else None
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        # The first backward pass may have the slopes' memory; the next one computes them anew.
        slopes, ctx.slopes = ctx.slopes, None
        if torch.is_grad_enabled() or not is_dense(cotangent):
            (x,) = ctx.saved_tensors
            return by_composite(ctx.composite, x, cotangent), None, None
        if slopes is None:
            slopes = ctx.kernel(ctx.saved_tensors[0].detach(), True)[1]
        result = torch.from_numpy(slopes.reshape(ctx.shape))
        if cotangent.dim():
            result.mul_(of_each(cotangent, result))
        elif (factor := cotangent.item()) != 1:
            result.mul_(factor)
        return result.to(ctx.dtype), None, None


def by_composite(composite: Composite, x: Tensor, cotangent: Tensor) -> Tensor:
    """Return the derivative that PyTorch makes of the composite, which can be differentiated if that's asked for."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if again else x.detach().requires_grad_()
        value = composite(x).to(cotangent.dtype)
        return torch.autograd.grad(value, x, cotangent, create_graph=again)[0]


def is_dense(cotangent: Tensor) -> bool:
    """Whether these are numbers in memory; a batch of cotangents has another key of dispatch."""
    keys, dense = torch._C._dispatch_keys(cotangent), (torch._C.DispatchKey.CPU, torch._C.DispatchKey.CUDA)
    return is_plain(cotangent) and any(map(keys.has, dense))


def of_each(cotangent: Tensor, slopes: Tensor) -> Tensor:
    """Return the cotangent of all slopes, of each row or of each slope in a shape that broadcasts to the slopes'."""
    return cotangent.reshape(cotangent.shape + (1,) * (slopes.dim() - cotangent.dim()))
