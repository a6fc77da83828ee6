"""`logitkit diagnose` finds what training runs with a mistake show, and is silent about numbers that say nothing."""

from __future__ import annotations

import json
import math
import random
import re
import shlex
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits

import logitkit as lk
from logitkit import conventions
from logitkit.cli import main
from logitkit.diagnose import _tells, diagnose, diagnose_log, losses_of, read_log

ROOT = Path(__file__).parents[1]
TWICE = _tells.CAUSES["double softmax"].title
SIGMOID_TWICE = _tells.CAUSES["double sigmoid"].title
CHANCE = _tells.CAUSES["chance"].title


def title(number: object, **known: object) -> str | None:
    findings = diagnose(number, **known).findings
    return findings[0].title if findings else None


# --- every constant against the real thing


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


# --- runs on real data


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


# --- numbers


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


# --- arrays

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


# --- logs

LOSSES = [2.5, 1.25, 0.5]


def record(payload: bytes) -> bytes:
    return struct.pack("<QI", len(payload), 0) + payload + b"\0" * 4


def field(number: int, payload: bytes) -> bytes:
    return bytes([number << 3 | 2, len(payload)]) + payload


def events(losses: list[float]) -> bytes:
    """An event file as TensorBoard writes it: alternately with a simple value and with a tensor."""
    data = record(b"\x09" + struct.pack("<d", 1.0) + field(3, b"brain.Event:2"))
    for step, loss in enumerate(losses):
        tensor = b"\x08\x01" + field(4, struct.pack("<f", loss))
        value = field(1, b"train/loss") + (field(8, tensor) if step % 2 else b"\x15" + struct.pack("<f", loss))
        data += record(b"\x09" + struct.pack("<d", 2.0) + b"\x10" + bytes([step]) + field(5, field(1, value)))
    return data


@pytest.mark.parametrize(
    "text",
    [
        "step,loss,acc\n1,2.5,0.1\n2,1.25,0.2\n3,0.5,0.3\n",
        "step\tloss\n1\t2.5\n2\t1.25\n3\t0.5\n",
        "loss\n2.5\n1.25\n0.5\n",
        "2.5\n1.25\n0.5\n",
        "2.5, 1.25, 0.5",
        '{"loss": 2.5, "step": 1}\n{"loss": 1.25}\n{"acc": 0.2}\n{"loss": 0.5}\n',
        "{'loss': 2.5, 'epoch': 1}\n{'loss': 1.25}\n{'loss': 0.5}\n",
        '[{"loss": 2.5}, {"loss": 1.25}, {"loss": 0.5}]',
        '{"loss": [2.5, 1.25, 0.5], "acc": [0.1, 0.2, 0.3]}',
        '{"epoch": 3, "log_history": [{"loss": 2.5}, {"loss": 1.25}, {"loss": 0.5}]}',
        "[2.5, 1.25, 0.5]",
        "Epoch 1/3 - acc: 0.10 - loss: 2.5\nEpoch 2/3 - loss: 1.25\nepoch 3 loss=0.5\n",
    ],
)
def test_log_is_read_as_people_have_it(text: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(text)
    assert losses_of(read_log(tmp_path / "log")) == {"loss": LOSSES}


def test_event_file_of_tensorboard_is_read_up_to_where_it_is_cut_off(tmp_path: Path) -> None:
    path = tmp_path / "run" / "events.out.tfevents.1.host"
    path.parent.mkdir()
    path.write_bytes(events([*LOSSES, 9.0])[:-7])
    assert read_log(tmp_path) == read_log(path) == {"train/loss": LOSSES}


@pytest.mark.parametrize("content", [b"", b"\x00\xff\x13", b"hello", b'{"a": "b"}', b"a,b\nx,y\n"])
def test_file_without_numbers_is_one_line_and_exit_2(content: bytes, tmp_path: Path, capsys) -> None:
    (tmp_path / "log").write_bytes(content)
    assert main(["diagnose", str(tmp_path / "log")]) == 2
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)


# --- the command


def test_command_exits_0_with_a_match_1_without_and_2_when_misused(tmp_path, capsys) -> None:
    (tmp_path / "log.csv").write_text("a,b\n1,2\n1,2\n")
    assert main(["diagnose", "1.4615", "--classes", "10"]) == 0
    assert "log(e + C - 1) - 1" in capsys.readouterr().out
    assert main(["diagnose", "1.2", "--classes", "10"]) == 1
    assert "Nothing that we know matches." in capsys.readouterr().out
    for words in (["nowhere.csv"], ["1.0", "--classes", "1"], ["1.0", "--shares", "x"], [str(tmp_path / "log.csv")]):
        assert main(["diagnose", *words]) == 2
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
    assert main(["diagnose", str(tmp_path / "log.csv"), "--column", "b", "--format", "json"]) in (0, 1)
    assert json.loads(capsys.readouterr().out)[0]["subject"].startswith("b: 2 losses")


def test_training_loss_and_validation_loss_are_diagnosed_each(tmp_path, capsys) -> None:
    rows = [f"{2.3 * 0.8**step},{1.55 + 0.001 * (step % 2)}" for step in range(40)]
    (tmp_path / "log.csv").write_text("\n".join(["loss,val_loss", *rows]))
    assert main(["diagnose", str(tmp_path / "log.csv"), "--classes", "10"]) == 0
    train, held_out = capsys.readouterr().out.split("Val_loss: ")
    assert TWICE not in train
    assert TWICE in held_out


def test_array_in_a_file_is_diagnosed(tmp_path, capsys) -> None:
    np.save(tmp_path / "outputs.npy", lk.softmax(LOGITS))
    assert main(["diagnose", str(tmp_path / "outputs.npy")]) == 0
    assert "probabilities of a softmax" in capsys.readouterr().out


def test_numbers_and_logs_need_no_numpy() -> None:
    code = "import sys; sys.modules['numpy'] = None; from logitkit.diagnose import diagnose; print(diagnose(1.4615))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True, check=False)
    assert TWICE in done.stdout, done.stderr


def test_page_shows_what_the_command_prints(capsys: pytest.CaptureFixture[str]) -> None:
    page = (ROOT / "chapters" / "diagnose.md").read_text("utf-8")
    command, shown = re.search(r"```text\n\$ logitkit (.*?)\n(.*?)```", page, re.DOTALL).groups()
    assert main(shlex.split(command)) == 0
    assert capsys.readouterr().out == shown
