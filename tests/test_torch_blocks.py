"""Large batches are cut into blocks, whose results and gradients are those of the whole."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd import grad, gradgradcheck

import logitkit.torch as lt
from logitkit import kernels
from logitkit.torch import _blocks
from tests.twins import CLASSES, ROWS, doubles, labels, logits


@pytest.mark.parametrize(
    ("rows", "width", "expected"),
    [(5, 3, [2, 2, 1]), (3, 7, [1, 1, 1]), (7, 1, [6, 1]), (2, 3, [2]), (6, 1, [6]), (3, 0, [3])],
)
def test_a_block_has_as_many_rows_as_fit(
    rows: int, width: int, expected: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def formula(values: Tensor) -> Tensor:
        seen.append(len(values))
        return values * 1

    monkeypatch.setattr(_blocks, "CPU_BLOCK", 6)
    values = doubles(rows).requires_grad_()
    result = _blocks.in_blocks(formula, (values,), (), width)
    assert seen == expected
    torch.testing.assert_close(result, values)
    # One block would only be computed again.
    assert (type(result.grad_fn).__name__ == "MulBackward0") == (len(expected) == 1)


def test_no_rows_are_one_block() -> None:
    for rows in (0, 1):
        assert list(_blocks.places_of_blocks(torch.zeros(rows), 1)) == [slice(0, 1)]


class TestGradients:
    @pytest.fixture(autouse=True)
    def _small_blocks(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_blocks, "CPU_BLOCK", CLASSES)
        monkeypatch.setattr(kernels, "why_off", lambda: "a test asks for the formulas")

    def test_of_class_weights_are_added_up(self) -> None:
        z, y, weight = logits(ROWS, CLASSES), labels(ROWS), doubles(CLASSES).exp().requires_grad_()
        losses = lt.cross_entropy(z, y, reduction="none")
        loss = lt.cross_entropy(z, y, weight=weight, reduction="sum")
        torch.testing.assert_close(grad(loss, weight)[0], torch.zeros_like(weight).index_add(0, y, losses))

    def test_can_be_differentiated_again(self) -> None:
        gradgradcheck(lambda z: lt.cross_entropy(z, labels(ROWS)), logits(ROWS, CLASSES))
