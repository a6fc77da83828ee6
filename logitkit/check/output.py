"""How findings are shown: as text for people, JSON, SARIF, and the annotations of GitHub's runner."""

from __future__ import annotations

import difflib
import hashlib
import json
import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import logitkit
from logitkit.check.explain import BOOK, TITLES, explain, url
from logitkit.check.findings import Edit, Finding, Fix
from logitkit.check.values import Place

__all__ = ["FORMATS", "apply_edits", "as_github", "as_json", "as_sarif", "as_text"]

ROOT = "%SRCROOT%"  # what code hosts take for the repository's folder
RED, YELLOW, BOLD, DIM, GREEN, RESET = "\033[31m", "\033[33m", "\033[1m", "\033[2m", "\033[32m", "\033[0m"


def _line(path: str, number: int) -> str:
    try:
        lines = Path(path).read_text("utf-8-sig", errors="replace").split("\n")
    except OSError:
        return ""
    return lines[number - 1] if 0 < number <= len(lines) else ""


def as_text(findings: Sequence[Finding], color: bool = False) -> str:
    """Each finding with its source, the way of the value, the number that tells, and the fix as a diff."""
    paint: Callable[[str, str], str] = lambda code, text: f"{code}{text}{RESET}" if color else text
    blocks = []
    for one in findings:
        place = one.place
        where = f"{place.path}:{place.line}:{place.column}" + (f" (cell {one.cell})" if one.cell else "")
        head = paint(RED if one.level == "error" else YELLOW, one.code)
        lines = [f"{paint(BOLD, where)}: {head} {one.message}"]
        source = "" if one.cell else _line(place.path, place.line)
        if source:
            shown = source.strip()
            start = place.column - 1 - (len(source) - len(source.lstrip()))
            length = place.end_column - place.column if place.end_line == place.line else len(shown) - start
            lines += [f"    {shown}", "    " + " " * max(start, 0) + paint(RED, "^" * max(length, 1))]
        for step in one.steps:
            if step.what:
                lines.append(paint(DIM, f"  {step.place.path}:{step.place.line}: ") + step.what)
        if one.tell:
            lines.append(f"  Tell-tale: {one.tell}")
        if one.fix and not one.cell:
            lines.append(f"  Fix: {one.fix.title}{'' if one.fix.safe else ' (look at it first)'}")
            lines += ["  " + _painted(line, paint) for line in _diff(one.fix)]
        lines.append(paint(DIM, f"  {one.url}"))
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)


def _painted(line: str, paint: Callable[[str, str], str]) -> str:
    return paint({"-": RED, "+": GREEN}.get(line[:1], DIM), line)


def _diff(fix: Fix) -> list[str]:
    path = fix.edits[0].place.path
    try:
        old = Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    new = apply_edits(old, fix.edits)
    lines = list(difflib.unified_diff(old.splitlines(), new.splitlines(), path, path, n=0, lineterm=""))
    return lines[3:]


def apply_edits(text: str, edits: Sequence[Edit]) -> str:
    """The text with replacements made, last first."""
    lines = text.split("\n")
    for edit in sorted(edits, key=lambda one: (one.place.line, one.place.column), reverse=True):
        place = edit.place
        first, final = lines[place.line - 1], lines[place.end_line - 1]
        lines[place.line - 1 : place.end_line] = [first[: place.column - 1] + edit.text + final[place.end_column - 1 :]]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects."""
    return json.dumps([one.plain() for one in findings], indent=2)


def as_github(findings: Sequence[Finding]) -> str:
    """Workflow commands that mark lines of a pull request.

    A notebook is marked as a whole: the lines of a cell aren't those of the file.
    """
    lines = []
    for one in findings:
        kind = "error" if one.level == "error" else "notice"
        text = _message(one, one.url).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        path = one.place.path.replace("%", "%25").replace(",", "%2C").replace(":", "%3A")
        place = "" if one.cell else f",line={one.place.line},endLine={one.place.end_line},col={one.place.column}"
        lines.append(f"::{kind} file={path}{place},title={one.code}::{text}")
    return "\n".join(lines)


def _message(finding: Finding, *more: str) -> str:
    where = f"Cell {finding.cell}, line {finding.place.line}: " if finding.cell else ""
    return (
        where
        + ". ".join(part[0].upper() + part[1:] for part in (finding.message, finding.tell) if part)
        + "".join(f". {part}" for part in more)
    )


def as_sarif(findings: Sequence[Finding]) -> str:
    """SARIF 2.1.0, as code hosts read it.

    Paths are relative to the folder in which the checker ran, which is taken for the repository's. A result is known
    again after edits above it by its code and the text of its line.
    """
    seen: Counter[str] = Counter()
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": _driver()},
                "columnKind": "utf16CodeUnits",
                "originalUriBaseIds": {ROOT: {"description": {"text": "The folder in which the checker ran."}}},
                "results": [_result(one, seen) for one in findings],
            }
        ],
    }
    return json.dumps(log, indent=2)


def _driver() -> dict[str, Any]:
    rules = [
        {
            "id": code,
            "shortDescription": {"text": title},
            "fullDescription": {"text": title},
            "help": {"text": explain(code)},
            "helpUri": url(code),
        }
        for code, title in TITLES.items()
    ]
    about = {"informationUri": f"{BOOK}.html", "semanticVersion": logitkit.__version__}
    return {"name": "logitkit check", **about, "rules": rules}


def _result(finding: Finding, seen: Counter[str]) -> dict[str, Any]:
    line = finding.message if finding.cell else _line(finding.place.path, finding.place.line).strip()
    known = hashlib.sha256(f"{finding.code} {finding.cell} {line}".encode()).hexdigest()[:16]
    seen[finding.place.path + known] += 1
    steps = [
        {"location": {**_location(step.place, finding.cell), "message": {"text": step.what}}}
        for step in finding.steps
        if step.what
    ]
    return {
        "ruleId": finding.code,
        "level": finding.level,
        "message": {"text": _message(finding)},
        "locations": [_location(finding.place, finding.cell)],
        "partialFingerprints": {"primaryLocationLineHash": f"{known}:{seen[finding.place.path + known]}"},
        "codeFlows": [{"threadFlows": [{"locations": steps}]}],
    }


def _location(place: Place, cell: int) -> dict[str, Any]:
    path = Path(place.path)
    absolute = Path(os.path.abspath(path))
    inside = absolute.is_relative_to(Path.cwd())
    artifact = (
        {"uri": quote(absolute.relative_to(Path.cwd()).as_posix()), "uriBaseId": ROOT}
        if inside
        else {"uri": absolute.as_uri()}
    )
    region = {
        "startLine": place.line,
        "startColumn": _utf16(place.path, place.line, place.column),
        "endLine": place.end_line,
        "endColumn": _utf16(place.path, place.end_line, place.end_column),
    }
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": 1} if cell else region}}


def _utf16(path: str, line: int, column: int) -> int:
    """A column in units of UTF-16, of which characters outside the basic plane, such as emoji, take two."""
    return len(_line(path, line)[: column - 1].ljust(column - 1).encode("utf-16-le")) // 2 + 1


FORMATS: dict[str, Callable[[Sequence[Finding]], str]] = {"json": as_json, "sarif": as_sarif, "github": as_github}
