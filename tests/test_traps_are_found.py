"""Every trap of the book is found by one of the tools."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from logitkit.cli import main
from logitkit.diagnose import diagnose, diagnose_log
from logitkit.torch import ScaleError, guard

CHAPTER = Path(__file__).parents[1] / "chapters" / "traps.ipynb"
X, Y = torch.randn(8, 5, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 4, 0, 1, 2])
YES = (Y > 2).float()
COLUMN = X[:, :1]
CROSS_ENTROPY, BCE = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()
SATURATED = 100 * (2 * torch.rand(500, generator=torch.Generator().manual_seed(0)) - 1).pow(3)
HEAD = nn.Linear(5, 5)
SEQUENCES, TAGS = X[:, None].expand(8, 5, 5), Y[:, None].expand(8, 5)

# The loss, what it's given by mistake and what's right, and the target.
GUARD: dict[str, tuple[Callable[..., Tensor], Tensor, Tensor, Tensor, Tensor]] = {
    "softmax-twice": (CROSS_ENTROPY, HEAD(X).softmax(1), Y, HEAD(X), Y),
    "eval-only": (CROSS_ENTROPY, X.softmax(1), Y, X, Y),
    "ce-sigmoid": (CROSS_ENTROPY, HEAD(X).sigmoid(), Y, HEAD(X), Y),
    "sigmoid-twice": (BCE, SATURATED.sigmoid(), torch.ones(500), SATURATED, torch.ones(500)),
    "distillation": (CROSS_ENTROPY, X.softmax(1), X.softmax(1), X, X.softmax(1)),
    "nll-probs": (nn.NLLLoss(), X.softmax(1), Y, X.log_softmax(1), Y),
    "nll-logits": (nn.NLLLoss(), X, Y, X.log_softmax(1), Y),
    "bce-logits": (nn.BCELoss(), X[:, 0], YES, X[:, 0].sigmoid(), YES),
    "kl": (nn.KLDivLoss(reduction="sum"), X.softmax(1), X.softmax(1), X.log_softmax(1), X.softmax(1)),
    "one-column": (CROSS_ENTROPY, COLUMN, YES[:, None], X[:, :2], Y % 2),
    "target-range": (BCE, X[:, 0], 255 * YES, X[:, 0], YES),
    "padding": (CROSS_ENTROPY, X, torch.where(Y > 2, -1, Y), X, torch.where(Y > 2, -100, Y)),
    "broadcast": (lambda z, y: (F.softplus(z) - y * z).mean(), COLUMN, YES, COLUMN[:, 0], YES),
    "one-hot": (CROSS_ENTROPY, X, F.one_hot(Y, 5), X, F.one_hot(Y, 5).float()),
    "class-axis": (CROSS_ENTROPY, HEAD(SEQUENCES), TAGS, HEAD(SEQUENCES).transpose(1, 2), TAGS),
}

# A step, once by mistake and once right.
MASK, DOUBLED = (Y > 1).float(), torch.full((5,), 2.0)
NOTES = {
    "masked-mean": (
        lambda: (F.cross_entropy(HEAD(X), Y, reduction="none") * MASK).mean(),
        lambda: (F.cross_entropy(HEAD(X), Y, reduction="none") * MASK).sum() / MASK.sum(),
    ),
    "weights": (lambda: F.cross_entropy(HEAD(X), Y, DOUBLED), lambda: F.cross_entropy(HEAD(X), Y, torch.arange(5.0))),
}

MODEL = (
    "import torch, keras\nimport torch.nn.functional as F\nfrom torch import nn\n"
    "from torch.distributions import Categorical\nmodel = nn.Linear(4, 3)\n"
)
# The code, the source, and what's in its gap by mistake and what's right.
CHECK = {
    "softmax-twice": ("LK101", "loss = nn.CrossEntropyLoss()(model(x){}, y)", ".softmax(1)", ""),
    "ce-sigmoid": ("LK101", "loss = F.cross_entropy(model(x){}, y)", ".sigmoid()", ""),
    "sigmoid-twice": ("LK102", "loss = nn.BCEWithLogitsLoss()(model(x){}, y)", ".sigmoid()", ""),
    "distillation": ("LK101", "loss = F.cross_entropy(model(x){}, y.softmax(1))", ".softmax(1)", ""),
    "nll-probs": ("LK104", "loss = F.nll_loss(model(x).{}(1), y)", "softmax", "log_softmax"),
    "nll-logits": ("LK104", "loss = F.nll_loss(model(x){}, y)", "", ".log_softmax(1)"),
    "bce-logits": ("LK103", "loss = F.binary_cross_entropy(model(x){}, y)", "", ".sigmoid()"),
    "kl": ("LK104", "loss = F.kl_div(model(x).{}(1), y, reduction='batchmean')", "softmax", "log_softmax"),
    "categorical": ("LK108", "act = Categorical({}=torch.softmax(model(x), dim=1)).sample()", "logits", "probs"),
    "threshold": ("LK107", "z = model(x)\nloss = nn.BCEWithLogitsLoss()(z, y)\nyes = z > {}", "0.5", "0"),
    "threshold-softmax": ("LK102", "loss = nn.BCEWithLogitsLoss()({}, y)", "model(x).softmax(1)", "model(x)"),
    "temperature": (
        "LK110",
        "temperature = y\nq = torch.multinomial(torch.softmax(model(x){}, 1)",
        ", dim=-1) / temperature",
        " / temperature, dim=-1)",
    ),
    "log-softmax": ("LK109", "loss = nn.NLLLoss()({}, y)", "model(x).softmax(1).log()", "model(x).log_softmax(1)"),
    "keras": (
        "LK103",
        "net = keras.Sequential([keras.layers.Dense(3{})])\nnet.compile('adam', 'categorical_crossentropy')",
        "",
        ", activation='softmax'",
    ),
    "argmax-column": ("LK106", "yes = nn.Linear(4, 1)(x){}", ".argmax(-1)", " > 0"),
    "names": (
        "LK105",
        "net = keras.Sequential([keras.layers.Dense(3, activation='softmax')])\n"
        "net.compile('adam', keras.losses.CategoricalCrossentropy(from_logits={}))",
        "True",
        "False",
    ),
}

DIAGNOSE = {
    "epsilon": (diagnose(27.631), "an epsilon inside the logarithm"),
    "bce-clamp": (diagnose(100.0), "clamps each logarithm at -100"),
    "logit-of-output": (diagnose(X), "logits"),
    "log-softmax": (diagnose_log([1.0, 0.9, math.inf, math.nan]), "the logarithm of a probability that rounds to 0"),
    "keras": (diagnose(16.1181), "as in Keras"),
    "broadcast": (diagnose(0.6931, positive_rate=0.5), "the entropy of the class shares"),
    "softmax-twice": (diagnose(1.4615), "probabilities into a loss that applies softmax"),
    "eval-only": (diagnose_log([0.9] + 30 * [0.7441], classes=4), "probabilities into a loss that applies softmax"),
    "ce-sigmoid": (diagnose(1.4612, classes=10), "probabilities into a loss that applies softmax"),
    "sigmoid-twice": (diagnose(0.6172, positive_rate=0.2), "probabilities into a binary loss that applies sigmoid"),
    "nll-probs": (diagnose(-0.8438), "probabilities into NLLLoss"),
    "nll-logits": (diagnose_log([0.0, -100.0, -200.0, -300.0]), "raw logits into NLLLoss"),
    "one-column": (diagnose(0.0), "a softmax over a single output column"),
    "target-range": (diagnose(255 * YES), "a mask image"),
}

NO_TRAP = {"numbers", "tools", "not-bugs", "overfit"}
TEXT = "\n".join(cell.source for cell in nbformat.read(CHAPTER, as_version=4).cells)
SECTIONS = dict(re.findall(r"^\(traps-([\w-]+)\)=\n(.*?)(?=^\([\w-]+\)=$|\Z)", TEXT, flags=re.MULTILINE | re.DOTALL))


def test_no_trap_is_left_out() -> None:
    assert set(SECTIONS) - NO_TRAP == {*GUARD, *NOTES, *CHECK, *DIAGNOSE}


@pytest.mark.parametrize("name", sorted(set(SECTIONS) - NO_TRAP))
def test_the_chapter_says_which_tools_find_it(name: str) -> None:
    (said,) = re.findall(r"\*\*[Ff]ound by\*\*(.*)$", SECTIONS[name], flags=re.MULTILINE)
    tools = {"check": CHECK, "guard": GUARD | NOTES, "diagnose": DIAGNOSE}
    assert set(re.findall(r"`(check|guard|diagnose)`", said)) == {
        tool for tool, found in tools.items() if name in found
    }
    assert re.findall("LK\\d+", said) == ([CHECK[name][0]] if name in CHECK else [])


@pytest.mark.parametrize("name", GUARD)
def test_guard_finds_it_and_passes_what_is_right(name: str) -> None:
    criterion, wrong, wrong_target, right, right_target = GUARD[name]
    if isinstance(criterion, nn.Module):
        criterion = type(criterion)(reduction=criterion.reduction)
    assert torch.isfinite(guard(criterion)(right, right_target))
    with pytest.raises(ScaleError):
        guard(criterion)(wrong, wrong_target)


@pytest.mark.parametrize("name", NOTES)
def test_guard_notes_it_once_and_nothing_about_what_is_right(name: str, caplog: pytest.LogCaptureFixture) -> None:
    wrong, right = NOTES[name]
    with caplog.at_level("INFO", "logitkit.guard"):
        with guard():
            right()
        assert not caplog.records
        step = guard()
        for _ in range(3):
            with step:
                wrong()
    assert len(caplog.records) == 1


@pytest.mark.parametrize("name", CHECK)
def test_check_finds_it_and_passes_what_is_right(name: str, tmp_path: Path, capsys) -> None:
    code, body, wrong, right = CHECK[name]
    for filling, found in ((wrong, True), (right, False)):
        lines = ["def train(x, y):", *(f"    {line}" for line in body.format(filling).splitlines())]
        (tmp_path / "train.py").write_text(MODEL + "\n".join(lines) + "\n")
        main(["check", "--no-cache", "--format", "github", str(tmp_path)])
        assert (code in capsys.readouterr().out) == found


@pytest.mark.parametrize("name", DIAGNOSE)
def test_diagnose_finds_it(name: str) -> None:
    diagnosis, title = DIAGNOSE[name]
    assert title in " ".join(finding.title for finding in diagnosis.findings)
