"""What `diagnose` knows of mistakes is what PyTorch gives, as a constant and in training runs with the mistake."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

from logitkit import conventions
from logitkit.diagnose import _tells, diagnose_log
from tests.findings import SIGMOID_TWICE, TWICE

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_values_for_a_number_of_classes_are_what_pytorch_gives(classes: int) -> None:
    sure, answers = torch.eye(classes, dtype=torch.float64), torch.arange(classes)
    found = {tell.cause: tell.value for tell in reversed(list(_tells.of_classes(classes, 1.0)))}
    real = {
        "chance": F.cross_entropy(torch.zeros_like(sure), answers),
        "double softmax": F.cross_entropy((1000 * sure).softmax(1), answers),
        "double softmax, always wrong": F.cross_entropy(sure, (answers + 1) % classes),
        "triple softmax": F.cross_entropy(sure.softmax(1), answers),
    }
    for cause, value in real.items():
        assert math.isclose(found[cause], value, rel_tol=1e-12), cause


@pytest.mark.parametrize("smoothing", _tells.SMOOTHINGS)
def test_floor_of_label_smoothing_is_where_free_logits_arrive(smoothing: float) -> None:
    logits = torch.zeros(1, 10, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([logits], max_iter=200, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        optimizer.zero_grad()
        value = F.cross_entropy(logits, torch.tensor([3]), label_smoothing=smoothing)
        value.backward()
        return value

    assert math.isclose(optimizer.step(loss).item(), _tells.smoothing_floor(smoothing, 10), abs_tol=1e-12) or (
        math.isclose(loss().item(), _tells.smoothing_floor(smoothing, 10), rel_tol=1e-9)
    )


@pytest.mark.parametrize("rate", [0.0, 0.1, 0.5, 0.75, 1.0])
def test_floor_of_a_sigmoid_twice_is_what_pytorch_gives_for_any_positive_rate(rate: float) -> None:
    target = (torch.arange(100) < 100 * rate).double()
    best = (1000 * (2 * target - 1)).sigmoid()
    assert math.isclose(F.binary_cross_entropy_with_logits(best, target), _tells.double_sigmoid(rate), rel_tol=1e-12)


def test_clamps_and_clips_are_those_of_pytorch_of_keras_as_recorded_and_of_scikit_learn() -> None:
    from sklearn.metrics import log_loss

    values = {(tell.cause, round(tell.value, 6)) for tell in _tells.constants(None)}
    assert ("clamp at 100", F.binary_cross_entropy(torch.zeros(1), torch.ones(1)).item()) in values
    keras = conventions.resolve("keras.losses.BinaryCrossentropy")
    recorded = {check.gives for case in keras.cases for check in case.also if isinstance(check.gives, float)}
    assert {16.118095, 15.942385} <= recorded
    for number in (16.118095, 15.942385):
        assert any(cause == "clip at 1e-7" and abs(value - number) < 2e-6 for cause, value in values)
    for dtype, cause in [(np.float32, "clip at 1e-7"), (np.float64, "epsilon")]:
        worst = log_loss([0], np.array([[0, 1]], dtype=dtype), labels=[0, 1])
        assert any(name == cause and abs(value - worst) < 2e-6 for name, value in values), dtype


def test_every_finding_leads_to_a_place_in_the_book_and_confirms_itself_in_code() -> None:
    for cause in _tells.CAUSES.values():
        page, _, anchor = cause.page.partition("#")
        stem = ROOT / "chapters" / page.removesuffix(".html")
        text = next(stem.with_suffix(suffix) for suffix in (".ipynb", ".md") if stem.with_suffix(suffix).exists())
        assert anchor in text.read_text("utf-8"), cause.page
        compile(cause.confirm, "confirm", "eval")


def run(loss_of: Callable[..., torch.Tensor], outputs: int, labels: torch.Tensor, steps: int = 400) -> list[float]:
    pixels = torch.tensor(load_digits().data[:300] / 16)
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, outputs)).double()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = loss_of(model(pixels), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


DIGITS = torch.tensor(load_digits().target[:300])
BCE = F.binary_cross_entropy_with_logits


def test_log_of_a_softmax_twice_is_recognized_without_the_number_of_classes() -> None:
    best = diagnose_log(run(lambda z, y: F.cross_entropy(z.softmax(1), y), 10, DIGITS)).findings[0]
    assert (best.title, best.classes, best.verdict) == (TWICE, 10, "likely")


def test_log_of_a_sigmoid_twice_is_recognized_at_any_positive_rate() -> None:
    for last in (2, 6):
        labels = (last >= DIGITS).double()
        losses = run(lambda z, y: BCE(z[:, 0].sigmoid(), y), 1, labels)
        found = diagnose_log(losses, positive_rate=labels.mean().item()).findings
        # If positives are rare all outputs go to 0, where the loss is that of chance too.
        assert (SIGMOID_TWICE, "likely") in [(each.title, each.verdict) for each in found[:2]], last


def test_log_of_smoothed_labels_is_no_mistake() -> None:
    losses = run(lambda z, y: F.cross_entropy(z, y, label_smoothing=0.1), 10, DIGITS)
    assert "no mistake" in diagnose_log(losses, classes=10).findings[0].title


def test_log_of_shapes_that_broadcast_is_the_entropy_of_the_labels() -> None:
    labels = (DIGITS < 3).double()
    losses = run(lambda z, y: (F.softplus(z) - y * z).mean(), 1, labels)
    best = diagnose_log(losses, positive_rate=labels.mean().item()).findings[0]
    assert best.title == _tells.CAUSES["class entropy"].title


def test_log_of_a_loss_that_learns_has_nothing_to_find() -> None:
    losses = run(F.cross_entropy, 10, DIGITS, steps=40)
    assert not diagnose_log(losses, classes=10)
    assert "ruled out" in str(diagnose_log(run(F.cross_entropy, 10, DIGITS), classes=10))
