"""What the processes of the tests of the vocabulary-parallel loss, and of the guard, do."""

from __future__ import annotations

import os
import signal
import time
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh

import logitkit.torch as lt
from tests.processes import Failure, failure_of
from tests.twins import ELEMENTWISE, class_pairs, linear_pairs

try:
    from torch.distributed.tensor import DTensor, Replicate, Shard, distribute_tensor
except ImportError:  # before PyTorch 2.5 it is not public
    DTensor = None

# The twins that PyTorch spreads by itself.
SPREAD = {
    **{f"{name}, {reduction}": pair for reduction in ("mean", "none") for name, pair in class_pairs(reduction).items()},
    **linear_pairs(),
    **ELEMENTWISE,
}


def columns_of(logits: Tensor, cuts: list[int], place: int) -> Tensor:
    """The columns of one process, of its own, of which a gradient is wanted."""
    start, stop = [0, *cuts, logits.shape[-1]][place : place + 2]
    return logits[..., start:stop].clone().requires_grad_()


def losses_and_gradients(
    calls: list[tuple[Tensor, list[int], Tensor, dict[str, Any]]],
) -> list[tuple[Tensor, Tensor, Tensor | None]]:
    """Losses, the gradient of this process's columns, and that of the weight, of calls with logits, cuts and target."""
    results = []
    for logits, cuts, target, options in calls:
        columns = columns_of(logits, cuts, dist.get_rank())
        weight = options.get("weight")
        options = {**options, "weight": None if weight is None else weight.clone().requires_grad_()}
        loss = lt.vocab_parallel_cross_entropy(columns, target, **options)
        loss.sum().backward()
        results.append((loss.detach(), columns.grad, None if weight is None else options["weight"].grad))
    return results


def each_its_own(calls: list[tuple[Tensor, Tensor, dict[str, Any]]]) -> Tensor:
    """The loss of a call that is another one in each process."""
    columns, target, options = calls[dist.get_rank()]
    return lt.vocab_parallel_cross_entropy(columns, target, **options)


def in_two_groups(logits: Tensor, target: Tensor) -> list[Any]:
    """The losses where each half of the processes has its own rows, and what a stranger to a group is told."""
    rank, half = dist.get_rank(), dist.get_world_size() // 2
    groups = [dist.new_group(list(range(start, start + half))) for start in (0, half)]
    mine, place = groups[rank // half], rank % half
    rows = slice(rank // half, None, 2)
    columns = columns_of(logits[rows], [1] * (half > 1), place)
    losses = lt.vocab_parallel_cross_entropy(columns, target[rows], group=mine, reduction="none")
    try:
        lt.vocab_parallel_cross_entropy(columns, target[rows], group=groups[1 - rank // half])
    except ValueError as error:
        return [losses.detach(), str(error)]
    return [losses.detach(), "nothing"]


def sharded(logits: Tensor, target: Tensor, weight: Tensor, reduction: str) -> tuple[Tensor, Tensor]:
    """Loss and gradient of a DTensor: types, placements and numbers."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    z = distribute_tensor(logits.clone(), mesh, [Shard(-1)]).requires_grad_()
    target, weight = distribute_tensor(target, mesh, [Replicate()]), distribute_tensor(weight, mesh, [Shard(0)])
    loss = lt.vocab_parallel_cross_entropy(z, target, weight=weight, reduction=reduction)
    loss.sum().backward()
    assert isinstance(loss, DTensor)
    assert loss.placements == (Replicate(),)
    assert z.grad.placements == (Shard(logits.dim() - 1),)
    return loss.to_local().detach(), z.grad.full_tensor()


def spread_in_every_way() -> list[tuple[str, str, Tensor, Tensor]]:
    """Value and gradient of each twin, of a first tensor spread by row, by column and not at all."""
    mesh, results = init_device_mesh("cpu", (dist.get_world_size(),)), []

    def spread(tensor: Tensor, placement: Any) -> Tensor:
        return distribute_tensor(tensor.detach(), mesh, [placement]).requires_grad_(tensor.requires_grad)

    for placement in (Shard(0), Shard(1), Replicate()):
        for name, pair in SPREAD.items():
            first, *others = pair.tensors
            options = {
                key: spread(value, Replicate()) if isinstance(value, Tensor) else value
                for key, value in pair.options.items()
            }
            alike = [placement if other.shape == first.shape else Replicate() for other in others]
            x = spread(first, placement if placement.is_replicate() or placement.dim < first.dim() else Replicate())
            value = pair.ours(x, *map(spread, others, alike), **options)
            value.backward(torch.ones_like(value))
            results.append((name, str(placement), value.full_tensor().detach(), x.grad.full_tensor()))
    return results


def mean_of_spread_rows(loss: Any, logits: Tensor, target: Tensor) -> float:
    """The mean loss of rows that are spread over the processes."""
    mesh = init_device_mesh("cpu", (dist.get_world_size(),))
    mean: Tensor = loss(*(distribute_tensor(each, mesh, [Shard(0)]) for each in (logits, target)))
    return float(mean.full_tensor())


def sharded_over_one_of_two(logits: Tensor, target: Tensor) -> Tensor:
    """The loss of a DTensor that is replicated over the other dimension of its mesh, by a target that no mesh holds."""
    mesh = init_device_mesh("cpu", (2, 2))
    return lt.vocab_parallel_cross_entropy(distribute_tensor(logits, mesh, [Replicate(), Shard(1)]), target).to_local()


def sharded_otherwise(kind: str) -> Any:
    """A DTensor whose classes are not spread, or not they alone."""
    if kind == "group":
        mesh = init_device_mesh("cpu", (dist.get_world_size(),))
        z = distribute_tensor(torch.zeros(4, 4), mesh, [Shard(1)])
        return lt.vocab_parallel_cross_entropy(z, torch.zeros(4, dtype=torch.long), group=dist.group.WORLD)
    mesh = init_device_mesh("cpu", (2, dist.get_world_size() // 2))
    placements = {"rows": [Shard(0), Replicate()], "both": [Shard(0), Shard(1)], "none": [Replicate(), Replicate()]}
    z = distribute_tensor(torch.zeros(4, 4), mesh, placements[kind])
    return lt.vocab_parallel_cross_entropy(z, torch.zeros(4, dtype=torch.long))


def bytes_exchanged(rows: int, classes: int, dtype: torch.dtype) -> tuple[int, int]:
    """How many bytes the loss and its backward pass hand to the collectives."""
    sizes = [0, 0]
    reduce, gather = dist.all_reduce, dist.all_gather

    def all_reduce(values: Tensor, *args: Any, **kwargs: Any) -> Any:
        sizes[0] += values.nbytes
        return reduce(values, *args, **kwargs)

    def all_gather(received: list[Tensor], values: Tensor, **kwargs: Any) -> Any:
        sizes[1] += values.nbytes
        return gather(received, values, **kwargs)

    dist.all_reduce, dist.all_gather = all_reduce, all_gather
    try:
        columns = torch.zeros(rows, classes, dtype=dtype, requires_grad=True)
        lt.vocab_parallel_cross_entropy(columns, torch.zeros(rows, dtype=torch.long)).backward()
    finally:
        dist.all_reduce, dist.all_gather = reduce, gather
    return sizes[0], sizes[1]


def lost_in_mid_call(name: str, timeout: float) -> tuple[Failure | None, float]:
    """What the first process is told, and after how long, when the last one stops where its sums are waited for."""
    group = dist.new_group(timeout=timedelta(seconds=timeout))
    columns, target = torch.zeros(3, 2), torch.tensor([0, 1, 2])
    lt.vocab_parallel_cross_entropy(columns, target, group=group)  # while both are there
    reduce, calls = dist.all_reduce, []

    def all_reduce(values: Tensor, *args: Any, **kwargs: Any) -> Any:
        calls.append(values)
        if len(calls) == 2 and dist.get_rank() == dist.get_world_size() - 1:
            os.kill(os.getpid(), getattr(signal, name))
        return reduce(values, *args, **kwargs)

    dist.all_reduce = all_reduce
    started = time.monotonic()
    try:
        lt.vocab_parallel_cross_entropy(columns, target, group=group)
    except RuntimeError as error:
        return failure_of(error), time.monotonic() - started
    return None, time.monotonic() - started


def guard_stops_probabilities_of_a_replica(x: Tensor, target: Tensor) -> bool:
    model = torch.nn.parallel.DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(x.shape[1], 5)))
    lt.guard(torch.nn.CrossEntropyLoss())(model(x), target).backward()
    try:
        lt.guard(torch.nn.CrossEntropyLoss())(model(x).softmax(1), target)
    except lt.ScaleError:
        return True
    return False
