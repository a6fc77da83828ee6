"""Runs calls in the language of their framework: a process for each framework and backend, since those do not mix."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from logitkit.conventions import Framework

from .contract import Job

HERE = Path(__file__).parent
INTERPRETERS = {"Python": sys.executable, "R": "Rscript", "JavaScript": "node"}
QUIET = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Run:
    """A framework, on one of its backends if it has any."""

    framework: Framework
    backend: str | None = None

    def __str__(self) -> str:
        return self.framework.framework + (f" ({self.backend})" if self.backend else "")

    def missing(self) -> str | None:
        """Why this cannot be run on this machine."""
        interpreter = INTERPRETERS[self.framework.language]
        return None if shutil.which(interpreter) else f"{interpreter} is not installed"

    def packages(self) -> list[str]:
        """The distributions whose versions are recorded."""
        backend = self.framework.backends[self.backend] if self.backend else None
        return [package for package in dict.fromkeys((self.framework.package, backend)) if package]


def runs(framework: Framework) -> list[Run]:
    return [Run(framework, backend) for backend in framework.backends or (None,)]


def execute(run: Run, jobs: Mapping[str, Job]) -> dict[str, dict]:
    """What each call returned or raised, by its name, and under ``versions`` the versions that were run."""
    suffix, write = WRITERS[run.framework.language]
    with tempfile.TemporaryDirectory() as folder:
        script, out = Path(folder, f"script{suffix}"), Path(folder, "out.jsonl")
        script.write_text((HERE / f"worker{suffix}").read_text("utf-8") + write(run, jobs), "utf-8")
        environment = os.environ | QUIET | {"NODE_PATH": str(HERE / "node_modules")}
        if run.backend:
            environment["KERAS_BACKEND"] = run.backend
        command = [INTERPRETERS[run.framework.language], script, out]
        done = subprocess.run(command, cwd=folder, env=environment, text=True, capture_output=True, check=False)
        lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.exists() else []
    found = {line.pop("key"): line for line in lines}
    if done.returncode or found.keys() != {"versions", *jobs}:
        raise RuntimeError(f"{run} stopped with {done.returncode} after {len(lines)} answers:\n{done.stderr[-3000:]}")
    return found


def _python(run: Run, jobs: Mapping[str, Job]) -> str:
    calls = [f"emit({key!r}, {job.call!r}, {job.x}, {job.y}, {job.onehot})" for key, job in jobs.items()]
    return "\n".join([run.framework.prelude, f"versions(*{run.packages()})", *calls])


def _r(run: Run, jobs: Mapping[str, Job]) -> str:
    def vector(values: list[float]) -> str:
        return f"c({', '.join(map(repr, values))})"

    calls = [
        f"emit({json.dumps(key)}, {json.dumps(job.call)}, {vector(job.x)}, {job.y}, {vector(job.onehot)})"
        for key, job in jobs.items()
    ]
    return "\n".join([run.framework.prelude, f"versions({json.dumps(run.framework.package)})", *calls, "close(out)"])


def _javascript(run: Run, jobs: Mapping[str, Job]) -> str:
    calls = [
        f"await emit({json.dumps(key)}, async (x, y, onehot) => ({job.call}), {job.x}, {job.y}, {job.onehot});"
        for key, job in jobs.items()
    ]
    body = [run.framework.prelude, f"versions(...{json.dumps(run.packages())});", *calls]
    return "\n".join(["(async () => {", *body, "})();"])


WRITERS = {"Python": (".py", _python), "R": (".R", _r), "JavaScript": (".cjs", _javascript)}
