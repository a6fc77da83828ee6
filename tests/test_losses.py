"""The losses: every option against a textbook formula in mpmath, gradients against its central differences."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from itertools import combinations, product
from math import fsum
from typing import Any, ClassVar

import mpmath as mp
import numpy as np
import pytest

import logitkit as lk
from tests import oracle
from tests.contracts import (
    DTYPES,
    Array,
    Case,
    Draw,
    Elementwise,
    Rowwise,
    class_log_probs,
    class_probs,
    class_weights,
    labels,
    log_probs,
    logits,
    probs,
    refuses,
    same,
    weights,
    yes_or_no,
)

INF, NAN = np.inf, np.nan
LOWEST = float(np.finfo(np.float64).min)
SCALES = ("logits", "probs", "log_probs")
REDUCTIONS = ("none", "sum", "mean")
LOSSES = [
    lk.cross_entropy,
    lk.binary_cross_entropy,
    lk.focal_loss,
    lk.kl_divergence,
    lk.cross_entropy_value_and_grad,
    lk.binary_cross_entropy_value_and_grad,
]


def value(results: Any) -> Any:
    """The value alone, whether or not a gradient came with it."""
    return results[0] if isinstance(results, tuple) else results


def floats(values: Any) -> Array:
    return np.array(values, dtype=np.float64)


def on_scale(z: Array, scale: str) -> Array:
    """Each row softmax(z) on a scale, every number rounded once."""
    if scale == "logits":
        return z
    exact = [oracle.softmax(oracle.exact(row)) for row in z]
    return floats([[p if scale == "probs" else mp.log(p) if p else -INF for p in row] for row in exact])


def central_difference(loss: Callable[[list[Any]], Any], at: list[Any], i: int) -> Any:
    """A derivative by its definition: with 400 digits a step of 1e-100 leaves far more of them than a float64 has."""
    h = mp.mpf(10) ** -100
    up, down = ([*at[:i], at[i] + step, *at[i + 1 :]] for step in (h, -h))
    return (loss(up) - loss(down)) / (2 * h)


def gradient(loss: Callable[[list[Any]], Any], at: list[Any]) -> Array:
    return floats([central_difference(loss, at, i) for i in range(len(at))])


class TestEveryLoss:
    @pytest.mark.parametrize("loss", LOSSES)
    def test_scales_are_given_by_name_or_not_at_all(self, loss: Callable[..., Any]) -> None:
        parameters = inspect.signature(loss).parameters
        positional = [n for n, p in parameters.items() if p.kind is not p.KEYWORD_ONLY]
        assert positional == [n for n in ("target",) if n in parameters]
        with pytest.raises(TypeError, match="positional argument"):
            loss(0, [1.0, 2.0])

    @pytest.mark.parametrize("loss", [lk.cross_entropy, lk.binary_cross_entropy])
    @pytest.mark.parametrize("given", [(), *combinations(SCALES, 2), SCALES])
    def test_no_scale_is_guessed_and_none_outweighs_another(self, loss: Callable[..., Any], given: tuple[str]) -> None:
        arguments = {name: [0.0, -800.0] if name == "log_probs" else [1.0, 0.0] for name in given}
        got = " and ".join(given) or "none"
        with refuses(ValueError, f"give exactly one of logits, probs, log_probs; got {got}"):
            loss(0, **arguments)

    @pytest.mark.parametrize(
        "loss", [lk.cross_entropy_value_and_grad, lk.binary_cross_entropy_value_and_grad, lk.focal_loss]
    )
    def test_losses_of_logits_alone_need_them(self, loss: Callable[..., Any]) -> None:
        with refuses(ValueError, "give exactly one of logits; got none"):
            loss(0, logits=None)
        with refuses(TypeError, "probs"):
            loss(0, probs=[1.0])

    @pytest.mark.parametrize("loss", LOSSES)
    @pytest.mark.parametrize("reduction", ["avg", "Mean", None, True, ["mean"]])
    def test_unknown_reduction_is_shown(self, loss: Callable[..., Any], reduction: Any) -> None:
        target = "target_logits" if loss is lk.kl_divergence else "target"
        arguments = {target: [1.0, 0.0], "logits": [0.0, 1.0], "reduction": reduction}
        message = f"reduction must be 'none', 'sum' or 'mean', not {reduction!r}"
        with refuses(ValueError, message):
            loss(**arguments)

    @pytest.mark.parametrize("loss", LOSSES)
    def test_mean_of_nothing_is_refused_but_its_sum_is_zero(self, loss: Callable[..., Any]) -> None:
        nothing = np.zeros((0, 3), dtype=np.float32)
        arguments = {"logits": nothing, "target_logits" if loss is lk.kl_divergence else "target": nothing}
        with refuses(ValueError, "reduction 'mean' has nothing to average", "'sum' gives 0"):
            loss(**arguments)
        total = value(loss(**arguments, reduction="sum"))
        assert total == 0
        assert total.dtype == np.float32


class Loss:
    """Reductions and signs, for every way to call a loss."""

    def test_sum_is_the_sum_of_the_single_losses(self, case: Case) -> None:
        arrays = case.draw((4, 3, 5))
        single, total = (case(arrays, reduction=r)[0] for r in ("none", "sum"))
        assert total.shape == ()
        np.testing.assert_allclose(total, fsum(single.ravel()), rtol=1e-14)

    def test_no_loss_is_negative_not_even_zero(self, case: Case) -> None:
        for classes, reduction in product((1, 2, 6), REDUCTIONS):
            losses = case(case.draw((4, 3, classes)), reduction=reduction)[0]
            assert not np.signbit(losses).any()


class PlainMean:
    def test_mean_divides_by_the_number_of_losses(self, case: Case) -> None:
        arrays = case.draw((4, 3, 5))
        single, mean = (case(arrays, reduction=r)[0] for r in ("none", "mean"))
        np.testing.assert_allclose(mean, fsum(single.ravel()) / single.size, rtol=1e-14)


class Differentiated:
    """What holds for a value and its gradient together."""

    loss: ClassVar[Callable[..., Any]]

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("reduction", REDUCTIONS)
    def test_value_is_that_of_the_loss_alone(self, case: Case, dtype: type, reduction: str) -> None:
        arrays, options = case.draw((4, 3, 5), dtype), case.call.keywords | {"reduction": reduction}
        same(case(arrays, **options)[:1], (np.asarray(type(self).loss(**arrays, **options)),))


# --- The multiclass losses ---

Z = np.array([[2.0, 0.0, -1.0, 0.5], [-3.0, 4.0, 0.0, 0.25], [30.0, 0.0, -2.0, 0.125], [0.0, 0.0, 0.0, 0.0]])
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


def _name(options: dict[str, Any]) -> str:
    kind = "class" if options["target"].ndim == 1 else "distribution"
    given = {name: name if name == "weight" else v for name, v in options.items() if v is not None and name != "target"}
    return f"{kind} {given}"


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
    @pytest.mark.parametrize("options", OPTIONS, ids=_name)
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
    @pytest.mark.parametrize("options", OPTIONS, ids=_name)
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
    @pytest.mark.parametrize("options", OPTIONS, ids=_name)
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


# --- The binary losses ---

X = np.array([-700.0, -30.0, -2.5, -0.125, 0.0, 0.5, 3.0, 30.0, 700.0])
Y = np.array([0.0, 0.25, 0.5, 0.9, 1.0])
BINARY_OPTIONS = [{"weight": w, "pos_weight": a} for w in (None, 0.75) for a in (None, 0.0, 1.0, 3.5)]


def expected_binary(y: Any, x: Any, weight: float | None = None, pos_weight: float | None = None) -> Any:
    w, a = (mp.mpf(1) if v is None else mp.mpf(v) for v in (weight, pos_weight))
    p = oracle.expit(x)
    return w * (-a * y * mp.log(p) - (1 - y) * mp.log(1 - p))


def binary_cases(call: Callable[..., Any], scales: dict[str, Draw]) -> dict[str, Case]:
    call, cases = partial(call, reduction="none"), {}
    for scale, draw in scales.items():
        hard, soft = {"target": yes_or_no, scale: draw}, {"target": probs, scale: draw}
        cases[f"hard, {scale}"] = Case(call, hard)
        cases[f"soft, {scale}"] = Case(call, soft)
        cases[f"soft, {scale}, weights"] = Case(call, soft | {"weight": weights, "pos_weight": weights})
    return cases


class BinaryLoss(Loss, PlainMean, Elementwise):
    """What the loss alone and the loss with its gradient have in common."""

    function: ClassVar[Callable[..., Any]]

    def value(self, *args: Any, **options: Any) -> Any:
        return value(type(self).function(*args, **options))

    @pytest.mark.parametrize("options", BINARY_OPTIONS)
    def test_every_option_is_the_textbook_formula(self, options: dict[str, Any]) -> None:
        x, y = (a.ravel() for a in np.meshgrid(X, Y))
        got = self.value(y, logits=x, reduction="none", **options)
        expected = [expected_binary(b, a, **options) for b, a in zip(oracle.exact(y), oracle.exact(x), strict=True)]
        np.testing.assert_allclose(got, floats(expected), rtol=1e-15)

    def test_without_a_word_the_mean_is_returned(self) -> None:
        y = np.linspace(0, 1, len(X))
        assert self.value(y, logits=X) == self.value(y, logits=X, reduction="mean")

    def test_mean_counts_elements_not_weights(self) -> None:
        assert self.value([1.0, 1.0], logits=[0.0, 0.0], weight=[3.0, 0.0]) == pytest.approx(1.5 * np.log(2), rel=1e-15)

    @pytest.mark.parametrize("name", ["weight", "pos_weight"])
    @pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 3), (2, 1), (2, 3)])
    def test_weights_broadcast_to_the_prediction(self, name: str, shape: tuple[int, ...]) -> None:
        rng = np.random.default_rng(0)
        y, x, w = rng.uniform(size=(2, 3)), rng.normal(size=(2, 3)), rng.uniform(size=shape)
        got = self.value(y, logits=x, reduction="none", **{name: w})
        full = np.broadcast_to(w, (2, 3))
        expected = [
            self.value(*a[:1], logits=a[1], **{name: a[2]}) for a in zip(y.flat, x.flat, full.flat, strict=True)
        ]
        np.testing.assert_array_equal(got.ravel(), expected)

    @pytest.mark.parametrize("name", ["weight", "pos_weight"])
    @pytest.mark.parametrize("shape", [(2,), (3, 2), (1, 2, 3), (2, 3, 1), (0,)])
    def test_weights_never_make_the_prediction_larger(self, name: str, shape: tuple[int, ...]) -> None:
        message = f"{name} must broadcast to the shape of the prediction, (2, 3), but has {shape}"
        given = {"logits": np.zeros((2, 3)), name: np.ones(shape)}
        with refuses(ValueError, message):
            self.value(np.zeros((2, 3)), **given)

    @pytest.mark.parametrize("name", ["weight", "pos_weight"])
    @pytest.mark.parametrize("bad", [-1.0, NAN, INF, 1e101])
    def test_weight_that_weighs_nothing_sensible_is_shown(self, name: str, bad: float) -> None:
        message = f"{name} must lie in [0, 1e+100], but {name}[1] is {bad}"
        given = {"logits": [0.0, 1.0], name: [1.0, bad]}
        with refuses(ValueError, message, "relative importance"):
            self.value([0, 1], **given)

    @pytest.mark.parametrize("bad", [2.0, -1.0, 1.0625, INF])
    def test_target_that_is_no_probability_is_shown(self, bad: float) -> None:
        message = f"target must lie in [0, 1], but target[1] is {bad}"
        hint = "it is the probability of yes, not a label of -1 or 2, nor a logit"
        with refuses(ValueError, message, hint):
            self.value([0, bad, -7], logits=[0.0, 1.0, 2.0])

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1), (1, 2), (3,)])
    def test_target_of_another_shape_is_never_broadcast(self, shape: tuple[int, ...]) -> None:
        message = f"target must have the shape of the prediction, (2,), but has {shape}"
        with refuses(ValueError, message):
            self.value(np.zeros(shape), logits=[0.0, 1.0])

    def test_infinite_logits_are_certain_yes_and_no(self) -> None:
        got = self.value([0, 1, 0.5, 0, 1, 0.5], logits=[INF] * 3 + [-INF] * 3, reduction="none")
        assert got.tolist() == [INF, 0, INF, 0, INF, INF]

    def test_nothing_times_infinity_counts_as_nothing(self) -> None:
        assert self.value(1, logits=-INF, pos_weight=0) == 0
        assert self.value(1, logits=-INF, weight=0) == 0
        assert self.value(0, logits=INF, weight=0) == 0
        assert np.isnan(self.value(NAN, logits=0.0, weight=0))

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_loss_keeps_its_digits_when_the_network_is_sure(self, dtype: type) -> None:
        for size in (8.0, 10.0, 17.0, 30.0, 90.0, 700.0):
            expected = dtype(float(oracle.softplus(-oracle.exact(size)[0])))
            for y, x in ((1, dtype(size)), (0, dtype(-size))):
                assert self.value(y, logits=x) == pytest.approx(expected, rel=4e-16, abs=0)


class TestBinaryCrossEntropy(BinaryLoss):
    function = staticmethod(lk.binary_cross_entropy)
    cases: ClassVar = binary_cases(lk.binary_cross_entropy, {"logits": logits, "probs": probs, "log_probs": log_probs})

    @pytest.mark.parametrize("options", BINARY_OPTIONS)
    @pytest.mark.parametrize("p", [1e-300, 0.1, 0.5, 0.75, 1 - 2.0**-53])
    def test_scale_of_the_prediction_does_not_show(self, p: float, options: dict[str, Any]) -> None:
        exact = mp.mpf(p)
        for y in Y:
            expected = float(expected_binary(mp.mpf(float(y)), oracle.logit(exact), **options))
            # A log-probability near 0, and a logit far from it, hold p only as well as they are rounded.
            assert lk.binary_cross_entropy(y, probs=p, **options) == pytest.approx(expected, rel=4e-16, abs=0)
            if p < 0.9:
                log_p, x = float(mp.log(exact)), float(oracle.logit(exact))
                assert lk.binary_cross_entropy(y, log_probs=log_p, **options) == pytest.approx(
                    expected, rel=1e-12, abs=0
                )
                assert lk.binary_cross_entropy(y, logits=x, **options) == pytest.approx(expected, rel=1e-12, abs=0)

    def test_probabilities_of_zero_and_one_have_their_limits(self) -> None:
        for sure, never in (({"probs": 1.0}, {"probs": 0.0}), ({"log_probs": 0.0}, {"log_probs": -INF})):
            assert [lk.binary_cross_entropy(y, **sure) for y in (0, 0.5, 1)] == [INF, INF, 0]
            assert [lk.binary_cross_entropy(y, **never) for y in (0, 0.5, 1)] == [0, INF, INF]

    def test_no_loss_of_probabilities_is_negative_zero(self) -> None:
        for y, given in product((0, 1), ({"probs": float}, {"log_probs": lambda y: 0.0 if y else -INF})):
            ((name, to_scale),) = given.items()
            assert not np.signbit(lk.binary_cross_entropy(y, **{name: to_scale(y)}, reduction="none"))

    def test_what_is_no_probability_is_shown(self) -> None:
        hint = "did you pass logits? expit turns log-odds into probabilities"
        with refuses(ValueError, "probs must lie in [0, 1], but probs[1] is 1.5", hint):
            lk.binary_cross_entropy([0, 1], probs=[0.5, 1.5])
        hint = "did you pass logits? log_expit turns them into log-probabilities"
        with refuses(ValueError, "log_probs must be at most 0, but log_probs[1] is 1.5", hint):
            lk.binary_cross_entropy([0, 1], log_probs=[-0.5, 1.5])


class TestBinaryCrossEntropyValueAndGrad(Differentiated, BinaryLoss):
    function = staticmethod(lk.binary_cross_entropy_value_and_grad)
    loss = staticmethod(lk.binary_cross_entropy)
    cases: ClassVar = binary_cases(lk.binary_cross_entropy_value_and_grad, {"logits": logits})

    @pytest.mark.parametrize("reduction", REDUCTIONS)
    @pytest.mark.parametrize("options", BINARY_OPTIONS)
    def test_gradient_is_the_derivative_of_the_value(self, options: dict[str, Any], reduction: str) -> None:
        x, y = (a.ravel() for a in np.meshgrid(X[1:-1], Y))
        divisor = len(x) if reduction == "mean" else 1
        _, got = lk.binary_cross_entropy_value_and_grad(y, logits=x, reduction=reduction, **options)
        expected = [
            central_difference(lambda x, b=b: expected_binary(b, x[0], **options) / divisor, [a], 0)
            for b, a in zip(oracle.exact(y), oracle.exact(x), strict=True)
        ]
        np.testing.assert_allclose(got, floats(expected), rtol=1e-14, atol=1e-150)

    def test_infinite_logits_have_the_gradient_of_their_limit(self) -> None:
        _, grad = lk.binary_cross_entropy_value_and_grad(
            [0, 1, 0.25, 0, 1, 0.25], logits=[INF] * 3 + [-INF] * 3, reduction="none"
        )
        assert grad.tolist() == [1, 0, 0.75, 0, -1, -0.25]

    def test_gradient_of_a_no_is_within_two_units_where_a_quotient_alone_is_not(self) -> None:
        # Of some millions the worst for the plain quotient, and for one whose correction is too large.
        x = np.array([-4.8512553047943054, -3.4637133031753997, -0.24441126552526493, -0.2851004133717504])
        _, grad = lk.binary_cross_entropy_value_and_grad(np.zeros(4), logits=x, reduction="none")
        assert (oracle.ulps(grad, [oracle.expit(x) for x in oracle.exact(x)]) < 2).all()

    @pytest.mark.parametrize("dtype", DTYPES)
    def test_sure_yes_and_sure_no_still_learn(self, dtype: type) -> None:
        for size in (8.0, 10.0, 17.0, 30.0, 90.0, 700.0):
            expected = dtype(float(oracle.expit(-oracle.exact(size)[0])))
            for y, x, sign in ((1, dtype(size), -1), (0, dtype(-size), 1)):
                assert lk.binary_cross_entropy_value_and_grad(y, logits=x)[1] == pytest.approx(
                    sign * expected, rel=4e-16, abs=0
                )

    def test_difference_of_prediction_and_soft_target_keeps_its_digits(self) -> None:
        x = np.array([-700.0, -3.0, -0.3, 0.0, 1.5, 20.0])
        y = lk.expit(x)
        _, got = lk.binary_cross_entropy_value_and_grad(y, logits=x, reduction="none")
        expected = [
            oracle.binary_cross_entropy_grad(b, a) for b, a in zip(oracle.exact(y), oracle.exact(x), strict=True)
        ]
        np.testing.assert_allclose(got, floats(expected), rtol=1e-13, atol=1e-320)


class TestFocalLoss(Loss, PlainMean, Elementwise):
    cases: ClassVar = {
        "plain": Case(partial(lk.focal_loss, reduction="none"), {"target": yes_or_no, "logits": logits}),
        "alpha, gamma": Case(
            partial(lk.focal_loss, gamma=0.5, alpha=0.25, reduction="none"), {"target": yes_or_no, "logits": logits}
        ),
    }

    @pytest.mark.parametrize("alpha", [None, 0.0, 0.25, 1.0])
    @pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0, 5.0])
    def test_formula_of_the_paper(self, gamma: float, alpha: float | None) -> None:
        x = np.array([-150.0, -30.0, -2.5, -0.125, 0.0, 0.5, 3.0, 30.0, 140.0])
        for y in (0, 1):
            expected = []
            for a in oracle.exact(x):
                p = oracle.expit(a)
                p_t = p if y == 1 else 1 - p
                alpha_t = 1 if alpha is None else mp.mpf(alpha) if y == 1 else 1 - mp.mpf(alpha)
                expected.append(-alpha_t * (1 - p_t) ** mp.mpf(gamma) * mp.log(p_t))
            got = lk.focal_loss(np.full_like(x, y), logits=x, gamma=gamma, alpha=alpha, reduction="none")
            np.testing.assert_allclose(got, floats(expected), rtol=4e-15)

    def test_defaults_are_those_of_the_paper_without_its_weights(self) -> None:
        assert lk.focal_loss([0, 1], logits=[2.0, 3.0]) == lk.focal_loss([0, 1], logits=[2.0, 3.0], gamma=2, alpha=None)

    def test_without_focus_it_is_the_binary_cross_entropy(self) -> None:
        y = np.arange(len(X)) % 2
        got, expected = (
            lk.focal_loss(y, logits=X, gamma=0, reduction="none"),
            lk.binary_cross_entropy(y, logits=X, reduction="none"),
        )
        np.testing.assert_allclose(got, expected, rtol=1e-15)

    def test_infinite_logits_have_their_limits(self) -> None:
        assert lk.focal_loss([0, 1, 0, 1], logits=[INF, INF, -INF, -INF], reduction="none").tolist() == [INF, 0, 0, INF]
        for y, x, alpha in ((1, -INF, 0.0), (0, INF, 1.0)):
            assert lk.focal_loss(y, logits=x, alpha=alpha) == 0

    def test_soft_target_is_refused(self) -> None:
        message, hint = "target must be 0 or 1, but target[1] is 0.5", "the focal loss is not defined for soft targets"
        with refuses(ValueError, message, hint):
            lk.focal_loss([0, 0.5, 2], logits=[0.0, 1.0, 2.0])

    @pytest.mark.parametrize("shape", [(), (1,), (2, 1), (3,)])
    def test_target_of_another_shape_is_never_broadcast(self, shape: tuple[int, ...]) -> None:
        message = f"target must have the shape of logits, (2,), but has {shape}"
        with refuses(ValueError, message):
            lk.focal_loss(np.zeros(shape), logits=[0.0, 1.0])

    def test_gamma_and_alpha_out_of_range_are_shown(self) -> None:
        for bad in (-0.5, NAN):
            message = f"gamma must be at least 0, but gamma is {bad}"
            with refuses(ValueError, message, "exponent of 1 - p"):
                lk.focal_loss(0, logits=0.0, gamma=bad)
        for bad in (-0.5, 1.5, NAN):
            message = f"alpha must lie in [0, 1], but alpha is {bad}"
            with refuses(ValueError, message, "share of the whole"):
                lk.focal_loss(0, logits=0.0, alpha=bad)
        for name in ("gamma", "alpha"):
            message = f"{name} must be one number, but has shape (2,)"
            with refuses(TypeError, message):
                lk.focal_loss([0, 1], logits=[0.0, 1.0], **{name: [0.5, 0.5]})

    @pytest.mark.parametrize("dtype", [np.float16, np.float32])
    def test_alpha_keeps_its_value_whatever_its_dtype(self, dtype: type) -> None:
        got, expected = (lk.focal_loss(0, logits=1.0, alpha=a) for a in (dtype(0.1), float(dtype(0.1))))
        assert got == expected


# --- Divergence ---

ROW_SCALES = {"logits": logits, "probs": class_probs, "log_probs": class_log_probs}


class TestKLDivergence(Loss, PlainMean, Rowwise):
    cases: ClassVar = {
        f"{s} from {t}": Case(
            partial(lk.kl_divergence, reduction="none"), {f"target_{t}": ROW_SCALES[t], s: ROW_SCALES[s]}
        )
        for t, s in (("logits", "probs"), ("probs", "log_probs"), ("log_probs", "logits"))
    }

    @pytest.mark.parametrize("scale", SCALES)
    @pytest.mark.parametrize("target_scale", SCALES)
    def test_every_pair_of_scales_gives_the_textbook_formula(self, target_scale: str, scale: str) -> None:
        t = np.array([[2.0, 0.0, -1.0, 0.5], [-3.0, 4.0, -INF, 0.25], [0.0, 0.0, -INF, 0.0], [-INF, -INF, -INF, 3.0]])
        z = np.array([[1.0, 0.5, -2.0, 0.5], [-1.0, 3.0, 2.0, -0.25], [9.0, 0.0, -INF, 0.0], [2.0, -1.0, 0.0, 0.0]])
        expected = [
            oracle.kl_divergence(oracle.softmax(oracle.exact(a)), oracle.softmax(oracle.exact(b)))
            for a, b in zip(t, z, strict=True)
        ]
        given = {f"target_{target_scale}": on_scale(t, target_scale), scale: on_scale(z, scale)}
        np.testing.assert_allclose(lk.kl_divergence(**given, reduction="none"), floats(expected), rtol=1e-14)

    @pytest.mark.parametrize("scale", SCALES)
    @pytest.mark.parametrize("target_scale", SCALES)
    def test_distributions_that_nearly_agree_keep_their_digits(self, target_scale: str, scale: str) -> None:
        t = np.array([[2.0, 0.0, -1.0, 0.5, -INF]])
        for size in (0.5, 1e-2, 1e-4, 1e-6):
            z = t + size * np.array([[0.3, -0.1, 0.7, 0.2, 0.0]])
            expected = oracle.kl_divergence(oracle.softmax(oracle.exact(t)), oracle.softmax(oracle.exact(z)))
            given = {f"target_{target_scale}": on_scale(t, target_scale), scale: on_scale(z, scale)}
            # The last digits of a probability are worth 1e-16 / size of a divergence of order size^2.
            assert lk.kl_divergence(**given) == pytest.approx(float(expected), rel=4e-15 / size, abs=0)

    @pytest.mark.parametrize("ratio", [0.3, 0.49, 0.51, 1.0, 1.45, 4.0])
    def test_terms_of_any_size_keep_their_digits(self, ratio: float) -> None:
        # Two classes whose probabilities differ by a factor of exp(ratio), one up and one down.
        t = float((1 - mp.exp(-ratio)) / (2 * mp.sinh(ratio)))
        target, probs = floats([t, 1 - t]), floats([t * np.exp(ratio), 1 - t * np.exp(ratio)])
        pairs = zip(oracle.exact(target), oracle.exact(probs), strict=True)
        expected = mp.fsum(a * mp.log(a / b) - a + b for a, b in pairs)
        assert lk.kl_divergence(target_probs=target, probs=probs) == pytest.approx(float(expected), rel=2e-15, abs=0)

    @pytest.mark.parametrize("scale", SCALES)
    def test_distribution_does_not_diverge_from_itself(self, scale: str) -> None:
        for dtype in DTYPES:
            t = on_scale(np.vstack([Z, [0.0, -INF, 1.0, -INF]]), scale).astype(dtype)
            got = lk.kl_divergence(**{f"target_{scale}": t, scale: t}, reduction="none")
            assert got.tolist() == [0] * 5
            assert not np.signbit(got).any()

    @pytest.mark.parametrize("dtype", DTYPES)
    @pytest.mark.parametrize("scale", SCALES)
    def test_rounding_of_the_rows_never_makes_it_negative(self, scale: str, dtype: type) -> None:
        rng = np.random.default_rng(0)
        z = rng.normal(0, 2, (200, 6))
        t, p = (on_scale(v, scale).astype(dtype) for v in (z, z + rng.normal(0, 1e-4, z.shape)))
        got = lk.kl_divergence(**{f"target_{scale}": t, scale: p}, reduction="none")
        assert (got >= 0).all()

    @pytest.mark.parametrize("mask", [-INF, -1e9, -1e30, LOWEST])
    def test_class_masked_on_both_sides_counts_for_nothing(self, mask: float) -> None:
        expected = lk.kl_divergence(target_logits=[0.5, 1.0], logits=[0.0, 2.0])
        got = lk.kl_divergence(target_logits=[0.5, mask, 1.0], logits=[0.0, mask, 2.0])
        assert got == pytest.approx(expected, rel=1e-15)

    def test_class_masked_on_one_side(self) -> None:
        masked, plain = [0.5, -INF, 1.0], [0.5, 0.0, 1.0]
        assert np.isfinite(lk.kl_divergence(target_logits=masked, logits=plain))
        assert lk.kl_divergence(target_logits=plain, logits=masked) == INF

    def test_certain_class_is_on_both_sides_or_infinitely_far(self) -> None:
        assert lk.kl_divergence(target_logits=[INF, 0.0], logits=[INF, 3.0]) == 0
        assert lk.kl_divergence(target_logits=[INF, 0.0], logits=[0.0, INF]) == INF
        assert lk.kl_divergence(target_logits=[INF, 0.0], logits=[0.0, 0.0]) == pytest.approx(np.log(2), rel=1e-15)

    @pytest.mark.parametrize(("t", "p"), [*product(DTYPES, DTYPES)])
    def test_wider_dtype_wins(self, t: type, p: type) -> None:
        got = lk.kl_divergence(target_logits=t([1, 2]), logits=p([2, 1]))
        assert got.dtype == np.promote_types(t, p)

    def test_each_side_is_given_once(self) -> None:
        one = [1.0, 0.0]
        message = "give exactly one of target_logits, target_probs, target_log_probs; got "
        with refuses(ValueError, message + "none"):
            lk.kl_divergence(probs=one)
        both = message + "target_logits and target_probs"
        with refuses(ValueError, both):
            lk.kl_divergence(target_logits=one, target_probs=one, probs=one)
        message = "give exactly one of logits, probs, log_probs; got "
        with refuses(ValueError, message + "none"):
            lk.kl_divergence(target_probs=one)
        with refuses(ValueError, message + "logits and probs"):
            lk.kl_divergence(target_probs=one, probs=one, logits=one)

    @pytest.mark.parametrize(
        ("t", "p"), [((2,), (1, 2)), ((1, 2), (2,)), ((2, 2), (3, 2)), ((2, 3), (2, 2)), ((2, 2), (2, 1))]
    )
    def test_sides_of_different_shapes_are_never_broadcast(self, t: tuple[int, ...], p: tuple[int, ...]) -> None:
        for target, prediction in ((np.zeros(t), np.zeros(p)), (np.zeros(t[::-1]), np.zeros(p[::-1]))):
            message = f"target_logits must have the shape of logits, {prediction.shape}, but has {target.shape}"
            with refuses(ValueError, message):
                lk.kl_divergence(target_logits=target, logits=prediction)

    def test_shape_is_what_is_wrong_where_each_side_has_a_meaning_of_its_own(self) -> None:
        with refuses(ValueError, "target_probs must have the shape of probs, (2, 2), but has (2,)"):
            lk.kl_divergence(target_probs=[0.5, 0.5], probs=[[0.5, 0.5], [0.25, 0.75]])

    def test_side_without_meaning_is_named(self) -> None:
        half = [0.5, 0.5]
        with refuses(ValueError, "target_probs must lie in [0, 1], but target_probs[0] is 2.0", "did you pass logits?"):
            lk.kl_divergence(target_probs=[2.0, -1.0], probs=half)
        with refuses(ValueError, "the sum of probs must be 1 in each row, but the sum of probs is 0.75"):
            lk.kl_divergence(target_probs=half, probs=[0.5, 0.25])
        with refuses(ValueError, "target_log_probs must be at most 0, but target_log_probs[0] is 0.5"):
            lk.kl_divergence(target_log_probs=[0.5, -1.0], probs=half)
        with refuses(ValueError, "the sum of exp(target_log_probs) is 2.0"):
            lk.kl_divergence(target_log_probs=[0.0, 0.0], probs=half)
        with refuses(ValueError, "the largest of target_logits is -inf"):
            lk.kl_divergence(target_logits=[-INF, -INF], probs=half)


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
