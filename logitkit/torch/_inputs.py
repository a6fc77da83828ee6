"""What may come in: an error where values can be read, NaN where they cannot.

On a CPU the error names the argument, the first offending value and its index. An accelerator would be held up by
reading a value, and a compiled, mapped or traced function cannot raise; there the loss becomes NaN, and so does the
gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import index
from typing import Any, ParamSpec

import torch
from torch import Tensor
from torch.autograd import forward_ad
from torch.overrides import handle_torch_function, has_torch_function
from torch.utils._python_dispatch import _get_current_dispatch_mode

P = ParamSpec("P")

# Targets that are a few roundings above 1 or below 0 were meant to be 1 or 0: sums of shares, filtered masks.
ROUNDINGS = 16


def overridable(function: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """Let tensor subclasses, symbolic tracers and modes take a call over, as they may with PyTorch's own."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
        values = (*args, *kwargs.values())
        if has_torch_function(values):
            result: Tensor = handle_torch_function(call, values, *args, **kwargs)
            return result
        return function(*args, **kwargs)

    return call


def constant_to_compilers(function: Callable[P, bool]) -> Callable[P, bool]:
    """Have a compiler call the function once and keep what it returns."""
    # All that torch.compiler.assume_constant_result does, after it has imported the whole compiler: that takes as long
    # as importing PyTorch, and most who import us never compile.
    function._dynamo_marked_constant = True  # type: ignore[attr-defined]
    return function


def is_plain(*tensors: Tensor) -> bool:
    """Whether these are ordinary tensors outside of all compilers, tracers, modes and function transforms."""
    if torch.compiler.is_compiling() or torch._C._is_tracing() or _get_current_dispatch_mode() is not None:
        return False
    for t in tensors:
        if type(t).__torch_dispatch__ is not Tensor.__torch_dispatch__:
            return False
        if torch._C._functorch.is_functorch_wrapped_tensor(t):
            return False
        # No tensor has a tangent outside of forward mode, where asking each would cost more than all else here.
        if forward_ad._current_level >= 0 and forward_ad.unpack_dual(t).tangent is not None:
            return False
    return True


def values_are_readable(values: Tensor) -> bool:
    """Whether to branch on values: only a CPU can read them without being held up."""
    return values.device.type == "cpu" and is_plain(values)


def widened(values: Tensor) -> Tensor:
    """Return the values in the precision that they are computed in, which is at least float32."""
    return values.float() if is_narrow(values) else values


def is_narrow(values: Tensor) -> bool:
    """Whether the values have too few digits to be computed with."""
    return values.dtype in (torch.float16, torch.bfloat16)


def legacy_reduction(size_average: bool | None, reduce: bool | None, reduction: str) -> str:
    """Return the reduction, which PyTorch's two deprecated arguments override."""
    if size_average is not None or reduce is not None:
        reduction = "none" if reduce is False else "sum" if size_average is False else "mean"
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"reduction must be 'none', 'mean' or 'sum', not {reduction!r}")
    return reduction


def autocast_to_float32(logits: Tensor) -> Tensor:
    """Return the logits, in float32 where an autocast region would have PyTorch's own loss take it."""
    return widened(logits) if is_narrow(logits) and mixes_precision(logits.device.type) else logits


def mixes_precision(device: str) -> bool:
    """Whether an autocast region is on for the device, if there can be one."""
    return _may_mix_precision(device) and torch.is_autocast_enabled(device)


@constant_to_compilers  # a compiler before PyTorch 2.13's cannot trace the question
def _may_mix_precision(device: str) -> bool:
    return torch.amp.is_autocast_available(device)


def require_tensor(value: Any, name: str) -> Tensor:
    """Return the value, if it is a tensor."""
    if not isinstance(value, Tensor):
        raise TypeError(f"{name} must be a tensor, not {type(value).__name__}")
    return value


def require_floats(input: Any, name: str = "input") -> Tensor:
    """Return the input, if it holds floating-point numbers: an integer result would have no digits."""
    if not require_tensor(input, name).is_floating_point():
        raise ValueError(f"{name} must hold floating-point numbers, not {input.dtype}; did you pass classes?")
    return input


def require_integer(value: Any, name: str) -> int:
    """Return `value` as an integer, if it is one."""
    try:
        return index(value)
    except TypeError:
        raise TypeError(f"{name} must be one integer, not {value!r}") from None


def require_share(value: Any, name: str) -> float:
    """Return `value`, one number in [0, 1]."""
    try:
        share = float(value)
    except (TypeError, ValueError, RuntimeError):  # the last is a tensor's word about several numbers
        raise TypeError(f"{name} must be one number, not {value!r}") from None
    if not 0 <= share <= 1:
        raise ValueError(f"{name} must lie in [0, 1], but is {share}; it is a share of the whole")
    return share


def as_classes(target: Tensor) -> Tensor:
    """Return integers in the dtype that they can be compared in: in uint8, -100 would be 156."""
    classes = target.long()
    if target.dtype == torch.uint64:  # where 2^64 - 100 would become -100
        classes = classes.where(classes >= 0, torch.iinfo(torch.int64).max)
    return classes


def require_scale(target: Any, rows: tuple[int, ...], full: tuple[int, ...]) -> bool:
    """Return whether the target holds distributions rather than class indices, if its shape and dtype fit."""
    if require_tensor(target, "target").shape not in (rows, full):
        raise ValueError(
            f"target must have the shape {rows} (class indices) or {full} (distributions), "
            f"but has {tuple(target.shape)}"
        )
    distributions = target.shape == full
    if distributions != target.is_floating_point() or target.is_complex():
        expected = "floating-point numbers where it holds distributions" if distributions else "integers"
        raise ValueError(f"target must hold {expected}, not {target.dtype}")
    return bool(distributions)


def require_factor(factor: Any, name: str, shape: torch.Size) -> Tensor:
    """Return a factor as large as the input; one that is larger would make of (n,) losses n x n, unnoticed."""
    own = require_floats(factor, name).shape
    pairs = zip(reversed(own), reversed(shape), strict=False)
    if len(own) > len(shape) or not all(length in (1, wanted) for length, wanted in pairs):
        raise ValueError(f"{name} must broadcast to the shape of input, {tuple(shape)}, but has the shape {tuple(own)}")
    return widened(require_floats(factor, name)).expand(shape)


def require_class_weights(weight: Any, classes: int) -> Tensor:
    """Return one weight for each class."""
    if require_floats(weight, "weight").shape != (classes,):
        raise ValueError(f"weight must hold one weight for each of {classes} classes, but has {tuple(weight.shape)}")
    return widened(weight)


def require_classes(target: Tensor, classes: int, ignore_index: int) -> tuple[Tensor, Tensor, Tensor | None]:
    """Return a class index a row, 0 where there is none; which rows are kept; and a factor that is NaN for no class."""
    kept = target != ignore_index
    inside = (target >= 0) & (target < classes)
    unknown = None
    if values_are_readable(target):
        hint = "do the labels count from 1, or is ignore_index missing?"
        _require(inside | ~kept, target, f"be a class from 0 to {classes - 1}", hint)
    else:
        unknown = torch.where(inside | ~kept, 1.0, torch.nan)
    return target.where(kept & inside, 0), kept, unknown


def require_proportion(target: Tensor) -> Tensor:
    """Return targets in [0, 1]; what is a few roundings outside is taken for the 0 or 1 that it was meant to be."""
    if values_are_readable(target) and target.numel():
        low, high = target.detach().aminmax()
        if low >= 0 and high <= 1:
            return target
    slack = ROUNDINGS * torch.finfo(target.dtype).eps
    outside = (target < -slack) | (target > 1 + slack)
    if values_are_readable(target):
        hint = "it is a probability, not a label of -1 or 2, nor a logit"
        _require(~outside, target, "lie in [0, 1]", hint)
    else:
        target = target * torch.where(outside, torch.nan, 1.0).to(target.dtype)
    # The derivative with respect to a target is also that of one outside.
    return target + (target.detach().clamp(0, 1) - target.detach())


def _require(valid: Tensor, target: Tensor, rule: str, hint: str) -> None:
    if not valid.all():
        place = (~valid).nonzero()[0].tolist()
        where = f"[{', '.join(map(str, place))}]" if place else ""
        raise ValueError(f"target must {rule}, but target{where} is {target[tuple(place)].item()}; {hint}")
