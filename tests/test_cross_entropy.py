"""Cross entropy: every option against a textbook formula in mpmath, its gradient against central differences."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any, ClassVar

import mpmath as mp
import numpy as np
import pytest

import logitkit as lk
from tests import oracle
from tests.backends import backend  # noqa: F401 - runs every test on both
from tests.contracts import (
    DTYPES,
    Array,
    Case,
    Draw,
    Rowwise,
    class_log_probs,
    class_probs,
    class_weights,
    labels,
    logits,
    refuses,
    same,
)
from tests.loss_contracts import (
    INF,
    LOWEST,
    NAN,
    REDUCTIONS,
    Differentiated,
    Loss,
    Z,
    floats,
    gradient,
    name_of,
    on_scale,
    value,
)

LABELS = np.array([0, 2, 0, 3])


TARGETS = np.array([[0.5, 0.25, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0], [0.75, 0.0, 0.0, 0.25], [0.25, 0.25, 0.5, 0.0]])


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
            losses.append(mp.mpf(0))
            continue
        plain = oracle.one_hot(int(t), len(row)) if target.ndim == 1 else oracle.exact(t)
        distribution = oracle.smoothed(plain, label_smoothing)
        losses.append(oracle.cross_entropy(distribution, row, class_weight))
        shares.append(mp.fsum(w * q for w, q in zip(class_weight, distribution, strict=True)))
    if reduction == "none":
        return losses
    return mp.fsum(losses) / (mp.fsum(shares) if reduction == "mean" else 1)


OPTIONS = [
    {"target": target, "weight": weight, "ignore_index": ignore_index, "label_smoothing": smoothing}
    for target in (LABELS, TARGETS)
    for weight in (None, WEIGHT)
    for ignore_index in ((None, 0, 2, -100) if target is LABELS else (None,))
    for smoothing in (0.0, 0.1, 1.0)
]


def class_cases(call: Callable[..., Any], scales: dict[str, Draw]) -> dict[str, Case]:
    call, cases = partial(call, reduction="none"), {}
    for scale, draw in scales.items():
        for kind, target in (("class", labels), ("distribution", class_probs)):
            plain = {"target": target, scale: draw}
            cases[f"{kind}, {scale}"] = Case(call, plain)
            cases[f"{kind}, {scale}, smoothed"] = Case(partial(call, label_smoothing=0.125), plain)
            cases[f"{kind}, {scale}, weights"] = Case(call, plain | {"weight": class_weights})
    return cases


class ClassLoss(Loss, Rowwise):
    """What the loss alone and the loss with its gradient have in common."""

    function: ClassVar[Callable[..., Any]]

    def value(self, *args: Any, **options: Any) -> Any:
        return value(type(self).function(*args, **options))

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("options", OPTIONS, ids=name_of)
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

    @pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint64, ">i4"])
    def test_any_integers_are_class_indices(self, dtype: Any) -> None:
        assert self.value(LABELS.astype(dtype), logits=Z) == self.value(LABELS, logits=Z)

    @pytest.mark.parametrize("dtype", [np.float16, np.float32, int])
    def test_dtype_of_target_and_weights_does_not_show(self, dtype: type) -> None:
        z = Z.astype(np.float16)
        target, weight = np.eye(4, dtype=dtype)[LABELS], np.array([1, 2, 0, 3], dtype=dtype)
        got = self.value(target, logits=z, weight=weight)
        assert got.dtype == np.float16
        assert got == self.value(target.astype(float), logits=z, weight=weight.astype(float))

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
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

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_loss_keeps_its_digits_when_the_network_is_sure(self, dtype: type) -> None:
        for margin in (8.0, 10.0, 15.0, 17.0, 40.0, 90.0, 700.0):
            expected = dtype(float(oracle.softplus(-oracle.exact(margin)[0])))
            for options in ({"target": 0}, {"target": [1.0, 0.0]}, {"target": 0, "weight": [1.0, 1.0]}):
                got = self.value(**options, logits=np.array([margin, 0.0], dtype=dtype))
                assert got == pytest.approx(expected, rel=4e-16, abs=0)

    # What has no meaning

    def test_class_that_is_not_there_is_shown(self) -> None:
        rule, hint = "target must be a class from 0 to 3", "do the labels count from 1, or is ignore_index missing?"
        z = Z.reshape(2, 2, 4)
        with refuses(ValueError, rule, "but target[2] is 4", hint):
            self.value([0, 1, 4, 9], logits=Z)
        with refuses(ValueError, rule, "but target[1] is -1", hint):
            self.value([0, -1, 4, 9], logits=Z)
        with refuses(ValueError, rule, "but target[1, 0] is -100", hint):
            self.value([[0, 1], [-100, 2]], logits=z)
        with refuses(ValueError, "but target[3] is 9"):
            self.value([0, 1, 4, 9], logits=Z, ignore_index=4)
        with refuses(ValueError, rule, "but target is 5"):
            self.value(5, logits=Z[0])

    def test_class_index_that_is_no_integer_is_refused(self) -> None:
        for target in (LABELS.astype(float), LABELS.astype(bool), LABELS.astype(str)):
            message = f"target must hold integers where it holds class indices, not {target.dtype}"
            with refuses(ValueError, message):
                self.value(target, logits=Z)

    def test_empty_list_of_classes_is_one_although_it_holds_no_integers(self) -> None:
        assert self.value([], logits=np.zeros((0, 3)), reduction="none").shape == (0,)

    def test_target_that_is_no_distribution_is_shown(self) -> None:
        target = [[0.5, 0.5], [0.5, 0.75], [1.5, -0.5]]
        rule, hint = "target must lie in [0, 1]", "a distribution over the classes holds probabilities"
        with refuses(ValueError, rule, "target[2, 0] is 1.5", hint):
            self.value(target, logits=np.zeros((3, 2)))
        rule, hint = "the sum of target must be 1 in each row", "is it a multi-label target?"
        with refuses(ValueError, rule, "target[1] is 1.25", hint):
            self.value(target[:2], logits=np.zeros((2, 2)))

    @pytest.mark.parametrize("shape", [(), (3,), (2, 1), (1, 2), (2, 4), (3, 2), (2, 3, 1)])
    def test_target_of_another_shape_is_never_broadcast(self, shape: tuple[int, ...]) -> None:
        for target in (np.zeros(shape, dtype=int), np.zeros(shape)):
            message = f"target must have the shape (2,) (class indices) or (2, 3) (distributions), but has {shape}"
            with refuses(ValueError, message):
                self.value(target, logits=np.zeros((2, 3)))
        message = f"target must have the shape (5,) (class indices) or (3, 5) (distributions), but has {shape}"
        with refuses(ValueError, message):
            self.value(np.zeros(shape), logits=np.zeros((3, 5)), axis=0)

    @pytest.mark.parametrize("weight", [2.0, [2.0], [1.0, 2.0], np.ones((1, 4)), np.ones((4, 4)), []])
    def test_class_weights_of_another_shape_are_never_broadcast(self, weight: Any) -> None:
        message = f"weight must hold one weight for each of the 4 classes, but has shape {np.shape(weight)}"
        with refuses(ValueError, message):
            self.value(LABELS, logits=Z, weight=weight)

    @pytest.mark.parametrize("bad", [-1.0, NAN, INF, 1e101])
    def test_weight_that_weighs_nothing_sensible_is_shown(self, bad: float) -> None:
        weight = [1.0, 1.0, bad, -7.0]
        message = f"weight must lie in [0, 1e+100], but weight[2] is {bad}"
        with refuses(ValueError, message, "relative importance"):
            self.value(LABELS, logits=Z, weight=weight)

    def test_no_weight_leaves_nothing_to_average(self) -> None:
        with refuses(ValueError, "no weight, is left"):
            self.value(LABELS, logits=Z, weight=np.zeros(4))
        assert self.value(LABELS, logits=Z, weight=np.zeros(4), reduction="sum") == 0

    def test_huge_weights_neither_warn_nor_overflow_on_the_way(self) -> None:
        weight = np.full(4, 1e100)
        assert self.value(LABELS, logits=Z, weight=weight) == pytest.approx(self.value(LABELS, logits=Z), rel=1e-15)

    @pytest.mark.parametrize("bad", [-0.1, 1.5, NAN, INF])
    def test_label_smoothing_is_a_share(self, bad: float) -> None:
        message = f"label_smoothing must lie in [0, 1], but label_smoothing is {bad}"
        with refuses(ValueError, message, "share of the whole"):
            self.value(LABELS, logits=Z, label_smoothing=bad)

    def test_label_smoothing_is_one_number(self) -> None:
        message = "label_smoothing must be one number, but has shape (2,)"
        with refuses(TypeError, message):
            self.value(LABELS, logits=Z, label_smoothing=[0.1, 0.2])
        with refuses(TypeError, "label_smoothing must hold"):
            self.value(LABELS, logits=Z, label_smoothing="a")

    def test_rows_of_logits_without_meaning_are_shown(self) -> None:
        rule, hint = "the largest of logits must be above -inf", "all classes of the row are masked"
        z = np.zeros((3, 2))
        z[1] = -INF
        with refuses(ValueError, rule, "the largest of logits[1] is -inf", hint):
            self.value([0, 0, 0], logits=z)
        z[1] = INF
        rule, hint = "the number of inf in logits must be 0 or 1", "only one class of a row can be certain"
        with refuses(ValueError, rule, "inf in logits[1] is 2", hint):
            self.value([0, 0, 0], logits=z)


class TestCrossEntropy(ClassLoss):
    function = staticmethod(lk.cross_entropy)
    cases: ClassVar = class_cases(
        lk.cross_entropy, {"logits": logits, "probs": class_probs, "log_probs": class_log_probs}
    )

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("options", OPTIONS, ids=name_of)
    @pytest.mark.parametrize("scale", ["probs", "log_probs"])
    def test_scale_of_the_prediction_does_not_show(self, scale: str, options: dict[str, Any], reduction: str) -> None:
        z = Z - Z.mean(axis=1, keepdims=True)
        z[2] /= 4  # a probability of 1 - 1e-13 could not be stored with its digits
        got = lk.cross_entropy(**options, **{scale: on_scale(z, scale)}, reduction=reduction)
        expected = expected_cross_entropy([oracle.exact(row) for row in z], reduction=reduction, **options)
        np.testing.assert_allclose(got, floats(expected), rtol=1e-12)

    def test_probability_of_zero_counts_for_nothing_unless_the_target_wants_it(self) -> None:
        for given in ({"probs": [0.25, 0.0, 0.75]}, {"log_probs": [np.log(0.25), -INF, np.log(0.75)]}):
            assert lk.cross_entropy(0, **given) == pytest.approx(np.log(4), rel=1e-15)
            assert lk.cross_entropy(1, **given) == INF
            assert np.isfinite(lk.cross_entropy([0.5, 0.0, 0.5], **given))
            assert lk.cross_entropy([0.5, 0.25, 0.25], **given) == INF

    def test_probability_of_one_is_free(self) -> None:
        for given in ({"probs": [1.0, 0.0]}, {"log_probs": [0.0, -INF]}, {"probs": [1, 0]}):
            assert lk.cross_entropy(0, **given) == 0
            assert lk.cross_entropy([1, 0], **given) == 0

    @pytest.mark.parametrize("scale", ["probs", "log_probs"])
    def test_nan_in_a_row_is_never_passed_over(self, scale: str) -> None:
        for target in (0, 2, [1.0, 0.0, 0.0]):
            assert np.isnan(
                lk.cross_entropy(target, **{scale: [-0.5, -1.0, NAN] if scale == "log_probs" else [0.5, 0.5, NAN]})
            )

    def test_what_is_no_probability_is_shown(self) -> None:
        hint = "did you pass logits? softmax turns them into probabilities"
        with refuses(ValueError, "probs must lie in [0, 1], but probs[1, 0] is 2.0", hint):
            lk.cross_entropy([0, 0], probs=[[0.5, 0.5], [2.0, -1.0]])
        rule, hint = "the sum of probs must be 1 in each row", "are these independent (sigmoid) outputs?"
        with refuses(ValueError, rule, "the sum of probs[1] is 1.5", hint):
            lk.cross_entropy([0, 0], probs=[[0.5, 0.5], [0.75, 0.75]])

    def test_what_is_no_log_probability_is_shown(self) -> None:
        hint = "did you pass logits? log_softmax turns them into log-probabilities"
        with refuses(ValueError, "log_probs must be at most 0, but log_probs[1, 0] is 2.0", hint):
            lk.cross_entropy([0, 0], log_probs=[[0.0, -800.0], [2.0, -1.0]])
        rule = "the sum of exp(log_probs) must be 1 in each row"
        with refuses(ValueError, rule, "the sum of exp(log_probs)[1] is 2.0", hint):
            lk.cross_entropy([0, 0], log_probs=[[0.0, -800.0], [0.0, 0.0]])


class TestCrossEntropyValueAndGrad(Differentiated, ClassLoss):
    function = staticmethod(lk.cross_entropy_value_and_grad)
    loss = staticmethod(lk.cross_entropy)
    cases: ClassVar = class_cases(lk.cross_entropy_value_and_grad, {"logits": logits})

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("options", OPTIONS, ids=name_of)
    def test_gradient_is_the_derivative_of_the_value(self, options: dict[str, Any], reduction: str) -> None:
        def loss(z: list[Any]) -> Any:
            rows = [z[i : i + 4] for i in range(0, 16, 4)]
            # With reduction "none" each row's gradient is that of its own loss, which is that of their sum.
            return expected_cross_entropy(rows, reduction="sum" if reduction == "none" else reduction, **options)

        _, got = lk.cross_entropy_value_and_grad(**options, logits=Z, reduction=reduction)
        np.testing.assert_allclose(got.ravel(), gradient(loss, oracle.exact(Z)), rtol=1e-13, atol=1e-150)

    def test_gradient_goes_with_the_axis(self) -> None:
        for options in OPTIONS[::5]:
            rows = [lk.cross_entropy_value_and_grad(**options, logits=Z)[1]]
            target = options["target"]
            moved = options | {"target": target if target.ndim == 1 else target.T}
            columns = lk.cross_entropy_value_and_grad(**moved, logits=Z.T, axis=0)[1]
            np.testing.assert_array_equal(columns.T, rows[0])

    @pytest.mark.parametrize("mask", [-INF, -1e9, -1e30, LOWEST])
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

    @pytest.mark.parametrize("dtype", DTYPES)
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


class TestFaintRivals:
    """Rivals that have few digits left, or none, one by one, may have many together."""

    ROWS: ClassVar = [(-742.3, 5000), (-744.0, 40_000), (-745.5, 5000), (-755.0, 100_000), (-665.5, 3), (-708.0, 30)]

    @pytest.mark.parametrize(("margin", "rivals"), ROWS)
    def test_count_by_their_sum(self, margin: float, rivals: int) -> None:
        z = np.append(np.full(rivals, margin), 0.0)
        rest = rivals * mp.exp(margin)
        value, grad = lk.cross_entropy_value_and_grad(rivals, logits=z)
        _, soft = lk.cross_entropy_value_and_grad(np.eye(1, rivals + 1, rivals)[0], logits=z)
        for got in (value, -grad[-1], -soft[-1], -lk.log_softmax(z)[-1]):
            assert oracle.ulps(got, [rest])[0] <= 2

    def test_are_told_from_masked_ones_and_from_none(self) -> None:
        z = np.array([[0.0, -750.0, -INF], [0.0, -INF, -INF], [0.0, -1e300, -3000.0], [-750.0, -1500.0, -INF]])
        assert lk.cross_entropy([0, 0, 0, 0], logits=z, reduction="none").tolist() == [0.0, 0.0, 0.0, 0.0]
        assert lk.logsumexp(np.full((2, 3), -INF)).tolist() == [-INF, -INF]

    def test_are_free_of_the_rounding_of_their_margin(self) -> None:
        # Next to 700 it is worth hundreds of units in the last place of each exponential.
        z = np.append(np.linspace(-45, -0.1, 300), 700.3)
        exact = oracle.cross_entropy(oracle.one_hot(300, 301), oracle.exact(z))
        assert oracle.ulps(lk.cross_entropy(300, logits=z), [exact])[0] <= 2


class TestScaleOfClassWeights:
    @pytest.mark.parametrize("scale", [2.0**-1074, 2.0**-1022, 2.0**-600, 2.0**330])
    @pytest.mark.parametrize("target", [[0, 2], [[0.5, 0.25, 0.25], [0.0, 1.0, 0.0]]])
    def test_is_not_seen_by_a_mean(self, target: Any, scale: float) -> None:
        # The second row is so sure that its loss has few digits left when it is multiplied by a small weight.
        z, plain = np.array([[1.0, 2.0, -1.0], [-500.0, -300.0, 400.0]]), np.array([1.0, 2.0, 3.0])
        for smoothing in (0.0, 0.25):
            expected = lk.cross_entropy_value_and_grad(target, logits=z, weight=plain, label_smoothing=smoothing)
            got = lk.cross_entropy_value_and_grad(target, logits=z, weight=plain * scale, label_smoothing=smoothing)
            same(tuple(map(np.asarray, got)), tuple(map(np.asarray, expected)))
