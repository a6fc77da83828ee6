"""The report on the mutants that no test kills speaks of the package as it is; `make mutants` makes them anew."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatch

import pytest

from tests.survivors import REPORT, ROOT, UNTRIED, Change, arguments, with_counts

REPORTED = arguments(REPORT.read_text("utf-8"))


def code_of(change: Change) -> str:
    """The lines of the function, stripped and joined, without those of a docstring."""
    source = (ROOT / change.module).read_text("utf-8")
    node: ast.AST = ast.parse(source)
    for name in change.function.split(".") if change.function != "module" else ():
        (node,) = (n for n in ast.iter_child_nodes(node) if getattr(n, "name", None) == name)
    return " ".join(line.strip() for line in (ast.get_source_segment(source, node) or source).splitlines())


@pytest.mark.parametrize("change", REPORTED, ids=str)
def test_argument_is_about_code_that_is_there(change: Change) -> None:
    assert change.old in code_of(change)
    assert change.new != change.old
    assert len(REPORTED[change].split()) > 4


def test_counts_of_survivors_are_those_of_the_arguments() -> None:
    text = REPORT.read_text("utf-8")
    rows = re.findall(r"^\| `(.+)` \| (\d+) \| (\d+) \| (\d+) \|$", text, re.MULTILINE)
    counted, untried = {module for module, *_ in rows}, set(UNTRIED.findall(text))
    assert not counted & untried
    assert {change.module for change in REPORTED} <= counted | untried
    for module, mutants, killed, surviving in rows:
        assert int(mutants) == int(killed) + int(surviving)
        assert len({c for c in REPORTED if c.module == module}) == int(surviving)


def test_every_module_that_can_be_tried_has_counts_or_is_said_to_have_none() -> None:
    text = REPORT.read_text("utf-8")
    left_out = re.findall(r"`(logitkit/[^`]+)`", text.partition("What is not changed")[2].partition("\n\n")[0])
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "logitkit").rglob("*.py") if "__main__" not in p.name}
    named = set(re.findall(r"^(?:\| |- )`(\S+\.py)`", text, re.MULTILINE))
    assert {m for m in modules - named if not any(fnmatch(m, pattern) for pattern in left_out)} == set()


TEXT = """\
| module | mutants | killed | argued |
| --- | --- | --- | --- |
| `a.py` | 3 | 2 | 1 |

- `b.py`
- `c.py`

## `a.py`

### `f`

- `x < 0` → `x <= 0`
- `y` → `-y`

Zero has no sign here.
"""


def test_argument_is_read_for_each_change_of_a_list() -> None:
    expected = {Change("a.py", "f", "x < 0", "x <= 0"), Change("a.py", "f", "y", "-y")}
    assert arguments(TEXT) == dict.fromkeys(expected, "Zero has no sign here.\n")


def test_change_without_an_argument_is_read_as_such() -> None:
    assert set(arguments(TEXT.removesuffix("Zero has no sign here.\n")).values()) == {""}


def test_counts_of_other_modules_are_kept() -> None:
    got = with_counts(TEXT, {"b.py": (5, 0)})
    assert "| `a.py` | 3 | 2 | 1 |\n| `b.py` | 5 | 5 | 0 |\n| all | 8 | 7 | 1 |\n\n- `c.py`\n\n## `a.py`" in got
    assert with_counts(got, {"b.py": (5, 0)}) == got
