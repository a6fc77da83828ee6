"""The twins at the edge of their domain: masks, certainty, the largest numbers, input without a meaning."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import grad

import logitkit as lk
import logitkit.torch as lt
from tests.twins import (
    ALL,
    CLASSES,
    INF,
    NAN,
    labels,
    logits,
    proportions,
)


class TestInputWithoutMeaning:
    @pytest.mark.parametrize(
        ("call", "message"),
        [
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.tensor([0, 3])),
             r"target must be a class from 0 to 2, but target\[1\] is 3; do the labels count from 1"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.tensor([-1, 0])), r"target\[0\] is -1"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.zeros(2)), "must hold integers, not torch.float32"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.zeros(2, 3, dtype=torch.long)),
             "must hold floating-point numbers where it holds distributions, not torch.int64"),
            (lambda: lt.cross_entropy(torch.zeros(2, 3), torch.zeros(3, dtype=torch.long)),
             r"must have the shape \(2,\) \(class indices\) or \(2, 3\) \(distributions\), but has \(3,\)"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([[1.5, -0.5]])),
             r"target must lie in \[0, 1\], but target\[0, 0\] is 1.5"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([[0.5, 0.5]]), ignore_index=0), "ignore_index"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([0]), weight=torch.ones(3)), "2 classes"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2).long(), torch.tensor([0])), "floating-point numbers, not"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([0]), reduction="avg"), "'avg'"),
            (lambda: lt.cross_entropy(torch.zeros(1, 2), torch.tensor([0]), label_smoothing=1.5), "but is 1.5"),
            (lambda: lt.binary_cross_entropy_with_logits(torch.zeros(2), torch.tensor([0.0, 2.0])),
             r"target must lie in \[0, 1\], but target\[1\] is 2.0"),
            (lambda: lt.binary_cross_entropy_with_logits(torch.zeros(2), torch.zeros(2, 1)), "shape of input"),
            (lambda: lt.linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 2), torch.tensor([0, 1])), "agree in D"),
            (lambda: lt.linear_cross_entropy(torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([0, 4])),
             r"target\[1\] is 4"),
            (lambda: lt.linear_cross_entropy(
                torch.zeros(2, 3), torch.zeros(4, 3), torch.tensor([0, 1]), linear_bias=torch.zeros(3)
            ), "linear_bias"),
        ],
    )  # fmt: skip
    def test_is_an_error_with_the_argument_value_and_index(self, call: Callable[[], Tensor], message: str) -> None:
        with pytest.raises(ValueError, match=message):
            call()

    def test_is_nan_where_a_value_cannot_be_looked_at(self) -> None:
        compiled = torch.compile(lt.binary_cross_entropy_with_logits, fullgraph=True, backend="aot_eager")
        assert compiled(torch.zeros(2), torch.tensor([0.0, 2.0])).isnan()


class TestLimits:
    """The rules of masks, certainty and NaN are those of logitkit."""

    LOSSES = (
        ([INF, 0.0], 0, 0.0, [0.0, 0.0]),
        ([INF, 0.0], 1, INF, [1.0, -1.0]),
        ([0.0, -INF], 0, 0.0, [0.0, 0.0]),
        ([0.0, -INF], 1, INF, [1.0, -1.0]),
        ([-INF, -INF], 0, NAN, [NAN, NAN]),
        ([INF, INF], 0, NAN, [NAN, NAN]),
        ([NAN, 0.0], 1, NAN, [NAN, NAN]),
        ([0.0, NAN], 0, NAN, [NAN, NAN]),
        ([7.0], 0, 0.0, [0.0]),
    )

    @pytest.mark.parametrize(("row", "label", "loss", "slope"), LOSSES)
    def test_loss_and_gradient(self, row: list[float], label: int, loss: float, slope: list[float]) -> None:
        for target in (torch.tensor([label]), F.one_hot(torch.tensor([label]), len(row)).float()):
            z = torch.tensor([row], requires_grad=True)
            value = lt.cross_entropy(z, target)
            torch.testing.assert_close(value, torch.tensor(loss), equal_nan=True)
            torch.testing.assert_close(grad(value, z)[0], torch.tensor([slope]), equal_nan=True)

    def test_a_masked_class_without_a_share_counts_for_nothing(self) -> None:
        z = torch.tensor([0.0, -INF, 1.0], requires_grad=True)
        loss = lt.cross_entropy(z, torch.tensor([0.3, 0.0, 0.7]))
        torch.testing.assert_close(loss, torch.tensor(lk.cross_entropy([0.3, 0, 0.7], logits=[0, -np.inf, 1])).float())
        assert grad(loss, z)[0].isfinite().all()

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_an_ignored_row_is_ignored_even_if_it_is_nan(self, smoothing: float) -> None:
        rows = [[0.0, 1.0], [NAN, 1.0], [1.0, NAN], [NAN, NAN], [-INF, -INF]]
        z = torch.tensor(rows, requires_grad=True)
        loss = lt.cross_entropy(z, torch.tensor([0, -100, -100, -100, -100]), label_smoothing=smoothing)
        loss.backward()
        torch.testing.assert_close(loss, F.cross_entropy(z[:1], torch.tensor([0]), label_smoothing=smoothing))
        assert (z.grad[1:] == 0).all()

    def test_no_weight_no_loss(self) -> None:
        z = torch.tensor([[0.0, -INF]])
        assert lt.cross_entropy(z, torch.tensor([1]), weight=torch.tensor([1.0, 0.0]), reduction="sum") == 0
        x, y = torch.tensor([-INF]), torch.tensor([1.0])
        assert lt.binary_cross_entropy_with_logits(x, y, weight=torch.tensor([0.0])) == 0

    def test_binary_loss_at_infinite_log_odds(self) -> None:
        x = torch.tensor([INF, -INF, -INF, INF])
        y = torch.tensor([1.0, 0.0, 1.0, 0.5])
        losses = lt.binary_cross_entropy_with_logits(x, y, reduction="none")
        assert losses.tolist() == [0.0, 0.0, INF, INF]


def test_input_is_not_changed() -> None:
    for name, pair in ALL.items():
        before = [t.detach().clone() for t in pair.tensors]
        pair.twin(*pair.tensors).sum().backward()
        for tensor, copy in zip(pair.tensors, before, strict=True):
            assert torch.equal(tensor.detach(), copy), name


class TestLargestNumbers:
    """Logits next to the end of their dtype, where a difference overflows, are told from each other and from masks."""

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
    def test_loss_and_gradient(self, dtype: torch.dtype) -> None:
        most = torch.finfo(dtype).max
        for row, loss, slope in (
            ([0.0, most, most / 2], most, [-1.0, 1.0, 0.0]),
            ([-most, -most / 2, -most], most / 2, [-1.0, 1.0, 0.0]),
            ([0.0, -most / 2, -most], 0.0, [0.0, 0.0, 0.0]),
            ([most, most / 2, -INF], 0.0, [0.0, 0.0, 0.0]),
        ):
            for target in (torch.tensor([0]), torch.tensor([[1.0, 0.0, 0.0]], dtype=dtype)):
                z = torch.tensor([row], dtype=dtype, requires_grad=True)
                value = lt.cross_entropy(z, target)
                assert value == loss
                assert grad(value, z)[0].tolist() == [slope]

    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
    @pytest.mark.parametrize("reduction", ["mean", "sum"])
    def test_loss_beyond_them_is_infinite(self, dtype: torch.dtype, reduction: str) -> None:
        most = torch.finfo(dtype).max
        z = torch.tensor([[most, -most], [most, -most]], dtype=dtype, requires_grad=True)
        value = lt.cross_entropy(z, torch.tensor([1, 1]), reduction=reduction)
        assert value == INF
        slope = 0.5 if reduction == "mean" else 1.0
        assert grad(value, z)[0].tolist() == [[slope, -slope]] * 2


class TestWholeNumbers:
    @pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64])
    def test_are_refused_where_the_result_would_have_no_digits(self, dtype: torch.dtype) -> None:
        z = torch.zeros(2, CLASSES).to(dtype)
        for call in (
            lt.logit,
            lt.softplus,
            lt.log1mexp,
            lt.class_log_odds,
            lambda z: lt.log_softmax(z, 1),
            lambda z: lt.cross_entropy(z, labels(2)),
            lambda z: lt.binary_cross_entropy_with_logits(z, proportions(2, CLASSES)),
            lambda z: lt.linear_cross_entropy(z, z, torch.zeros(2).long()),
        ):
            with pytest.raises(ValueError, match=f"^input must hold floating-point numbers, not {dtype}"):
                call(z)

    def test_may_be_converted_by_the_call_itself(self) -> None:
        z = torch.tensor([3, 1, 0])
        torch.testing.assert_close(lt.log_softmax(z, 0, dtype=torch.float64), F.log_softmax(z, 0, dtype=torch.float64))


class TestLimitsOfTheOthers:
    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ([INF, 0.0, -INF], [INF, -INF, -INF]),
            ([0.0, INF], [-INF, INF]),
            ([INF, INF, 0.0], [NAN, NAN, NAN]),
            ([NAN, INF, 0.0], [NAN, NAN, NAN]),
            ([0.0, NAN], [NAN, NAN]),
            ([-INF, -INF], [NAN, NAN]),
            ([0.0, -INF], [INF, -INF]),
        ],
    )
    def test_log_odds(self, row: list[float], expected: list[float]) -> None:
        torch.testing.assert_close(lt.class_log_odds(torch.tensor(row)), torch.tensor(expected), equal_nan=True)

    @pytest.mark.parametrize("smoothing", [0.0, 0.1])
    def test_an_ignored_row_of_features_does_not_reach_the_layer(self, smoothing: float) -> None:
        layer, target = logits(CLASSES, 2), torch.tensor([1, -100, -100])
        features = torch.tensor([[1.0, 2.0], [NAN, 1.0], [INF, 1.0]], dtype=torch.float64, requires_grad=True)
        loss = lt.linear_cross_entropy(features, layer, target, label_smoothing=smoothing)
        expected = lt.linear_cross_entropy(features[:1], layer, target[:1], label_smoothing=smoothing)
        torch.testing.assert_close(loss, expected)
        of_features, of_layer = grad(loss, [features, layer])
        assert (of_features[1:] == 0).all()
        torch.testing.assert_close(of_layer, grad(expected, layer)[0])
