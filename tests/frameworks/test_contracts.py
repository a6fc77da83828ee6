"""Every record of a framework that can be run here is true of the version that is installed."""

from __future__ import annotations

import datetime
import json

import pytest

from logitkit import conventions
from logitkit.conventions import Record

from . import margins
from .conftest import RECORDS, Answers
from .contract import verdict
from .runner import Run

RESULTS = RECORDS.parent / "results.json"


def test_record_is_true_of_its_framework(run: Run, record: Record, answers: Answers) -> None:
    faults = verdict(record, answers.outcomes(run, record), run.backend)
    assert not faults, "\n".join([f"{run}, {record.symbol}", *faults])


def test_stability_is_what_scores_far_apart_show(run: Run, record: Record, answers: Answers) -> None:
    seen = margins.observed(record, answers.far_apart(run, record))
    if seen is None:
        return  # no formula to judge it by: a sampler, an output, a setting
    said = record.case.stability
    assert (said[run.backend] if isinstance(said, conventions.ByBackend) else said) == seen


def test_paths_and_parameters_are_those_of_the_framework(run: Run, record: Record, answers: Answers) -> None:
    """Names, their order, which are by keyword only, and defaults; and every path is one and the same object."""
    found = answers.signature(run, record)
    if found is not None:  # an option, a string: there is nothing to import
        assert found == {"value": [1.0]}, found["message"]


def test_record_names_the_version_that_was_run(run: Run, answers: Answers) -> None:
    if not run.pinned:
        pytest.skip("R is that of the machine: its numbers must be those recorded, its version need not")
    version = answers.versions(run)[run.framework.package]
    behind = [record.symbol for record in run.framework.records if version not in record.versions]
    assert not behind, f"{run} was run with {version}, which `versions` of these records lacks: {', '.join(behind)}"


def test_results_are_those_recorded(run: Run, answers: Answers, request: pytest.FixtureRequest) -> None:
    now = result(run, answers)
    stored = json.loads(RESULTS.read_text("utf-8")) if RESULTS.exists() else {"runs": []}
    if request.config.getoption("record"):
        RESULTS.write_text(written([each for each in stored["runs"] if name(each) != name(now)] + [now]), "utf-8")
        return
    then = [each for each in stored["runs"] if name(each) == name(now)]
    assert then, f"{run} has no recorded results: `make frameworks RECORD=1` records them"
    if not run.pinned:
        then[0]["versions"] = now["versions"]
    changes = drift(then[0], now, {record.symbol: record.case.check.tolerance for record in run.framework.records})
    assert not changes, "\n".join([f"{run} has changed since {then[0]['date']}:", *changes])


def test_results_are_of_frameworks_that_are_still_run() -> None:
    known = {framework.framework for framework in conventions.load(RECORDS) if framework.package}
    assert {run["framework"] for run in conventions.results()["runs"]} <= known


def test_drift_is_told_by_version_symbol_and_number() -> None:
    then = {
        "versions": {"torch": "1.0"},
        "records": {"f": {"check": 0.5, "wrong": [1.0, 2.0]}, "g": {"check": 1.19e-07}},
    }
    now = {"versions": {"torch": "2.0"}, "records": {"f": {"check": 0.25, "wrong": [1.0, 2.0]}, "h": {"check": "nan"}}}
    assert drift(then, now, {}) == [
        "  torch 1.0 -> 2.0",
        "  f, check: 0.5 -> 0.25",
        "  g, check: 1.19e-07 -> None",
        "  h, check: None -> nan",
    ]
    assert drift(then, then, {}) == []


def result(run: Run, answers: Answers) -> dict:
    """A run as it is stored."""
    records = {
        record.symbol: {
            part: number(found)
            for part, found in answers.outcomes(run, record).items()
            if part in {"check", "wrong"} or part.startswith("also")
        }
        for record in run.framework.records
    }
    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    backend = {"backend": run.backend} if run.backend else {}
    return {
        "framework": run.framework.framework,
        **backend,
        "date": today,
        "versions": answers.versions(run),
        "records": records,
    }


def number(outcome: dict) -> float | str | list:
    """An outcome as a reader wants it: a number or a list with six significant digits, or the name of the exception."""
    if "raises" in outcome:
        return outcome["raises"]
    # Strict JSON has no NaN and no infinity.
    values = [float(f"{each:.6g}") if abs(each) < float("inf") else str(each) for each in outcome["value"]]
    return values[0] if len(values) == 1 else values


def written(every: list[dict]) -> str:
    every = sorted(every, key=name)
    return json.dumps({"runs": every}, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def name(result: dict) -> tuple[str, str]:
    return result["framework"], result.get("backend", "")


def drift(then: dict, now: dict, slack: dict[str, float]) -> list[str]:
    """A line for each version and each number that is not as it was recorded."""
    changes = [
        f"  {package} {then['versions'].get(package)} -> {version}"
        for package, version in now["versions"].items()
        if then["versions"].get(package) != version
    ]
    for symbol in sorted(then["records"].keys() | now["records"].keys()):
        old, new = then["records"].get(symbol, {}), now["records"].get(symbol, {})
        for part in sorted(old.keys() | new.keys()):
            if not same(old.get(part), new.get(part), slack.get(symbol, 1e-6)):
                changes.append(f"  {symbol}, {part}: {old.get(part)} -> {new.get(part)}")
    return changes


def same(old: object, new: object, slack: float) -> bool:
    """Numbers may differ as rounding on another machine makes them, and frequencies as their record says."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(same(a, b, slack) for a, b in zip(old, new, strict=True))
    if isinstance(old, float | int) and isinstance(new, float | int):
        tiny = abs(old) < 1e-5 and new == pytest.approx(old, rel=0.02)
        return tiny or new == pytest.approx(old, rel=max(slack, 1e-5), abs=slack)
    return old == new
