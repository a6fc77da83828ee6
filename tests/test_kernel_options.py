"""With each of their options the kernels give what the formulas give, in chunks, in short rows and in long ones."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import logitkit as lk
import logitkit.torch as lt
from logitkit import kernels
from tests.cases import Array

INF = np.inf
# Around the number of classes up to which rows are short, and of lanes in a long one.
CLASSES = (1, 2, 10, 64, 65, 129)


def both(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Array, Array]]:
    """Pairs of the results with the kernels, which must be used, and with the formulas."""
    called: list[str] = []
    run = kernels.run

    def note(name: str, *given: Any, **options: Any) -> None:
        called.append(name)
        run(name, *given, **options)

    with monkeypatch.context() as patch:
        patch.setattr(kernels, "WORTH_A_KERNEL", 0)
        patch.setattr(kernels, "run", note)
        got = call()
        assert called
        patch.setattr(kernels, "why_off", lambda: "a test compares with the formulas")
        expected = call()
    return zip(*(each if isinstance(each, tuple) else (each,) for each in (got, expected)), strict=True)


def assert_near(got: Array, expected: Array) -> None:
    """One unit in the last place, as both are rounded once; in float64 a few."""
    got, expected = np.asarray(got), np.asarray(expected)
    finite = np.isfinite(expected)
    np.testing.assert_array_equal(got[~finite], expected[~finite])
    np.testing.assert_array_max_ulp(got[finite], expected[finite], 8 if got.dtype == np.float64 else 1)


RNG = np.random.default_rng(0)
N = 1100  # more than two chunks
X = np.concatenate([[0, -0.0, 800, -800, INF, -INF, 1, -1], 8 * RNG.normal(size=N - 8)])
Y = np.concatenate([[0.5, 0.25, 1, 0, 1, 0, lk.expit(1), lk.expit(-1)], RNG.random(300), RNG.random(N - 308) < 0.5])
WEIGHTS = np.concatenate([np.ones(8), np.arange(N - 8) % 3 / 2])
BINARY: dict[str, dict[str, Any]] = {
    "plain": {},
    "weight": {"weight": WEIGHTS},
    "one weight": {"weight": 0.3},
    "pos_weight": {"pos_weight": 2.5},
    "weight and pos_weights": {"weight": WEIGHTS, "pos_weight": 1 + np.arange(N) % 4},
}


@pytest.mark.parametrize("options", BINARY.values(), ids=BINARY)
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_binary_loss_and_gradient(options: dict[str, Any], dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    for size in (1, 512, N) if options == {} else (N,):
        x, y = X[-size:].astype(dtype), Y[-size:].astype(dtype)

        def call(reduction: Any, x: Array = x, y: Array = y) -> Any:
            return lk.binary_cross_entropy_value_and_grad(y, logits=x, reduction=reduction, **options)

        for reduction in ("none", "mean"):
            for got, expected in both(lambda r=reduction: call(r), monkeypatch):
                assert_near(got, expected)


def batches(dtype: Any) -> Iterator[tuple[Array, Array, Array]]:
    """Logits with masks, classes, and distributions with zeros, one of them certain."""
    rng = np.random.default_rng(0)
    for classes in CLASSES:
        for spread in (1.0, 30.0):
            z = rng.normal(0, spread, (5, classes)).astype(dtype)
            z[rng.random(z.shape) < 0.1] = -INF
            z[z.max(axis=1) == -INF] = 0
            target = lk.softmax(rng.normal(0, 2, z.shape)).astype(dtype)
            target[z == -INF] = 0
            target[0] = np.eye(classes)[z[0].argmax()]
            yield z, rng.integers(0, classes, 5), target / target.sum(axis=1, keepdims=True)


SOFT: dict[str, tuple[bool, dict[str, Any]]] = {
    "distributions": (True, {}),
    "distributions, weighted": (True, {"weight": True}),
    "distributions, smoothed": (True, {"label_smoothing": 0.2}),
    "classes, smoothed": (False, {"label_smoothing": 0.2}),
    "classes, all smoothed": (False, {"label_smoothing": 1.0}),
    "classes, smoothed, weighted, ignored": (False, {"label_smoothing": 0.2, "weight": True, "ignore_index": 1}),
}


@pytest.mark.parametrize("name", SOFT)
@pytest.mark.parametrize("dtype", [np.float16, np.float32])
def test_soft_loss_and_gradient(name: str, dtype: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    soft, options = SOFT[name]
    for z, labels, target in batches(dtype):
        if "weight" in options:
            options = {**options, "weight": np.linspace(0, 2, z.shape[1]) + 0.5}

        def call(z: Array = z, target: Array = target if soft else labels, options: Any = options) -> Any:
            with np.errstate(over="ignore"):
                return lk.cross_entropy_value_and_grad(target, logits=z, reduction="sum" if soft else "none", **options)

        for got, expected in both(call, monkeypatch):
            assert_near(got, expected)


@pytest.mark.parametrize("function", [lk.softmax, lk.log_softmax])
def test_rows_in_float64(function: Callable[[Array], Array], monkeypatch: pytest.MonkeyPatch) -> None:
    for z, *_ in batches(np.float64):
        for got, expected in both(lambda z=z: function(z), monkeypatch):
            assert_near(got, expected)


TWINS = {"logit": (lt.logit, torch.linspace(0, 1, 41)), "softplus": (lt.softplus, torch.linspace(-80, 80, 33))}


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64])
def test_slope_of_a_twin(name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    twin, values = TWINS[name]

    def call() -> tuple[Tensor, Tensor]:
        x = values.to(dtype, copy=True).requires_grad_()
        value = twin(x)
        value.backward(torch.linspace(0.5, 2, len(x)).to(dtype))
        assert x.grad is not None
        return value.detach(), x.grad

    for got, expected in both(call, monkeypatch):
        torch.testing.assert_close(got, expected, rtol=8 * torch.finfo(dtype).eps, atol=0)
