"""Layers for the tests of layer and loss in one: how they are drawn, called, computed apart and cut into blocks."""

from __future__ import annotations

from typing import Any

import numpy as np

import logitkit as lk
from logitkit.linear import BLOCK_BYTES, _layer
from tests.cases import Array

INF, NAN = np.inf, np.nan


EPS = 2.0**-52


REDUCTIONS = ("none", "sum", "mean")


ROWS, CLASSES, WIDTH = 11, 13, 5


OPERANDS = ("features", "weight", "bias")


Results = tuple[Array, ...]


def draw(
    rows: Any = ROWS, classes: int = CLASSES, width: int = WIDTH, dtype: Any = np.float64, seed: int = 0
) -> dict[str, Array]:
    rng = np.random.default_rng(seed)
    shape = rows if isinstance(rows, tuple) else (rows,)
    return {
        "features": rng.normal(0, 1, (*shape, width)).astype(dtype),
        "weight": rng.normal(0, 1, (classes, width)).astype(dtype),
        "target": rng.integers(0, classes, shape),
        "bias": rng.normal(0, 1, classes).astype(dtype),
    }


def call(arrays: dict[str, Array], **options: Any) -> Results:
    """The value and the three gradients, after a look at the value alone."""
    value, grads = lk.linear_cross_entropy_value_and_grad(**arrays, **options)
    alone = lk.linear_cross_entropy(**arrays, **options)
    assert alone.dtype == value.dtype
    np.testing.assert_allclose(alone, value, rtol=8 * np.finfo(value.dtype).eps, atol=0)
    return tuple(map(np.asarray, (value, *grads)))


def apart(features: Array, weight: Array, target: Array, bias: Array, **options: Any) -> Results:
    """The layer, its loss and its derivatives, one after the other."""
    logits = features @ weight.T + bias
    value, grad = lk.cross_entropy_value_and_grad(target, logits=logits, **options)
    rows, flat = grad.reshape(target.size, len(weight)), features.reshape(target.size, features.shape[-1])
    return tuple(map(np.asarray, (value, grad @ weight, rows.T @ flat, rows.sum(axis=0))))


def agree(got: Results, expected: Results, units: float = 64.0) -> None:
    """The same but for the rounding of products, which is relative to the largest terms of a sum."""
    for g, e in zip(got, expected, strict=True):
        assert g.shape == e.shape
        np.testing.assert_allclose(g, e, rtol=units * EPS, atol=units * EPS * np.abs(e).max(initial=0))


def smallest_block(arrays: dict[str, Array]) -> int:
    return shape_of_blocks(arrays)._bytes(1, 1)


def shape_of_blocks(arrays: dict[str, Array], ignore_index: int | None = None, softcap: float | None = None) -> Any:
    return _layer(arrays["features"], arrays["weight"], arrays["bias"], arrays["target"], ignore_index, softcap, 0.0)


def block_sizes(arrays: dict[str, Array]) -> list[int]:
    """One size for every different shape of the blocks, from a single logit to all of them."""
    layer, shapes = shape_of_blocks(arrays), {}
    for allowed in np.geomspace(smallest_block(arrays), BLOCK_BYTES, 200).astype(int):
        shapes.setdefault(layer.block_shape(allowed), int(allowed))
    assert {(1, 1), (arrays["target"].size, len(arrays["weight"]))} <= set(shapes)
    return list(shapes.values())


FUNCTIONS = [lk.linear_cross_entropy, lk.linear_cross_entropy_value_and_grad]
