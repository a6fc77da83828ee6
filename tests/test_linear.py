"""The output layer and its loss in one: the numbers of the two apart, in blocks of any size, in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import mpmath as mp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

import logitkit as lk
from logitkit.linear import BLOCK_BYTES, _Layer, _layer
from tests import oracle
from tests.contracts import DTYPES, LAYOUTS, NOT_REAL, Array, refuses

INF, NAN = np.inf, np.nan
EPS = 2.0**-52
REDUCTIONS = ("none", "sum", "mean")
ROWS, CLASSES, WIDTH = 23, 29, 5
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


def shape_of_blocks(arrays: dict[str, Array], ignore_index: int | None = None) -> Any:
    return _layer(arrays["features"], arrays["weight"], arrays["bias"], arrays["target"], ignore_index)


def block_sizes(arrays: dict[str, Array]) -> list[int]:
    """One size for every different shape of the blocks, from a single logit to all of them."""
    layer, shapes = shape_of_blocks(arrays), {}
    for allowed in np.geomspace(smallest_block(arrays), BLOCK_BYTES, 200).astype(int):
        shapes.setdefault(layer.block_shape(allowed), int(allowed))
    assert {(1, 1), (arrays["target"].size, len(arrays["weight"]))} <= set(shapes)
    return list(shapes.values())


class TestValues:
    """Against mpmath, from the product on."""

    @pytest.mark.parametrize("block_bytes", [1200, 5000, BLOCK_BYTES])
    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("scale", [0.01, 1.0, 10.0])
    def test_errors_are_those_of_the_products(self, scale: float, dtype: type, block_bytes: int) -> None:
        arrays = draw(7, 11, 4, dtype, seed=1)
        arrays["weight"] *= dtype(scale)
        features, weight, bias = (arrays[name] for name in OPERANDS)
        exact_features, exact_weight = ([oracle.exact(row) for row in a] for a in (features, weight))
        logits = oracle.linear(exact_features, exact_weight, oracle.exact(bias))
        labels = [oracle.one_hot(label, 11) for label in arrays["target"]]
        losses = [oracle.cross_entropy(t, z) for t, z in zip(labels, logits, strict=True)]
        grads = [oracle.cross_entropy_grad(t, z) for t, z in zip(labels, logits, strict=True)]

        def product(left: Any, right: Any) -> Array:
            return np.array([[mp.fsum(map(mp.fmul, a, b)) for b in right] for a in left])

        # The bound of a product of n terms is n/2 EPS times the sum of their sizes, and 4 times that is promised. What
        # the logits are wrong by changes a loss, and each entry of its gradient, by at most twice that of itself.
        sizes = np.abs(features.astype(float)) @ np.abs(weight.astype(float)).T + np.abs(bias.astype(float))
        wrong_logits = 5 * EPS / 2 * sizes.max()
        slack = 0.51 * float(np.finfo(dtype).eps) if dtype is not np.float64 else 4 * EPS
        subnormal = float(np.finfo(dtype).smallest_subnormal)

        value, d_features, d_weight, d_bias = call(arrays, reduction="none", block_bytes=block_bytes)
        for got, true in zip(value, losses, strict=True):
            bound = float(true) * slack + 4 * min(1, float(true)) * wrong_logits + 0.51 * subnormal
            assert abs(mp.mpf(float(got)) - true) <= bound
        columns = list(zip(*grads, strict=True))
        for got, left, right in (
            (d_features, grads, list(zip(*exact_weight, strict=True))),
            (d_weight, columns, list(zip(*exact_features, strict=True))),
            (d_bias[:, None], columns, [[1] * 7]),
        ):
            true, size = product(left, right), product(np.abs(left), np.abs(right)).astype(float)
            bound = np.abs(true.astype(float)) * slack + size * (4 * len(left[0]) / 2 * EPS + 4 * wrong_logits)
            error = np.array([[mp.mpf(float(g)) for g in row] for row in got]) - true
            assert (np.abs(error) <= bound + 0.51 * subnormal).all()

    @pytest.mark.parametrize("block_bytes", [256, 500, BLOCK_BYTES])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_a_sure_network_keeps_the_digits_of_loss_and_gradients(self, dtype: type, block_bytes: int) -> None:
        # One feature that is 1 makes the weights the logits, without an error.
        one = np.ones((1, 1), dtype)
        for margin in (8.0, 17.0, 40.0, 90.0, 700.0):
            for label, logits in ((0, [margin, 0, 1]), (2, [1, 0, margin]), (1, [0.5, margin, margin - 20])):
                z = np.array(logits, dtype)
                options: dict[str, Any] = {"bias": np.zeros(3, dtype), "block_bytes": block_bytes}
                value, grads = lk.linear_cross_entropy_value_and_grad(one, z[:, None], [label], **options)
                expected, grad = lk.cross_entropy_value_and_grad([label], logits=z[None])
                exact = oracle.cross_entropy_grad(oracle.one_hot(label, 3), oracle.exact(z))
                assert (oracle.ulps(grads[2], exact) <= 4).all()
                np.testing.assert_allclose(value, expected, rtol=4 * EPS, atol=0)
                np.testing.assert_allclose(lk.linear_cross_entropy(one, z[:, None], [label], **options), expected)
                np.testing.assert_array_equal(grads[1][:, 0], grads[2])
                np.testing.assert_allclose(grads[2], grad[0], rtol=4 * EPS, atol=0)

    def test_far_from_zero_the_digits_stay_too(self) -> None:
        # A difference from the largest logit is inexact where it is large: in any class, the target or not.
        rows = np.array([[600.1, -40.3, 599.7, 580.2], [-40.3, 599.7, 600.1, 580.2]])
        for z, label, block_bytes in product(rows, range(4), (256, 500, BLOCK_BYTES)):
            target = oracle.one_hot(label, 4)
            options: dict[str, Any] = {"bias": np.zeros(4), "block_bytes": block_bytes}
            value, grads = lk.linear_cross_entropy_value_and_grad([1.0], z[:, None], label, **options)
            assert (oracle.ulps(grads[2], oracle.cross_entropy_grad(target, oracle.exact(z))) <= 4).all()
            loss = [oracle.cross_entropy(target, oracle.exact(z))]
            for got in (value, lk.linear_cross_entropy([1.0], z[:, None], label, **options)):
                assert oracle.ulps(got[None], loss)[0] <= 2

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("ignore_index", [None, 3, -100])
    def test_pytorch_differentiates_it_to_the_same(self, ignore_index: int | None, reduction: str) -> None:
        arrays = draw((2, 3, 4), dtype=np.float64)
        arrays["target"].flat[:3] = 3
        if ignore_index == -100:
            arrays["target"].flat[5:9] = -100
        features, weight, bias = leaves = [torch.tensor(arrays[name], requires_grad=True) for name in OPERANDS]
        logits = F.linear(features, weight, bias).movedim(-1, 1)
        given = {} if ignore_index is None else {"ignore_index": ignore_index}
        value = F.cross_entropy(logits, torch.tensor(arrays["target"]), reduction=reduction, **given)
        value.sum().backward()
        expected = [value.detach(), *(leaf.grad for leaf in leaves)]
        for block_bytes in (2000, BLOCK_BYTES):
            got = call(arrays, ignore_index=ignore_index, reduction=reduction, block_bytes=block_bytes)
            agree(got, tuple(e.numpy() for e in expected))

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("shape", [(), (1,), (ROWS,), (4, 1, 3)])
    def test_it_is_the_loss_of_the_logits_for_features_of_any_shape(
        self, shape: tuple[int, ...], reduction: str
    ) -> None:
        for classes, width in ((1, 3), (2, 1), (CLASSES, WIDTH), (CLASSES, 0), (100, 40)):
            arrays = draw(shape, classes, width)
            for block_bytes in (smallest_block(arrays), 20_000, BLOCK_BYTES):
                agree(call(arrays, reduction=reduction, block_bytes=block_bytes), apart(**arrays, reduction=reduction))

    def test_without_a_word_the_mean_is_returned(self) -> None:
        arrays = draw()
        agree(call(arrays), call(arrays, reduction="mean"), units=0)

    def test_without_a_bias_it_is_none_and_so_is_its_gradient(self) -> None:
        arrays = draw()
        del arrays["bias"]
        value, (d_features, d_weight, d_bias) = lk.linear_cross_entropy_value_and_grad(**arrays)
        assert d_bias is None
        expected = apart(**arrays, bias=np.zeros(CLASSES))
        agree((value, d_features, d_weight), expected[:3])
        assert lk.linear_cross_entropy(**arrays) == pytest.approx(value, rel=4 * EPS)


class TestBlocks:
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_their_size_does_not_show(self, dtype: type) -> None:
        arrays = draw(dtype=dtype)
        arrays["bias"][3] = -INF
        arrays["target"][arrays["target"] == 3] = 4
        expected = apart(**{n: a if n == "target" else a.astype(float) for n, a in arrays.items()})
        units = 64 if dtype is np.float64 else 0.51 * float(np.finfo(dtype).eps) / EPS
        for block_bytes in block_sizes(arrays):
            agree(call(arrays, block_bytes=block_bytes), expected, units)

    def test_largest_logit_may_sit_in_any_of_them(self) -> None:
        arrays = draw(3, 9, 1)
        arrays["features"][:] = 1
        for block_bytes in block_sizes(arrays):
            for largest in range(9):
                for target in range(9):
                    arrays["bias"] = np.where(np.arange(9) == largest, 30.0, np.arange(9))
                    arrays["target"][:] = target
                    agree(call(arrays, block_bytes=block_bytes), apart(**arrays))

    def test_equal_logits_in_all_of_them_are_equal(self) -> None:
        arrays = draw(3, 8, 2)
        arrays["weight"][:] = arrays["weight"][0]
        arrays["bias"][:] = 0
        for block_bytes in block_sizes(arrays):
            value, _, _, d_bias = call(arrays, block_bytes=block_bytes, reduction="none")
            np.testing.assert_allclose(value, np.log(8), rtol=2 * EPS)
            counts = np.bincount(arrays["target"], minlength=8)
            np.testing.assert_allclose(d_bias, 3 / 8 - counts, rtol=4 * EPS)

    def test_masks_may_fill_any_of_them(self) -> None:
        arrays = draw(6, 12, 2)
        for free in ([0], [11], [5, 6], [0, 4, 11]):
            mask = np.full(12, -INF)
            mask[free] = 0
            for block_bytes in block_sizes(arrays):
                arrays |= {"bias": mask, "target": np.resize(free, 6)}
                got = call(arrays, block_bytes=block_bytes)
                agree(got, apart(**arrays))
                assert (got[2][mask < 0] == 0).all()

    def test_masked_target_is_infinitely_wrong_and_has_a_slope(self) -> None:
        arrays = draw(4, 6, 3)
        arrays["target"][:] = 2
        arrays["bias"][2] = -INF
        for block_bytes in block_sizes(arrays):
            value, *grads = call(arrays, block_bytes=block_bytes)
            assert value == INF
            agree(tuple(grads), apart(**arrays)[1:])
            assert grads[2][2] == pytest.approx(-1)

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("function", [lk.linear_cross_entropy, lk.linear_cross_entropy_value_and_grad])
    @pytest.mark.parametrize(
        ("rows", "classes", "width", "block_bytes"),
        [(400, 3000, 40, 1 << 20), (20, 60_000, 8, 1 << 20), (20_000, 90, 8, 1 << 22), (800, 3000, 40, 1 << 24)],
    )
    def test_their_size_bounds_the_memory(
        self, function: Callable[..., Any], rows: int, classes: int, width: int, block_bytes: int, dtype: type
    ) -> None:
        arrays = draw(rows, classes, width, dtype)
        tracemalloc.start()
        results = function(**arrays, block_bytes=block_bytes)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        returned = sum(grad.nbytes for grad in results[1]) if isinstance(results, tuple) else 0
        few_numbers = 70 * rows + 20 * classes + 50_000
        assert peak - returned <= block_bytes + few_numbers < 8 * rows * classes

    def test_logits_are_computed_twice_only_where_a_block_cannot_hold_all_classes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cells, arrays, logits = [], draw(200, 300, 20), _Layer.logits

        def counted(layer: _Layer, features: Array, weight: Array, classes: slice) -> Array:
            cells.append((len(features), len(weight)))
            return logits(layer, features, weight, classes)

        monkeypatch.setattr(_Layer, "logits", counted)
        size = shape_of_blocks(arrays)._bytes
        for block_bytes, times in ((BLOCK_BYTES, 1), (size(50, 300), 1), (size(33, 300), 1), (size(16, 300), 2)):
            cells.clear()
            value, grads = lk.linear_cross_entropy_value_and_grad(**arrays, block_bytes=block_bytes)
            agree((value, *grads), apart(**arrays))
            assert sum(rows * classes for rows, classes in cells) == times * 200 * 300
            assert all(size(*block) <= block_bytes for block in cells)

    def test_what_they_cannot_hold_is_refused(self) -> None:
        arrays = draw()
        least = smallest_block(arrays)
        call(arrays, block_bytes=least)
        for bad in (least - 1, 1, 0, -5):
            message = f"block_bytes must be at least {least} with {WIDTH} features, but is {bad}"
            for function in (lk.linear_cross_entropy, lk.linear_cross_entropy_value_and_grad):
                with refuses(ValueError, message):
                    function(**arrays, block_bytes=bad)
        for no_size in (1e6, "1 MB", None):
            with refuses(TypeError, f"block_bytes must be one integer, not {no_size!r}"):
                lk.linear_cross_entropy(**arrays, block_bytes=no_size)


class TestIgnoredRows:
    @pytest.mark.parametrize("block_bytes", [1200, BLOCK_BYTES])
    @pytest.mark.parametrize("reduction", ["sum", "mean"])
    def test_they_might_as_well_not_be_there(self, reduction: str, block_bytes: int) -> None:
        arrays = draw()
        arrays["target"][[0, 7, 8, 22]] = -100
        arrays["features"][[0, 8]] = NAN
        got = call(arrays, ignore_index=-100, reduction=reduction, block_bytes=block_bytes)
        kept = arrays["target"] != -100
        fewer = arrays | {name: arrays[name][kept] for name in ("features", "target")}
        expected = list(apart(**fewer, reduction=reduction))
        d_features, expected[1] = expected[1], np.zeros_like(arrays["features"])
        expected[1][kept] = d_features
        agree(got, tuple(expected))

    def test_ignoring_everything_leaves_nothing_to_average(self) -> None:
        arrays = draw(3)
        arrays["target"][:] = 2
        for function in (lk.linear_cross_entropy, lk.linear_cross_entropy_value_and_grad):
            with refuses(ValueError, "nothing to average"):
                function(**arrays, ignore_index=2)
        value, *grads = call(arrays, ignore_index=2, reduction="sum")
        assert value == 0
        assert not any(g.any() for g in grads)
        assert call(arrays, ignore_index=2, reduction="none")[0].tolist() == [0, 0, 0]


class TestContract:
    """What every function of the package promises."""

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_dtype_and_shape_are_those_of_the_operands(self, dtype: type) -> None:
        arrays = draw((2, 3), dtype=dtype)
        for block_bytes in (2000, BLOCK_BYTES):
            value, *grads = call(arrays, block_bytes=block_bytes, reduction="none")
            assert (value.dtype, value.shape) == (dtype, (2, 3))
            assert [(g.dtype, g.shape) for g in grads] == [(dtype, arrays[name].shape) for name in OPERANDS]

    def test_value_is_as_wide_as_the_widest_operand_and_each_gradient_as_its_own(self) -> None:
        wide = {"features": np.float16, "weight": np.float32, "bias": np.float64}
        arrays = draw() | {name: draw()[name].astype(dtype) for name, dtype in wide.items()}
        for block_bytes in (2000, BLOCK_BYTES):
            value, *grads = call(arrays, block_bytes=block_bytes)
            assert [r.dtype for r in (value, *grads)] == [np.float64, *wide.values()]
            exact = apart(**{name: a if name == "target" else a.astype(float) for name, a in arrays.items()})
            for got, expected in zip((value, *grads), exact, strict=True):
                np.testing.assert_allclose(got, expected, rtol=float(np.finfo(got.dtype).eps) + 64 * EPS, atol=1e-7)

    @pytest.mark.parametrize("dtype", [np.int16, np.int64, np.uint8, np.bool_])
    def test_whole_numbers_count_as_float64(self, dtype: type) -> None:
        arrays = draw()
        whole = arrays | {
            name: (np.abs(3 * arrays[name]) % (2 if dtype is np.bool_ else 9)).astype(dtype) for name in OPERANDS
        }
        floats = whole | {name: whole[name].astype(float) for name in OPERANDS}
        got = call(whole)
        assert {r.dtype for r in got} == {np.dtype(np.float64)}
        agree(got, call(floats), units=0)

    @pytest.mark.parametrize("integers", [np.int8, np.uint8, np.uint64, ">i4"])
    def test_any_integers_are_class_indices(self, integers: Any) -> None:
        arrays = draw()
        agree(call(arrays | {"target": arrays["target"].astype(integers)}), call(arrays), units=0)

    @pytest.mark.parametrize("layout", LAYOUTS)
    @pytest.mark.parametrize("block_bytes", [2000, BLOCK_BYTES])
    def test_storage_of_the_operands_does_not_show(self, layout: str, block_bytes: int) -> None:
        arrays = draw((4, 6))
        stored = {name: LAYOUTS[layout](a) for name, a in arrays.items()}
        results = call(stored, block_bytes=block_bytes)
        agree(results, call(arrays, block_bytes=block_bytes), units=16)
        assert all(type(r) is np.ndarray and r.dtype.isnative for r in results)

    @pytest.mark.parametrize("block_bytes", [2000, BLOCK_BYTES])
    @pytest.mark.parametrize("dtype", DTYPES)
    def test_operands_are_never_changed_and_never_returned(self, dtype: type, block_bytes: int) -> None:
        arrays = draw(dtype=dtype)
        before = {name: a.copy() for name, a in arrays.items()}
        for result in call(arrays, block_bytes=block_bytes)[1:]:
            assert not any(np.shares_memory(result, a) for a in arrays.values())
            result[...] = 111
        for name, a in arrays.items():
            np.testing.assert_array_equal(a, before[name], err_msg=name)

    def test_lists_and_scalars_count_as_arrays(self) -> None:
        arrays = draw()
        agree(call({name: a.tolist() for name, a in arrays.items()}), call(arrays), units=0)
        value, grads = lk.linear_cross_entropy_value_and_grad([1.0, 2.0], [[1.0, 0.0], [0.0, 1.0]], 0)
        assert type(value) is np.float64
        assert grads[0].shape == (2,)

    @pytest.mark.parametrize("shape", [(0,), (2, 0, 3)])
    def test_no_rows_have_a_sum_of_zero_and_no_mean(self, shape: tuple[int, ...]) -> None:
        for classes in (0, 1, 5):
            arrays = draw(1, max(1, classes)) | {"features": np.zeros((*shape, WIDTH)), "target": np.zeros(shape, int)}
            arrays |= {name: arrays[name][:classes] for name in ("weight", "bias")}
            value, *grads = call(arrays, reduction="sum")
            assert value == 0
            assert [g.shape for g in grads] == [arrays[name].shape for name in OPERANDS]
            assert not any(g.any() for g in grads)
            assert call(arrays, reduction="none")[0].shape == shape
            with refuses(ValueError, "nothing to average"):
                lk.linear_cross_entropy(**arrays)

    def test_debugging_settings_of_numpy_do_not_show(self) -> None:
        arrays = draw()
        arrays["weight"] *= 1e3
        for block_bytes in (2000, BLOCK_BYTES):
            with np.errstate(all="raise"):
                got = call(arrays, block_bytes=block_bytes)
            agree(got, call(arrays, block_bytes=block_bytes), units=0)

    @pytest.mark.parametrize("block_bytes", [2000, BLOCK_BYTES])
    def test_nan_spoils_what_it_is_a_part_of(self, block_bytes: int) -> None:
        options: dict[str, Any] = {"reduction": "none", "block_bytes": block_bytes}
        clean, arrays = call(draw(), **options), draw()
        arrays["features"][4, 1] = NAN
        value, d_features, d_weight, d_bias = call(arrays, **options)
        for got, expected in ((value, clean[0]), (d_features, clean[1])):
            assert np.isnan(got[4]).all()
            agree((np.delete(got, 4, axis=0),), (np.delete(expected, 4, axis=0),))
        assert np.isnan(d_weight).all()
        assert np.isnan(d_bias).all()
        for name in ("weight", "bias"):
            arrays = draw()
            arrays[name][7] = NAN
            assert all(np.isnan(r).all() for r in call(arrays, **options))

    @pytest.mark.parametrize("kind", NOT_REAL)
    def test_anything_but_real_numbers_is_refused_by_name(self, kind: str) -> None:
        arrays = draw()
        for name, a in arrays.items():
            bad = NOT_REAL[kind](a)
            if bad.dtype == np.float64:
                continue  # platforms without a long double
            error = ValueError if name == "target" and kind != "masked" else TypeError
            with pytest.raises(error, match=rf"^{name} (must hold|is a masked array)"):
                lk.linear_cross_entropy(**arrays | {name: bad})

    @given(st.data(), st.sampled_from(DTYPES), st.sampled_from(REDUCTIONS))
    def test_any_layer_is_its_loss_of_logits(self, data: st.DataObject, dtype: type, reduction: str) -> None:
        rows, width = data.draw(st.integers(1, 9)), data.draw(st.integers(0, 6))
        classes, seed = data.draw(st.integers(1, 12)), data.draw(st.integers(0, 99))
        arrays = draw(rows, classes, width, dtype, seed)
        arrays["weight"] *= dtype(data.draw(st.sampled_from([0.0, 1e-3, 1.0, 30.0, 300.0])))
        mask = data.draw(st.lists(st.booleans(), min_size=classes, max_size=classes))
        if not all(mask):
            arrays["bias"][np.array(mask)] = -INF
        arrays = {n: LAYOUTS[data.draw(st.sampled_from(sorted(LAYOUTS)))](a) for n, a in arrays.items()}
        before = {name: a.copy() for name, a in arrays.items()}
        block_bytes = data.draw(st.integers(smallest_block(arrays), 30_000) | st.just(BLOCK_BYTES))
        got = call(arrays, reduction=reduction, block_bytes=block_bytes)
        expected = apart(**{n: a if n == "target" else a.astype(float) for n, a in arrays.items()}, reduction=reduction)
        size = 1 + np.abs(before["features"].astype(float)).max(initial=0) * np.abs(before["weight"].astype(float)).max(
            initial=0
        )
        for g, e in zip(got, expected, strict=True):
            units = 64 * EPS * size + float(np.finfo(dtype).eps) * (dtype is not np.float64)
            finite = np.isfinite(e)
            np.testing.assert_array_equal(np.isfinite(g), finite)
            e = np.where(finite, e, 0)
            tiny = float(np.finfo(dtype).smallest_subnormal)
            np.testing.assert_allclose(
                np.where(finite, g, 0), e, rtol=units, atol=64 * EPS * size * np.abs(e).max(initial=0) + tiny
            )
        for name, a in arrays.items():
            np.testing.assert_array_equal(a, before[name])


FUNCTIONS = [lk.linear_cross_entropy, lk.linear_cross_entropy_value_and_grad]


@pytest.mark.parametrize("function", FUNCTIONS)
class TestMistakes:
    def test_shapes_that_do_not_fit_are_shown(self, function: Callable[..., Any]) -> None:
        arrays = draw((2, 3), 4, 5)
        wrong = partial(refuses, ValueError)
        with wrong(
            "weight must have the shape (classes, 5) to go with features of shape (2, 3, 5), but has (5, 4)",
            "is it transposed?",
        ):
            function(**arrays | {"weight": arrays["weight"].T})
        for shape in ((5,), (4, 6), (1, 4, 5), ()):
            with wrong(
                f"weight must have the shape (classes, 5) to go with features of shape (2, 3, 5), but has {shape}"
            ):
                function(**arrays | {"weight": np.zeros(shape)})
        with wrong("features must have a last dimension"):
            function(**arrays | {"features": 1.0})
        for shape in ((), (1,), (5,), (4, 1)):
            with wrong(f"bias must hold one number for each of the 4 classes, but has {shape}"):
                function(**arrays | {"bias": np.zeros(shape)})
        for shape in ((), (2,), (3, 2), (2, 3, 1), (2, 3, 4)):
            with wrong(
                f"target must hold one class index for each row of features, in the shape (2, 3), but has {shape}"
            ):
                function(**arrays | {"target": np.zeros(shape, int)})

    def test_class_that_is_not_there_is_shown(self, function: Callable[..., Any]) -> None:
        arrays = draw(3, 4)
        for bad in (4, -1, -100):
            arrays["target"][:] = [0, bad, 9]
            with refuses(ValueError, f"target must be a class from 0 to 3, but target[1] is {bad}", "ignore_index"):
                function(**arrays)
        arrays["target"] = np.array([0, 9, 9])
        function(**arrays, ignore_index=9)
        with refuses(ValueError, "target must hold integers where it holds class indices, not float64"):
            function(**arrays | {"target": np.zeros(3)})

    def test_infinite_operands_are_shown(self, function: Callable[..., Any]) -> None:
        for name in ("features", "weight"):
            for bad in (INF, -INF):
                arrays = draw()
                arrays[name][2, 3] = bad
                arrays[name][0, 0] = NAN
                with refuses(ValueError, f"{name} must be finite, but {name}[2, 3] is {bad}", "-inf masks a class"):
                    function(**arrays)
        with refuses(ValueError, "bias must be below inf, but bias[1] is inf"):
            function(**draw(2, 3) | {"bias": [0, INF, 0]})
        with refuses(ValueError, "the largest of bias must be above -inf", "all classes are masked"):
            function(**draw(2, 3) | {"bias": [-INF] * 3})

    def test_products_that_may_overflow_are_refused(self, function: Callable[..., Any]) -> None:
        for features, weight, bias in (
            (1e160, 1e160, 0),
            (-1e160, 1e160, 0),
            (1.0, 7e307, 1e308),
            (1.0, 7e307, -1e308),
            (1e308, 0.0, 0),
        ):
            arrays = {
                "features": np.full((3, 2), features),
                "weight": np.full((4, 2), weight),
                "bias": np.full(4, bias),
            }
            message = (
                f"the largest sizes are {abs(features):.2g} in features, {weight:.2g} in weight and {abs(bias):.2g} in"
            )
            with refuses(ValueError, "features @ weight.T + bias may overflow float64", message):
                function(**arrays, target=[0, 1, 2])
        largest = np.finfo(np.float32).max
        arrays = {"features": np.full((3, 2), largest), "weight": np.full((4, 2), largest)}
        value = function(**arrays, target=[0, 1, 2])
        assert np.isfinite(value[0] if isinstance(value, tuple) else value)

    def test_products_that_cannot_overflow_are_taken(self, function: Callable[..., Any]) -> None:
        for features, weight in ((1.2e307, 0.0), (0.0, 8e307)):
            arrays = {"features": np.full((3, 2), features), "weight": np.full((4, 2), weight)}
            value = function(**arrays, target=[0, 1, 2])
            assert (value[0] if isinstance(value, tuple) else value) == pytest.approx(np.log(4))

    def test_unknown_reduction_is_shown(self, function: Callable[..., Any]) -> None:
        with refuses(ValueError, "reduction must be 'none', 'sum' or 'mean', not 'avg'"):
            function(**draw(), reduction="avg")

    def test_options_are_given_by_name(self, function: Callable[..., Any]) -> None:
        arrays = draw()
        with pytest.raises(TypeError, match="positional"):
            function(arrays["features"], arrays["weight"], arrays["target"], arrays["bias"])
