"""Any finite numbers, stored in any way, give numbers: no exception, no warning and no silent NaN."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import logitkit as lk
from tests.cases import DTYPES, Array
from tests.strategies import on_both


@st.composite
def stored(
    draw: st.DrawFn, shape: tuple[int, ...], dtype: type, low: float | None = None, high: float | None = None
) -> Array:
    """An array of any finite values of a dtype, stored somehow."""
    width = np.finfo(dtype).bits
    limits = {} if low is None and high is None else {"min_value": low, "max_value": high}
    special = [v for v in (0.0, -0.0, 1.0, -1.0, 0.5, float(np.finfo(dtype).max), float(np.finfo(dtype).min))]
    special = [v for v in special if (low is None or v >= low) and (high is None or v <= high)]
    elements = st.floats(allow_nan=False, allow_infinity=False, width=width, **limits) | st.sampled_from(special)
    array = draw(hnp.arrays(dtype, shape, elements=elements))
    layout = draw(st.sampled_from(["C", "F", "reversed", "spread", "swapped"]))
    if layout == "F":
        return np.asfortranarray(array)
    if layout == "reversed":
        return np.flip(np.flip(array).copy())
    if layout == "spread":
        return np.repeat(array, 2, axis=0)[::2] if array.ndim else array
    return array.astype(array.dtype.newbyteorder()) if layout == "swapped" else array


SHAPES = hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
FLOATS = st.sampled_from(DTYPES)


@on_both
def survives(call: Callable[..., Any], *arrays: Array) -> None:
    """No exception, no warning, no NaN from numbers, nothing written to the input."""
    before = [a.tobytes() for a in arrays]
    results = call(*arrays)
    for result in results if isinstance(results, tuple) else (results,):
        assert not np.isnan(result).any()
        assert np.asarray(result).dtype.type in DTYPES
    assert before == [a.tobytes() for a in arrays]


class TestFuzz:
    @given(st.data(), SHAPES, FLOATS)
    def test_links(self, data: st.DataObject, shape: tuple[int, ...], dtype: type) -> None:
        x, p = data.draw(stored(shape, dtype)), data.draw(stored(shape, dtype, 0.0, 1.0))
        for function in (lk.expit, lk.log_expit, lk.softplus):
            survives(function, x)
        for function in (lk.odds, lk.logit):
            survives(function, p)
        survives(lk.log1mexp, data.draw(stored(shape, dtype, None, 0.0)))

    @given(st.data(), SHAPES, FLOATS)
    def test_simplex(self, data: st.DataObject, shape: tuple[int, ...], dtype: type) -> None:
        z, axis = data.draw(stored(shape, dtype)), data.draw(st.integers(-len(shape), len(shape) - 1))
        for function in (lk.logsumexp, lk.softmax, lk.log_softmax, lk.class_log_odds):
            survives(partial(function, axis=axis), z)
        # The mean of finite logits is finite, though a difference from it may exceed the largest number.
        survives(partial(lk.center, axis=axis), z)
        if shape[axis]:
            survives(partial(lk.logits_from_probs, axis=axis), lk.softmax(z, axis=axis))

    @given(st.data(), SHAPES, FLOATS)
    def test_class_losses(self, data: st.DataObject, shape: tuple[int, ...], dtype: type) -> None:
        axis = data.draw(st.integers(-len(shape), len(shape) - 1))
        classes = shape[axis]
        assume(classes)
        z, t = data.draw(stored(shape, dtype)), lk.softmax(data.draw(stored(shape, dtype)), axis=axis)
        options: dict[str, Any] = {
            "axis": axis,
            "reduction": data.draw(st.sampled_from(["none", "sum"] + ["mean"] * (z.size > 0))),
            "label_smoothing": data.draw(st.sampled_from([0.0, 1e-300, 0.1, 1.0])),
        }
        weight = data.draw(st.none() | hnp.arrays(dtype, classes, elements=st.floats(0.125, 8, width=16)))
        labels = np.argmax(t, axis=axis)
        for target in (t, labels):
            for function in (lk.cross_entropy, lk.cross_entropy_value_and_grad):
                survives(lambda y, z, f=function: f(y, logits=z, weight=weight, **options), target, z)
        ignored = options | {"reduction": "none", "ignore_index": 0}
        survives(lambda y, z: lk.cross_entropy_value_and_grad(y, logits=z, weight=weight, **ignored), labels, z)
        del options["label_smoothing"]
        survives(
            lambda y, z: lk.kl_divergence(target_logits=y, logits=z, **options), data.draw(stored(shape, dtype)), z
        )
        survives(lambda y, z: lk.kl_divergence(target_probs=y, logits=z, **options), t, z)
        log_t = lk.log_softmax(z, axis=axis)
        survives(lambda y, z: lk.kl_divergence(target_probs=y, log_probs=z, **options), t, log_t)

    @given(st.data(), SHAPES, FLOATS)
    def test_binary_losses(self, data: st.DataObject, shape: tuple[int, ...], dtype: type) -> None:
        x, y = data.draw(stored(shape, dtype)), data.draw(stored(shape, dtype, 0.0, 1.0))
        p, log_p = data.draw(stored(shape, dtype, 0.0, 1.0)), data.draw(stored(shape, dtype, None, 0.0))
        w, a = (data.draw(stored(shape, dtype, 0.0, 60000.0)) for _ in range(2))
        options = {"reduction": data.draw(st.sampled_from(["none", "sum"] + ["mean"] * (x.size > 0)))}
        for function in (lk.binary_cross_entropy, lk.binary_cross_entropy_value_and_grad):
            survives(lambda y, x, w, a, f=function: f(y, logits=x, weight=w, pos_weight=a, **options), y, x, w, a)
        survives(lambda y, p, w, a: lk.binary_cross_entropy(y, probs=p, weight=w, pos_weight=a, **options), y, p, w, a)
        survives(
            lambda y, p, w, a: lk.binary_cross_entropy(y, log_probs=p, weight=w, pos_weight=a, **options),
            y,
            log_p,
            w,
            a,
        )
        gamma = data.draw(st.floats(0, 50))
        survives(lambda y, x: lk.focal_loss(y, logits=x, gamma=gamma, **options), np.rint(y), x)
