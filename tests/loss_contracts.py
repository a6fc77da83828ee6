"""What every loss promises, and what the tests of losses share: scales, reductions, derivatives by their definition."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from math import fsum
from typing import Any, ClassVar

import numpy as np

from tests import oracle
from tests.cases import DTYPES, Array, Case, same
from tests.gathered import each

INF, NAN = np.inf, np.nan


LOWEST = float(np.finfo(np.float64).min)


SCALES = ("logits", "probs", "log_probs")


REDUCTIONS = ("none", "sum", "mean")

Z = np.array([[2.0, 0.0, -1.0, 0.5], [-3.0, 4.0, 0.0, 0.25], [30.0, 0.0, -2.0, 0.125], [0.0, 0.0, 0.0, 0.0]])


def value(results: Any) -> Any:
    """The value alone, whether or not a gradient came with it."""
    return results[0] if isinstance(results, tuple) else results


def floats(values: Any) -> Array:
    """An array of exact numbers rounded once."""
    return np.vectorize(oracle.to_float, otypes=[np.float64])(values)


def on_scale(z: Array, scale: str) -> Array:
    """Each row softmax(z) on a scale, every number rounded once."""
    if scale == "logits":
        return z
    exact = [oracle.softmax(oracle.exact(row)) for row in z]
    return floats([[p if scale == "probs" else oracle.log(p) for p in row] for row in exact])


def central_difference(loss: Callable[[list[Any]], Any], at: list[Any], i: int) -> float:
    """A derivative by its definition: with 400 digits a step of 2^-330 leaves far more of them than a float64 has."""
    h = 2.0**-330
    up, down = ([*at[:i], at[i] + step, *at[i + 1 :]] for step in (h, -h))
    return oracle.to_float((loss(up) - loss(down)) / (2 * h), nothing=h)


def gradient(loss: Callable[[list[Any]], Any], at: list[Any]) -> Array:
    return np.array([central_difference(loss, at, i) for i in range(len(at))])


class Loss:
    """Reductions and signs, for every way to call a loss."""

    @each(case="cases")
    def test_sum_is_the_sum_of_the_single_losses(self, case: Case) -> None:
        arrays = case.draw((4, 3, 5))
        single, total = (case(arrays, reduction=r)[0] for r in ("none", "sum"))
        assert total.shape == ()
        np.testing.assert_allclose(total, fsum(single.ravel()), rtol=1e-14)

    @each(case="cases")
    def test_no_loss_is_negative_not_even_zero(self, case: Case) -> None:
        for classes, reduction in product((1, 2, 6), REDUCTIONS):
            losses = case(case.draw((4, 3, classes)), reduction=reduction)[0]
            assert not np.signbit(losses).any()


class PlainMean:
    @each(case="cases")
    def test_mean_divides_by_the_number_of_losses(self, case: Case) -> None:
        arrays = case.draw((4, 3, 5))
        single, mean = (case(arrays, reduction=r)[0] for r in ("none", "mean"))
        np.testing.assert_allclose(mean, fsum(single.ravel()) / single.size, rtol=1e-14)


class Differentiated:
    """What holds for a value and its gradient together."""

    loss: ClassVar[Callable[..., Any]]

    @each(case="cases", reduction=REDUCTIONS, dtype=DTYPES)
    def test_value_is_that_of_the_loss_alone(self, case: Case, dtype: type, reduction: str) -> None:
        arrays, options = case.draw((4, 3, 5), dtype), case.call.keywords | {"reduction": reduction}
        same(case(arrays, **options)[:1], (np.asarray(type(self).loss(**arrays, **options)),))


def name_of(options: dict[str, Any]) -> str:
    kind = "class" if options["target"].ndim == 1 else "distribution"
    given = {name: name if name == "weight" else v for name, v in options.items() if v is not None and name != "target"}
    return f"{kind} {given}"
