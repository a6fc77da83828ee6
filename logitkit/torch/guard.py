"""A guard for the first batches: raises or warns when what arrives contradicts what a loss wants.

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

What may be meant so, such as a mean over masked elements, isn't objected to. It's noted once, in the log
``logitkit.guard`` at the level INFO.
"""

from __future__ import annotations

import functools
import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

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
MEANS = {torch.mean, Tensor.mean}
OPTIONS = ("ignore_index", "log_target", "weight", "reduction")
Criterion = TypeVar("Criterion", bound=Callable[..., Any])
NOTES = logging.getLogger("logitkit.guard")


class ScaleError(ValueError):
    """What arrives at a loss contradicts the scale that the loss wants."""


class ScaleWarning(UserWarning):
    """The same, where the guard was asked to warn."""


@dataclass(frozen=True)
class _Wants:
    """What a loss wants of its two arguments, from the registry."""

    name: str
    scale: str
    event: str | None
    names: tuple[str, str]
    target: tuple[str, ...]


@dataclass
class _Seen:
    """What has been seen of one loss, in training or in evaluation."""

    batches: int = 0
    rows: Tensor | None = None
    near_0: int = 0
    near_1: int = 0
    cleared: bool = False


@dataclass
class _Watch:
    """The state of a guard: what it does when it finds something, and what it has seen."""

    action: Literal["raise", "warn"]
    batches: int
    seen: dict[tuple[str, bool], _Seen] = field(default_factory=dict)
    satisfied: dict[bool, bool] = field(default_factory=lambda: {True: False, False: False})
    noted: set[str] = field(default_factory=set)

    def check(self, wants: _Wants, input: Tensor, target: Tensor, options: dict[str, Any], gradients: bool) -> None:
        """Look at one batch, unless enough have been seen; while in doubt, at batches 1, 2, 4, 8, ..."""
        seen = self.seen.setdefault((wants.name, gradients), _Seen())
        seen.batches += 1
        doubtful = seen.batches & (seen.batches - 1)
        if seen.batches > self.batches and (seen.cleared or doubtful):
            return
        with torch.no_grad():
            problem = _problem(wants, input, target, options, seen)
            remark = None if problem else _about_weights(wants, input, target, options)
        if remark:
            self.note(f"{wants.name}: {remark}")
        if problem:
            self.report(f"{wants.name} {problem}")
        elif seen.cleared and seen.batches >= self.batches:
            self.satisfied[gradients] = all(each.cleared for (_, mode), each in self.seen.items() if mode == gradients)

    def note(self, message: str) -> None:
        """Log once what may be meant so."""
        if message not in self.noted:
            self.noted.add(message)
            NOTES.info(message)

    def report(self, message: str) -> None:
        """Raise or warn."""
        if self.action == "raise":
            raise ScaleError(message)
        warnings.warn(message, ScaleWarning, stacklevel=4)


def _problem(wants: _Wants, input: Tensor, target: Tensor, options: dict[str, Any], seen: _Seen) -> str | None:
    """What contradicts, with the evidence; None if nothing does. Clears a loss once its input is beyond suspicion."""
    if not input.is_floating_point() or not input.numel():
        return None
    low, high = (float(each) for each in torch.aminmax(input.detach()))
    if math.isnan(low):
        return None
    problem = _about_input(wants, input, low, high, seen)
    if problem:
        return f"wants {wants.scale} as {wants.names[0]}, but {problem}"
    problem = _about_axis(wants, input, target) or _about_target(wants, input, target, options)
    return problem and f"can't use this target: {problem}"


def _about_input(wants: _Wants, input: Tensor, low: float, high: float, seen: _Seen) -> str | None:
    origin = _origin(input.grad_fn)
    between = f"its values lie between {low:.4g} and {high:.4g}"
    slack = 16 * torch.finfo(input.dtype).eps
    if wants.scale == "probabilities":
        seen.cleared = True
        if low < -slack or high > 1 + slack:
            return f"{between}; did you pass logits? Use the loss of logits"
        return f"it's the output of {origin}: {between}" if origin and origin.startswith("a log") else None
    if wants.scale == "log-probabilities":
        seen.cleared = True
        if origin in ("a softmax", "a sigmoid"):
            return f"it's the output of {origin}: {between}; use log_softmax"
        if high > slack:
            return f"{between}, and no logarithm of a probability is above 0; use log_softmax"
        return None
    if origin in ("a softmax", "a sigmoid"):
        return f"it's the output of {origin}, which the loss applies itself: {between}; pass the logits"
    if wants.scale == "log-odds" and origin:
        return f"it's the output of {origin}: {between}; pass the logits"
    if origin == "a log-softmax":
        NOTES.info("%s is given log-probabilities: harmless, but one log-softmax too many", wants.name)
    seen.cleared = low < 0 or high > 1 + 2 * torch.finfo(input.dtype).eps
    return None if seen.cleared else _looks_like_probabilities(input, between, seen)


def _looks_like_probabilities(input: Tensor, between: str, seen: _Seen) -> str | None:
    """Whether values in [0, 1] are beyond doubt probabilities, by the sums of rows or by the bounds."""
    rows = input.movedim(1, -1).flatten(0, -2) if input.ndim > 1 else input[None]
    rows = rows.double()
    tolerance = (2 if input.dtype in (torch.float16, torch.bfloat16) else 16) * torch.finfo(input.dtype).eps
    if rows.shape[1] > 1:
        normalized = (rows.sum(1) - 1).abs() <= tolerance
        if normalized.all():
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
    if min(seen.near_0, seen.near_1) >= INSIDE:
        return (
            f"it never leaves [0, 1], though {seen.near_0} values are just above 0 and {seen.near_1} just below 1, "
            f"as after a sigmoid; {between}"
        )
    return None


def _about_target(wants: _Wants, input: Tensor, target: Tensor, options: dict[str, Any]) -> str | None:
    name = wants.names[1]
    if not target.numel():
        return None
    if "index" in wants.target and not target.is_floating_point():
        if input.ndim > 1 and target.shape == input.shape:
            return f"{name} holds whole numbers of the input's shape; pass class indices, or one-hot labels as floats"
        classes = input.shape[1] if input.ndim > 1 else input.shape[0]
        ignored = options.get("ignore_index", -100)
        counted = target[target != ignored]
        if counted.numel() and (int(counted.min()) < 0 or int(counted.max()) >= classes):
            worst = int(counted.min()) if int(counted.min()) < 0 else int(counted.max())
            return f"{name} holds the index {worst}, and there are {classes} classes; ignore_index is {ignored}"
        return None
    if not target.is_floating_point():
        return None
    low, high = (float(each) for each in torch.aminmax(target))
    values = f"{name} lies between {low:.4g} and {high:.4g}"
    if options.get("log_target"):
        return f"with log_target=True {values}, and no logarithm of a probability is above 0" if high > 1e-3 else None
    if low < 0:
        return f"{values}: neither a label nor a probability is negative; are the arguments swapped?"
    if wants.event == "categorical":
        one = (
            input.ndim > 1
            and input.shape[1] == 1
            and low < 1
            and input.shape == target.shape
            and wants.scale == "logits"
        )
        return (
            f"there's a single column, whose softmax is always 1, and {values}; use BCEWithLogitsLoss" if one else None
        )
    return f"{values}; are the arguments swapped, or is it a mask of 255?" if high > 1 + 1e-3 else None


def _about_axis(wants: _Wants, input: Tensor, target: Tensor) -> str | None:
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


def _about_weights(wants: _Wants, input: Tensor, target: Tensor, options: dict[str, Any]) -> str | None:
    """What a mean with class weights divides by, where that may surprise."""
    weight = options.get("weight")
    if weight is None or wants.event != "categorical" or options.get("reduction", "mean") != "mean":
        return None
    if target.is_floating_point():
        return "with a distribution as target the weighted mean divides by the rows, not by the sum of their weights"
    counted = target[target != options.get("ignore_index", -100)]
    chosen = weight[counted]
    if chosen.numel() and bool((chosen == chosen[0]).all()) and bool((weight != 1).any()):
        return "all labels of this batch have one weight, and the weighted mean divides by it: the weight does nothing"
    return None


def _about_mean(losses: Tensor) -> str | None:
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


def _origin(node: Any, depth: int = 64) -> str | None:
    """What a tensor is the output of, past views and copies; of several, if they agree."""
    if node is None or depth == 0:
        return None
    name = node.name().split("::")[-1].rstrip("0123456789").removesuffix("Backward")
    if name in ORIGINS:
        return ORIGINS[name]
    if name not in PASSED_ON:
        return None
    origins = {_origin(parent, depth - 1) for parent, _ in node.next_functions if parent is not None}
    return origins.pop() if len(origins) == 1 else None


TWINS = {"logitkit.torch.losses.": ("torch.nn.functional.", "torch.nn."), "torch.nn.modules.loss.": ("torch.nn.",) * 2}


@functools.cache
def _wants(path: str) -> _Wants | None:
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
    return _Wants(record.symbol, str(first.scale), first.event, (first.name, second.name), second.target)


def _path(criterion: Any) -> str:
    """The importable path of a function, or of the class that defines a module's forward."""
    if isinstance(criterion, nn.Module):
        criterion = next(each for each in type(criterion).__mro__ if "forward" in vars(each))
    return f"{getattr(criterion, '__module__', '')}.{getattr(criterion, '__qualname__', '')}"


class _Interceptor(TorchFunctionMode):
    """Sees the losses that are called within, whoever calls them."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__()
        self.watch = watch

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        wants = _wants(resolve_name(func) or "") if getattr(func, "__module__", "") == "torch.nn.functional" else None
        # A look-up with NLLLoss, as in focal losses, isn't what's trained.
        if wants and not (wants.scale == "log-probabilities" and kwargs.get("reduction") == "none"):
            _look(self.watch, wants, args, kwargs)
        if func in MEANS and args and isinstance(args[0], Tensor) and (remark := _about_mean(args[0])):
            self.watch.note(remark)
        return func(*args, **kwargs)


def _look(watch: _Watch, wants: _Wants, args: tuple[Any, ...], options: dict[str, Any]) -> None:
    input, target = (args[place] if place < len(args) else options.get(name) for place, name in enumerate(wants.names))
    if isinstance(input, Tensor) and isinstance(target, Tensor):
        if len(args) > 2 and "weight" not in options:
            options = {**options, "weight": args[2]}
        watch.check(wants, input, target, options, torch.is_grad_enabled())


def _require_one_shape(watch: _Watch, args: tuple[Any, ...]) -> None:
    """Object to shapes (n, 1) and (n,), which a formula written by hand makes a table of."""
    shapes = [tuple(each.shape) for each in args[:2] if isinstance(each, Tensor)]
    if len(shapes) == 2 and sorted(map(len, shapes)) == [1, 2]:
        column, row = sorted(shapes, key=len, reverse=True)
        if column == (*row, 1) and row[0] > 1:
            problem = f"gets {shapes[0]} and {shapes[1]}, which broadcast to {row * 2}; squeeze one of them"
            watch.report("the loss wants input and target of one shape, but " + problem)


# Compiled code knows a guard by a number, since an operator takes no other object.
WATCHES: WeakValueDictionary[int, _Watch] = WeakValueDictionary()


@torch.library.custom_op("logitkit::observe", mutates_args=("mark",))
def _observe(mark: Tensor, input: Tensor, target: Tensor, watch: int, path: str, ignore_index: int, grad: bool) -> None:
    """A look at a batch within compiled code, as one opaque operator: the graph isn't broken."""
    wants = _wants(path)
    if wants is not None:
        WATCHES[watch].check(wants, input, target, {"ignore_index": ignore_index}, grad)


class _Hook:
    """Runs before a module's or a function's call, and steps aside when it has seen enough."""

    def __init__(self, criterion: Any, watch: _Watch) -> None:
        self.path = _path(criterion)
        self.known = _wants(self.path) is not None
        self.watch = watch
        self.number = id(watch)
        self.mark = torch.zeros(())
        WATCHES[self.number] = watch

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.number = id(self.watch)
        WATCHES[self.number] = self.watch

    def before(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        gradients = torch.is_grad_enabled()
        if self.watch.satisfied[gradients]:
            return
        if torch.compiler.is_compiling():
            if self.known and len(args) > 1:
                ignored = options.get("ignore_index", -100)
                _observe(self.mark, args[0].detach(), args[1], self.number, self.path, ignored, gradients)
            return
        wants = _wants(self.path)
        if wants is not None:
            _look(self.watch, wants, args, options)


class _ModuleHook(_Hook):
    """A hook before a module's forward; the losses that an unknown module calls are seen by an interceptor."""

    handles: tuple[Any, ...] = ()

    def __init__(self, criterion: Any, watch: _Watch) -> None:
        super().__init__(criterion, watch)
        self.step = _Step(watch)

    def __call__(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        satisfied = self.watch.satisfied
        if satisfied[torch.is_grad_enabled()]:
            if not torch.compiler.is_compiling() and all(satisfied.values()):
                for handle in self.handles:
                    handle.remove()
        elif self.known:
            options = {name: getattr(module, name) for name in OPTIONS if hasattr(module, name)}
            self.before(args, {**options, **kwargs})
        elif not torch.compiler.is_compiling():
            _require_one_shape(self.watch, args)
            self.step.__enter__()

    def after(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        if not torch.compiler.is_compiling():
            self.step.__exit__(None, None, None)


class _Guarded:
    """A guarded function, or a custom module's call: the losses within are seen by an interceptor."""

    def __init__(self, function: Callable[..., Any], watch: _Watch) -> None:
        functools.update_wrapper(self, function)
        plain = function.func if isinstance(function, functools.partial) else function
        self.options = dict(function.keywords) if isinstance(function, functools.partial) else {}
        self.function = function
        self.hook = _Hook(plain, watch)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        watch = self.hook.watch
        if watch.satisfied[torch.is_grad_enabled()]:
            return self.function(*args, **kwargs)
        if self.hook.known or torch.compiler.is_compiling():
            self.hook.before(args, {**self.options, **kwargs})
            return self.function(*args, **kwargs)
        _require_one_shape(watch, args)
        with _Interceptor(watch):
            return self.function(*args, **kwargs)


class _Step:
    """A training step: every loss of PyTorch that is called within the block is looked at."""

    def __init__(self, watch: _Watch) -> None:
        self.watch = watch
        self.modes: list[_Interceptor] = []

    def __enter__(self) -> Self:
        if not self.watch.satisfied[torch.is_grad_enabled()]:
            self.modes.append(_Interceptor(self.watch).__enter__())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.modes:
            self.modes.pop().__exit__(kind, error, trace)


@overload
def guard(criterion: None = None, *, action: Literal["raise", "warn"] = "raise", batches: int = 8) -> _Step: ...
@overload
def guard(criterion: Criterion, *, action: Literal["raise", "warn"] = "raise", batches: int = 8) -> Criterion: ...


def guard(criterion: Any = None, *, action: Literal["raise", "warn"] = "raise", batches: int = 8) -> Any:
    """Watch the first batches of a loss, and object if what arrives contradicts what it wants.

    Objects to probabilities where logits belong, values that are no probabilities or no log-probabilities where these
    belong, labels outside the classes, targets outside [0, 1], one-hot labels as integers, classes on the last axis, a
    single column under a softmax, and shapes (n, 1) and (n,) in a loss written by hand. What a loss wants is looked up
    in ``logitkit.conventions``. Training and evaluation (with and without gradients) are watched each, so a softmax
    that's there in evaluation only is found after any number of clean training batches. A weighted mean or a mean over
    masked elements may be meant so: around a step these are noted in the log ``logitkit.guard``.

    Parameters
    ----------
    criterion : torch.nn.Module or callable, optional
        A loss, called with input and target. A module is returned itself, with a hook that takes itself off once both
        modes are clear: its state, its type and its place in a model stay. Until the first evaluation, the hook costs a
        call a few microseconds, and it looks at no numbers. A function is wrapped. Losses of PyTorch that
        your own loss calls inside are seen too, except in compiled code. Without `criterion`, the result is a context
        manager for a training step, in which every call of one of PyTorch's losses is watched.
    action : {"raise", "warn"}
        Whether to raise a `ScaleError` or to warn with a `ScaleWarning`.
    batches : int
        How many batches to look at in each mode. Where an input stays within [0, 1] and may be either scale, batches
        16, 32, 64 and so on are looked at too.

    Returns
    -------
    torch.nn.Module, callable or context manager

    Raises
    ------
    ValueError
        If `action` is neither.
    TypeError
        If `criterion` can't be called.

    References
    ----------
    What a loss wants is quoted from its documentation in the records of ``logitkit.conventions``. What values alone
    can prove, and how rarely they mislead, is argued at the top of ``logitkit/torch/guard.py``.

    Examples
    --------
    >>> import torch
    >>> from logitkit.torch import guard
    >>> criterion = guard(torch.nn.CrossEntropyLoss())
    >>> outputs = torch.nn.Linear(4, 3)(torch.ones(2, 4)).softmax(dim=1)
    >>> criterion(outputs, torch.tensor([0, 2]))  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    logitkit.torch.guard.ScaleError: torch.nn.CrossEntropyLoss wants logits as input, but it's the output of a ...
    """
    if action not in ("raise", "warn"):
        raise ValueError(f'action must be "raise" or "warn", not {action!r}')
    if criterion is not None and not callable(criterion):
        raise TypeError(f"criterion must be a loss that can be called, not {criterion!r}")
    watch = _Watch(action, batches)
    if criterion is None:
        return _Step(watch)
    if not isinstance(criterion, nn.Module):
        return _Guarded(criterion, watch)
    hook = _ModuleHook(criterion, watch)
    before = criterion.register_forward_pre_hook(hook, with_kwargs=True)
    if hook.known:
        hook.handles = (before,)
    else:
        hook.handles = (before, criterion.register_forward_hook(hook.after, always_call=True))
    return criterion
