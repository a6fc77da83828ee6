"""Cross entropy of logits whose classes are spread over processes, each of which holds some columns of every row.

A row needs three numbers from all processes. The largest logit m, a maximum; the sum s of exp(z - m) over the target's
rivals, which no process adds the target to; and the target's own logit, a sum to which one process adds more than 0.
From these everyone computes the loss and the gradient of its own columns, so that the backward pass exchanges nothing:

    loss = log(1 + s) where the target is the largest, else log(s + exp(z_y - m)) - (z_y - m)

Of a confident and correct row s is what is small, and it has never been added to anything large.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function

from logitkit.formulas.binary import zero_safe_product
from logitkit.formulas.sums import row_sum
from logitkit.torch import _namespace as xp
from logitkit.torch._blocks import places_of_blocks, rows_in_block
from logitkit.torch._classes import reduced
from logitkit.torch._inputs import (
    as_classes,
    legacy_reduction,
    mixes_precision,
    overridable,
    require_class_weights,
    require_classes,
    require_floats,
    require_integer,
    require_tensor,
    widened,
)
from logitkit.torch._rows import difference_with_error


@overridable
def vocab_parallel_cross_entropy(
    input: Tensor,
    target: Tensor,
    *,
    group: Any = None,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    r"""Cross entropy of logits whose classes are split over the processes of a group, each with its own columns.

    .. math:: \operatorname{CE} = -w_y \log \operatorname{softmax}(z)_y

    No process sees the logits of another. For each row the processes agree on the largest logit (4 bytes, or 8 in
    float64), and then on the sum over the target's rivals and the target's logit (16 bytes). The backward pass
    exchanges nothing, and makes the gradient of the process's own columns. Label smoothing and targets that are
    distributions would take more; they aren't offered.

    Parameters
    ----------
    input : Tensor
        Logits in nats, of shape (..., C of this process): the classes that follow those of the process before it in
        `group`. Their number may differ from process to process, and be 0. -inf masks a class, one +inf in a row is
        certainty. From PyTorch 2.5 on it may be a DTensor of shape (..., C), sharded along its last dimension over one
        dimension of its mesh and replicated over the others.
    target : Tensor
        Integers of shape (...), the same on all processes: indices that count the classes of all of them.
    group : ProcessGroup, optional
        The processes that hold the classes, by default all. If there's no default group, this process has all classes.
        A DTensor brings its own.
    weight : Tensor, optional
        One weight for each of all C classes, the same on all processes.
    ignore_index : int
        The class index of rows that count for nothing, whatever their logits.
    reduction : {"mean", "sum", "none"}
        "mean" divides the sum by the number of rows that count, or by the sum of their weights; it's NaN where that is
        zero.

    Returns
    -------
    Tensor
        Loss in nats, the same on all processes, in the dtype of `input`, or in float32 within autocast if that's wider;
        of a DTensor, a replicated one. float16 and bfloat16 compute in float32. You can differentiate it once. Every
        process has to call it, and calls its own backward pass.

    Raises
    ------
    TypeError
        If an argument that is a tensor or a group above isn't one, or `ignore_index` isn't an integer.
    ValueError
        If shapes or dtypes do not fit, `reduction` is unknown, this process isn't in `group`, or a DTensor is sharded
        in another way; and on all processes if their rows, dtypes or targets differ, or, on a CPU, if a target is no
        class. Elsewhere such a target gives NaN.
    RuntimeError
        From PyTorch, if a process of the group is lost: at once, or after the group's timeout.

    References
    ----------
    Shoeybi et al., *Megatron-LM*, arXiv:1909.08053, for the idea; the book's chapter *What if the logits don't fit?*

    Examples
    --------
    >>> import torch
    >>> import logitkit.torch as lt
    >>> columns = torch.tensor([[17.0, 0.0]], requires_grad=True)  # of a single process, all
    >>> loss = lt.vocab_parallel_cross_entropy(columns, torch.tensor([0]))
    >>> loss.backward()
    >>> columns.grad
    tensor([[-4.1399e-08,  4.1399e-08]])
    """
    reduction = legacy_reduction(None, None, reduction)
    ignored = require_integer(ignore_index, "ignore_index")
    columns, peers = _columns_and_peers(input, group)
    target, rows = _whole(require_tensor(target, "target")), tuple(columns.shape[:-1])
    if target.shape != rows or target.is_floating_point() or target.is_complex():
        raise ValueError(
            f"target must hold one class index for each row of input, integers in the shape {rows}, "
            f"but holds {target.dtype} in {tuple(target.shape)}"
        )
    target = as_classes(target)
    start, classes = peers.place_of(columns, target)
    weights = None if weight is None else require_class_weights(_whole(weight), classes)
    labels, kept, unknown = require_classes(target, classes, ignored)
    width = columns.shape[-1]
    own = torch.where((labels >= start) & (labels < start + width), labels - start, -1)
    if not width:  # a class that has no probability
        columns = F.pad(columns, (0, 1), value=-torch.inf)
    losses = _LossesOfShards.apply(columns.reshape(-1, columns.shape[-1]), own.flatten(), kept.flatten(), peers)
    losses = losses.reshape(rows)
    divisor = kept.sum()
    if weights is not None:
        of_target = weights[labels].where(kept, 0)
        losses, divisor = zero_safe_product(of_target, losses, xp), of_target.sum()
    if unknown is not None:
        losses = losses * unknown
    dtype = widened(columns).dtype if mixes_precision(columns.device.type) else columns.dtype
    return _like(input, reduced(losses, divisor, reduction).to(dtype))


class _LossesOfShards(Function):
    """The losses, in float64, of rows of which this process has some columns; `own` is the target's, or -1."""

    @staticmethod
    def forward(ctx: Any, columns: Tensor, own: Tensor, kept: Tensor, peers: _Peers) -> Tensor:
        own, kept = own[:, None], kept[:, None]
        # What is left out may be NaN, which times 0 would spoil the gradient: its logits count as 0.
        pivot = peers.all_reduce(widened(columns.amax(1, keepdim=True)).where(kept, 0), "MAX")
        of_rivals = []
        for block in _blocks_of(columns):
            exps = _exps(columns[block], pivot[block], kept[block])
            exps = _put(exps, own[block], 0.0)
            if exps.dtype == torch.float64:
                of_rivals.append(row_sum(exps, exps.amax(1, keepdim=True), xp))
            else:  # the additions of many classes and a thousand processes would show in float32
                of_rivals.append(exps.sum(1, keepdim=True, dtype=torch.float64))
        logit = columns.gather(1, own.clamp(min=0)).where(own >= 0, 0).double()
        rest, logit = peers.all_reduce(torch.stack([torch.cat(of_rivals), logit]), "SUM")
        losses, whole = _loss_of_sums(pivot.double(), rest, logit)
        ctx.save_for_backward(columns, own, kept, pivot, rest, whole)
        return losses.where(kept, 0).squeeze(1)

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():  # create_graph=True, which would leave this loss out of the second derivative
            raise RuntimeError("vocab_parallel_cross_entropy has no second derivative, but create_graph asks for one")
        columns, own, kept, pivot, rest, whole = ctx.saved_tensors
        factor = (cotangent[:, None] / whole).where(kept, 0)
        of_target = -rest * factor  # and not the probability minus one, which has lost the rest
        grads = torch.empty_like(columns)
        for block in _blocks_of(columns):
            exps = _exps(columns[block], pivot[block], kept[block])
            grads[block] = _put(exps * factor[block].to(exps.dtype), own[block], of_target[block].to(exps.dtype))
        return grads, None, None, None


def _blocks_of(columns: Tensor) -> Iterator[slice]:
    return places_of_blocks(columns, rows_in_block(columns, columns.shape[1]))


def _exps(columns: Tensor, pivot: Tensor, kept: Tensor) -> Tensor:
    """Return exp(z - pivot), free of the rounding error of the difference."""
    z = widened(columns).where(kept, 0)
    difference, error = difference_with_error(z, pivot)
    exps = difference.masked_fill_(z == pivot, 0).exp_()  # also where inf - inf is no number
    return exps.addcmul_(exps, error)


def _put(rows: Tensor, own: Tensor, values: Tensor | float) -> Tensor:
    """Return the rows with the values in the target's column, where it is here."""
    place = own.clamp(min=0)
    return rows.scatter_(1, place, torch.where(own >= 0, values, rows.gather(1, place)))


def _loss_of_sums(pivot: Tensor, rest: Tensor, logit: Tensor) -> tuple[Tensor, Tensor]:
    """Return the losses, and the sums of all exponentials; NaN in both for a row without a distribution."""
    is_top = logit == pivot
    difference = (logit - pivot).masked_fill(is_top, 0)  # its rounding error is below half a last place of the loss
    whole = rest + difference.exp()
    undefined = pivot.isinf() & ((pivot < 0) | (whole > 1))  # all masked, or more than one certain
    whole = whole.masked_fill(undefined, torch.nan)
    # Both terms of the second form are at least 0, and together at least log 2: nothing cancels.
    losses = torch.where(is_top, torch.log1p(rest), torch.log(whole) - difference)
    return losses.masked_fill(undefined, torch.nan), whole


@dataclass(frozen=True)
class _Peers:
    """The processes that hold the columns of the same rows."""

    group: Any  # None without a process group, where this process is alone

    def all_reduce(self, values: Tensor, operation: str) -> Tensor:
        """Return the maximum or the sum over all processes."""
        if self.group is not None:
            dist.all_reduce(values, getattr(dist.ReduceOp, operation), group=self.group)
        return values

    def place_of(self, columns: Tensor, target: Tensor) -> tuple[int, int]:
        """Return the first class that is here and the number of all, if the processes have the same rows."""
        rows, width = target.numel(), columns.shape[-1]
        if self.group is None:
            return 0, width
        sizes = torch.tensor([width, rows, widened(columns).element_size()], device=target.device)
        # Targets that differ would give every process another loss, and no error.
        sum_in_order = (target.flatten() * torch.arange(1, rows + 1, device=target.device)).sum()
        message = torch.cat([sizes, sum_in_order.reshape(1)])
        received = [torch.empty_like(message) for _ in range(dist.get_world_size(self.group))]
        dist.all_gather(received, message, group=self.group)
        widths, *others = zip(*torch.stack(received).tolist(), strict=True)
        here = dist.get_rank(self.group)
        for name, values in zip(("number of rows", "bytes of a logit", "target"), others, strict=True):
            _require_same(name, values, here)
        return sum(widths[:here]), sum(widths)


def _require_same(name: str, values: tuple[int, ...], here: int) -> None:
    for place, value in enumerate(values):
        if value != values[here]:
            differs = "another one" if name == "target" else f"{value}, not {values[here]}"
            raise ValueError(
                f"the {name} must be the same on all processes of the group, but process {place} has {differs} as "
                f"process {here}; does the group hold only processes that share their rows?"
            )


def _columns_and_peers(input: Any, group: Any) -> tuple[Tensor, _Peers]:
    """Return the columns that this process has, with the processes that have the others."""
    if not require_floats(input).dim():
        raise ValueError("input must have a last dimension, that of the classes, but is one number")
    if not _is_dtensor(input):
        return input, _Peers(_group_of(group))
    if group is not None:
        raise ValueError("group goes with the columns of one process, but input is a DTensor, which has its own group")
    sharded = [place for place, kind in enumerate(input.placements) if not kind.is_replicate()]
    if len(sharded) != 1 or not input.placements[sharded[0]].is_shard(input.dim() - 1):
        raise ValueError(
            f"input must be sharded along its last dimension, that of the classes, over one dimension of its mesh and "
            f"replicated over the others, but has the placements {input.placements}; redistribute it"
        )
    return input.to_local(), _Peers(input.device_mesh.get_group(sharded[0]))


def _group_of(group: Any) -> Any:
    """Return the process group, or None where there is none at all."""
    if group is None:
        return dist.group.WORLD if dist.is_available() and dist.is_initialized() else None
    if group == dist.GroupMember.NON_GROUP_MEMBER:
        raise ValueError("group must hold this process, but doesn't; only its members may call")
    if not isinstance(group, dist.ProcessGroup):
        raise TypeError(f"group must be a process group, not {type(group).__name__}")
    return group


def _is_dtensor(value: Any) -> bool:
    # There is none where its module, which takes long to import, has not been imported.
    return isinstance(value, getattr(sys.modules.get("torch.distributed.tensor"), "DTensor", ()))


def _whole(value: Any) -> Any:
    return value.full_tensor() if _is_dtensor(value) else value


def _like(input: Any, loss: Tensor) -> Tensor:
    """Return the loss, as a DTensor that all processes of the mesh have if the input is one."""
    if not _is_dtensor(input):
        return loss
    from torch.distributed.tensor import Replicate

    everywhere = [Replicate()] * input.device_mesh.ndim
    result: Tensor = type(input).from_local(loss, input.device_mesh, everywhere, run_check=False)
    return result
