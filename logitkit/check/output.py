"""How findings are shown: as text for people, JSON, SARIF, and the annotations of GitHub's runner."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from logitkit.check.explain import BOOK, TITLES, url
from logitkit.check.findings import Edit, Finding, Fix

__all__ = ["FORMATS", "apply_edits", "as_github", "as_json", "as_sarif", "as_text"]

RED, YELLOW, BOLD, DIM, GREEN, RESET = "\033[31m", "\033[33m", "\033[1m", "\033[2m", "\033[32m", "\033[0m"


def _line(path: str, number: int) -> str:
    try:
        lines = Path(path).read_text("utf-8", errors="replace").splitlines()
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
    """The text with replacements made, last first. Columns are those of `ast`: bytes of UTF-8."""
    lines = text.split("\n")
    for edit in sorted(edits, key=lambda one: (one.place.line, one.place.column), reverse=True):
        place = edit.place
        first, final = lines[place.line - 1].encode(), lines[place.end_line - 1].encode()
        joined = first[: place.column - 1] + edit.text.encode() + final[place.end_column - 1 :]
        lines[place.line - 1 : place.end_line] = [joined.decode()]
    return "\n".join(lines)


def as_json(findings: Sequence[Finding]) -> str:
    """A list of objects."""
    return json.dumps([one.plain() for one in findings], indent=2)


def as_github(findings: Sequence[Finding]) -> str:
    """Workflow commands that mark lines of a pull request."""
    lines = []
    for one in findings:
        kind = "error" if one.level == "error" else "notice"
        text = f"{one.message}. {one.tell}. {one.url}".replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        path = one.place.path.replace("%", "%25").replace(",", "%2C").replace(":", "%3A")
        place = f"file={path},line={one.place.line},endLine={one.place.end_line},col={one.place.column}"
        lines.append(f"::{kind} {place},title={one.code}::{text}")
    return "\n".join(lines)


def as_sarif(findings: Sequence[Finding]) -> str:
    """SARIF 2.1.0, which code hosts read."""
    rules = [{"id": code, "shortDescription": {"text": title}, "helpUri": url(code)} for code, title in TITLES.items()]
    results = [
        {
            "ruleId": one.code,
            "level": one.level,
            "message": {"text": f"{one.message}. {one.tell}"},
            "locations": [_location(one.place)],
            "codeFlows": [
                {
                    "threadFlows": [
                        {
                            "locations": [
                                {"location": {**_location(step.place), "message": {"text": step.what}}}
                                for step in one.steps
                                if step.what
                            ]
                        }
                    ]
                }
            ],
        }
        for one in findings
    ]
    driver = {"name": "logitkit check", "informationUri": f"{BOOK}.html", "rules": rules}
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results}],
    }
    return json.dumps(log, indent=2)


def _location(place: Any) -> dict[str, Any]:
    region = {
        "startLine": place.line,
        "startColumn": place.column,
        "endLine": place.end_line,
        "endColumn": place.end_column,
    }
    return {"physicalLocation": {"artifactLocation": {"uri": Path(place.path).as_posix()}, "region": region}}


FORMATS: dict[str, Callable[[Sequence[Finding]], str]] = {"json": as_json, "sarif": as_sarif, "github": as_github}
