"""The output layer and its loss in one: the numbers of the two apart, in blocks of any size, in bounded memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import logitkit as lk
from logitkit.linear import BLOCK_BYTES, _Layer
from tests import oracle
from tests.backends import backend  # noqa: F401
from tests.cases import DTYPES, Array, refuses
from tests.gathered import each
from tests.layers import (
    CLASSES,
    EPS,
    INF,
    OPERANDS,
    REDUCTIONS,
    WIDTH,
    agree,
    apart,
    block_sizes,
    call,
    draw,
    shape_of_blocks,
    smallest_block,
)


class TestValues:
    """Against exact numbers, from the product on."""

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
            return np.array([[oracle.dot(a, b) for b in right] for a in left])

        # The bound of a product of n terms is n/2 EPS times the sum of their sizes, and 4 times that is promised. What
        # the logits are wrong by changes a loss, and each entry of its gradient, by at most twice that of itself.
        sizes = np.abs(features.astype(float)) @ np.abs(weight.astype(float)).T + np.abs(bias.astype(float))
        wrong_logits = 5 * EPS / 2 * sizes.max()
        slack = 0.51 * float(np.finfo(dtype).eps) if dtype is not np.float64 else 4 * EPS
        subnormal = float(np.finfo(dtype).smallest_subnormal)

        value, d_features, d_weight, d_bias = call(arrays, reduction="none", block_bytes=block_bytes)
        for got, true in zip(value, losses, strict=True):
            bound = float(true) * slack + 4 * min(1, float(true)) * wrong_logits + 0.51 * subnormal
            assert abs(float(got) - true) <= bound
        columns = list(zip(*grads, strict=True))
        for got, left, right in (
            (d_features, grads, list(zip(*exact_weight, strict=True))),
            (d_weight, columns, list(zip(*exact_features, strict=True))),
            (d_bias[:, None], columns, [[1] * 7]),
        ):
            true, size = product(left, right), product(np.abs(left), np.abs(right)).astype(float)
            bound = np.abs(true.astype(float)) * slack + size * (4 * len(left[0]) / 2 * EPS + 4 * wrong_logits)
            error = np.array([[oracle.number(float(g)) for g in row] for row in got]) - true
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
    @pytest.mark.parametrize("options", [{"softcap": 1.5}, {"z_loss": 0.2}, {"softcap": 4.0, "z_loss": 0.01}])
    def test_capped_and_priced_logits_too(self, options: dict[str, float], reduction: str) -> None:
        arrays = draw((4, 5), dtype=np.float64)
        arrays["target"].flat[:3] = 3
        leaves = [torch.tensor(arrays[name], requires_grad=True) for name in OPERANDS]
        logits, cap = F.linear(*leaves), options.get("softcap")
        logits = logits if cap is None else cap * torch.tanh(logits / cap)
        target = torch.tensor(arrays["target"])
        losses = F.cross_entropy(logits.movedim(-1, 1), target, reduction="none", ignore_index=3)
        losses = losses + options.get("z_loss", 0.0) * logits.logsumexp(-1) ** 2 * (target != 3)
        value = {"none": losses, "sum": losses.sum(), "mean": losses.sum() / (target != 3).sum()}[reduction]
        value.sum().backward()
        expected = tuple(t.numpy() for t in (value.detach(), *(leaf.grad for leaf in leaves)))
        smallest = shape_of_blocks(arrays, softcap=cap)._bytes(1, 1)
        for block_bytes in (smallest, 3000, 20_000, BLOCK_BYTES):
            agree(call(arrays, ignore_index=3, reduction=reduction, block_bytes=block_bytes, **options), expected)

    @pytest.mark.parametrize("block_bytes", [400, BLOCK_BYTES])
    def test_capped_logits_keep_their_slopes(self, block_bytes: int) -> None:
        # One feature that is 1 makes the weights the logits. In float64, 1 - tanh(20)^2 would be 0.
        cap, z = 3.0, 3.0 * np.array([20.0, -1e-9, 0.3, -14.0, 0.49, 0.51])
        exact = oracle.exact(z)
        capped, slopes = [cap * (x / cap).tanh() for x in exact], [(x / cap).sech() ** 2 for x in exact]
        for label in range(6):
            options: dict[str, Any] = {"softcap": cap, "block_bytes": block_bytes}
            value, grads = lk.linear_cross_entropy_value_and_grad([1.0], z[:, None], label, **options)
            target = oracle.one_hot(label, 6)
            grad = [g * s for g, s in zip(oracle.cross_entropy_grad(target, capped), slopes, strict=True)]
            np.testing.assert_allclose(value, float(oracle.cross_entropy(target, capped)), rtol=20 * EPS)
            # The quotient's rounding error is multiplied by its size, twice.
            np.testing.assert_allclose(grads[1][:, 0], np.array(grad, float), rtol=60 * EPS, atol=0)

    def test_masks_stay_masks_under_a_cap(self) -> None:
        arrays = draw(6, 12, 2)
        arrays["bias"] = np.where(np.arange(12) % 3, -INF, 0.5)
        arrays["target"][:] = 3
        for options in ({"softcap": 2.0}, {"softcap": 2.0, "z_loss": 0.1}):
            for block_bytes in (1000, BLOCK_BYTES):
                value, d_features, d_weight, d_bias = call(arrays, block_bytes=block_bytes, **options)
                free = {**arrays, "weight": arrays["weight"][::3], "bias": arrays["bias"][::3]}
                expected = call({**free, "target": arrays["target"] // 3}, **options)
                agree((value, d_features, d_weight[::3], d_bias[::3]), expected)
                assert not d_weight[arrays["bias"] < 0].any()

    def test_without_a_price_no_square_can_overflow(self) -> None:
        value, grads = lk.linear_cross_entropy_value_and_grad([1.0], [[1e200], [0.0]], 1)
        assert value == 1e200
        assert np.isfinite(grads[1]).all()

    @each(shape=[(), (1,), (7,), (2, 1, 3)], reduction=REDUCTIONS)
    def test_it_is_the_loss_of_the_logits_for_features_of_any_shape(
        self, shape: tuple[int, ...], reduction: str
    ) -> None:
        for classes, width in ((1, 3), (2, 1), (CLASSES, WIDTH), (CLASSES, 0), (35, 20)):
            arrays = draw(shape, classes, width)
            for block_bytes in (smallest_block(arrays), shape_of_blocks(arrays)._bytes(3, 8), BLOCK_BYTES):
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
        arrays = draw(9, 9, 1)
        arrays["features"][:] = 1
        arrays["target"] = np.arange(9)
        for block_bytes in block_sizes(arrays):
            for largest in range(9):
                arrays["bias"] = np.where(np.arange(9) == largest, 30.0, np.arange(9))
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
    @pytest.mark.parametrize("options", [{}, {"softcap": 5.0, "z_loss": 0.1}])
    @pytest.mark.parametrize(
        ("rows", "classes", "width", "block_bytes"),
        [(150, 3000, 40, 1 << 20), (8, 60_000, 8, 1 << 20), (6000, 90, 8, 1 << 21), (200, 3000, 40, 1 << 22)],
    )
    def test_their_size_bounds_the_memory(
        self,
        function: Callable[..., Any],
        rows: int,
        classes: int,
        width: int,
        block_bytes: int,
        options: dict[str, float],
        dtype: type,
    ) -> None:
        arrays = draw(rows, classes, width, dtype)
        function(**draw(dtype=dtype), **options)  # what's compiled or imported then isn't a block's
        tracemalloc.start()
        results = function(**arrays, block_bytes=block_bytes, **options)
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
