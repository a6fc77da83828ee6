"""A guard for the first batches: raises or warns when what arrives contradicts what a loss wants.

What counts as evidence, and why it doesn't cry wolf, is argued in `_evidence`. Here are the ways to look at a batch:
a hook on a module, a wrapped function, a training step, and an operator in compiled code.

What may be meant so, such as a mean over masked elements, isn't objected to. It's noted once, in the log
``logitkit.guard`` at the level INFO.
"""

from __future__ import annotations

import functools
import logging
import sys
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self, TypeVar, overload
from weakref import WeakValueDictionary

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode, resolve_name

from logitkit.torch._evidence import Seen, Wants, about_mean, about_shapes, problem, remarks, wants_of

MEANS = {torch.mean, Tensor.mean}
OPTIONS = ("ignore_index", "log_target", "weight", "reduction")
Criterion = TypeVar("Criterion", bound=Callable[..., Any])
NOTES = logging.getLogger("logitkit.guard")


class ScaleError(ValueError):
    """What arrives at a loss contradicts the scale that the loss wants."""


class ScaleWarning(UserWarning):
    """The same, where the guard was asked to warn."""


@dataclass
class _Watch:
    """The state of a guard: what it does when it finds something, and what it has seen."""

    action: Literal["raise", "warn"]
    batches: int
    seen: dict[tuple[str, bool], Seen] = field(default_factory=dict)
    satisfied: dict[bool, bool] = field(default_factory=lambda: {True: False, False: False})
    noted: set[str] = field(default_factory=set)

    def look(self, wants: Wants, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        """Look at the arguments of a call, which may come by place or by name."""
        input, target = (args[i] if i < len(args) else options.get(name) for i, name in enumerate(wants.names))
        if isinstance(input, Tensor) and isinstance(target, Tensor):
            if len(args) > 2 and "weight" not in options:
                options = {**options, "weight": args[2]}
            self.check(wants, input, target, options, torch.is_grad_enabled())

    def check(self, wants: Wants, input: Tensor, target: Tensor, options: dict[str, Any], gradients: bool) -> None:
        """Look at one batch, unless enough have been seen; while in doubt, at batches 1, 2, 4, 8, ..."""
        seen = self.seen.setdefault((wants.name, gradients), Seen())
        seen.batches += 1
        doubtful = seen.batches & (seen.batches - 1)
        if seen.batches > self.batches and (seen.cleared or doubtful):
            return
        with torch.no_grad():
            found = problem(wants, input, target, options, seen)
            noted = [] if found else [*remarks(wants, input, target, options)]
        for remark in noted:
            self.note(f"{wants.name}: {remark}")
        if found:
            self.report(f"{wants.name} {found}")
        elif seen.cleared and seen.batches >= self.batches:
            self.satisfied[gradients] = all(each.cleared for (_, mode), each in self.seen.items() if mode == gradients)

    def check_shapes(self, args: tuple[Any, ...]) -> None:
        """Look at what a loss that isn't on record gets: all that's known is that one element goes with one."""
        if found := about_shapes(args):
            self.report(f"the loss wants input and target of one shape, but {found}")

    def note(self, message: str) -> None:
        """Log once what may be meant so."""
        if message not in self.noted:
            self.noted.add(message)
            NOTES.info(message)

    def report(self, message: str) -> None:
        """Raise or warn."""
        if self.action == "raise":
            raise ScaleError(message)
        warnings.warn(message, ScaleWarning, stacklevel=_frames_to_the_user())


def _frames_to_the_user() -> int:
    """How many calls up from the caller's the first line is that is neither here nor PyTorch's."""
    frames, frame = 1, sys._getframe(1)
    # Code that PyTorch generates may lie in any file, but its module is one of PyTorch's, or has no name.
    while frame.f_back and frame.f_globals.get("__name__", "torch").split(".")[0] in ("torch", "logitkit"):
        frames, frame = frames + 1, frame.f_back
    return frames


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
        wants = wants_of(resolve_name(func) or "") if getattr(func, "__module__", "") == "torch.nn.functional" else None
        # A look-up with NLLLoss, as in focal losses, isn't what's trained.
        if wants and not (wants.scale == "log-probabilities" and kwargs.get("reduction") == "none"):
            self.watch.look(wants, args, kwargs)
        if func in MEANS and args and isinstance(args[0], Tensor) and (remark := about_mean(args[0])):
            self.watch.note(remark)
        return func(*args, **kwargs)


# Compiled code knows a guard by a number, since an operator takes no other object.
WATCHES: WeakValueDictionary[int, _Watch] = WeakValueDictionary()


@torch.library.custom_op("logitkit::observe", mutates_args=("mark",))
def _observe(mark: Tensor, input: Tensor, target: Tensor, watch: int, path: str, ignore_index: int, grad: bool) -> None:
    """A look at a batch within compiled code, as one opaque operator: the graph isn't broken."""
    wants = wants_of(path)
    if wants is not None:
        WATCHES[watch].check(wants, input, target, {"ignore_index": ignore_index}, grad)


class _Hook:
    """Runs before a module's or a function's call, and steps aside when it has seen enough."""

    def __init__(self, criterion: Any, watch: _Watch) -> None:
        self.path = _path(criterion)
        self.known = wants_of(self.path) is not None
        self.watch = watch
        self.number = id(watch)
        self.mark = torch.zeros(())
        WATCHES[self.number] = watch

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.number = id(self.watch)
        WATCHES[self.number] = self.watch

    def before(self, args: tuple[Any, ...], options: dict[str, Any]) -> None:
        if not torch.compiler.is_compiling():
            if wants := wants_of(self.path):
                self.watch.look(wants, args, options)
        elif self.known and len(args) > 1:
            ignored = options.get("ignore_index", -100)
            _observe(self.mark, args[0].detach(), args[1], self.number, self.path, ignored, torch.is_grad_enabled())


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
            self.watch.check_shapes(args)
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
        watch.check_shapes(args)
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
    can prove, and how rarely they mislead, is argued at the top of ``logitkit/torch/_evidence.py``.

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
