"""PyTorch's own test data, of operators and of modules, on the twins: values, dtypes, derivatives, errors."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad
from torch.utils._pytree import tree_leaves, tree_map

import logitkit as lk
import logitkit.torch as lt
from tests.backends import backend  # noqa: F401 - runs every test on both

pytest.importorskip("expecttest", reason="PyTorch's test data import expecttest")
op_db = import_module("torch.testing._internal.common_methods_invocations").op_db
module_db = import_module("torch.testing._internal.common_modules").module_db

pytestmark = pytest.mark.slow

DTYPES = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
TWINS: dict[str, tuple[Callable[..., Tensor], Callable[..., Tensor]]] = {
    "nn.functional.cross_entropy": (lt.cross_entropy, F.cross_entropy),
    "nn.functional.binary_cross_entropy_with_logits": (
        lt.binary_cross_entropy_with_logits,
        F.binary_cross_entropy_with_logits,
    ),
    "nn.functional.linear_cross_entropy": (lt.linear_cross_entropy, F.linear_cross_entropy),
    "log_softmax": (lt.log_softmax, F.log_softmax),
    "logit": (lt.logit, torch.logit),
    # PyTorch's own one is linear above the threshold, the twin nowhere.
    "nn.functional.softplus": (lt.softplus, lambda x, **options: F.softplus(x, **options | {"threshold": 700})),
}
ORIGINALS: dict[str, Callable[..., Any]] = {
    "softmax": lambda z, dim, **_: lk.softmax(z, axis=dim),
    "log_softmax": lambda z, dim, **_: lk.log_softmax(z, axis=dim),
    "logsumexp": lambda z, dim, keepdim=False: lk.logsumexp(z, axis=dim, keepdims=keepdim),
    "sigmoid": lk.expit,
    "nn.functional.logsigmoid": lk.log_expit,
    "logit": lk.logit,
}
MODULES = {
    torch.nn.CrossEntropyLoss: lt.CrossEntropyLoss,
    torch.nn.BCEWithLogitsLoss: lt.BCEWithLogitsLoss,
    torch.nn.LinearCrossEntropyLoss: lt.LinearCrossEntropyLoss,
}


def operators(names: Any) -> list[Any]:
    """Return PyTorch's records of the operators, with their variants."""
    found = [pytest.param(op, id=f"{op.name}{op.variant_test_name}") for op in op_db if op.name in names]
    assert {one.values[0].name for one in found} == set(names)
    return found


@cache  # for both backends and all tests: PyTorch seeds its generator before each sample, which takes milliseconds
def samples_of(name: str, dtype: torch.dtype) -> list[Any]:
    """Return the samples of both kinds without what the page of edge cases says that a twin hasn't got."""
    samples, op = [], next(op for op in op_db if op.full_name == name)
    for sample in (*op.sample_inputs("cpu", dtype), *op.reference_inputs("cpu", dtype)):
        if op.name == "nn.functional.linear_cross_entropy":
            if sample.args[0].dim() > 2:
                continue  # no weight of more than two dimensions
            sample.kwargs.pop("options", None)
        samples.append(sample)
    return samples


def in_double(values: Any) -> Any:
    return tree_map(lambda t: t.double() if isinstance(t, Tensor) and t.is_floating_point() else t, values)


def leaves_of(values: Any, only_first: bool) -> list[Tensor]:
    leaves = [t for t in tree_leaves(values) if isinstance(t, Tensor) and t.is_floating_point()]
    return [t.requires_grad_() for t in leaves[: 1 if only_first else None]]


def derivatives(
    function: Callable[..., Tensor], args: Any, kwargs: Any, only_first: bool
) -> tuple[list[Tensor], list[Tensor]]:
    """Return the derivatives of a sum of the results with different weights, and of a sum of those derivatives."""

    def of(values: Any, leaves: list[Tensor]) -> list[Tensor]:
        sums = [(v * torch.linspace(0.5, 1.5, v.numel(), dtype=torch.float64).reshape(v.shape)).sum() for v in values]
        return list(grad(torch.stack(sums).sum(), leaves, create_graph=True, materialize_grads=True))

    # A factor that's given by name has no derivative in PyTorch.
    args = tree_map(lambda t: t.detach().clone() if isinstance(t, Tensor) else t, args)
    leaves = leaves_of(args, only_first)
    first = of([function(*args, **kwargs)], leaves)
    linear = not any(g.requires_grad for g in first)
    return first, [torch.zeros_like(leaf) for leaf in leaves] if linear else of(
        [g for g in first if g.requires_grad], leaves
    )


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("op", operators(TWINS))
def test_values_and_their_dtypes(op: Any, dtype: torch.dtype) -> None:
    ours, theirs = TWINS[op.name]
    for sample in samples_of(op.full_name, dtype):
        args = (sample.input, *sample.args)
        got, exact = ours(*args, **sample.kwargs), theirs(*in_double(args), **in_double(sample.kwargs))
        expected = theirs(*args, **sample.kwargs).dtype
        if op.name == "nn.functional.linear_cross_entropy":
            expected = torch.promote_types(expected, torch.float32)
        assert got.dtype == expected
        torch.testing.assert_close(got, exact.to(got.dtype), equal_nan=True)


@pytest.mark.parametrize("only_first", [False, True], ids=["of all", "of the input"])
@pytest.mark.parametrize("op", operators(TWINS))
def test_derivatives(op: Any, only_first: bool) -> None:
    ours, theirs = TWINS[op.name]
    for sample in samples_of(op.full_name, torch.float64):
        inside = op.name == "logit" and not sample.args and not sample.kwargs
        # Beyond [0, 1] the twin's derivative is NaN, as its value is.
        args = (sample.input.detach().clamp(0.01, 0.99) if inside else sample.input, *sample.args)
        results = [derivatives(f, args, sample.kwargs, only_first) for f in (ours, theirs)]
        for mine, yours in zip(*results, strict=True):
            torch.testing.assert_close(mine, yours, rtol=1e-9, atol=1e-12, equal_nan=True)


@pytest.mark.parametrize("op", operators(TWINS))
def test_errors(op: Any) -> None:
    ours = TWINS[op.name][0]
    for error in op.error_inputs("cpu") if op.error_inputs_func else ():
        sample = error.sample_input
        with pytest.raises((TypeError, ValueError, IndexError, RuntimeError)):
            ours(sample.input, *sample.args, **sample.kwargs)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("op", operators(ORIGINALS))
def test_values_of_the_originals_in_numpy(op: Any, dtype: torch.dtype) -> None:
    for sample in op.sample_inputs("cpu", dtype):
        dim = sample.args[0] if sample.args else None
        if not sample.input.dim() and op.name in ("softmax", "log_softmax", "logsumexp"):
            continue  # a number has no classes
        if isinstance(dim, (tuple, list)) and len(dim) != 1:
            continue  # classes have one dimension
        if op.name == "logit" and sample.args:
            continue  # no eps
        sample.args = tuple(d[0] if isinstance(d, (tuple, list)) else d for d in sample.args)
        sample.kwargs.pop("dtype", None)  # the arrays have their own
        exact = op.op(sample.input.double(), *sample.args, **sample.kwargs)
        got = ORIGINALS[op.name](sample.input.numpy(), *sample.args, **sample.kwargs)
        torch.testing.assert_close(torch.as_tensor(got), exact.to(dtype), equal_nan=True)


def inputs_of_modules(which: Any) -> list[Any]:
    return [pytest.param(info, id=info.name) for info in module_db if info.module_cls in which]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("info", inputs_of_modules(MODULES))
def test_modules(info: Any, dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    for sample in info.module_inputs_func(info, "cpu", dtype, requires_grad=True, training=True):
        args, kwargs = sample.constructor_input.args, dict(sample.constructor_input.kwargs)
        if info.module_cls is torch.nn.LinearCrossEntropyLoss:
            kwargs.pop("options")
            if kwargs.pop("out_features"):
                continue  # no weight of more than two dimensions
        ours, theirs = (module(*args, **kwargs) for module in (MODULES[info.module_cls], info.module_cls))
        ours.load_state_dict(theirs.state_dict())
        call = sample.forward_input
        values = [module(*call.args, **call.kwargs) for module in (ours, theirs)]
        torch.testing.assert_close(*values, equal_nan=True)
        leaves = [[call.args[0], *module.parameters()] for module in (ours, theirs)]
        slopes = [grad(v.nansum(), own) for v, own in zip(values, leaves, strict=True)]
        torch.testing.assert_close(*slopes, equal_nan=True)


@pytest.mark.parametrize("info", inputs_of_modules({torch.nn.CrossEntropyLoss, torch.nn.LinearCrossEntropyLoss}))
def test_errors_of_modules(info: Any) -> None:
    for error in info.module_error_inputs_func(info, "cpu", torch.float32, requires_grad=False, training=True):
        made, call = error.module_error_input.constructor_input, error.module_error_input.forward_input
        module = partial(MODULES[info.module_cls], *made.args, **made.kwargs)
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            module()(*call.args, **call.kwargs)


def test_modules_of_pytorch_take_the_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("log_softmax", "softplus", "cross_entropy", "binary_cross_entropy_with_logits"):
        monkeypatch.setattr(F, name, getattr(lt, name))
    z = torch.tensor([[40.0, 0.0]])
    assert torch.nn.LogSoftmax(dim=1)(z)[0, 0] < 0
    assert torch.nn.Softplus()(-z)[0, 0] > 0
    assert torch.nn.CrossEntropyLoss()(z, torch.tensor([0])) > 0
    assert torch.nn.BCEWithLogitsLoss()(-z, torch.zeros(1, 2)) > 0
    assert torch.nn.LogSoftmax()(z)[0, 0] < 0  # without a dimension, by the rule of PyTorch
