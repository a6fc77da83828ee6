"""What a cross entropy refuses: targets, weights, options and rows of logits that have no meaning."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import pytest

from tests.cases import refuses
from tests.gathered import each
from tests.loss_contracts import INF, NAN, Z, value

LABELS = np.array([0, 2, 0, 3])
TARGETS = np.array([[0.5, 0.25, 0.125, 0.125], [0.0, 1.0, 0.0, 0.0], [0.75, 0.0, 0.0, 0.25], [0.25, 0.25, 0.5, 0.0]])


class ClassRefusals:
    """What a loss of class targets refuses, with the argument, the place and the value named."""

    function: ClassVar[Callable[..., Any]]

    def value(self, *args: Any, **options: Any) -> Any:
        return value(type(self).function(*args, **options))

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

    @each(shape=[(), (3,), (2, 1), (1, 2), (2, 4), (3, 2), (2, 3, 1)])
    def test_target_of_another_shape_is_never_broadcast(self, shape: tuple[int, ...]) -> None:
        for target in (np.zeros(shape, dtype=int), np.zeros(shape)):
            message = f"target must have the shape (2,) (class indices) or (2, 3) (distributions), but has {shape}"
            with refuses(ValueError, message):
                self.value(target, logits=np.zeros((2, 3)))
        message = f"target must have the shape (5,) (class indices) or (3, 5) (distributions), but has {shape}"
        with refuses(ValueError, message):
            self.value(np.zeros(shape), logits=np.zeros((3, 5)), axis=0)

    @each(weight=[2.0, [2.0], [1.0, 2.0], np.ones((1, 4)), np.ones((4, 4)), []])
    def test_class_weights_of_another_shape_are_never_broadcast(self, weight: Any) -> None:
        message = f"weight must hold one weight for each of the 4 classes, but has shape {np.shape(weight)}"
        with refuses(ValueError, message):
            self.value(LABELS, logits=Z, weight=weight)

    @each(bad=[-1.0, NAN, INF, 1e101])
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

    @each(bad=[-0.1, 1.5, NAN, INF])
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

    def test_several_axes_have_no_class_indices(self) -> None:
        with refuses(TypeError, "axis must be one integer, not (0, 1)"):
            self.value(0, logits=Z, axis=(0, 1))

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
