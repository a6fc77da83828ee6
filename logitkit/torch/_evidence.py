"""What a loss wants, and what in a batch contradicts it: the evidence that a guard acts on.

Why it doesn't cry wolf. There are three kinds of evidence:

1. *Where the value comes from.* PyTorch's graph says that the input of a loss of logits is the output of a softmax or a
   sigmoid, with nothing but views and copies in between. That's certain from one number on, at initialization too.
2. *A value that can't be.* -0.1 or 1.7 is no probability, 0.3 no log-probability, 10 no index of 10 classes, 255 no
   target of a binary loss. That's certain as well.
3. *Values alone*, where there's no graph: in evaluation, and in compiled code. Rows of logits may lie in [0, 1] and
   sum to 1 by accident. If they differ by a spread of s, the sum of each falls within a tolerance t of 1 with a chance
   of about 2 t / s. Different rows are collected over batches until all of them together have a chance below 1e-9:
   three in float32 at a spread of 0.01, eight in bfloat16 at 0.5. A bias that sums to 1 isn't enough.
   Rows that are all alike, uniform, or of zeros and ones prove nothing and don't count. A single row that isn't a
   distribution ends the suspicion.
   If values lie in [0, 1] and don't sum to 1, no number of them is enough by itself: the logits of a weak model at a
   positive rate of 0.6 all do. What gives a sigmoid away is that it runs into its bounds. The density of logits is
   continuous at 0 and at 1, so thirty values within 0.001 inside of each bound and none outside are out of the question
   for them. (A head with small weights may well have all values of one class at 0.98 and all of another at 0.02.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from logitkit import conventions

ACCIDENT = 1e-9
EDGE, INSIDE = 1e-3, 30
PASSED_ON = {
    *("Alias", "AsStrided", "Cat", "Clone", "Copy", "Expand", "Gather", "Index", "IndexSelect", "Permute", "Reshape"),
    *("ReshapeAlias", "Select", "Slice", "Split", "SplitWithSizes", "Squeeze", "Stack", "T", "ToCopy", "Transpose"),
    *("Unbind", "UnsafeSplit", "UnsafeView", "Unsqueeze", "View", "_DDPSink", "Clamp", "ClampMin", "ClampMax"),
}
ORIGINS = {
    "Softmax": "a softmax",
    "Sigmoid": "a sigmoid",
    "LogSoftmax": "a log-softmax",
    "LogSigmoid": "a log-sigmoid",
}
TWINS = {"logitkit.torch.losses.": ("torch.nn.functional.", "torch.nn."), "torch.nn.modules.loss.": ("torch.nn.",) * 2}


@dataclass(frozen=True)
class Wants:
    """What a loss wants of its two arguments, from the registry."""

    name: str
    scale: str
    event: str | None
    names: tuple[str, str]
    target: tuple[str, ...]


@dataclass
class Seen:
    """What has been seen of one loss, in training or in evaluation."""

    batches: int = 0
    rows: Tensor | None = None
    near_0: int = 0
    near_1: int = 0
    cleared: bool = False


@functools.cache
def wants_of(path: str) -> Wants | None:
    """What a loss of PyTorch wants, or its drop-in twin in this package; None for what isn't on record."""
    for module, places in TWINS.items():
        if path.startswith(module):
            name = path.removeprefix(module)
            path = places[name[:1].isupper()] + name
    record = conventions.resolve(path) if path.startswith("torch.") else None
    if record is None or len(record.inputs) < 2 or record.inputs[0].scale is None:
        return None
    first, second = record.inputs[:2]
    if not second.target:
        return None
    return Wants(record.symbol, str(first.scale), first.event, (first.name, second.name), second.target)


def problem(wants: Wants, input: Tensor, target: Tensor, options: dict[str, Any], seen: Seen) -> str | None:
    """What contradicts, with the evidence; None if nothing does. Clears a loss once its input is beyond suspicion."""
    if not input.is_floating_point() or not input.numel():
        return None
    low, high = (float(each) for each in torch.aminmax(input.detach()))
    if math.isnan(low):
        return None
    if wrong := _about_input(wants, input, low, high, seen):
        return f"wants {wants.scale} as {wants.names[0]}, but {wrong}"
    if wrong := _about_axis(wants, input, target) or _about_target(wants, input, target, options):
        return f"can't use this target: {wrong}"
    return None


def about_shapes(args: tuple[Any, ...]) -> str | None:
    """Whether shapes are (n, 1) and (n,), which a formula written by hand makes a table of."""
    shapes = [tuple(each.shape) for each in args[:2] if isinstance(each, Tensor)]
    if sorted(map(len, shapes)) != [1, 2]:
        return None
    row, column = sorted(shapes, key=len)
    if column != (*row, 1) or row[0] == 1:
        return None
    return f"gets {shapes[0]} and {shapes[1]}, which broadcast to {row * 2}; squeeze one of them"


def _about_input(wants: Wants, input: Tensor, low: float, high: float, seen: Seen) -> str | None:
    origin = _origin(input.grad_fn)
    between = f"its values lie between {low:.4g} and {high:.4g}"
    made = f"it's the output of {origin}"
    slack = 16 * torch.finfo(input.dtype).eps
    if wants.scale == "probabilities":
        seen.cleared = True
        if low < -slack or high > 1 + slack:
            return f"{between}; did you pass logits? Use the loss of logits"
        return f"{made}: {between}" if origin and origin.startswith("a log") else None
    if wants.scale == "log-probabilities":
        seen.cleared = True
        if origin in ("a softmax", "a sigmoid"):
            return f"{made}: {between}; use log_softmax"
        return f"{between}, and no logarithm of a probability is above 0; use log_softmax" if high > slack else None
    if origin in ("a softmax", "a sigmoid"):
        return f"{made}, which the loss applies itself: {between}; pass the logits"
    if wants.scale == "log-odds" and origin:
        return f"{made}: {between}; pass the logits"
    seen.cleared = low < 0 or high > 1 + 2 * torch.finfo(input.dtype).eps
    return None if seen.cleared else _looks_like_probabilities(input, between, seen)


def _looks_like_probabilities(input: Tensor, between: str, seen: Seen) -> str | None:
    """Whether values in [0, 1] are beyond doubt probabilities, by the sums of rows or by the bounds."""
    rows = input.movedim(1, -1).flatten(0, -2) if input.ndim > 1 else input[None]
    rows = rows.double()
    tolerance = (2 if input.dtype in (torch.float16, torch.bfloat16) else 16) * torch.finfo(input.dtype).eps
    if rows.shape[1] > 1 and ((rows.sum(1) - 1).abs() <= tolerance).all():
        telling = ~((rows == 0) | (rows == 1)).all(1) & (rows.amax(1) - rows.amin(1) > tolerance)
        fresh = rows[telling][:16].cpu()
        kept = fresh if seen.rows is None else torch.cat([seen.rows, fresh])
        seen.rows = kept = kept.unique(dim=0)[:32]
        spread = float((kept.amax(0) - kept.amin(0)).max()) if len(kept) else 0.0
        if spread and len(kept) * math.log(min(1.0, 2 * tolerance / spread)) < math.log(ACCIDENT):
            return f"{len(kept)} different rows sum to 1 within {tolerance:.1g}, as after a softmax; {between}"
        return None
    seen.near_0 += int(((rows > 0) & (rows < EDGE)).sum())
    seen.near_1 += int(((rows > 1 - EDGE) & (rows < 1)).sum())
    if min(seen.near_0, seen.near_1) < INSIDE:
        return None
    return (
        f"it never leaves [0, 1], though {seen.near_0} values are just above 0 and {seen.near_1} just below 1, "
        f"as after a sigmoid; {between}"
    )


def _origin(node: Any, depth: int = 64) -> str | None:
    """What a tensor is the output of, past views and copies; of several, if they agree."""
    if node is None or depth == 0:
        return None
    name = node.name().split("::")[-1].rstrip("0123456789").removesuffix("Backward")
    if name not in PASSED_ON:
        return ORIGINS.get(name)
    origins = {_origin(parent, depth - 1) for parent, _ in node.next_functions if parent is not None}
    return origins.pop() if len(origins) == 1 else None


def _about_axis(wants: Wants, input: Tensor, target: Tensor) -> str | None:
    """Whether the classes are on the last axis, where PyTorch's losses want them on the second."""
    if wants.event != "categorical" or input.ndim < 3:
        return None
    advice = "the classes are on the last axis, and the loss takes them from the second; transpose, or flatten the rows"
    if target.shape == input.shape and target.is_floating_point():
        one = target.new_ones(())
        if torch.allclose(target.sum(-1), one) and not torch.allclose(target.sum(1), one):
            return f"its rows sum to 1 along the last axis: {advice}"
    elif target.shape == input.shape[:-1] and _from_linear(input):
        return f"the input is the output of a linear layer: {advice}"
    return None


def _from_linear(input: Tensor) -> bool:
    """Whether a tensor of several axes is a linear layer's output as it is, with the features on the last axis."""
    node = input.grad_fn
    if node is not None and node.name() == "AddBackward0":  # the bias, where the input isn't contiguous
        node = node.next_functions[0][0]
    if node is None or node.name() not in ("ViewBackward0", "UnsafeViewBackward0"):
        return False
    (parent, _), *_ = node.next_functions
    rows = getattr(node, "_saved_self_sym_sizes", ())
    flat = tuple(rows) in ((), (input.shape[:-1].numel(), input.shape[-1]))
    return flat and parent is not None and parent.name() in ("AddmmBackward0", "MmBackward0")


def _about_target(wants: Wants, input: Tensor, target: Tensor, options: dict[str, Any]) -> str | None:
    if not target.numel():
        return None
    if target.is_floating_point():
        return _about_shares(wants, input, target, bool(options.get("log_target")))
    return _about_indices(wants, input, target, options) if "index" in wants.target else None


def _about_indices(wants: Wants, input: Tensor, target: Tensor, options: dict[str, Any]) -> str | None:
    name = wants.names[1]
    if input.ndim > 1 and target.shape == input.shape:
        return f"{name} holds whole numbers of the input's shape; pass class indices, or one-hot labels as floats"
    classes = input.shape[1] if input.ndim > 1 else input.shape[0]
    ignored, counted = _counted(target, options)
    low, high = map(int, torch.aminmax(counted)) if counted.numel() else (0, 0)
    if low >= 0 and high < classes:
        return None
    worst = low if low < 0 else high
    return f"{name} holds the index {worst}, and there are {classes} classes; ignore_index is {ignored}"


def _about_shares(wants: Wants, input: Tensor, target: Tensor, are_logs: bool) -> str | None:
    """Whether labels or probabilities in floating point are out of their bounds."""
    low, high = (float(each) for each in torch.aminmax(target))
    values = f"{wants.names[1]} lies between {low:.4g} and {high:.4g}"
    if are_logs:
        return f"with log_target=True {values}, and no logarithm of a probability is above 0" if high > 1e-3 else None
    if low < 0:
        return f"{values}: neither a label nor a probability is negative; are the arguments swapped?"
    if wants.event != "categorical":
        return f"{values}; are the arguments swapped, or is it a mask of 255?" if high > 1 + 1e-3 else None
    single = input.ndim > 1 and input.shape[1] == 1 and input.shape == target.shape
    if single and low < 1 and wants.scale == "logits":
        return f"there's a single column, whose softmax is always 1, and {values}; use BCEWithLogitsLoss"
    return None


def _counted(target: Tensor, options: dict[str, Any]) -> tuple[int, Tensor]:
    """The index that's ignored, and the others."""
    ignored = options.get("ignore_index", -100)
    return ignored, target[target != ignored]


def remarks(wants: Wants, input: Tensor, target: Tensor, options: dict[str, Any]) -> Iterator[str]:
    """What may be meant so, and surprises: one log-softmax too many, and what a mean with class weights divides by."""
    if wants.scale == "logits" and _origin(input.grad_fn) == "a log-softmax":
        yield "it's given log-probabilities: harmless, but one log-softmax too many"
    weight = options.get("weight")
    if weight is None or wants.event != "categorical" or options.get("reduction", "mean") != "mean":
        return
    if target.is_floating_point():
        yield "with a distribution as target the weighted mean divides by the rows, not by the sum of their weights"
        return
    _, counted = _counted(target, options)
    chosen = weight[counted]
    if chosen.numel() and bool((chosen == chosen[0]).all()) and bool((weight != 1).any()):
        yield "all labels of this batch have one weight, and the weighted mean divides by it: the weight does nothing"


def about_mean(losses: Tensor) -> str | None:
    """Whether a mean is taken of losses of which a mask has set some to 0."""
    node = losses.grad_fn
    if node is None or node.name() != "MulBackward0":
        return None
    parents = [parent for parent, _ in node.next_functions]
    for parent, mask in zip(parents, (node._saved_other, node._saved_self), strict=True):  # type: ignore[attr-defined]
        while parent is not None and parent.name() in ("ViewBackward0", "ReshapeAliasBackward0"):
            parent = parent.next_functions[0][0]
        if parent is None or getattr(parent, "_saved_reduction", None) != 0 or mask is None or mask.requires_grad:
            continue
        left_out = int((mask == 0).sum())
        if left_out and left_out + int((mask == 1).sum()) == mask.numel():
            return "a mean of losses counts the elements that a mask has set to 0; divide the sum by the mask's sum"
    return None
