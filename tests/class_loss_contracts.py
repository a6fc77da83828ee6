"""What cross entropy promises, alone and with its gradient: every option is a textbook formula in exact numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from tests import oracle
from tests.cases import DTYPES, Array, Case, Draw, class_probs, class_weights, labels, refuses
from tests.class_loss_refusals import LABELS, TARGETS, ClassRefusals
from tests.contracts import Rowwise
from tests.gathered import each
from tests.loss_contracts import INF, NAN, REDUCTIONS, Loss, Z, floats, name_of

WEIGHT = np.array([0.5, 2.0, 1.0, 0.25])


def expected_cross_entropy(
    rows: list[list[Any]],
    target: Array,
    reduction: str,
    weight: Array | None = None,
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
) -> Any:
    """The loss of rows of logits by its definition, row by row, class by class."""
    class_weight = oracle.exact(np.ones(len(rows[0])) if weight is None else weight)
    losses, shares = [], []
    for row, t in zip(rows, target, strict=True):
        if target.ndim == 1 and t == ignore_index:
            losses.append(oracle.number(0))
            continue
        plain = oracle.one_hot(int(t), len(row)) if target.ndim == 1 else oracle.exact(t)
        distribution = oracle.smoothed(plain, label_smoothing)
        losses.append(oracle.cross_entropy(distribution, row, class_weight))
        shares.append(oracle.total(w * q for w, q in zip(class_weight, distribution, strict=True)))
    if reduction == "none":
        return losses
    return oracle.total(losses) / (oracle.total(shares) if reduction == "mean" else 1)


_OPTIONS = [
    {"target": target, "weight": weight, "ignore_index": ignore_index, "label_smoothing": smoothing}
    for target in (LABELS, TARGETS)
    for weight in (None, WEIGHT)
    for ignore_index in ((None, 0, 2, -100) if target is LABELS else (None,))
    for smoothing in (0.0, 0.1, 1.0)
]
OPTIONS = {name_of(options): options for options in _OPTIONS}


def class_cases(call: Callable[..., Any], scales: dict[str, Draw]) -> dict[str, Case]:
    call, cases = partial(call, reduction="none"), {}
    for scale, draw in scales.items():
        for kind, target in (("class", labels), ("distribution", class_probs)):
            plain = {"target": target, scale: draw}
            cases[f"{kind}, {scale}"] = Case(call, plain)
            cases[f"{kind}, {scale}, smoothed"] = Case(partial(call, label_smoothing=0.125), plain)
            cases[f"{kind}, {scale}, weights"] = Case(call, plain | {"weight": class_weights})
    return cases


class ClassLoss(ClassRefusals, Loss, Rowwise):
    """What the loss alone and the loss with its gradient have in common."""

    @each(options=OPTIONS, reduction=REDUCTIONS)
    def test_every_option_is_the_textbook_formula(self, options: dict[str, Any], reduction: str) -> None:
        got = self.value(**options, logits=Z, reduction=reduction)
        expected = expected_cross_entropy([oracle.exact(row) for row in Z], reduction=reduction, **options)
        np.testing.assert_allclose(got, floats(expected), rtol=1e-14)

    def test_without_a_word_the_mean_is_returned_over_the_last_axis(self) -> None:
        assert self.value(LABELS, logits=Z) == self.value(LABELS, logits=Z, reduction="mean", axis=1)

    def test_class_and_its_distribution_are_one_target(self) -> None:
        for one_hot in (np.eye(4)[LABELS], np.eye(4, dtype=int)[LABELS], np.eye(4, dtype=bool)[LABELS]):
            for options in ({}, {"weight": WEIGHT}, {"label_smoothing": 0.1}):
                got, expected = (type(self).function(t, logits=Z, **options) for t in (one_hot, LABELS))
                got, expected = (r if isinstance(r, tuple) else (r,) for r in (got, expected))
                for g, e in zip(got, expected, strict=True):
                    np.testing.assert_allclose(g, e, rtol=1e-15)

    @each(dtype=[np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64, ">i4"])
    def test_any_integers_are_class_indices(self, dtype: Any) -> None:
        assert self.value(LABELS.astype(dtype), logits=Z) == self.value(LABELS, logits=Z)

    @each(dtype=[np.float16, np.float32, int])
    def test_dtype_of_target_and_weights_does_not_show(self, dtype: type) -> None:
        z = Z.astype(np.float16)
        target, weight = np.eye(4, dtype=dtype)[LABELS], np.array([1, 2, 0, 3], dtype=dtype)
        got = self.value(target, logits=z, weight=weight)
        assert got.dtype == np.float16
        assert got == self.value(target.astype(float), logits=z, weight=weight.astype(float))

    @each(dtype=[np.float16, np.float32])
    def test_label_smoothing_keeps_its_value_whatever_its_dtype(self, dtype: type) -> None:
        got, expected = (self.value(LABELS, logits=Z, label_smoothing=s) for s in (dtype(0.1), float(dtype(0.1))))
        assert got == expected

    # Ignored rows

    def test_ignored_rows_might_as_well_not_be_there(self) -> None:
        target, kept = np.array([0, -100, 2, -100]), [0, 2]
        for options in ({}, {"weight": WEIGHT}, {"label_smoothing": 0.1}, {"weight": WEIGHT, "label_smoothing": 0.1}):
            for reduction in ("sum", "mean"):
                got = self.value(target, logits=Z, ignore_index=-100, reduction=reduction, **options)
                expected = self.value(target[kept], logits=Z[kept], reduction=reduction, **options)
                assert got == pytest.approx(expected, rel=1e-15, abs=0)
            single = self.value(target, logits=Z, ignore_index=-100, reduction="none", **options)
            assert single.tolist()[1::2] == [0, 0]

    def test_rows_of_a_single_class_may_be_ignored(self) -> None:
        got = self.value([0, -100], logits=[[1.0], [2.0]], ignore_index=-100, reduction="none")
        assert got.tolist() == [0, 0]

    def test_what_an_ignored_row_holds_does_not_matter(self) -> None:
        for spoilt in ([NAN] * 4, [-INF, 0, 0, 0], [INF, 0, 0, 0]):
            z = Z.copy()
            z[1] = spoilt
            target = np.array([0, 1, 2, 3])
            assert self.value(target, logits=z, ignore_index=1) == self.value(target, logits=Z, ignore_index=1)

    def test_ignoring_everything_leaves_nothing_to_average(self) -> None:
        arguments: dict[str, Any] = {"target": [1, 1], "logits": [[0.0, 1.0], [2.0, 3.0]], "ignore_index": 1}
        with refuses(ValueError, "nothing to average: no row, or no weight, is left"):
            self.value(**arguments)
        assert self.value(**arguments, reduction="sum") == 0
        assert self.value(**arguments, reduction="none").tolist() == [0, 0]

    def test_ignore_index_goes_with_class_indices(self) -> None:
        with refuses(ValueError, "ignore_index", "distributions"):
            self.value(TARGETS, logits=Z, ignore_index=0)
        for bad in ("a", 1.5, [0, 1]):
            with refuses(TypeError, f"ignore_index must be one integer, not {bad!r}"):
                self.value(LABELS, logits=Z, ignore_index=bad)

    # Masks, certainty, a single class

    def test_masked_class_counts_for_nothing_unless_the_target_wants_it(self) -> None:
        z = [[0.0, -INF, 1.0]]
        assert self.value([0], logits=z) == self.value([0], logits=[[0.0, 1.0]])
        assert self.value([1], logits=z) == INF
        assert self.value([[0.25, 0.0, 0.75]], logits=z) == self.value([[0.25, 0.75]], logits=[[0.0, 1.0]])
        assert self.value([[0.25, 0.5, 0.25]], logits=z) == INF
        assert self.value([0], logits=z, label_smoothing=0.1) == INF
        assert self.value([1], logits=z, weight=[1.0, 0.0, 1.0], reduction="sum") == 0
        smoothed = self.value([0], logits=z, weight=[1.0, 0.0, 1.0], label_smoothing=0.1)
        assert np.isfinite(smoothed)

    def test_certain_class_is_free_and_every_other_one_costs_everything(self) -> None:
        z = [[0.0, INF, 1.0]]
        assert self.value([1], logits=z) == 0
        assert self.value([0], logits=z) == INF
        assert self.value([[0.0, 1.0, 0.0]], logits=z) == 0
        assert self.value([[0.5, 0.5, 0.0]], logits=z) == INF

    def test_only_class_is_certain(self) -> None:
        for target in (0, [1.0]):
            got = self.value(target, logits=[3.0], reduction="none")
            assert got == 0
            assert not np.signbit(got)

    @each(dtype=DTYPES)
    def test_loss_keeps_its_digits_when_the_network_is_sure(self, dtype: type) -> None:
        for margin in (8.0, 10.0, 15.0, 17.0, 40.0, 90.0, 700.0):
            expected = dtype(float(oracle.softplus(-oracle.exact(margin)[0])))
            for options in ({"target": 0}, {"target": [1.0, 0.0]}, {"target": 0, "weight": [1.0, 1.0]}):
                got = self.value(**options, logits=np.array([margin, 0.0], dtype=dtype))
                assert got == pytest.approx(expected, rel=4e-16, abs=0)
