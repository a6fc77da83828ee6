"""Functions of rows, applied block by block, so that what they compute on the way never has the size of the input.

A block's temporaries stay in the cache of a CPU, and the backward pass computes them again instead of keeping them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

# Elements in a block of elementwise work; on an accelerator a block is large enough to occupy all of it.
CPU_BLOCK, ACCELERATOR_BLOCK = 1 << 18, 1 << 24

Formula = Callable[..., Tensor]


@dataclass(frozen=True)
class RowFormula:
    """A function of rows in differentiable operations; perhaps with faster code for blocks that are looked at."""

    composite: Formula
    value: Formula | None = None
    gradients: Callable[..., Any] | None = None  # of (wanted, cotangent, *tensors): one gradient for each wanted tensor

    def value_of_block(self, tensors: Sequence[Tensor]) -> Tensor:
        """Return the values of the rows of a block."""
        fast = self.value if self.value and values_are_readable(tensors[0]) else self.composite
        return fast(*tensors)

    def gradients_of_block(self, wanted: Sequence[bool], cotangent: Tensor, tensors: Sequence[Tensor]) -> Any:
        """Return the cotangents of the wanted tensors."""
        if self.gradients and values_are_readable(tensors[0]):
            return self.gradients(wanted, cotangent, *tensors)
        return pullback(self.composite, wanted, tensors)(cotangent)


def widened(values: Tensor) -> Tensor:
    """Return the values in the precision that they are computed in, which is at least float32."""
    return values.float() if values.dtype in (torch.float16, torch.bfloat16) else values


def values_are_readable(values: Tensor) -> bool:
    """Whether to branch on values, if any: only a CPU can look at them without being held up, and no compiler can."""
    if torch.compiler.is_compiling() or type(values).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return False  # a tensor with a dispatch of its own, such as a fake one, may have no values
    return values.device.type == "cpu" and values.numel() > 0


def blocks(rows: Tensor, block_rows: int) -> Iterator[slice]:
    """Cut the first dimension of `rows`; a compiler fuses what it gets, so it gets the whole, of whatever length."""
    if torch.compiler.is_compiling():
        yield slice(None)
        return
    step = max(1, block_rows)
    for start in range(0, len(rows), step):
        yield slice(start, start + step)


def block_rows(logits: Tensor) -> int:
    """Return the number of rows in a block of elementwise work."""
    return (CPU_BLOCK if logits.device.type == "cpu" else ACCELERATOR_BLOCK) // max(1, logits[:1].numel())


def batch_first(info: Any, in_dims: Sequence[int | None], tensors: Sequence[Tensor]) -> list[Tensor]:
    """Return the tensors of a vmap rule with the mapped dimension in front of each."""
    return [
        t.expand(info.batch_size, *t.shape) if dim is None else t.movedim(dim, 0)
        for t, dim in zip(tensors, in_dims, strict=True)
    ]


def in_blocks(formula: RowFormula, rows: Sequence[Tensor], shared: Sequence[Tensor], block_rows: int) -> Tensor:
    """Return formula(*rows, *shared), computed for `block_rows` rows at a time.

    Each of `rows` is cut along its first dimension; the formula sees all of each of `shared`, say of a layer's weights.
    """
    if torch.compiler.is_compiling():
        return formula.composite(*rows, *shared)
    result: Tensor = _InBlocks.apply(formula, len(rows), block_rows, *rows, *shared)
    return result


class _InBlocks(Function):
    @staticmethod
    def forward(formula: RowFormula, cut: int, block_rows: int, *tensors: Tensor) -> Tensor:
        rows, shared = tensors[:cut], tensors[cut:]
        parts = [formula.value_of_block([*(t[b] for t in rows), *shared]) for b in blocks(rows[0], block_rows)]
        return torch.cat(parts) if parts else formula.composite(*tensors)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.formula, ctx.cut, ctx.block_rows, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[3:]
        grads = iter(_BlockGradients.apply(ctx.formula, ctx.cut, ctx.block_rows, wanted, grad, *ctx.saved_tensors))
        return None, None, None, *(next(grads) if w else None for w in wanted)

    @staticmethod
    def vmap(
        info: Any, in_dims: tuple[Any, ...], formula: RowFormula, cut: int, block_rows: int, *tensors: Tensor
    ) -> Any:
        batches = batch_first(info, in_dims[3:], tensors)
        return torch.stack([_InBlocks.apply(formula, cut, block_rows, *one) for one in zip(*batches, strict=True)]), 0


class _BlockGradients(Function):
    """The gradients of `_InBlocks` with respect to the wanted tensors."""

    @staticmethod
    def forward(
        formula: RowFormula, cut: int, block_rows: int, wanted: Sequence[bool], grad: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        rows, shared = tensors[:cut], tensors[cut:]
        cut_results = [torch.empty_like(t) for t, w in zip(rows, wanted[:cut], strict=True) if w]
        # Sums over many blocks: a half-precision total would stop growing.
        sums = [torch.zeros_like(widened(t)) for t, w in zip(shared, wanted[cut:], strict=True) if w]
        for block in blocks(rows[0], block_rows):
            inputs = [*(t[block] for t in rows), *shared]
            parts = formula.gradients_of_block(wanted, grad[block], inputs)
            for result, part in zip(cut_results, parts[: len(cut_results)], strict=True):
                result[block] = part
            for total, part in zip(sums, parts[len(cut_results) :], strict=True):
                total += part
        kinds = [t.dtype for t, w in zip(shared, wanted[cut:], strict=True) if w]
        return (*cut_results, *(total.to(kind) for total, kind in zip(sums, kinds, strict=True)))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.formula, ctx.cut, ctx.block_rows, ctx.wanted, *tensors = inputs
        ctx.save_for_backward(*tensors)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        # Second derivatives are rare: they are taken of the whole at once.
        grad, *tensors = ctx.saved_tensors
        wanted = (True, *ctx.wanted)

        def first(grad: Tensor, *tensors: Tensor) -> Any:
            return pullback(ctx.formula.composite, ctx.wanted, tensors)(grad)

        grads = iter(pullback(first, wanted, (grad, *tensors))(cotangents))
        return None, None, None, None, *(next(grads) if w else None for w in wanted)

    @staticmethod
    def vmap(
        info: Any,
        in_dims: tuple[Any, ...],
        formula: RowFormula,
        cut: int,
        block_rows: int,
        wanted: Any,
        *tensors: Tensor,
    ) -> Any:
        batches = zip(*batch_first(info, in_dims[4:], tensors), strict=True)
        results = [_BlockGradients.apply(formula, cut, block_rows, wanted, *one) for one in batches]
        stacked = tuple(map(torch.stack, zip(*results, strict=True)))
        return stacked, (0,) * len(stacked)


def pullback(function: Callable[..., Any], wanted: Sequence[bool], tensors: Sequence[Tensor]) -> Any:
    """Return the map from a cotangent of the function's result to those of the wanted tensors."""

    def of_wanted(*values: Tensor) -> Any:
        given = iter(values)
        return function(*(next(given) if w else t for t, w in zip(tensors, wanted, strict=True)))

    return torch.func.vjp(of_wanted, *(t for t, w in zip(tensors, wanted, strict=True) if w))[1]
