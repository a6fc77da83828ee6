"""What `diagnose` says of numbers and arrays, and that it is silent about those that say nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Callable

import numpy as np
import pytest
import torch

import logitkit as lk
from logitkit.cli import main
from logitkit.diagnose import _tells, diagnose, diagnose_log
from tests.findings import SIGMOID_TWICE, TWICE

CHANCE = _tells.CAUSES["chance"].title


def title(number: object, **known: object) -> str | None:
    findings = diagnose(number, **known).findings
    return findings[0].title if findings else None


@pytest.mark.parametrize(
    ("loss", "known", "expected"),
    [
        (1.4615, {"classes": 10}, TWICE),
        (1.4615, {}, TWICE),
        (0.5514, {}, TWICE),
        (5.9097, {"classes": 1000}, TWICE),
        (2.3026, {"classes": 10}, CHANCE),
        (10.8249, {}, CHANCE),
        (0.5003, {"classes": 10}, _tells.CAUSES["label smoothing"].title),
        (0.6171, {"positive_rate": 0.2}, SIGMOID_TWICE),
        (0.5004, {"positive_rate": 0.2}, _tells.CAUSES["class entropy"].title),
        (100.0, {}, _tells.CAUSES["clamp at 100"].title),
        (20.0, {"positive_rate": 0.2}, _tells.CAUSES["clamp at 100"].title),
        (16.1181, {}, _tells.CAUSES["clip at 1e-7"].title),
        (14.5063, {"classes": 10}, _tells.CAUSES["clip at 1e-7"].title),
        (1.192093e-07, {}, _tells.CAUSES["exactly right in Keras"].title),
        (27.631, {}, _tells.CAUSES["epsilon"].title),
        (-0.93, {}, _tells.CAUSES["probabilities into NLLLoss"].title),
        (-212.0, {}, _tells.CAUSES["logits into NLLLoss"].title),
        (0.0, {}, _tells.CAUSES["one column"].title),
        (math.inf, {}, _tells.CAUSES["infinite"].title),
        (math.nan, {}, _tells.CAUSES["nothing to average"].title),
        (1.2, {"classes": 10}, None),
        (0.0412, {"classes": 10}, None),
    ],
)
def test_number_is_told(loss: float, known: dict[str, float], expected: str | None) -> None:
    assert title(loss, **known) == expected


def test_coincidence_is_the_share_of_random_numbers_that_match_as_well() -> None:
    """What is called likely by accident once in n happens once in n: with numbers drawn as the docstring says."""
    draw = random.Random(0)
    for classes in (10, None):
        numbers = [1.5 * 2 ** draw.uniform(-1, 1) for _ in range(400)]
        found = [diagnose(number, classes=classes).findings for number in numbers]
        for level in (0.02, 0.1, 0.25):
            share = sum(bool(each) and each[0].coincidence <= level for each in found) / len(numbers)
            assert share <= 1.5 * level + 0.01, (classes, level)


def test_number_with_fewer_digits_is_weaker_evidence() -> None:
    sure, vague = (diagnose(loss, classes=10).findings[0].coincidence for loss in (1.4612, 1.46))
    assert sure < vague / 10


def test_plateau_is_diagnosed_and_a_passing_value_is_not() -> None:
    falling = [2.3 - 0.02 * step for step in range(43)]  # ends at 1.46, on its way
    assert not diagnose_log(falling, classes=10)
    noise = random.Random(1)
    flat = [2.3, 2.0, 1.7, *(1.465 + noise.uniform(0, 0.003) for _ in range(40))]
    assert diagnose_log(flat, classes=10).findings[0].title == TWICE
    assert not [each for each in diagnose_log([1.3, *flat], classes=10).findings if each.title == TWICE]


@pytest.mark.parametrize(
    ("losses", "cause"),
    [
        ([0.0] * 20, "one column"),
        ([1.0, 0.5, 0.1, 0.0, 0.0, 0.0], "lost digits"),
        ([1.0, 0.9, math.inf, math.nan, math.nan], "infinite"),
        ([1.0, math.nan, 0.8, 0.7, 0.65, 0.6], "nothing to average"),
        ([1.0, 0.9, math.nan, math.nan], "not a number"),
        ([0.1, -3.0, -9.0, -20.0], "logits into NLLLoss"),
    ],
)
def test_log_says_which_event_it_holds(losses: list[float], cause: str) -> None:
    assert diagnose_log(losses).findings[0].title == _tells.CAUSES[cause].title


@pytest.mark.parametrize(
    "known",
    [{"classes": 1}, {"positive_rate": 30}, {"shares": [0.5, 0.6]}, {"classes": 3, "positive_rate": 0.5}],
)
def test_what_cannot_be_is_refused(known: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(known)) + r"|shares|positive_rate"):
        diagnose(1.0, **known)


LOGITS = np.random.default_rng(0).normal(size=(50, 5)) * 3


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lk.softmax, "probabilities of a softmax"),
        (lk.log_softmax, "log-probabilities"),
        (lk.class_log_odds, "class log-odds"),
        (lk.expit, "probabilities, each on its own (of a sigmoid)"),
        (lambda z: z, "logits (unnormalized scores) or another unbounded score"),
    ],
)
def test_scale_of_an_array_is_recognized(make: Callable[..., np.ndarray], expected: str, dtype: type) -> None:
    assert title(make(LOGITS).astype(dtype)) == expected


def test_classes_on_axis_1_are_found_and_said() -> None:
    probs = torch.tensor(LOGITS).reshape(10, 5, 5).softmax(1)
    (finding,) = diagnose(probs).findings
    assert "along axis 1" in finding.evidence


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0, 3, 2, 9], "class indices"),
        ([0.0, 1.0, 1.0], "labels of a yes or no"),
        ([[0, 1, 0], [1, 0, 0]], "one-hot labels"),
        ([-1, 1, 1], "labels -1 and +1"),
        ([0, 255, 255], "a mask image"),
        ([2, -100, 3], "class indices with padding"),
        (np.zeros((3, 4)), "nothing to tell by"),
    ],
)
def test_labels_are_recognized(values: object, expected: str) -> None:
    assert title(values) == expected


def test_few_rounded_numbers_are_weak_evidence_and_many_exact_ones_leave_no_doubt() -> None:
    assert diagnose([[0.2, 0.8]]).findings[0].coincidence > 0.1
    assert diagnose(lk.softmax(LOGITS)).findings[0].coincidence < 1e-100


def test_random_logits_are_never_taken_for_anything_normalized() -> None:
    draw = np.random.default_rng(1)
    for _ in range(300):
        shape = draw.integers(1, 6), draw.integers(2, 6)
        array = draw.normal(size=shape) * 10.0 ** draw.integers(-3, 3)
        assert not {title(array), "x"} & {"probabilities of a softmax", "log-probabilities"}


def test_array_in_a_file_is_diagnosed(tmp_path, capsys) -> None:
    np.save(tmp_path / "outputs.npy", lk.softmax(LOGITS))
    assert main(["diagnose", str(tmp_path / "outputs.npy")]) == 0
    assert "probabilities of a softmax" in capsys.readouterr().out
