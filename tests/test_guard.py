"""The guard objects to what contradicts a loss, with the first batch, and is silent about real logits."""

from __future__ import annotations

import contextlib
import copy
import functools
import linecache
import pickle
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn

import logitkit.torch as lt
from logitkit.torch import ScaleError, ScaleWarning, guard
from logitkit.torch.guard import _Watch
from tests import parallel_jobs as jobs
from tests.processes import Processes

PIXELS, DIGITS = (torch.tensor(each) for each in load_digits(return_X_y=True))
PIXELS = (PIXELS / 16).float()
LABELS = F.one_hot(DIGITS, 10).float()
EVEN = (DIGITS % 2 == 0).float()


class Attention(nn.Module):
    """A small transformer over the rows of an image: softmax inside is right."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True)
        self.head = nn.Linear(8, 10)

    def forward(self, pixels: Tensor) -> Tensor:
        return self.head(self.encoder(pixels.unflatten(1, (8, 8))).mean(1))


def cnn() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))


def segmenter() -> nn.Module:
    return nn.Sequential(nn.Unflatten(1, (1, 8, 8)), nn.Conv2d(1, 3, 3, padding=1))


def mlp(outputs: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, outputs))


BRIGHT = (PIXELS.unflatten(1, (8, 8)) * 2.99).long()
SOFT = 0.9 * LABELS + 0.01
PADDED = torch.where(torch.arange(len(DIGITS)) % 3 == 0, -1, DIGITS)
RUNS = {
    "mlp": (mlp(10), nn.CrossEntropyLoss(), DIGITS, lambda z: z.softmax(1)),
    "cnn": (cnn, nn.CrossEntropyLoss(), DIGITS, lambda z: z.softmax(1)),
    "transformer": (Attention, nn.CrossEntropyLoss(), DIGITS, lambda z: z.sigmoid()),
    "binary": (mlp(1), nn.BCEWithLogitsLoss(), EVEN[:, None], lambda z: z.sigmoid()),
    "multi-label": (mlp(10), nn.BCEWithLogitsLoss(), LABELS, lambda z: z.sigmoid()),
    "multi-label, softmax": (mlp(10), nn.BCEWithLogitsLoss(), LABELS, lambda z: z.softmax(1)),
    "segmentation": (segmenter, nn.CrossEntropyLoss(), BRIGHT, lambda z: z.softmax(1)),
    "smoothing": (mlp(10), nn.CrossEntropyLoss(label_smoothing=0.1), DIGITS, lambda z: z.softmax(1)),
    "soft targets": (mlp(10), nn.CrossEntropyLoss(), SOFT, lambda z: z.softmax(1)),
    "ignore_index": (mlp(10), nn.CrossEntropyLoss(ignore_index=-1), PADDED, lambda z: z.softmax(1)),
    "twin": (mlp(10), lt.CrossEntropyLoss(), DIGITS, lambda z: z.softmax(1)),
    "function": (mlp(10), F.cross_entropy, DIGITS, lambda z: z.softmax(1)),
    "partial": (mlp(10), functools.partial(F.cross_entropy, ignore_index=-1), PADDED, lambda z: z.softmax(1)),
}


def train(criterion: Callable[..., Tensor], make: Callable[[], nn.Module], target: Tensor, activation: Callable) -> int:
    """Train for an epoch with an evaluation at the end; the number of batches that went well."""
    torch.manual_seed(0)
    model = make()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for step in range(20):
        batch = slice(64 * step, 64 * step + 64)
        optimizer.zero_grad()
        criterion(activation(model(PIXELS[batch])), target[batch]).backward()
        optimizer.step()
    with torch.no_grad():
        for step in range(10):
            criterion(activation(model(PIXELS[64 * step :][:64])), target[64 * step :][:64])
    return 30


@pytest.mark.parametrize("name", RUNS)
def test_silent_in_a_correct_run_and_loud_at_its_first_batch_with_the_mistake(name: str) -> None:
    make, criterion, target, activation = RUNS[name]
    assert train(guard(copy.deepcopy(criterion)), make, target, lambda z: z) == 30
    torch.manual_seed(0)
    with pytest.raises(ScaleError, match="the output of a s"):
        guard(copy.deepcopy(criterion))(activation(make()(PIXELS[:64])), target[:64])


@pytest.mark.parametrize("name", ["mlp", "segmentation", "soft targets", "twin"])
def test_softmax_in_evaluation_only_is_found_after_a_clean_training(name: str) -> None:
    make, criterion, target, activation = RUNS[name]
    criterion, model = guard(copy.deepcopy(criterion)), make()
    for _ in range(20):
        criterion(model(PIXELS[:64]), target[:64])
    with torch.no_grad(), pytest.raises(ScaleError, match="rows sum to 1"):
        criterion(activation(model(PIXELS[:64])), target[:64])


def test_sigmoid_in_evaluation_is_found_by_its_bounds() -> None:
    torch.manual_seed(0)
    outputs = (torch.randn(2000) * 4).sigmoid()
    with pytest.raises(ScaleError, match="never leaves"):
        guard(nn.BCEWithLogitsLoss())(outputs, (outputs > 0.5).float())


X, Y = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
YES = (Y > 2).float()
WRONG = {
    "logits into BCELoss": (nn.BCELoss(), X[:, 0], YES, "lie between"),
    "logits into NLLLoss": (nn.NLLLoss(), X, Y, "above 0"),
    "probabilities into NLLLoss": (nn.NLLLoss(), X.softmax(1), Y, "above 0"),
    "probabilities into KLDivLoss": (nn.KLDivLoss(reduction="batchmean"), X.softmax(1), X.softmax(1), "above 0"),
    "logarithms as KLDivLoss's target": (
        nn.KLDivLoss(reduction="batchmean"), X.log_softmax(1), X.log_softmax(1), "negative",
    ),
    "probabilities with log_target": (
        nn.KLDivLoss(reduction="batchmean", log_target=True), X.log_softmax(1), X.softmax(1), "log_target",
    ),
    "a mask of 255": (nn.BCEWithLogitsLoss(), X[:, 0], 255 * YES, "255"),
    "labels -1 and 1": (nn.BCEWithLogitsLoss(), X[:, 0], 2 * YES - 1, "negative"),
    "swapped": (nn.BCEWithLogitsLoss(), YES, 2 * X[:, 0], "swapped"),
    "labels from 1": (nn.CrossEntropyLoss(), X, Y + 1, "index 5"),
    "padding not named": (nn.CrossEntropyLoss(), X, Y - 1, "index -1"),
    "one column": (nn.CrossEntropyLoss(), X[:, :1], YES[:, None], "single column"),
    "distillation": (nn.CrossEntropyLoss(), X.softmax(1), X.softmax(1), "rows sum to 1"),
    "half": (nn.CrossEntropyLoss(), X.softmax(1).bfloat16(), Y, "rows sum to 1"),
    "broadcast": (lambda z, y: (F.softplus(z) - y * z).mean(), X[:, :1], YES, "broadcast"),
    "inside": (lambda z, y: F.cross_entropy(z.softmax(1), y), X, Y, "rows sum to 1"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_contradiction_in_the_values_is_found_in_the_first_batch(name: str) -> None:
    criterion, outputs, target, evidence = WRONG[name]
    with pytest.raises(ScaleError, match=evidence):
        guard(copy.deepcopy(criterion))(outputs, target)
    refusals = contextlib.suppress(RuntimeError, IndexError)  # of PyTorch itself, after the warning
    with pytest.warns(ScaleWarning, match=evidence), torch.no_grad(), refusals:
        guard(copy.deepcopy(criterion), action="warn")(outputs, target)


class UnknownLoss(nn.Module):
    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        return (F.softplus(outputs) - target * outputs).mean()


def in_a_step(outputs: Tensor, target: Tensor) -> Tensor:
    with guard(action="warn"):
        return F.cross_entropy(outputs, target)  # named


CALLS = {
    "module": (guard(nn.CrossEntropyLoss(), action="warn"), Y),
    "function": (guard(F.cross_entropy, action="warn"), Y),
    "options bound": (guard(functools.partial(F.cross_entropy, label_smoothing=0.1), action="warn"), Y),
    "loss inside a function": (guard(lambda z, y: F.cross_entropy(z, y), action="warn"), Y),  # named
    "step": (in_a_step, Y),
    "module of one's own": (guard(UnknownLoss(), action="warn"), YES),
    "function of one's own": (guard(UnknownLoss().forward, action="warn"), YES),
    "compiled": (torch.compile(guard(nn.CrossEntropyLoss(), action="warn"), backend="aot_eager"), Y),
}


@pytest.mark.parametrize("name", CALLS)
def test_warning_names_the_line_of_the_user(name: str) -> None:
    call, target = CALLS[name]
    with pytest.warns(ScaleWarning) as warned:
        call(X.softmax(1)[:, : 1 if target is YES else None], target)  # named
    (own,) = warned
    assert own.filename == __file__
    assert linecache.getline(own.filename, own.lineno).endswith("# named\n")


def test_log_softmax_too_many_is_noted_once(caplog: pytest.LogCaptureFixture) -> None:
    criterion = guard(nn.CrossEntropyLoss())
    with caplog.at_level("INFO", "logitkit.guard"):
        for _ in range(3):
            criterion(X.clone().requires_grad_().log_softmax(1), Y)
    (noted,) = caplog.messages
    assert "log-softmax" in noted


class OwnLoss(nn.Module):
    def forward(self, outputs: Tensor, target: Tensor) -> Tensor:
        factor = 1 + F.nll_loss(outputs.softmax(1), target, reduction="none")  # a look-up, as in focal losses
        return (factor * F.cross_entropy(outputs, target, reduction="none")).mean()


def test_losses_inside_a_loss_of_ones_own_and_inside_a_step_are_seen() -> None:
    assert torch.isfinite(guard(OwnLoss())(X, Y))
    with pytest.raises(ScaleError):
        guard(OwnLoss())(X.softmax(1), Y)
    step = guard()
    for _ in range(3):
        with step:
            nn.CrossEntropyLoss()(X, Y)
    with pytest.raises(ScaleError), guard():
        nn.CrossEntropyLoss()(X.softmax(1), Y)
    nn.CrossEntropyLoss()(X.softmax(1), Y)  # nobody watches any more


@pytest.mark.parametrize(
    "outputs",
    [
        torch.zeros(4, 5),
        torch.full((4, 5), 0.2),
        torch.eye(5),
        1e-4 * X,
        X[:1],
        torch.ones(1, 5) / 5,
        X.log_softmax(1),
        X.relu(),
        torch.tensor([[0.25, 0.75]]),
        torch.zeros(6, 1),
        torch.full((8, 5), -torch.inf).index_fill(1, torch.tensor([0]), 0.0),
    ],
    ids=lambda outputs: str(tuple(outputs.shape)),
)
def test_no_alarm_at_initialization_on_one_hot_rows_and_on_tiny_batches(outputs: Tensor) -> None:
    criterion = guard(nn.CrossEntropyLoss())
    for _ in range(40):
        criterion(outputs, torch.zeros(len(outputs), dtype=torch.long))


def test_no_alarm_on_logits_of_any_size_shape_and_dtype() -> None:
    draw = torch.Generator().manual_seed(0)
    for trial in range(600):
        classes = int(torch.randint(2, 12, (), generator=draw))
        rows = int(torch.randint(1, 9, (), generator=draw))
        scale = 10.0 ** float(torch.randint(-4, 3, (), generator=draw))
        dtype = (torch.float32, torch.bfloat16, torch.float16, torch.float64)[trial % 4]
        bias = torch.rand(classes, generator=draw) * (trial % 3) / 2
        softmax, sigmoid = guard(nn.CrossEntropyLoss()), guard(nn.BCEWithLogitsLoss())
        for _ in range(4):
            outputs = (scale * torch.randn(rows, classes, generator=draw) + bias).to(dtype)
            softmax(outputs.float() if dtype == torch.float16 else outputs, torch.zeros(rows, dtype=torch.long))
            sigmoid(outputs, torch.ones_like(outputs))


def test_no_alarm_on_a_weak_model_whose_log_odds_all_lie_between_0_and_1() -> None:
    torch.manual_seed(0)
    criterion = guard(nn.BCEWithLogitsLoss())
    for _ in range(200):
        criterion(0.45 + 0.08 * torch.randn(256), torch.ones(256))


def test_hook_leaves_once_both_modes_are_clear_and_state_and_copies_stay_the_same() -> None:
    plain = nn.CrossEntropyLoss(weight=torch.ones(5))
    criterion = guard(copy.deepcopy(plain))
    assert type(criterion) is nn.CrossEntropyLoss
    assert list(criterion.state_dict()) == list(plain.state_dict())
    copies = [copy.deepcopy(criterion), pickle.loads(pickle.dumps(criterion))]
    for each in [criterion, *copies]:
        for _ in range(9):  # the call after the last look takes the hook off
            each(X.clone().requires_grad_(), Y)
            with torch.no_grad():
                each(X, Y)
        assert not each._forward_pre_hooks
    with pytest.raises(ScaleError):
        pickle.loads(pickle.dumps(guard(nn.CrossEntropyLoss())))(X.softmax(1), Y)


@pytest.mark.parametrize(
    "criterion", [nn.CrossEntropyLoss(), F.cross_entropy, OwnLoss()], ids=["module", "function", "own"]
)
def test_clear_training_is_not_looked_at_again_and_the_first_evaluation_is(
    criterion: Callable[..., Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[bool] = []
    look = _Watch.check
    monkeypatch.setattr(_Watch, "check", lambda *given: (looks.append(torch.is_grad_enabled()), look(*given)))
    watched = guard(copy.deepcopy(criterion))
    for _ in range(100):
        watched(X, Y)
    assert looks == [True] * 8
    with torch.no_grad(), pytest.raises(ScaleError, match="rows sum to 1"):
        watched(X.softmax(1), Y)
    assert looks == [True] * 8 + [False]


class Lit(nn.Module):
    """The shape of a LightningModule: the losses are its own, and its steps are called from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(5, 5)
        self.criterion = guard(nn.CrossEntropyLoss())
        self.guard = guard()

    def training_step(self, activation: Callable[[Tensor], Tensor]) -> Tensor:
        return self.criterion(activation(self.head(X)), Y)

    def functional_step(self, activation: Callable[[Tensor], Tensor]) -> Tensor:
        with self.guard:
            return F.cross_entropy(activation(self.head(X)), Y)


@pytest.mark.parametrize("step", [Lit.training_step, Lit.functional_step])
def test_guard_sits_within_a_module_and_leaves_nothing_behind_when_a_step_fails(step: Callable[..., Tensor]) -> None:
    right, wrong = Lit(), Lit()
    assert torch.isfinite(step(right, lambda z: z))
    with pytest.raises(ScaleError, match="output of a softmax"):
        step(wrong, lambda z: z.softmax(1))
    assert not torch.overrides._get_current_function_mode_stack()
    assert step(pickle.loads(pickle.dumps(right)), lambda z: z).requires_grad


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss(), F.cross_entropy], ids=["module", "function"])
def test_compiled_whole_without_a_graph_break(criterion: Callable[..., Tensor]) -> None:
    def step(loss: Callable[..., Tensor], outputs: Tensor) -> Tensor:
        return loss(outputs, Y)

    compiled = torch.compile(step, fullgraph=True, backend="aot_eager")
    right = guard(copy.deepcopy(criterion))
    for _ in range(10):
        assert torch.isclose(compiled(right, X), F.cross_entropy(X, Y))
    with pytest.raises(ScaleError, match="rows sum to 1"):
        compiled(guard(copy.deepcopy(criterion)), X.softmax(1))


def test_works_under_autocast_and_dataparallel() -> None:
    torch.manual_seed(0)
    model = nn.DataParallel(nn.Sequential(nn.Linear(5, 5), nn.Softmax(1)))
    for dtype in (torch.bfloat16, torch.float16):
        with torch.autocast("cpu", dtype=dtype):
            assert torch.isfinite(guard(nn.CrossEntropyLoss())(model.module[0](X), Y))
            with pytest.raises(ScaleError, match="output of a softmax"):
                guard(nn.CrossEntropyLoss())(model(X), Y)


@pytest.mark.slow
def test_works_under_ddp_in_two_processes(tmp_path) -> None:
    with contextlib.closing(Processes(2, tmp_path / "store")) as processes:
        assert processes.run(jobs.guard_stops_probabilities_of_a_replica, X, Y) == [True, True]


@pytest.mark.parametrize(("arguments", "error"), [({"action": "shout"}, ValueError), ({"criterion": 3}, TypeError)])
def test_misuse_is_refused(arguments: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        guard(**arguments)


def test_no_alarm_on_classes_that_are_on_the_second_axis() -> None:
    features, tags = torch.randn(6, 5, 7), torch.randint(5, (6, 7))
    head = nn.Linear(7, 35)
    guard(nn.CrossEntropyLoss())(head(features[:, 0]).view(6, 5, 7), tags)
    guard(nn.CrossEntropyLoss())(nn.Linear(5, 5)(features.transpose(1, 2)).transpose(1, 2), tags)
    guard(nn.CrossEntropyLoss())(features, torch.full((6, 5, 7), 0.2))
    with pytest.raises(ScaleError, match="last axis"):
        guard(nn.CrossEntropyLoss())(torch.randn(6, 4, 5), torch.randn(6, 4, 5).softmax(-1))


def test_an_exception_in_a_step_leaves_nothing_behind_and_two_guards_agree() -> None:
    with pytest.raises(ZeroDivisionError), guard():
        raise ZeroDivisionError
    F.cross_entropy(X.softmax(1), Y)  # nobody watches any more
    twice = guard(guard(nn.CrossEntropyLoss()))
    assert torch.isfinite(twice(X, Y))
    with pytest.raises(ScaleError), guard():
        twice(X.softmax(1), Y)
    assert not torch.overrides._get_current_function_mode_stack()
