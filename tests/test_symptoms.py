"""The index by symptom says what happens: its numbers and messages are run, its checks told apart right from wrong."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import logitkit

PAGE = Path(__file__).parents[1] / "chapters" / "symptoms.md"
TOOLS = {"math": math, "torch": torch, "F": F}


def rows(header: str) -> list[list[str]]:
    """The cells of all tables with this header."""
    found, inside = [], False
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|--"):
            assert len(cells) == header.count("|") - 1, line
            found.append(cells)
        inside = inside or line == header
    assert found, header
    return found


NUMBERS = rows("| Number | From | It is |")
ERRORS = rows("| PyTorch 2.13 says | For instance | It is |")
SYMPTOMS = rows("| You see | It is | Fix | Check |")
CHECKS = [row for row in SYMPTOMS if row[3]]


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row[0])
def test_a_number_is_what_its_line_gives(row: list[str]) -> None:
    number, line = row[0].strip("`"), row[1].strip("`")
    digits = len(number.partition(".")[2])
    assert f"{float(eval(line, dict(TOOLS))):.{digits}f}" == number


def test_a_number_typed_into_the_search_box_is_found() -> None:
    """The search of the book leaves numbers out, but for entries of the index, of which the main ones come first."""
    (entries,) = re.findall(r"\{index\} (! [\d., !]+)$", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    assert {row[0].strip("`") for row in NUMBERS} <= set(re.findall(r"! ([\d.]+)", entries))


@pytest.mark.parametrize("row", ERRORS, ids=lambda row: row[0])
def test_a_message_is_what_its_call_raises(row: list[str]) -> None:
    torch.distributions.Distribution.set_default_validate_args(True)  # torch.compile switches it off for the process
    with pytest.raises((IndexError, RuntimeError, ValueError), match=re.escape(row[0].strip("`"))):
        eval(row[1].strip("`"), dict(TOOLS))


SURE = 20 * torch.eye(4)
CLASSES = torch.arange(4)
YES_NO = torch.tensor([1.0, 0.0, 1.0, 0.0])
LOGITS = torch.tensor([3.0, -2.0, 1.5, -4.0])
LABELS = torch.tensor([[3.0, 2.0, -4.0], [-1.0, 2.0, 1.0]])


def case(outputs: torch.Tensor, target: torch.Tensor = CLASSES, **names: object) -> dict[str, object]:
    return {"outputs": outputs, "target": target, **names}


def losses_of(outputs: torch.Tensor, target: torch.Tensor, **options: object) -> dict[str, object]:
    losses = F.cross_entropy(outputs, target, reduction="none")
    return case(outputs, target, losses=losses, loss=F.cross_entropy(outputs, target, **options))


def value_and_grad(loss_of: Callable[[torch.Tensor], torch.Tensor]) -> dict[str, object]:
    probs = torch.tensor([0.5, 0.0], requires_grad=True)
    loss = loss_of(probs).sum()
    (grad,) = torch.autograd.grad(loss, probs)
    return {"loss": loss, "grad": grad}


def ignoring_temperature(logits: torch.Tensor, temperature: float) -> torch.Tensor:
    exps = logits.exp() / temperature
    return exps / exps.sum(1, keepdim=True)


def model_case(*activations: torch.nn.Module) -> dict[str, object]:
    """A model whose last layer is the identity in training mode and something else in evaluation mode."""
    return {"model": EvalOnly(*activations), "inputs": SURE}


class EvalOnly(torch.nn.Sequential):
    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return inputs if self.training else super().forward(inputs)


FAR = 6 * SURE
SMOOTH = 0.9 * torch.eye(4) + 0.025
DOUBLE = case(SURE.softmax(1)), case(SURE)
BINARY = case(LOGITS.sigmoid(), YES_NO), case(LOGITS, YES_NO)
COLUMN = LOGITS[:, None]

PADDED = losses_of(SURE / 4, CLASSES)
WEIGHTS = torch.tensor([1.0, 2.0, 30.0])
WEIGHTED = {"losses": F.cross_entropy(LABELS, torch.tensor([0, 2]), WEIGHTS, reduction="none")}

# For the words that a row begins with: where the mistake was made, and the same data without the mistake.
CASES = {
    "loss stuck at 1.46": DOUBLE,
    "the same, but": (case(SURE.sigmoid()), case(SURE - 1)),
    "accuracy fine": DOUBLE,
    "validation loss stuck": (
        model_case(torch.nn.Softmax(dim=1)),
        model_case(),
    ),
    "validation loss rises": (case(10 * LABELS, torch.tensor([2, 0])), case(LABELS, torch.tensor([0, 1]))),
    "BCE loss stuck at 0.6931 for": BINARY,
    "BCE loss stuck at 0.6931, all": (case(LOGITS[:, None], YES_NO), case(LOGITS, YES_NO)),
    "loss 2.303": (losses_of(0 * SURE, CLASSES), losses_of(SURE, CLASSES)),
    "loss far above": (losses_of(SURE, CLASSES.roll(1)), losses_of(0 * SURE, CLASSES)),
    "loss never reaches 0": (
        case(SMOOTH.log(), SMOOTH, loss=F.cross_entropy(SMOOTH.log(), SMOOTH)),
        case(SURE, SMOOTH, loss=F.cross_entropy(SURE, SMOOTH)),
    ),
    "a student that": DOUBLE,
    "a sequence model": (
        case(torch.zeros(2, 7, 5), classes=5),
        case(torch.zeros(2, 5, 7), classes=5),
    ),
    "loss is exactly 0 from": (
        losses_of(COLUMN, YES_NO[:, None]),
        case(COLUMN, losses=F.binary_cross_entropy_with_logits(COLUMN, YES_NO[:, None], reduction="none")),
    ),
    "loss is exactly 0 for": (
        losses_of(SURE, CLASSES),
        # By NumPy: for the twin, each process that collects this test would compile a kernel.
        case(SURE, losses=torch.tensor(logitkit.cross_entropy(CLASSES, logits=SURE, reduction="none"))),
    ),
    "negative cross entropy": (case(SURE.softmax(1)), case(SURE.log_softmax(1))),
    "negative loss that falls": (case(LABELS), case(LABELS.log_softmax(1))),
    "negative BCE": (case(LOGITS, 2 * YES_NO - 1), case(LOGITS, YES_NO)),
    "negative KL": (case(SMOOTH), case(SMOOTH.log())),
    "BCE loss 100": (
        {"losses": F.binary_cross_entropy(torch.zeros(2), torch.ones(2), reduction="none")},
        {"losses": F.binary_cross_entropy_with_logits(torch.tensor([-101.0, 120.0]), YES_NO[:2], reduction="none")},
    ),
    "loss 16.118 or": (
        {"losses": -torch.tensor([1e-7, 0.5]).log()},
        {"losses": torch.tensor([20.0, 0.5])},
    ),
    "loss never above": (
        {"losses": -(torch.tensor([-200.0, 0.5]).sigmoid() + 1e-8).log(), "epsilon": 1e-8},
        {"losses": F.softplus(torch.tensor([200.0, 0.5])), "epsilon": 1e-8},
    ),
    "loss inf, then": (
        case(FAR, CLASSES.roll(1), losses=-FAR.softmax(1).log()[CLASSES, CLASSES.roll(1)]),
        losses_of(FAR, CLASSES.roll(1)),
    ),
    "loss NaN for some": (
        case(SURE, CLASSES * 0 - 100, ignore_index=-100),
        case(SURE, torch.tensor([0, -100, 2, 3]), ignore_index=-100),
    ),
    "loss NaN with masked": (
        case(SURE.log(), loss=F.cross_entropy(SURE.log(), torch.eye(4))),
        case(SURE.log(), loss=F.cross_entropy(SURE.log(), CLASSES)),
    ),
    "loss inf with masked": (
        losses_of(SURE.log(), CLASSES, label_smoothing=0.1),
        losses_of(SURE.log(), CLASSES),
    ),
    "loss finite, gradient": (
        value_and_grad(lambda p: torch.where(p > 0, -p.log(), 0.0)),
        value_and_grad(lambda p: -torch.where(p > 0, p, 1.0).log()),
    ),
    "loss NaN in float16": (case(5e4 * LABELS), case(LABELS)),
    "NaN or 13.8": (case(LOGITS), case(LOGITS.sigmoid())),
    "out of memory": (
        case(torch.zeros(1, 1, dtype=torch.float64).expand(2**14, 2**14)),
        case(SURE),
    ),
    "softmax gives NaN for": (case(torch.full((2, 3), -torch.inf)), case(SURE.log())),
    "softmax written by hand": (
        case(FAR, my_softmax=lambda z: z.exp() / z.exp().sum(1, keepdim=True)),
        case(FAR, my_softmax=lambda z: z.softmax(1)),
    ),
    "all predictions the same": (
        case(COLUMN, predictions=COLUMN.argmax(1)),
        case(COLUMN, predictions=COLUMN > 0),
    ),
    "too few": (
        case(torch.tensor([0.3, 2.0, -1.0]), predictions=torch.tensor([0.3, 2.0, -1.0]) > 0.5),
        case(torch.tensor([0.3, 2.0, -1.0]), predictions=torch.tensor([0.3, 2.0, -1.0]) > 0),
    ),
    "never more than one": ({"probs": LABELS.softmax(1)}, {"probs": LABELS.sigmoid()}),
    "probabilities don't sum": (case(LABELS, probs=LABELS.sigmoid()), case(LABELS, probs=LABELS.softmax(1))),
    "probabilities too high": (case(LOGITS + 3, YES_NO), case(LOGITS, YES_NO)),
    "temperature": (
        case(LABELS, my_softmax=ignoring_temperature),
        case(LABELS, my_softmax=lambda logits, temperature: (logits / temperature).softmax(1)),
    ),
    "logprobs above": (case(LABELS), case(LABELS.log_softmax(1))),
    "a student taught": (
        case(LABELS, (4 * LABELS).log_softmax(1)),
        case(LABELS, LABELS - LABELS.mean(1, keepdim=True)),
    ),
    "samples": DOUBLE,
    "one class predicted": (
        case(SURE, torch.tensor([0, -1, -1, 3]), ignore_index=-100),
        case(SURE, torch.tensor([0, -1, -1, 3]), ignore_index=-1),
    ),
    "the loss depends": (
        PADDED | {"loss": (PADDED["losses"] * YES_NO).mean(), "mask": YES_NO > 0},
        PADDED | {"loss": PADDED["losses"][YES_NO > 0].mean(), "mask": YES_NO > 0},
    ),
    "weighted losses": (
        WEIGHTED | {"loss": F.cross_entropy(LABELS, torch.tensor([0, 2]), WEIGHTS)},
        WEIGHTED | {"loss": F.cross_entropy(LABELS, F.one_hot(torch.tensor([0, 2]), 3).float(), WEIGHTS)},
    ),
}


def test_every_check_has_a_case_and_every_case_a_check() -> None:
    starts = [[start for start in CASES if row[0].startswith(start)] for row in CHECKS]
    assert [len(each) for each in starts] == [1] * len(CHECKS), starts
    assert {each[0] for each in starts} == set(CASES)


@pytest.mark.parametrize("row", CHECKS, ids=lambda row: row[0][:40])
def test_a_check_tells_the_mistake_from_its_absence(row: list[str]) -> None:
    (start,) = (start for start in CASES if row[0].startswith(start))
    wrong, right = CASES[start]
    check = row[3].strip("`")
    assert eval(check, TOOLS | wrong)
    assert not eval(check, TOOLS | right)


def test_every_row_has_a_fix() -> None:
    assert [row[0] for row in SYMPTOMS if not row[2]] == []
