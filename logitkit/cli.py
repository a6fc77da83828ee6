"""The command line: ``explain`` says which scale a function takes, ``check`` and ``diagnose`` find mistakes."""

from __future__ import annotations

import argparse
import errno
import io
import json
import math
import os
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any, NoReturn

from logitkit import conventions
from logitkit.check import command
from logitkit.conventions import Check, Record
from logitkit.diagnose._command import add_diagnose

WIDTH = 88
SCREEN = 100  # no line is longer
LISTED = 8  # of several hits, so many have a line; --all lists the rest


class _Parser(argparse.ArgumentParser):
    """A parser that answers bad usage with one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    arguments : sequence of str, optional
        The words after ``logitkit``; those of the process by default.

    Returns
    -------
    int
        What the process exits with: 0, or 1 for a symbol that is not known. Bad usage exits with 2.

    Examples
    --------
    >>> from logitkit.cli import main
    >>> main(["explain", "torch.nn.NLLLoss"])  # doctest: +ELLIPSIS
    torch.nn.NLLLoss   (PyTorch)
      Pass     log-probabilities as `input`
    ...
    0
    """
    parser = _Parser(prog="logitkit", description="What frameworks mean by logits.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    explain = commands.add_parser("explain", help="say which scale a function takes", description=_explain.__doc__)
    explain.add_argument(
        "name", nargs="?", metavar="NAME", help="such as F.cross_entropy, a line of code, or a keyword: from_logits"
    )
    explain.add_argument("--framework", help="only of this framework: torch, tf, sklearn, hf; without NAME, all it has")
    explain.add_argument("--scale", choices=conventions.SCALES, help="only what takes or returns this scale")
    explain.add_argument(
        "--all", action="store_true", help="also the numbers, the sources and what's the same elsewhere"
    )
    explain.add_argument("--format", choices=("text", "json"), default="text", help="json is for programs")
    explain.set_defaults(run=_explain)
    command.add_to(commands)
    add_diagnose(commands)
    options = parser.parse_args(arguments)
    if options.command == "explain" and not (options.name or options.framework or options.scale):
        explain.error("give a NAME, a --framework or a --scale")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console that has no ŷ shows its code
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = options.run(options)
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.EINVAL}:  # Windows says EINVAL
            raise
        # `| head` has read enough; what Python still holds must not go into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code


def _explain(options: argparse.Namespace) -> int:
    """Say what to pass to a function, what it applies, the trap and the fix."""
    within = conventions.table(options.framework, options.scale)
    if options.framework and not conventions.table(options.framework):
        frameworks = dict.fromkeys(record.framework for record in conventions.table())
        return _unknown(f"no framework is named {options.framework!r}", f"there are {', '.join(frameworks)}")
    records = within
    if options.name:
        found = conventions.find(options.name)
        if not found:
            near = conventions.suggest(options.name)
            hint = f"did you mean {' or '.join(near)}?" if near else "`logitkit explain --framework NAME` lists what is"
            return _unknown(f"{options.name!r} is not recorded", hint)
        records = [record for record in found if _within(record, options)]
        if not records:
            frameworks = dict.fromkeys(record.framework for record in found)
            return _unknown(f"{options.name!r} is not recorded there", f"it is in {', '.join(frameworks)}")
    several = bool(options.name and conventions.candidates(options.name))
    if options.format == "json":
        plain = [{**_plain(record), "candidate": several} for record in records]
        print(json.dumps(plain, indent=2, allow_nan=False))
    elif several:
        print(_candidates(records, options.all))
    elif options.name:
        print(_answer(records, options.all))
    else:
        print("\n".join(_lines(records)))
    return 0


def _within(record: Record, options: argparse.Namespace) -> bool:
    framework = options.framework is None or record.framework in conventions.framework_named(options.framework)
    return framework and options.scale in (None, record.scale)


def _unknown(what: str, hint: str) -> int:
    print(f"logitkit: {what}; {hint}", file=sys.stderr)
    return 1


def _answer(records: Sequence[Record], everything: bool) -> str:
    """The record that's meant, and a line for each of the others."""
    first, *others = records
    page = _page(first, everything)
    if not others:
        return page
    listed = others if everything else others[:LISTED]
    lines = [_fitted(f"  {line}") for line in _lines(listed)]
    more = [f"  ... and {len(others) - len(lines)} more: --all lists them"] if len(lines) < len(others) else []
    return "\n".join([page, "", "Also:", *lines, *more])


def _candidates(records: Sequence[Record], everything: bool) -> str:
    """A line for each class that may be meant: none of them is the answer."""
    rows = []
    for record in records if everything else records[:LISTED]:
        owner = record.callable.symbol.rpartition(".")[0].rpartition(".")[2]
        settings = record.symbol.removeprefix(record.callable.symbol)
        named = owner + settings if record.language == "Python" else record.symbol
        rows.append((record.framework, named, _scale(record)))
    wide = [max(len(row[column]) for row in rows) for column in (0, 1)]
    lines = [f"  {framework:{wide[0]}}  {named:{wide[1]}}  {scale}" for framework, named, scale in rows]
    more = [f"  ... and {len(records) - len(rows)} more: --all lists them"] if len(rows) < len(records) else []
    python = [record for record in records if record.language == "Python"] or records  # R writes predict.glm
    method = python[0].callable.symbol.rpartition(".")[2]
    said = f"`{method}` belongs to several classes, and the query doesn't say to which. Name the class:"
    return "\n".join([said, *lines, *more])


def _lines(records: Sequence[Record]) -> Iterable[str]:
    framework = max(len(record.framework) for record in records)
    symbol = max(len(record.symbol) for record in records)
    if framework + symbol + max(len(_scale(record)) for record in records) + 6 > SCREEN:
        framework = symbol = 0  # columns would be too wide
    for record in records:
        yield f"{record.framework:{framework}}  {record.symbol:{symbol}}  {_scale(record)}"


def _fitted(line: str) -> str:
    """A line, broken where it's too long for a screen."""
    return textwrap.fill(line, SCREEN, subsequent_indent="      ", break_long_words=False, break_on_hyphens=False)


def _scale(record: Record) -> str:
    words = conventions.words_for(record.scale)
    return f"returns {words}" if record.returned else f"{record.argument}: {words}"


def _page(record: Record, everything: bool) -> str:
    case, words = record.case, conventions.words_for(record.scale)
    reduction = f"; reduction: {record.reduction}" if record.reduction else ""
    rows = {
        "Returns" if record.returned else "Pass": words if record.returned else f"{words} as `{record.argument}`",
        "Depends": _depends(record),
        "Applies": f"{case.applies}{_stability(record)}{reduction}",
        "Target": case.target or "",
        "Trap": case.trap,
        "Fix": record.fix or "",
    }
    if everything:
        rows |= {
            "Order": record.callable.signature,
            **_numbers(record),
            "Elsewhere": _elsewhere(record),
            "Checked": _how_checked(record),
            "Docs": case.docs,
        }
    body = [_row(label, text) for label, text in rows.items() if text]
    return "\n".join([_fitted(f"{record.symbol}   ({record.framework})"), *body])


def _depends(record: Record) -> str:
    if record.depends is None:
        return ""
    return f"on {record.depends}" + (f", here {record.case.condition}" if record.case.condition else "")


def _stability(record: Record) -> str:
    found = record.case.stability
    if isinstance(found, conventions.ByBackend):
        return "; " + ", ".join(f"{word} on {backend}" for backend, word in found.items())
    return {"fused": ", fused", "overflows": "; overflows where the scores are far apart"}.get(found or "", "")


def _numbers(record: Record) -> dict[str, str]:
    check, wrong = record.case.check, record.case.wrong
    if check is None:
        return {}
    return {
        "Right": f"{check.outcome}{_of(record, check)}",
        "Wrong": f"{wrong.outcome} if they are passed as {wrong.passes}" if wrong else "",
        "Call": check.call,
    }


def _elsewhere(record: Record) -> str:
    """A line for each framework whose records are run, and the names of the others; JSON has all symbols."""
    same: dict[str, list[Record]] = {}
    for each in conventions.equivalents(record):
        same.setdefault(each.framework, []).append(each)
    lines = [f"{name}: {', '.join(each.symbol for each in many[:2])}" for name, many in same.items() if many[0].package]
    read = [name for name, many in same.items() if not many[0].package]
    return "\n".join([*lines, *([f"also in {', '.join(read)}"] if read else [])])


def _of(record: Record, check: Check) -> str:
    """How the check was made, and its input where it is the same for all: a distribution, put on the record's scale."""
    how = f" ({check.how})" if check.how else ""
    if check.x or check.probabilities:
        return how
    if check.p:
        p = f"p = {list(check.p)}"
    else:
        p = "p = sigmoid(2), y = 1" if record.is_binary else "p = softmax([2, 0, -1]), y = 0"
    return f"{how} for {p}" if record.returned else f"{how} for {p}, passed as {record.scale}"


def _how_checked(record: Record) -> str:
    if record.not_run:
        return f"read in {record.case.source}; not run: {record.not_run}"
    return f"run with {record.package} {', '.join(record.versions)}; {record.case.source}"


def _row(label: str, text: str) -> str:
    lines = [
        line
        for part in text.split("\n")
        for line in textwrap.wrap(
            part, WIDTH - 11, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    ]
    return "\n".join(f"  {label if number == 0 else '':<9}{line}" for number, line in enumerate(lines))


def _plain(record: Record) -> dict[str, object]:
    """A record as JSON: what it says of this case, then the whole callable."""
    said: dict[str, object] = {
        "framework": record.framework,
        "symbol": record.symbol,
        "argument": None if record.returned else record.argument,
        "scale": record.scale,
        "depends": record.depends,
        "returned": record.returned,
        "fix": record.fix,
        "reduction": record.reduction,
        "case": record.case,
        "callable": record.callable,
        "equivalents": [
            {"framework": each.framework, "symbol": each.symbol} for each in conventions.equivalents(record)
        ],
    }
    return {name: _json(value) for name, value in said.items()}


def _json(value: Any) -> Any:
    """A value as JSON has it. Strict JSON has no NaN and no infinity, so they become text."""
    if is_dataclass(value):
        value = {each.name: getattr(value, each.name) for each in fields(value)}
    if isinstance(value, Mapping):
        return {name: _json(each) for name, each in value.items() if each not in (None, ())}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
