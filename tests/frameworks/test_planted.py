"""A wrong record does not pass: neither one with another scale, nor one with another number."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from logitkit.conventions import SCALES, Check, Record

from .conftest import RECORDS, Answers
from .contract import verdict
from .runner import Run


def another(gives: object) -> object:
    """A number that is not this one by a little."""
    if isinstance(gives, dict):
        return {backend: another(each) for backend, each in gives.items()}
    if isinstance(gives, list):
        return [another(gives[0]), *gives[1:]]
    return 0.5 if gives != gives or abs(gives) == float("inf") else gives + max(0.05 * abs(gives), 1e-5)


def planted(check: Check) -> Check:
    return (
        replace(check, raises="KeyboardInterrupt")
        if check.gives is None
        else replace(check, gives=another(check.gives))
    )


def test_another_scale_fails(run: Run, record: Record, answers: Answers) -> None:
    for scale in SCALES:
        if scale != record.holds:
            wrong = replace(record, holds=scale)
            assert verdict(wrong, answers.outcomes(run, record.symbol, scale), run.backend), f"{scale} passes"


def test_another_number_fails(run: Run, record: Record, answers: Answers) -> None:
    outcomes = answers.outcomes(run, record.symbol, record.holds)
    wrongs = [replace(record, check=planted(record.check))]
    wrongs += [replace(record, wrong=planted(record.wrong))] if record.wrong else []
    wrongs += [replace(record, also=[planted(each)]) for each in record.also[:1]]
    for wrong in wrongs:
        assert verdict(wrong, outcomes, run.backend)


PLANTED = {
    "a wrong scale": ('holds = "log-probabilities"', 'holds = "unnormalised scores"'),
    "a wrong number": ("gives = 0.169846", "gives = 0.169746"),
    "a wrong number for the wrong scale": ("gives = 0.657846", "gives = 0.657746"),
    "a version that is not installed": ('versions = ["', 'versions = ["0.'),
}


@pytest.mark.parametrize("what", PLANTED)
def test_run_fails_on_a_copy_of_the_registry_with(what: str, tmp_path: Path) -> None:
    true, false = PLANTED[what]
    text = (RECORDS / "pytorch.toml").read_text("utf-8")
    assert true in text
    (tmp_path / "pytorch.toml").write_text(text.replace(true, false, 1), "utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--confcutdir", Path(__file__).parent, "--records", tmp_path]
    tests = [
        f"{Path(__file__).parent / 'test_contracts.py'}::{test}"
        for test in ("test_record_is_true_of_its_framework", "test_record_names_the_version_that_was_run")
    ]
    done = subprocess.run([*command, *tests], text=True, capture_output=True, check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 failed" in done.stdout, done.stdout
