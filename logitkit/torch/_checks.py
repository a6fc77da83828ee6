"""Input without a meaning: an error where the values can be looked at, NaN where they cannot.

On a CPU the error names the argument, the first offending value and its index. An accelerator would be held up by a
look, and a compiled or mapped function cannot raise; there the loss becomes NaN, and a class out of range is PyTorch's
own device-side error.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit.torch._blocks import batch_first, values_are_readable


def require_floats(input: Tensor) -> Tensor:
    """Return the input, if it holds floating-point numbers: an integer result would have no digits."""
    if not input.is_floating_point():
        raise ValueError(f"input must hold floating-point numbers, not {input.dtype}; did you pass classes?")
    return input


def require_scale(target: Tensor, rows: tuple[int, ...], full: tuple[int, ...]) -> bool:
    """Return whether the target holds distributions rather than class indices, if its shape and dtype fit."""
    if target.shape not in (rows, full):
        raise ValueError(
            f"target must have the shape {rows} (class indices) or {full} (distributions), "
            f"but has {tuple(target.shape)}"
        )
    distributions = target.shape == full
    if distributions != target.is_floating_point() or target.is_complex():
        expected = "floating-point numbers where it holds distributions" if distributions else "integers"
        raise ValueError(f"target must hold {expected}, not {target.dtype}")
    return distributions


def require_factor(factor: Tensor, name: str, shape: torch.Size) -> Tensor:
    """Return a factor as large as the input; one that is larger would make of (n,) losses n x n, unnoticed."""
    pairs = zip(reversed(factor.shape), reversed(shape), strict=False)
    if factor.dim() > len(shape) or not all(own in (1, wanted) for own, wanted in pairs):
        raise ValueError(
            f"{name} must broadcast to the shape of input, {tuple(shape)}, but has the shape {tuple(factor.shape)}"
        )
    return factor.expand(shape)


def require_class(target: Tensor, kept: Tensor, classes: int) -> Tensor:
    """Return a class index a row, 0 where the row is not kept."""
    labels: Tensor = _Checked.apply(
        target.long().where(kept, 0),
        0,
        classes - 1,
        f"target must be a class from 0 to {classes - 1}, but",
        "do the labels count from 1, or is ignore_index missing?",
    )
    return labels


def require_proportion(target: Tensor) -> Tensor:
    """Return targets that lie in [0, 1]."""
    proportions: Tensor = _Checked.apply(
        target, 0, 1, "target must lie in [0, 1], but", "it is a probability, not a label of -1 or 2, nor a logit"
    )
    return proportions


class _Checked(Function):
    """The identity on values in [low, high]."""

    @staticmethod
    def forward(values: Tensor, low: int, high: int, rule: str, hint: str) -> Tensor:
        outside = (values < low) | (values > high)
        if not values_are_readable(values):
            return values.masked_fill(outside, torch.nan) if values.is_floating_point() else values.clone()
        if outside.any():
            place = outside.nonzero()[0].tolist()
            where = f"[{', '.join(map(str, place))}]" if place else ""
            raise ValueError(f"{rule} target{where} is {values[tuple(place)].item()}; {hint}")
        return values.view_as(values)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        pass

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad, None, None, None, None

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], values: Tensor, *rule: Any) -> tuple[Tensor, int]:
        return _Checked.apply(*batch_first(info, in_dims[:1], [values]), *rule), 0
