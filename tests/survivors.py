"""The report on the mutants that no test kills: tests/mutants.md, read, compared and counted anew."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
REPORT = ROOT / "tests" / "mutants.md"
UNTRIED = re.compile(r"^- `(\S+\.py)`\n", re.MULTILINE)
COUNTS = re.compile(r"^\| module .*?\n\n", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, order=True)
class Change:
    """A change of the package: no line numbers, so that edits elsewhere leave it what it is."""

    module: str  # its path, as logitkit/links.py
    function: str  # its qualified name, or "module" for what stands outside all functions
    old: str  # the changed lines, stripped and joined
    new: str

    def __str__(self) -> str:
        return f"- `{self.old}` → `{self.new}`"


@dataclass(frozen=True)
class Mutant:
    """A change, the lines whose tests should notice it, and the module as it is then."""

    change: Change
    lines: range
    source: str


def arguments(text: str) -> dict[Change, str]:
    """Return the argument for each change: the paragraph that follows the list in which it stands."""
    found: dict[Change, str] = {}
    module = function = ""
    listed: list[Change] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if paragraph.startswith("## "):
            module, function = paragraph.removeprefix("## ").strip("`"), ""
        elif paragraph.startswith("### "):
            function = paragraph.removeprefix("### ").strip("`")
        elif changes := re.findall(r"^- `(.+)` → `(.*)`$", paragraph, re.MULTILINE):
            listed = [Change(module, function, old, new) for old, new in changes]
            if len(listed) != len(paragraph.splitlines()):
                raise ValueError(f"not a list of changes: {paragraph}")
            found |= dict.fromkeys(listed, "")
        else:
            found |= dict.fromkeys(listed, paragraph)
            listed = []
    return found


def with_counts(text: str, counts: dict[str, tuple[int, int]]) -> str:
    """Return the report with the numbers of mutants and of survivors of each module, those of other modules kept.

    A module that now has a row is taken from the list of those that have none.
    """
    (table,) = COUNTS.findall(text)
    kept = {m: (int(n), int(s)) for m, n, s in re.findall(r"^\| `(.+)` \| (\d+) \| \d+ \| (\d+) \|$", table, re.M)}
    rows = kept | counts
    lines = [f"| `{module}` | {n} | {n - s} | {s} |" for module, (n, s) in sorted(rows.items())]
    total, left = (sum(column) for column in zip(*rows.values(), strict=True))
    lines.append(f"| all | {total} | {total - left} | {left} |")
    text = text.replace(table, "\n".join([*table.splitlines()[:2], *lines, "", ""]))
    return UNTRIED.sub(lambda line: "" if line[1] in counts else line[0], text)
