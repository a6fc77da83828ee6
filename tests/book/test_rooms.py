"""Imports between the rooms of book/ run one way: everybody may use shared, notebooks may use site."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

BOOK = Path(__file__).parents[2] / "book"
ALSO = {"notebooks": {"site"}}


def rooms(source, folder):
    """Return the rooms whose modules a module of a folder of book/ imports."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            package = f"book.{folder}" if node.level == 1 else "book" if node.level else ""
            module = ".".join(filter(None, [package, node.module]))
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in names if name.startswith("book.")}


@pytest.mark.parametrize("path", sorted(BOOK.glob("*/*.py")), ids=lambda path: path.relative_to(BOOK).as_posix())
def test_module_imports_its_own_room_and_those_that_it_may(path):
    room = path.parent.name
    assert rooms(path.read_text("utf-8"), room) <= {room, "shared"} | ALSO.get(room, set())


@pytest.mark.parametrize(
    "line",
    ["import book.paper.latex", "from book import paper", "from book.paper import latex", "from ..paper import latex"],
)
def test_every_form_of_an_import_is_seen(line):
    assert rooms(f"def late():\n    {line}", "pages") == {"paper"}


def test_edge_cases_are_read_where_there_is_no_sphinx():
    """As in the environment of the frameworks."""
    code = "import sys; sys.modules['sphinx'] = None; import book.shared.edge_cases"
    subprocess.run([sys.executable, "-c", code], cwd=BOOK.parent, check=True)
