"""``logitkit check PATH...``: the options, the configuration, what's printed and what the process exits with."""

from __future__ import annotations

import argparse
import ast
import json
import os
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from logitkit.check.explain import TITLES, explain
from logitkit.check.findings import Edit, Finding
from logitkit.check.output import FORMATS, apply_edits, as_text
from logitkit.check.runner import Result, check_files, files_in

__all__ = ["add_to", "run"]


def add_to(commands: Any) -> None:
    """Add the subcommand to a parser."""
    parser = commands.add_parser(
        "check",
        help="find losses, samplers and thresholds that are given the wrong scale",
        description="Follow logits, probabilities and their logarithms through Python files and notebooks, without "
        "running them, and report losses, samplers and thresholds that are given the wrong scale. "
        "Exits with 0 if nothing is found, 1 if something is, 2 on bad usage.",
    )
    parser.add_argument("paths", nargs="*", metavar="PATH", help="a file or a folder")
    parser.add_argument("--format", choices=["text", *FORMATS], default="text", help="how to show what's found")
    parser.add_argument("--select", metavar="CODES", help="report only these, such as LK101,LK104")
    parser.add_argument("--ignore", metavar="CODES", help="don't report these")
    parser.add_argument(
        "--exclude",
        action="append",
        default=[],
        metavar="PATTERN",
        help="leave out files that match, such as '*_test.py'",
    )
    parser.add_argument("--fix", action="store_true", help="make the changes that can't affect anything else")
    parser.add_argument("--baseline", metavar="FILE", help="report only what isn't in this file")
    parser.add_argument("--write-baseline", metavar="FILE", help="write what's found to this file, for --baseline")
    parser.add_argument("--explain", metavar="CODE", help="say what a code means")
    parser.add_argument("--no-cache", action="store_true", help="read every file again")
    parser.set_defaults(run=run, parser=parser)


def run(options: argparse.Namespace) -> int:
    """Check files and print what's found."""
    if options.explain:
        return _explain(options)
    if not options.paths:
        options.parser.error("name a PATH")
    settings = _settings(options)
    select, ignore = (_codes(options, name, settings) for name in ("select", "ignore"))
    exclude = [*options.exclude, *settings.get("exclude", [])]
    baseline = _baseline(options, settings)
    try:
        files = list(files_in(options.paths, exclude))
    except FileNotFoundError as error:
        options.parser.error(f"there's no {error}")
    roots = tuple(
        sorted({str(Path(path) if Path(path).is_dir() else Path(path).parent) for path in options.paths} | {"."})
    )
    findings: list[Finding] = []
    seen: set[tuple[str, int, int, str]] = set()
    for result in _with_progress(check_files(files, roots, None if options.no_cache else _cache_folder()), len(files)):
        if result.trouble:
            print(f"{result.path}: {result.trouble}", file=sys.stderr)
        for one in result.findings:
            key = (one.place.path, one.place.line, one.place.column, one.code)
            wanted = (not select or one.code in select) and one.code not in ignore
            if wanted and key not in seen and _mark(one) not in baseline:
                seen.add(key)
                findings.append(one)
    if options.write_baseline:
        try:
            Path(options.write_baseline).write_text(json.dumps(sorted(map(_mark, findings)), indent=1) + "\n", "utf-8")
        except OSError as error:
            _stop(options, f"--write-baseline {options.write_baseline}: {error.strerror}")
        print(f"{len(findings)} findings are in {options.write_baseline}", file=sys.stderr)
        return 0
    if options.fix:
        findings = _fix(findings)
    _show(findings, options.format, len(files))
    return 1 if findings else 0


def _show(findings: Sequence[Finding], style: str, files: int) -> None:
    if style != "text":
        print(FORMATS[style](findings))
        return
    if findings:
        print(as_text(findings, sys.stdout.isatty() and "NO_COLOR" not in os.environ) + "\n")
    print(f"{len(findings) or 'Nothing'} found in {files} file{'s' * (files != 1)}.")


def _explain(options: argparse.Namespace) -> int:
    code = options.explain.upper()
    if code not in TITLES:
        options.parser.error(f"--explain {options.explain}: there's no such code; they are {', '.join(TITLES)}")
    print(explain(code))
    return 0


def _settings(options: argparse.Namespace) -> dict[str, Any]:
    """The table [tool.logitkit] of the nearest pyproject.toml."""
    start = Path(os.path.realpath(options.paths[0]))
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if file.is_file():
            try:
                found: dict[str, Any] = tomllib.loads(file.read_text("utf-8")).get("tool", {}).get("logitkit", {})
            except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
                _stop(options, f"{file}: {error}")
            _require_settings(options, file, found)
            return found
    return {}


def _require_settings(options: argparse.Namespace, file: Path, found: Any) -> None:
    for name, value in found.items() if isinstance(found, dict) else [("logitkit", found)]:
        if name == "baseline" and isinstance(value, str):
            continue
        if name not in ("select", "ignore", "exclude", "baseline"):
            options.parser.error(f"{file}: [tool.logitkit] has no setting {name!r}")
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            options.parser.error(f"{file}: [tool.logitkit] {name} is {value!r}, which isn't a list of strings")


def _codes(options: argparse.Namespace, name: str, settings: dict[str, Any]) -> frozenset[str]:
    given = getattr(options, name)
    codes = frozenset(code.strip().upper() for code in (given.split(",") if given else settings.get(name, [])))
    for code in codes:
        if code not in TITLES:
            options.parser.error(f"--{name}: there's no code {code!r}; they are {', '.join(TITLES)}")
    return codes


def _baseline(options: argparse.Namespace, settings: dict[str, Any]) -> frozenset[str]:
    path = options.baseline or settings.get("baseline")
    if not path:
        return frozenset()
    try:
        marks = json.loads(Path(path).read_text("utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        _stop(options, f"--baseline {path}: {error}")
    if not isinstance(marks, list) or not all(isinstance(one, str) for one in marks):
        _stop(options, f"--baseline {path}: that's no file of --write-baseline")
    return frozenset(marks)


def _stop(options: argparse.Namespace, message: str) -> NoReturn:
    options.parser.error(message)
    raise AssertionError


def _mark(finding: Finding) -> str:
    """A finding without its line number, so that a baseline outlives edits above it."""
    return f"{Path(finding.place.path).as_posix()} {finding.code} {finding.message}"


def _fix(findings: list[Finding]) -> list[Finding]:
    """Make the safe changes; what's left is returned."""
    by_file: dict[str, list[Finding]] = {}
    left: list[Finding] = []
    for one in findings:
        safe = one.fix is not None and one.fix.safe and not one.cell
        paths = {edit.place.path for edit in one.fix.edits} if one.fix else set()
        (by_file.setdefault(paths.pop(), []) if safe and len(paths) == 1 else left).append(one)
    for path, group in by_file.items():
        edits = {edit for one in group if one.fix for edit in one.fix.edits}
        if _mend(Path(path), sorted(edits, key=repr)):
            print(f"{path}: {len(group)} mended", file=sys.stderr)
        else:
            print(f"{path}: not changed, because it can't be written as it was read", file=sys.stderr)
            left += group
    return left


def _mend(path: Path, edits: Sequence[Edit]) -> bool:
    """Make changes in a file, and none at all where they could land in another place or leave no program."""
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return False
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    text = text.removeprefix(mark)
    if "\r" in text.replace("\r\n", ""):  # lines are counted in another way
        return False
    new = apply_edits(text, edits)
    if _parses(text) and not _parses(new):
        return False
    try:
        path.write_bytes((mark + new).encode("utf-8"))
    except OSError:
        return False
    return True


def _parses(text: str) -> bool:
    try:
        ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _cache_folder() -> str:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return str(Path(base) / "logitkit" / "check")


def _with_progress(results: Iterator[Result], count: int) -> Iterator[Result]:
    """A bar on a terminal, for runs of many files."""
    shown = count >= 50 and sys.stderr.isatty()
    for number, result in enumerate(results, 1):
        if shown:
            filled = 30 * number // count
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {number}/{count}", end="", file=sys.stderr, flush=True)
        yield result
    if shown:
        print("\r" + " " * 50 + "\r", end="", file=sys.stderr)
