"""Ordinary tensors on a CPU: kernels that compute the derivative along with the value, in one pass."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit import kernels
from logitkit._arrays import Floats
from logitkit.torch._inputs import is_plain, widened

Composite = Callable[[Tensor], Tensor]
Pullback = Callable[[Tensor], Tensor]
Kernel = Callable[[Tensor, bool], tuple[Tensor, Pullback | None]]


def with_kernel(composite: Composite, kernel: Kernel, x: Tensor, *others: Tensor) -> Tensor:
    """Return composite(x), computed by the kernel if x and what else it uses are ordinary tensors on a CPU.

    The kernel is told whether a derivative is wanted, and returns the value with the function that makes the derivative
    of a cotangent. The others must not need one.
    """
    ordinary = x.is_cpu and is_plain(x, *others) and all(t.is_cpu and not t.requires_grad for t in others)
    if not ordinary or not x.numel() or kernels.why_off() is not None:
        return composite(x)
    if not (x.requires_grad and torch.is_grad_enabled()):
        return kernel(x.detach(), False)[0]
    # Function.apply would first look for the transforms of torch.func, for longer than a kernel takes on a small batch.
    result: Tensor = super(Function, _WithKernel).apply(x, composite, kernel)
    return result


class _WithKernel(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, composite: Composite, kernel: Kernel) -> Tensor:
        ctx.composite, ctx.kernel = composite, kernel
        ctx.save_for_backward(x)
        value, ctx.pullback = kernel(x.detach(), True)
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        # The first backward pass may have the derivative's memory; the next one computes it anew.
        pullback, ctx.pullback = ctx.pullback, None
        if torch.is_grad_enabled() or not is_dense(cotangent):
            (x,) = ctx.saved_tensors
            return by_composite(ctx.composite, x, cotangent), None, None
        if pullback is None:
            pullback = ctx.kernel(ctx.saved_tensors[0].detach(), True)[1]
        return pullback(cotangent), None, None


def by_composite(composite: Composite, x: Tensor, cotangent: Tensor) -> Tensor:
    """Return the derivative that PyTorch makes of the composite, which can be differentiated if that's asked for."""
    again = torch.is_grad_enabled()
    with torch.enable_grad():
        x = x if again else x.detach().requires_grad_()
        value = composite(x).to(cotangent.dtype)
        return torch.autograd.grad(value, x, cotangent, create_graph=again)[0]


def is_dense(cotangent: Tensor) -> bool:
    """Whether these are ordinary numbers in memory, each at its place, and not many cotangents in one."""
    many = torch._C._functorch.is_legacy_batchedtensor(cotangent)
    return cotangent.layout is torch.strided and not many and is_plain(cotangent)


def times(slopes: Floats, like: Tensor) -> Pullback:
    """Return the function that multiplies derivatives, in place, by a cotangent for all of them, each row or each."""
    result = torch.from_numpy(slopes.reshape(like.shape))

    def pullback(cotangent: Tensor) -> Tensor:
        if cotangent.dim():
            result.mul_(of_each(cotangent, result))
        elif (factor := cotangent.item()) != 1:
            result.mul_(factor)
        return result.to(like.dtype)

    return pullback


def of_each(cotangent: Tensor, slopes: Tensor) -> Tensor:
    """Return the cotangent of all slopes, of each row or of each slope in a shape that broadcasts to the slopes'."""
    return cotangent.reshape(cotangent.shape + (1,) * (slopes.dim() - cotangent.dim()))


def rowwise(composite: Composite, kernel: str, x: Tensor, dim: int) -> Tensor:
    """Return a function of rows along a dimension, by its kernels; the composite takes rows along the last."""

    def compute(x: Tensor, grad: bool) -> tuple[Tensor, Pullback | None]:
        threads = torch.get_num_threads()
        rows = widened(x).reshape(-1, x.shape[-1])
        rows = rows.clone() if grad else rows  # x may be overwritten before the backward pass
        values, left = kernels.of_rows(kernel, rows.numpy(), most_threads=threads)
        if left.any():
            values[left] = composite(rows[torch.from_numpy(left)]).numpy()

        def pullback(cotangent: Tensor) -> Tensor:
            cotangents = widened(cotangent).reshape(rows.shape)
            grads, left = kernels.gradient_of_rows(f"{kernel}_gradient", rows.numpy(), cotangents.numpy(), threads)
            if left.any():
                few = torch.from_numpy(left)
                grads[left] = by_composite(composite, rows[few], cotangents[few]).numpy()
            return torch.from_numpy(grads).reshape(x.shape).to(x.dtype)

        return torch.from_numpy(values).reshape(x.shape).to(x.dtype), pullback if grad else None

    return with_kernel(composite, compute, x.movedim(dim, -1)).movedim(-1, dim)
