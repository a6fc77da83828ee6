"""The frameworks are run once, all of their calls in one process each; the tests judge what came out."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from logitkit import conventions
from logitkit.conventions import SCALES, Record

from . import margins
from .contract import Job, MisfitError, jobs, signature
from .runner import Run, execute, runs

RECORDS = Path(conventions.__file__).parent / "records"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--records", type=Path, default=RECORDS, help="another folder of records")
    parser.addoption("--record", action="store_true", help="write what came out to results.json")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    frameworks = conventions.load(metafunc.config.getoption("records"))
    every = [run for framework in frameworks if framework.package for run in runs(framework)]
    if {"run", "record"} <= set(metafunc.fixturenames):
        cases = [(run, record) for run in every for record in run.framework.records]
        metafunc.parametrize(("run", "record"), cases, ids=[f"{run}: {record.symbol}" for run, record in cases])
    elif "run" in metafunc.fixturenames:
        metafunc.parametrize("run", every, ids=str)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    terminalreporter.section("records that were not run")
    for framework in conventions.load(config.getoption("records")):
        why = framework.not_run or runs(framework)[0].missing()
        if why:
            terminalreporter.write_line(f"{framework.framework}: {len(framework.records)}: {why}")


class Answers:
    """What the frameworks answered: a run's versions, and the outcomes of a record as it is or with another scale."""

    def __init__(self, every: list[Run]) -> None:
        self._pool = ThreadPoolExecutor(max_workers=os.cpu_count())
        self._missing = {str(run): run.missing() for run in every}
        present = [run for run in every if not self._missing[str(run)]]
        self._futures = {str(run): self._pool.submit(execute, run, _distinct(run)) for run in present}

    def versions(self, run: Run) -> dict[str, str]:
        return self._of(run)[0]

    def outcomes(self, run: Run, record: Record) -> dict[str, dict]:
        with suppress(MisfitError):  # which is the verdict on such a record
            return {name: self._of(run)[1][job] for name, job in jobs(record).items()}
        return {}

    def far_apart(self, run: Run, record: Record) -> dict[str, dict]:
        """The outcomes of a record where its scores are far apart."""
        return {name: self._of(run)[1][job] for name, job in margins.jobs(record).items()}

    def signature(self, run: Run, record: Record) -> dict | None:
        """What the comparison of its paths and parameters with the framework's says."""
        job = signature(record)
        return self._of(run)[1][job] if job else None

    def _of(self, run: Run) -> tuple[dict[str, str], dict[Job, dict]]:
        if why := self._missing[str(run)]:
            pytest.skip(why)
        return self._futures[str(run)].result()


def _distinct(run: Run) -> list[Job]:
    """The calls of all records, and those that they would have if they held another scale, each once."""
    todo: dict[Job, None] = {}
    for record in run.framework.records:
        for scale in SCALES:
            with suppress(MisfitError):
                todo |= dict.fromkeys(jobs(record.on(scale)).values())
        todo |= dict.fromkeys(margins.jobs(record).values())
        todo |= dict.fromkeys([signature(record)] if signature(record) else [])
    return list(todo)


@pytest.fixture(scope="session")
def answers(request: pytest.FixtureRequest) -> Answers:
    items = [item for item in request.session.items if hasattr(item, "callspec")]
    wanted = {
        str(item.callspec.params["run"]): item.callspec.params["run"] for item in items if "run" in item.callspec.params
    }
    return Answers(list(wanted.values()))
