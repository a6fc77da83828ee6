"""From paths to findings: which files are read, by how many processes, and what's kept from the last time.

A file's findings depend on its text, on the texts of the project's files that it imports, on the registry and on the
checker. All of these are in the key under which they're kept.
"""

from __future__ import annotations

import gc
import hashlib
import os
import pickle
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from pathlib import Path

import logitkit
from logitkit.check import verdicts
from logitkit.check.facts import Facts
from logitkit.check.findings import Finding
from logitkit.check.interpreter import Interpreter
from logitkit.check.reader import TooLongError
from logitkit.check.sources import BadFileError, Module, Project
from logitkit.check.values import Place

__all__ = ["Result", "check_files", "check_text", "files_in"]

SKIPPED = frozenset(
    {".git", ".hg", ".venv", "venv", "node_modules", "__pycache__", ".ipynb_checkpoints", ".tox", ".mypy_cache"}
)
BUDGET = 60_000  # expressions read for one file
IGNORED = re.compile(r"#\s*logitkit:\s*ignore(?:\[([\w\s,]*)\])?")


@dataclass(frozen=True)
class Result:
    """What came of one file: its findings, and what couldn't be read, in a line."""

    path: str
    findings: tuple[Finding, ...] = ()
    trouble: str = ""
    texts: tuple[str, ...] = ()  # the files it depends on


@cache
def _facts() -> Facts:
    return Facts()


def check_text(path: str, read: Callable[[str], str | None], roots: tuple[str, ...] = ()) -> Result:
    r"""Check one file of a project.

    Parameters
    ----------
    path : str
        The file.
    read : callable
        Gives the text of a file of the project, or None if there's none.
    roots : tuple of str
        The folders in which an absolute import is looked for, beside the file's own.

    Returns
    -------
    Result

    Examples
    --------
    >>> text = "import torch.nn.functional as F\nloss = F.cross_entropy(F.softmax(z, dim=1), y)\n"
    >>> [(each.code, each.place.line) for each in check_text("a.py", {"a.py": text}.get).findings]
    [('LK101', 2)]
    """
    project = Project(read, roots)
    try:
        module = project.open(path)
    except BadFileError as error:
        return Result(path, trouble=str(error), texts=(path,))
    reader = Interpreter(project, _facts(), BUDGET)
    trouble = module.source.trouble
    try:
        reader.read_all(module)
    except TooLongError:
        pass
    except RecursionError:
        trouble = "nested too deeply to be read to the end"
    verdicts.conclude(reader)
    return Result(path, tuple(_sorted(reader.findings, project)), trouble, tuple(project.modules))


def _sorted(findings: Iterable[Finding], project: Project) -> Iterator[Finding]:
    """Each finding once, in the order of the places, without those that a comment ignores."""
    seen: set[tuple[str, int, int, str]] = set()
    order = sorted(
        findings, key=lambda one: (one.place.path, one.place.line, one.code, one.place.column, len(one.steps))
    )
    for finding in order:
        key = (finding.place.path, finding.place.line, finding.place.column, finding.code)
        module = project.modules.get(finding.place.path)
        if key in seen or module is None:
            continue
        seen.add(key)
        lines = module.source.lines[finding.place.line - 1 : finding.place.end_line]
        comments = [found for line in lines if (found := IGNORED.search(line))]
        if any(found[1] is None or finding.code in re.split(r"[\s,]+", found[1]) for found in comments):
            continue
        finding = _in_characters(finding, project)
        yield _in_cell(finding, module) if module.source.cells else finding


def _in_characters(finding: Finding, project: Project) -> Finding:
    """A finding whose columns count characters, where those of `ast` count the bytes of UTF-8."""

    def moved(place: Place) -> Place:
        module = project.modules.get(place.path)
        if module is None:
            return place
        lines = module.source.lines
        column, end = (
            len(lines[line - 1].encode()[: column - 1].decode(errors="ignore")) + 1
            for line, column in ((place.line, place.column), (place.end_line, place.end_column))
        )
        return replace(place, column=column, end_column=end)

    steps = tuple(replace(step, place=moved(step.place)) for step in finding.steps)
    edits = tuple(replace(edit, place=moved(edit.place)) for edit in (finding.fix.edits if finding.fix else ()))
    fix = finding.fix and replace(finding.fix, edits=edits)
    return replace(finding, place=moved(finding.place), steps=steps, fix=fix)


def _in_cell(finding: Finding, module: Module) -> Finding:
    """A notebook's finding, with the cell and the line in it."""
    cells = module.source.cells
    first = cells[finding.place.line - 1]
    steps = tuple(
        replace(step, place=replace(step.place, line=cells[step.place.line - 1][1]))
        if step.place.path == finding.place.path
        else step
        for step in finding.steps
    )
    place = replace(finding.place, line=first[1], end_line=cells[finding.place.end_line - 1][1])
    return replace(finding, place=place, steps=steps, cell=first[0])


def files_in(paths: Iterable[str], exclude: Iterable[str] = ()) -> Iterator[str]:
    """The Python files and notebooks among paths, those in folders too.

    Raises
    ------
    FileNotFoundError
        If there's no such path.
    """
    for given in paths:
        path = Path(given)
        if not os.path.exists(path):  # a link to itself neither
            raise FileNotFoundError(given)
        if path.is_file():
            yield str(path)
            continue
        for folder, folders, names in os.walk(path, onerror=_closed):
            folders[:] = sorted(each for each in folders if each not in SKIPPED)
            for name in sorted(names):
                file = Path(folder, name)
                if name.endswith((".py", ".ipynb")) and not any(file.match(pattern) for pattern in exclude):
                    yield str(file)


def _closed(error: OSError) -> None:
    """Say that a folder can't be opened, and go on."""
    print(f"{error.filename}: can't be read", file=sys.stderr)


@lru_cache(maxsize=2048)
def _read(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read(8_000_000).decode("utf-8", errors="replace")
    except OSError:
        return None


def _check_file(job: tuple[str, tuple[str, ...], str | None]) -> Result:
    path, roots, cache_folder = job
    text = _read(path)
    if text is None:
        return Result(path, trouble="can't be read")
    if not _facts().may_judge(text):
        return Result(path)
    sys.setrecursionlimit(6000)
    kept = Path(cache_folder, _digest(path.encode() + text.encode()) + ".json") if cache_folder else None
    if kept is not None:
        found = _load(kept)
        if found is not None:
            return found
    try:
        with _without_collector():
            result = check_text(path, _read, roots)
    except Exception as error:  # a defect of the checker costs one line, not the run
        return Result(path, trouble=f"the checker failed: {type(error).__name__}: {error}")
    if kept is not None:
        _store(kept, result)
    return result


@contextmanager
def _without_collector() -> Iterator[None]:
    """Keep Python from looking for unreachable circles: among syntax trees, that's 40 % of the time for nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _digest(data: bytes) -> str:
    return hashlib.sha256(_version() + data).hexdigest()


@lru_cache(maxsize=16384)
def _digest_of(path: str) -> str:
    """The text of a file, as a number; many files depend on the same ones."""
    return _digest((_read(path) or "").encode())


@cache
def _version() -> bytes:
    """The checker and the registry, as a number."""
    state = hashlib.sha256(logitkit.__version__.encode())
    folder = Path(__file__).parent
    for path in sorted([*folder.glob("*.py"), *folder.parent.joinpath("conventions", "records").glob("*.toml")]):
        state.update(path.read_bytes())
    return state.digest()


def _load(kept: Path) -> Result | None:
    """What was kept, if the files it depends on are still what they were."""
    try:
        data = pickle.loads(kept.read_bytes())
        fresh = all(_digest_of(path) == digest for path, digest in data["texts"].items())
    except (OSError, ValueError, KeyError, EOFError, pickle.UnpicklingError):
        return None
    return data["result"] if fresh else None


def _store(kept: Path, result: Result) -> None:
    texts = {path: _digest_of(path) for path in result.texts}
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.write_bytes(pickle.dumps({"texts": texts, "result": result}))
    except OSError:
        pass


def check_files(
    files: list[str], roots: tuple[str, ...] = (), cache_folder: str | None = None, jobs: int | None = None
) -> Iterator[Result]:
    """Check files, in their order, on several processes if there are many."""
    _read.cache_clear()  # the files may have changed since the last time
    _digest_of.cache_clear()
    work = [(path, roots, cache_folder) for path in files]
    jobs = min(jobs or os.cpu_count() or 1, max(1, len(files) // 8))
    if jobs == 1:
        yield from map(_check_file, work)
        return
    from concurrent.futures import ProcessPoolExecutor  # which a browser's Python doesn't have

    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_check_file, work, chunksize=4)
