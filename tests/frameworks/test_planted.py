"""A wrong record does not pass: neither one with another scale, nor one with another number."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from logitkit.conventions import Check, Record

from .conftest import RECORDS, Answers
from .contract import DISTRIBUTIONS, reads_the_scale, verdict
from .runner import Run


def another(gives: object, slack: float) -> object:
    """A number that is not this one by a little."""
    if isinstance(gives, Mapping):
        return {backend: another(each, slack) for backend, each in gives.items()}
    if isinstance(gives, list | tuple):
        return [another(gives[0], slack), *gives[1:]]
    return 0.5 if gives != gives or abs(gives) == float("inf") else gives + max(0.05 * abs(gives), 10 * slack)


def planted(check: Check, slack: float) -> Check:
    return replace(check, **({"raises": "X"} if check.gives is None else {"gives": another(check.gives, slack)}))


def test_another_scale_fails(run: Run, record: Record, answers: Answers) -> None:
    if record.scale not in DISTRIBUTIONS or not reads_the_scale(record):
        return  # a fixed input and one number for it: `test_another_number_fails` is all that can be planted
    for scale in DISTRIBUTIONS:
        if scale != record.scale:
            wrong = record.on(scale)
            assert verdict(wrong, answers.outcomes(run, wrong), run.backend), f"{scale} passes"


def test_another_number_fails(run: Run, record: Record, answers: Answers) -> None:
    outcomes = answers.outcomes(run, record)
    case, slack = record.case, record.case.check.tolerance
    wrongs = [replace(case, check=planted(case.check, slack))]
    wrongs += [replace(case, wrong=planted(case.wrong, slack))] if case.wrong else []
    for number, each in enumerate(case.also):
        also = (*case.also[:number], planted(each, each.tolerance), *case.also[number + 1 :])
        wrongs.append(replace(case, also=also))
    for wrong in wrongs:
        assert verdict(replace(record, case=wrong), outcomes, run.backend)


TRUE, SAME = "record_is_true_of_its_framework", "paths_and_parameters_are_those_of_the_framework"
# What is planted in a copy of PyTorch's records, by the symbol whose record it spoils, and the test that must find it.
PLANTED = {
    "torch.nn.functional.nll_loss": ('\nscale = "log-probabilities"', '\nscale = "logits"', TRUE),
    "torch.nn.functional.cross_entropy": ("gives = 0.169846", "gives = 0.169746", TRUE),
    "torch.nn.CrossEntropyLoss": ("gives = 0.657846", "gives = 0.657746", TRUE),
    "torch.nn.BCELoss": ('raises = "RuntimeError"', 'raises = "ValueError"', TRUE),
    "torch.logit": ("gives = 2.0", "gives = 2.1", TRUE),
    "torch.nn.functional.kl_div": ('call = "input, target', 'call = "target, input', SAME),
    "torch.nn.functional.gumbel_softmax": ("tau=1", "tau=2", SAME),
    "torch.nn.BCEWithLogitsLoss": ("modules.loss.BCEWithLogitsLoss", "modules.loss.BCELoss", SAME),
}


def test_run_fails_on_a_copy_of_the_registry_where_it_is_wrong(tmp_path: Path) -> None:
    head, *parts = (RECORDS / "pytorch.toml").read_text("utf-8").split("[[callable]]\n")
    for symbol, (true, false, _) in PLANTED.items():
        (number,) = (number for number, part in enumerate(parts) if part.startswith(f'symbol = "{symbol}"\n'))
        assert true in parts[number]
        parts[number] = parts[number].replace(true, false, 1)
    head = head.replace('versions = ["', 'versions = ["0.')
    (tmp_path / "pytorch.toml").write_text("[[callable]]\n".join([head, *parts]), "utf-8")
    here = Path(__file__).parent
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--confcutdir={here}",
        f"--records={tmp_path}",
    ]
    done = subprocess.run([*command, here / "test_contracts.py"], text=True, capture_output=True, check=False)
    failed = set(re.findall(r"^FAILED .*::(\w+\[.*?\])", done.stdout, re.M))
    wanted = {f"test_{name}[PyTorch: {symbol}]" for symbol, (_, _, name) in PLANTED.items()}
    assert done.returncode == 1, done.stdout + done.stderr
    # A wrong scale feeds other numbers, so the results drift and show another stability.
    wanted |= {"test_stability_is_what_scores_far_apart_show[PyTorch: torch.nn.functional.nll_loss]"}
    wanted |= {
        f"test_{name}[PyTorch]" for name in ("record_names_the_version_that_was_run", "results_are_those_recorded")
    }
    assert failed == wanted, done.stdout
