"""Modules are short enough to be read in one go, and those of the checker import one way."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PATHS = [path for room in ("logitkit", "book") for path in ROOT.glob(f"{room}/**/*.py")]
MODULES = {path.relative_to(ROOT).as_posix(): path for path in PATHS if "node_modules" not in path.parts}
MOST_LINES = 300  # outside docstrings
LONGER = {
    "logitkit/kernels/_compiled.py": "Numba keeps compiled kernels until their own file changes, so they share one",
    "logitkit/losses.py": "tests/mutants.md argues about its gradients, mutant by mutant, under this name",
}


def lines_outside_docstrings(text: str) -> int:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    described = [node for node in ast.walk(ast.parse(text)) if isinstance(node, kinds) and ast.get_docstring(node)]
    docstrings = [node.body[0] for node in described]
    return len(text.splitlines()) - sum(one.end_lineno - one.lineno + 1 for one in docstrings)


@pytest.mark.parametrize("name", MODULES)
def test_module_has_at_most_300_lines_outside_docstrings(name: str) -> None:
    longer = lines_outside_docstrings(MODULES[name].read_text("utf-8")) > MOST_LINES
    assert longer == (name in LONGER), LONGER.get(name)


def imported(tree: ast.Module, package: str) -> set[str]:
    """Return the modules of a package that another one imports when it's imported itself, not only for its types."""
    names = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {name for name in names if name.startswith(f"{package}.")}


def test_imports_within_the_checker_run_one_way() -> None:
    package = "logitkit.check"
    files = {f"{package}.{path.stem}": path for path in (ROOT / "logitkit" / "check").glob("*.py")}
    graph = {name: imported(ast.parse(path.read_text("utf-8")), package) & set(files) for name, path in files.items()}
    assert graph["logitkit.check.reader"] >= {"logitkit.check.facts", "logitkit.check.values"}
    TopologicalSorter(graph).prepare()  # says which modules form a circle, if any do
