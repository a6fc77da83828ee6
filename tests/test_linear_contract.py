"""The output layer and its loss in one: dtypes, shapes, layouts, ignored rows, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import logitkit as lk
from logitkit.linear import BLOCK_BYTES
from tests.cases import DTYPES, LAYOUTS, NOT_REAL, refuses
from tests.layers import EPS, FUNCTIONS, INF, NAN, OPERANDS, REDUCTIONS, WIDTH, agree, apart, call, draw, smallest_block


class TestIgnoredRows:
    @pytest.mark.parametrize("block_bytes", [1200, BLOCK_BYTES])
    @pytest.mark.parametrize("reduction", ["sum", "mean"])
    def test_they_might_as_well_not_be_there(self, reduction: str, block_bytes: int) -> None:
        arrays = draw()
        arrays["target"][[0, 7, 8, 10]] = -100
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

    @pytest.mark.parametrize("bad", [0.0, -2.0, NAN, INF])
    def test_what_cannot_cap_is_refused(self, function: Callable[..., Any], bad: float) -> None:
        with refuses(ValueError, f"softcap must be a positive number, but is {bad}"):
            function(**draw(), softcap=bad)

    @pytest.mark.parametrize("bad", [-0.1, NAN, INF])
    def test_what_is_no_price_is_refused(self, function: Callable[..., Any], bad: float) -> None:
        with refuses(ValueError, f"z_loss must be a number from 0 on, but is {bad}"):
            function(**draw(), z_loss=bad)

    def test_unknown_reduction_is_shown(self, function: Callable[..., Any]) -> None:
        with refuses(ValueError, "reduction must be 'none', 'sum' or 'mean', not 'avg'"):
            function(**draw(), reduction="avg")

    def test_options_are_given_by_name(self, function: Callable[..., Any]) -> None:
        arrays = draw()
        with pytest.raises(TypeError, match="positional"):
            function(arrays["features"], arrays["weight"], arrays["target"], arrays["bias"])
