"""Gradients by `torch.func.grad` on a CPU, of all rows at once or mapped over samples: kernels compute them too.

A transform wraps tensors once for each of its levels, and a kernel needs the numbers within. `torch.func` would lead a
Function to them level by level, which takes longer than PyTorch's own loss of a small batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit import kernels
from logitkit.torch._eager import Composite, of_each
from logitkit.torch._inputs import is_plain

try:
    from torch._C._functorch import (
        _add_batch_dim,
        _unwrap_batched,
        _unwrap_for_grad,
        _wrap_for_grad,
        get_interpreter_stack,
    )
    from torch._functorch.pyfunctorch import temporarily_clear_interpreter_stack
    from torch._functorch.utils import enable_single_level_autograd_function
except ImportError:  # PyTorch may rename them, since they aren't public: then transforms see the composite

    def get_interpreter_stack() -> list[Any]:  # type: ignore[misc]
        """Return no levels."""
        return []


# Returns, of tensors that have the samples first, the value and its slopes: what a cotangent is to be multiplied by.
Kernel = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]


def with_kernel(composite: Composite, kernel: Kernel, x: Tensor, target: Tensor, *shared: Tensor) -> Tensor:
    """Return composite(x), by kernel(x, target) if one gradient of it is wanted, and all are ordinary tensors within.

    The kernel knows what all samples share.
    """
    levels = () if torch.compiler.is_compiling() or kernels.why_off() else get_interpreter_stack() or ()
    if [level.key().name for level in levels] not in (["Grad"], ["Vmap", "Grad"]):
        return composite(x)
    *mapped, grad = (level.level() for level in levels)
    (numbers, place), (wanted, place_of_wanted) = (_within(t, grad, *mapped) for t in (x, target))
    # The slopes have no derivative, so none of what they depend on may ask for one.
    if (mapped and place is None) or target.requires_grad or not _are_ordinary(numbers, wanted, *shared):
        return composite(x)
    try:
        with temporarily_clear_interpreter_stack():
            if place is not None:
                numbers = numbers.movedim(place, 0)
                many = len(numbers), *wanted.shape
                wanted = wanted.expand(many) if place_of_wanted is None else wanted.movedim(place_of_wanted, 0)
            results = kernel(numbers, wanted)
    except ValueError:  # a target without meaning, for which a transform returns NaN
        return composite(x)
    value, slopes = (_add_batch_dim(t, 0, *mapped) for t in results) if mapped else results
    with enable_single_level_autograd_function():
        result: Tensor = super(Function, _WithSlopes).apply(x, (_wrap_for_grad(value, grad), slopes))
    return result


class _WithSlopes(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, results: tuple[Tensor, Tensor]) -> Tensor:
        value, ctx.slopes = results
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor, None]:
        return ctx.slopes * of_each(cotangent, ctx.slopes), None


def _within(t: Tensor, grad: int, mapped: int | None = None) -> tuple[Tensor, int | None]:
    """Return the tensor within the wrappers of these levels, and which of its dimensions is mapped."""
    t = _unwrap_for_grad(t, grad)
    return (t, None) if mapped is None else _unwrap_batched(t, mapped)


def _are_ordinary(*tensors: Tensor) -> bool:
    return is_plain(*tensors) and all(t.is_cpu and t.numel() and not t.requires_grad for t in tensors)
