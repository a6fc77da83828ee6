"""The gradient of cross entropy, against central differences of exact numbers."""

from __future__ import annotations

from functools import cache
from itertools import product
from typing import Any, ClassVar

import numpy as np

import logitkit as lk
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.cases import DTYPES, Array, logits
from tests.class_loss_contracts import LABELS, OPTIONS, ClassLoss, class_cases, expected_cross_entropy
from tests.gathered import each
from tests.loss_contracts import INF, LOWEST, NAN, REDUCTIONS, Differentiated, Z, floats, gradient, name_of


@cache  # for both backends
def expected_gradient(options: str, reduction: str) -> Array:
    def loss(z: list[Any]) -> Any:
        rows = [z[i : i + 4] for i in range(0, 16, 4)]
        return expected_cross_entropy(rows, reduction=reduction, **OPTIONS[options])

    return gradient(loss, oracle.exact(Z))


class TestCrossEntropyValueAndGrad(Differentiated, ClassLoss):
    function = staticmethod(lk.cross_entropy_value_and_grad)
    loss = staticmethod(lk.cross_entropy)
    cases: ClassVar = class_cases(lk.cross_entropy_value_and_grad, {"logits": logits})

    @each(options=OPTIONS, reduction=REDUCTIONS)
    def test_gradient_is_the_derivative_of_the_value(self, options: dict[str, Any], reduction: str) -> None:
        _, got = lk.cross_entropy_value_and_grad(**options, logits=Z, reduction=reduction)
        # With reduction "none" each row's gradient is that of its own loss, which is that of their sum.
        expected = expected_gradient(name_of(options), "sum" if reduction == "none" else reduction)
        np.testing.assert_allclose(got.ravel(), expected, rtol=1e-13, atol=1e-150)

    def test_gradient_goes_with_the_axis(self) -> None:
        for options in list(OPTIONS.values())[::5]:
            rows = [lk.cross_entropy_value_and_grad(**options, logits=Z)[1]]
            target = options["target"]
            moved = options | {"target": target if target.ndim == 1 else target.T}
            columns = lk.cross_entropy_value_and_grad(**moved, logits=Z.T, axis=0)[1]
            np.testing.assert_array_equal(columns.T, rows[0])

    @each(mask=[-INF, -1e9, -1e30, LOWEST])
    def test_masked_class_is_left_alone(self, mask: float) -> None:
        for target, plain in ((0, 0), ([0.25, 0.75, 0.0], [0.25, 0.75])):
            _, got = lk.cross_entropy_value_and_grad(target, logits=[0.5, 0.25, mask])
            _, expected = lk.cross_entropy_value_and_grad(plain, logits=[0.5, 0.25])
            assert got[2] == 0
            np.testing.assert_allclose(got[:2], expected, rtol=1e-15)

    def test_masked_target_still_has_a_gradient(self) -> None:
        _, grad = lk.cross_entropy_value_and_grad(2, logits=[1.0, 1.0, -INF])
        assert grad.tolist() == [0.5, 0.5, -1.0]

    def test_certain_class_has_the_gradient_of_its_limit(self) -> None:
        z = [[0.0, INF], [0.0, INF]]
        values, grad = lk.cross_entropy_value_and_grad([1, 0], logits=z, reduction="none")
        assert values.tolist() == [0, INF]
        assert grad.tolist() == [[0, 0], [-1, 1]]

    def test_ignored_rows_get_no_gradient_even_where_they_hold_nan(self) -> None:
        z = Z.copy()
        z[0] = NAN
        _, got = lk.cross_entropy_value_and_grad(LABELS, logits=z, ignore_index=0)
        assert (got[[0, 2]] == 0).all()
        np.testing.assert_array_equal(got[[1, 3]], lk.cross_entropy_value_and_grad(LABELS[[1, 3]], logits=Z[[1, 3]])[1])

    @each(dtype=DTYPES)
    def test_sure_class_still_learns(self, dtype: type) -> None:
        for margin in (8.0, 10.0, 15.0, 17.0, 40.0, 90.0, 700.0):
            z = np.array([margin, 0.0], dtype=dtype)
            expected = dtype(float(oracle.expit(-oracle.exact(margin)[0])))
            for target in (0, [1.0, 0.0]):
                _, grad = lk.cross_entropy_value_and_grad(target, logits=z)
                np.testing.assert_allclose(grad, [-expected, expected], rtol=4e-16)

    def test_difference_of_prediction_and_soft_target_keeps_its_digits(self) -> None:
        z = np.array([0.3, -1.2, 0.7, 2.0])
        for weight, off in product((1.0, 1e12, 1e-12), (0.0, 1e-9)):
            weights, target = np.full(4, weight), lk.softmax(z) * (1 + off * np.array([1, -1, 2, 0]))
            _, got = lk.cross_entropy_value_and_grad(target, logits=z, weight=weights, reduction="sum")
            expected = floats(oracle.cross_entropy_grad(oracle.exact(target), oracle.exact(z), oracle.exact(weights)))
            assert 0 < np.abs(expected).max() < max(off, 1e-15) * weight
            np.testing.assert_allclose(got, expected, rtol=1e-13)
