"""Functions that kernels compute on a CPU: in eager code, and as operators in code that PyTorch compiles.

The compiler would make loops of its own from a composite, which take longer than a kernel. It doesn't look into an
operator, so what it compiles calls the kernel too. Tracers and exporters see the composite. So do function transforms,
except where `_func` has kernels compute what they ask for.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.autograd import Function, forward_ad
from torch.library import Library
from torch.utils._python_dispatch import TorchDispatchMode

from logitkit import kernels
from logitkit._arrays import Floats
from logitkit.torch._eager import Composite, Pullback, by_composite, of_each, times, with_kernel
from logitkit.torch._inputs import constant_to_compilers, widened

# Numbers from which on compiled code had better call an operator: on fewer its own loops take less time than the call.
WORTH_AN_OPERATOR = 1 << 10
# From here on the compiler can say that it exports, differentiates or maps, and that a length isn't known.
OLDEST_TORCH = "2.13"

# Returns the value and, if told that they're wanted, the slopes: what a cotangent is to be multiplied by.
SlopesKernel = Callable[[Tensor, bool], tuple[Tensor, Floats]]


class Ways(NamedTuple):
    """How to compute a function of a tensor, and what its value is like."""

    composite: Composite
    kernel: SlopesKernel | None  # none where only the composite will do
    shape: tuple[int, ...]
    dtype: torch.dtype

    def with_pullback(self, x: Tensor, wanted: bool) -> tuple[Tensor, Pullback | None]:
        """Return what the kernel computes, in the form for eager code."""
        assert self.kernel is not None
        value, slopes = self.kernel(x, wanted)
        return value, times(slopes, x) if wanted else None


class Operator:
    """A function of a tensor and of arguments, from which `ways_of` makes the ways to compute it.

    For a compiler it's two operators. One has the derivative. It consists of the other one, which is what compiled code
    calls: it returns the value and the slopes, which a cotangent is to be multiplied by. A graph that's kept on disk
    knows an operator by its name, so one whose results change their meaning needs another name.
    """

    libraries: ClassVar[dict[str, Library]] = {}

    def __init__(self, name: str, ways_of: Callable[..., Ways], arguments: str = "") -> None:
        self.ways_of = ways_of
        if name in self.libraries:  # the module that defines it is executed again
            self.libraries[name]._destroy()
        library = self.libraries[name] = Library("logitkit", "FRAGMENT")
        takes, both = f"Tensor x{arguments and ', '}{arguments}", f"{name}_and_slopes"
        library.define(f"{name}({takes}) -> Tensor", tags=torch.Tag.pt2_compliant_tag)
        library.define(f"{both}({takes}, bool wanted) -> (Tensor, Tensor)", tags=torch.Tag.pt2_compliant_tag)
        library.impl(name, self.differentiable, "CompositeImplicitAutograd")
        library.impl(both, self.value_and_slopes, "CPU")
        torch.library.register_fake(f"logitkit::{both}", self.without_numbers, lib=library)
        self.operator, self.both = (getattr(torch.ops.logitkit, n).default for n in (name, both))

    def __call__(self, x: Tensor, *arguments: Any) -> Tensor:
        """Return the value."""
        ways, others = self.ways_of(x, *arguments), [a for a in arguments if isinstance(a, Tensor)]
        if ways.kernel is None:
            return ways.composite(x)
        if is_worth_an_operator(x, *others) and not any(t.requires_grad for t in others):
            value: Tensor = self.operator(x, *arguments)
            return value
        return with_kernel(ways.composite, ways.with_pullback, x, *others)

    def differentiable(self, x: Tensor, *arguments: Any) -> Tensor:
        """Return the value, which has a derivative."""
        value: Tensor = _WithSlopes.apply(x, self, *arguments)
        return value

    def value_and_slopes(self, x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
        """Return the value and, if the last argument says that they're wanted, the slopes."""
        *given, wanted = arguments
        x, shape = x.detach(), x.shape if wanted else (0,)
        ways = self.ways_of(x, *given)
        # PyTorch switches autograd off within an operator; the composite needs it, also for rows that a kernel leaves.
        with torch._C._SetExcludeDispatchKeyGuard(torch._C.DispatchKey.AutogradFunctionality, False):
            try:
                if ways.kernel is not None and x.numel():
                    value, slopes = ways.kernel(x, wanted)
                    return value, torch.from_numpy(slopes.reshape(shape))
            except ValueError:  # a target without meaning, for which compiled code returns NaN
                pass
            return unread(ways.composite, x, wanted)

    def without_numbers(self, x: Tensor, *arguments: Any) -> tuple[Tensor, Tensor]:
        """Return tensors like those of `value_and_slopes`, without their numbers."""
        *given, wanted = arguments
        ways = self.ways_of(x, *given)
        slopes = x.new_empty(x.shape if wanted else (0,), dtype=widened(x).dtype)
        return x.new_empty(ways.shape, dtype=ways.dtype), slopes


class _WithSlopes(Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, operator: Operator, *arguments: Any) -> Tensor:
        ctx.composite = operator.ways_of(x, *arguments).composite
        value, slopes = operator.both(x, *arguments, ctx.needs_input_grad[0])
        ctx.save_for_backward(x, slopes)
        return value

    @staticmethod
    def backward(ctx: Any, cotangent: Tensor) -> tuple[Tensor | None, ...]:
        x, slopes = ctx.saved_tensors
        if torch.is_grad_enabled():
            result = by_composite(ctx.composite, x, cotangent)
        else:
            result = (slopes * of_each(cotangent, slopes)).to(x.dtype)
        return result, *[None] * (len(ctx.needs_input_grad) - 1)


def unread(composite: Composite, x: Tensor, wanted: bool) -> tuple[Tensor, Tensor]:
    """Return what the composite makes of targets whose values it can't look at, and its slopes if they're wanted."""
    with _Unread(), torch.enable_grad():
        leaf = x.detach().requires_grad_(wanted)
        value = composite(leaf)
        slopes = torch.autograd.grad(value.sum(), leaf)[0] if wanted else x.new_empty(0)
        return value.detach().contiguous(), widened(slopes).contiguous()


class _Unread(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **(kwargs or {}))


def is_worth_an_operator(x: Tensor, *others: Tensor) -> bool:
    """Whether PyTorch compiles a call with ordinary tensors on a CPU, which it had better leave to a kernel."""
    if not torch.compiler.is_compiling() or not kernels_are_on() or torch.compiler.is_exporting():
        return False
    if torch._C._functorch.get_dynamic_layer_stack_depth() or forward_ad._current_level >= 0:
        return False
    if not all(t.is_cpu and type(t).__torch_dispatch__ is Tensor.__torch_dispatch__ for t in (x, *others)):
        return False
    # A length that depends on values is not known, and taken for a large one.
    return not torch.fx.experimental.symbolic_shapes.guard_or_false(x.numel() < WORTH_AN_OPERATOR)


@constant_to_compilers  # what it asks of the environment can't be traced
def kernels_are_on() -> bool:
    """Whether kernels are used in compiled code."""
    return torch.__version__ >= OLDEST_TORCH and kernels.why_off() is None


def elementwise(composite: Composite, kernel: str) -> Callable[[Tensor], Ways]:
    """Return what makes the ways to compute an elementwise function of a tensor."""

    def compute(x: Tensor, with_slopes: bool) -> tuple[Tensor, Floats]:
        values, slopes = kernels.elementwise(kernel, widened(x).numpy(), with_slopes, torch.get_num_threads())
        return torch.from_numpy(values).to(x.dtype), slopes

    return lambda x: Ways(composite, compute, x.shape, x.dtype)
