"""Large batches of ordinary tensors, block by block, so that what a formula computes on the way stays small.

A block's temporaries stay in the cache of a CPU, and the backward pass computes them again instead of keeping them.
Whatever is not ordinary (a compiler, a tracer, a function transform, a subclass) gets the formula itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd import Function

from logitkit.torch._inputs import is_plain, widened

# Elements in a block of elementwise work; on an accelerator a block is large enough to occupy all of it.
CPU_BLOCK, ACCELERATOR_BLOCK = 1 << 16, 1 << 24

Formula = Callable[..., Tensor]


def in_blocks(formula: Formula, rows: Sequence[Tensor], shared: Sequence[Tensor], width: int) -> Tensor:
    """Return formula(*rows, *shared), computed for a block of rows at a time.

    Each of `rows` is cut along its first dimension, and counts `width` elements a row; the formula sees all of each of
    `shared`, say of the weights of classes.
    """
    if not rows[0].dim() or not is_plain(*rows, *shared):
        return formula(*rows, *shared)
    step = rows_in_block(rows[0], width)
    if len(rows[0]) <= step:  # one block keeps less than it would recompute
        return formula(*rows, *shared)
    result: Tensor = _InBlocks.apply(formula, len(rows), step, *rows, *shared)
    return result


def rows_in_block(rows: Tensor, width: int, sizes: tuple[int, int] | None = None) -> int:
    """Return how many rows of so many elements make a block, of the sizes for a CPU and for an accelerator."""
    on_cpu, on_accelerator = sizes or (CPU_BLOCK, ACCELERATOR_BLOCK)
    return max(1, (on_cpu if rows.device.type == "cpu" else on_accelerator) // max(1, width))


class _InBlocks(Function):
    @staticmethod
    def forward(ctx: Any, formula: Formula, cut: int, step: int, *tensors: Tensor) -> Tensor:
        ctx.formula, ctx.cut, ctx.step = formula, cut, step
        ctx.save_for_backward(*tensors)
        return torch.cat([formula(*_block(tensors, cut, place)) for place in places_of_blocks(tensors[0], step)])

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        tensors, wanted = ctx.saved_tensors, ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():  # to be differentiated again, which is rare: all at once
            grads = pullback(ctx.formula, tensors, wanted, cotangent, create_graph=True)
        else:
            grads = _gradients_in_blocks(ctx.formula, tensors, ctx.cut, ctx.step, wanted, cotangent)
        results = iter(grads)
        return None, None, None, *(next(results) if w else None for w in wanted)


def _gradients_in_blocks(
    formula: Formula, tensors: Sequence[Tensor], cut: int, step: int, wanted: Sequence[bool], cotangent: Tensor
) -> list[Tensor]:
    of_rows: list[list[Tensor]] = [[] for w in wanted[:cut] if w]
    sums: list[Tensor] = []
    for place in places_of_blocks(tensors[0], step):
        block = [t.detach() for t in _block(tensors, cut, place)]
        grads = pullback(formula, block, wanted, cotangent[place])
        for parts, part in zip(of_rows, grads, strict=False):
            parts.append(part)
        # Sums over many blocks: a half-precision total would stop growing.
        shared = [widened(g) for g in grads[len(of_rows) :]]
        sums = [total + g for total, g in zip(sums, shared, strict=True)] if sums else shared
    kinds = [t.dtype for t, w in zip(tensors[cut:], wanted[cut:], strict=True) if w]
    return [*map(torch.cat, of_rows), *(total.to(kind) for total, kind in zip(sums, kinds, strict=True))]


def places_of_blocks(rows: Tensor, step: int) -> Iterator[slice]:
    """Yield where each block of so many rows is; of no rows, one empty block."""
    for start in range(0, max(1, len(rows)), step):
        yield slice(start, start + step)


def _block(tensors: Sequence[Tensor], cut: int, place: slice) -> list[Tensor]:
    return [*(t[place] for t in tensors[:cut]), *tensors[cut:]]


def pullback(
    formula: Formula, tensors: Sequence[Tensor], wanted: Sequence[bool], cotangent: Tensor, create_graph: bool = False
) -> Sequence[Tensor]:
    """Return the cotangents of the wanted tensors."""
    with torch.enable_grad():
        if not create_graph:
            tensors = [t.requires_grad_() if w else t for t, w in zip(tensors, wanted, strict=True)]
        leaves = [t for t, w in zip(tensors, wanted, strict=True) if w]
        return torch.autograd.grad(
            formula(*tensors), leaves, cotangent, create_graph=create_graph, materialize_grads=True
        )
