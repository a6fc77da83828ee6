"""What a guard doesn't object to, because it may be meant so, is noted in its log; and which batches it looks at."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitkit.torch import ScaleError, guard
from logitkit.torch.guard import _Watch

X = torch.randn(8, 5, generator=torch.Generator().manual_seed(0))
Y = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
WEIGHT = torch.tensor([1.0, 2.0, 2.0, 1.0, 3.0])
RARE, COMMON = Y % 2 + 1, 3 * (Y % 2)  # of weight 2, of weight 1
SOFT = X.softmax(1)


@pytest.fixture
def noted(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    caplog.set_level("INFO", "logitkit.guard")
    return lambda: [record.message for record in caplog.records if record.name == "logitkit.guard"]


WEIGHTED: dict[str, tuple[dict[str, Any], Tensor, str | None]] = {
    "one weight": ({"weight": WEIGHT}, RARE, "the weight does nothing"),
    "weight 1": ({"weight": WEIGHT}, COMMON, "the weight does nothing"),
    "one label": ({"weight": WEIGHT}, Y * 0, "the weight does nothing"),
    "different weights": ({"weight": WEIGHT}, Y, None),
    "weights of 1": ({"weight": torch.ones(5)}, Y, None),
    "one weight beside ignored rows": ({"weight": WEIGHT, "ignore_index": 4}, torch.where(Y == 0, 4, RARE), "nothing"),
    "all ignored": ({"weight": WEIGHT}, Y * 0 - 100, None),
    "a sum": ({"weight": WEIGHT, "reduction": "sum"}, RARE, None),
    "a distribution": ({"weight": WEIGHT}, SOFT, "divides by the rows, not by the sum of their weights"),
    "a sum over distributions": ({"weight": WEIGHT, "reduction": "sum"}, SOFT, None),
    "no weight": ({}, RARE, None),
}


@pytest.mark.parametrize("name", WEIGHTED)
def test_weight_that_a_mean_cancels_is_noted(name: str, noted: Callable[[], list[str]]) -> None:
    options, target, remark = WEIGHTED[name]
    guard(nn.CrossEntropyLoss(**options))(X, target)
    guard(F.cross_entropy)(X, target, **options)
    if "weight" in options:
        guard(F.cross_entropy)(X, target, options["weight"], **{n: v for n, v in options.items() if n != "weight"})
    assert len(noted()) == (remark is not None) * 3
    assert all(remark in each for each in noted())


def test_weight_of_a_binary_loss_is_no_class_weight(noted: Callable[[], list[str]]) -> None:
    guard(nn.BCEWithLogitsLoss(weight=WEIGHT))(X, SOFT)
    assert noted() == []


MASK = (Y > 1).float()
MASKED: dict[str, tuple[Callable[[Tensor], Tensor], bool]] = {
    "losses times mask": (lambda each: (each * MASK).mean(), True),
    "mask times losses": (lambda each: torch.mean(MASK * each), True),
    "in two dimensions": (lambda each: (each.view(2, 4) * MASK.view(2, 4)).mean(), True),
    "a sum": (lambda each: (each * MASK).sum() / MASK.sum(), False),
    "nothing masked": (lambda each: (each * torch.ones(8)).mean(), False),
    "weights": (lambda each: (each * torch.where(MASK == 0, 0.5, MASK)).mean(), False),
    "weights, some 0": (lambda each: (each * MASK * 2).mean(), False),
    "some weights 0 and some 2": (lambda each: (each * (MASK + (Y > 2))).mean(), False),
    "learned": (lambda each: (each * MASK.clone().requires_grad_()).mean(), False),
    "no losses": (lambda each: (each.exp() * MASK).mean(), False),
    "no product": (lambda each: (each + MASK).mean(), False),
}


@pytest.mark.parametrize("name", MASKED)
def test_mean_over_masked_losses_is_noted_within_a_step(name: str, noted: Callable[[], list[str]]) -> None:
    reduce, remark = MASKED[name]
    for _ in range(2):
        with guard():
            reduce(F.cross_entropy(X.clone().requires_grad_(), Y, reduction="none"))
            reduce(F.binary_cross_entropy_with_logits(X[:, 0].clone().requires_grad_(), MASK, reduction="none"))
            reduce(F.cross_entropy(X, Y, reduction="none"))  # without a graph nothing is known
    assert len(noted()) == 2 * remark  # once in each step
    assert all("divide the sum by the mask's sum" in each for each in noted())


def test_factor_of_a_mean_is_no_mask(noted: Callable[[], list[str]]) -> None:
    with guard():
        (F.cross_entropy(X.clone().requires_grad_(), Y) * MASK).mean()
        (F.cross_entropy(X.clone().requires_grad_(), Y, reduction="sum") * MASK).mean()
    assert noted() == []


def test_arguments_may_come_by_name() -> None:
    with pytest.raises(ScaleError, match="rows sum to 1"):
        guard(nn.CrossEntropyLoss())(input=SOFT, target=Y)
    with pytest.raises(ScaleError, match="rows sum to 1"):
        guard(F.cross_entropy)(SOFT, target=Y)
    with pytest.raises(ScaleError, match="index 5"), guard():
        F.cross_entropy(target=Y + 1, input=X)


def test_only_a_look_up_of_log_probabilities_may_hold_anything() -> None:
    with pytest.raises(ScaleError, match="log-probabilities"), guard():
        F.nll_loss(SOFT, Y)
    with guard():
        F.nll_loss(SOFT, Y, reduction="none")


@pytest.mark.parametrize(("batches", "looks"), [(8, [*range(1, 9), 16, 32, 64]), (3, [1, 2, 3, 4, 8, 16, 32, 64])])
def test_while_in_doubt_ever_fewer_batches_are_looked_at(
    batches: int, looks: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []
    module = sys.modules[_Watch.__module__]  # the name logitkit.torch.guard is the function's
    look = module.problem  # type: ignore[attr-defined]
    monkeypatch.setattr(module, "problem", lambda *given: (seen.append(given[-1].batches), look(*given))[1])
    criterion = guard(nn.BCEWithLogitsLoss(), batches=batches)
    draw = torch.Generator().manual_seed(0)
    for _ in range(100):
        criterion(0.2 + 0.6 * torch.rand(6, generator=draw), torch.ones(6))
    assert seen == looks
