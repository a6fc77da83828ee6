"""The command line: ``logitkit explain SYMBOL`` says which scale a framework's function takes."""

from __future__ import annotations

import argparse
import errno
import io
import json
import math
import os
import sys
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

from logitkit import conventions
from logitkit.conventions import Record

WIDTH = 88
IN_FULL = 3  # more records than these are listed, a line each


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
      Pass       log-probabilities as `input`
    ...
    0
    """
    parser = _Parser(prog="logitkit", description="What frameworks mean by logits.", allow_abbrev=False)
    commands = parser.add_subparsers(required=True, metavar="COMMAND", dest="command")
    explain = commands.add_parser("explain", help="say which scale a function takes", description=_explain.__doc__)
    explain.add_argument(
        "symbol", nargs="?", metavar="SYMBOL", help="such as F.cross_entropy, or an argument: from_logits"
    )
    explain.add_argument("--framework", help="only of this framework, such as keras; without SYMBOL, all it has")
    explain.add_argument("--holds", choices=conventions.SCALES, help="only what takes this scale")
    explain.add_argument("--json", action="store_true", help="print the records as JSON")
    options = parser.parse_args(arguments)
    if not (options.symbol or options.framework or options.holds):
        explain.error("name a SYMBOL, a --framework or what it --holds")
    if isinstance(sys.stdout, io.TextIOWrapper):  # a console that has no ŷ shows its code
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        code = _explain(options)
        sys.stdout.flush()
    except OSError as error:
        if error.errno not in {errno.EPIPE, errno.EINVAL}:  # Windows says EINVAL
            raise
        # `| head` has read enough; what Python still holds must not go into the closed pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    return code


def _explain(options: argparse.Namespace) -> int:
    """Print what to pass to a function, what it does with it, the trap, and what does the same in other frameworks."""
    within = conventions.table(options.framework, options.holds)
    if options.framework and not conventions.table(options.framework):
        frameworks = dict.fromkeys(record.framework for record in conventions.table())
        return _unknown(f"no framework is named {options.framework!r}", f"there are {', '.join(frameworks)}")
    records = within
    if options.symbol:
        found = conventions.find(options.symbol)
        if not found:
            near = conventions.suggest(options.symbol)
            hint = (
                f"did you mean {' or '.join(near)}?"
                if near
                else "`logitkit explain --framework NAME` lists what there is"
            )
            return _unknown(f"{options.symbol!r} is not known", hint)
        records = [record for record in found if record in within]
        if not records:
            frameworks = dict.fromkeys(record.framework for record in found)
            return _unknown(f"{options.symbol!r} is not there", f"it is in {', '.join(frameworks)}")
    if options.json:
        print(json.dumps([_plain(record) for record in records], indent=2, allow_nan=False))
    elif options.symbol and len(records) <= IN_FULL:
        print("\n\n".join(_page(record) for record in records))
    else:
        print("\n".join(_lines(records)))
        print(f"\n`logitkit explain {records[0].symbol.partition('(')[0]}` explains one.")
    return 0


def _unknown(what: str, hint: str) -> int:
    print(f"logitkit: {what}; {hint}", file=sys.stderr)
    return 1


def _plain(record: Record) -> dict[str, object]:
    same = [{"framework": each.framework, "symbol": each.symbol} for each in conventions.equivalents(record)]
    return {**_said(asdict(record)), "equivalents": same}


def _said(value: Any) -> Any:
    """What a record says, without what it leaves out. Strict JSON has no NaN and no infinity, so they become text."""
    if isinstance(value, dict):
        return {name: _said(each) for name, each in value.items() if each not in (None, [])}
    if isinstance(value, list):
        return [_said(each) for each in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _lines(records: Sequence[Record]) -> Iterable[str]:
    framework = max(len(record.framework) for record in records)
    symbol = max(len(record.symbol) for record in records)
    for record in records:
        yield f"{record.framework:{framework}}  {record.symbol:{symbol}}  {record.argument}: {record.scale}"


def _page(record: Record) -> str:
    output = record.case.role in conventions.OUTPUT
    reduction = f"; reduction: {record.reduction}" if record.reduction else ""
    rows = {
        "Returns" if output else "Pass": record.scale if output else f"{record.scale} as `{record.argument}`",
        "Applies": f"{record.case.applies}{', fused' if record.fused else ''}{reduction}",
        "Target": record.case.target or "",
        "Order": record.callable.signature,
        "Trap": record.case.trap,
        "Right": f"{record.case.check.outcome}{_of(record)}",
        "Wrong": f"{record.case.wrong.outcome} if they are passed as {record.case.wrong.passes}"
        if record.case.wrong
        else "",
        "Call": record.case.check.call,
        "Elsewhere": _elsewhere(record),
        "Checked": _how_checked(record),
        "Docs": record.case.docs,
    }
    body = [_row(label, text) for label, text in rows.items() if text]
    return "\n".join([f"{record.symbol}   ({record.framework})", *body])


def _elsewhere(record: Record) -> str:
    """A line for each framework whose records are run, and the names of the others; --json has all symbols."""
    same: dict[str, list[Record]] = {}
    for each in conventions.equivalents(record):
        same.setdefault(each.framework, []).append(each)
    lines = [f"{name}: {', '.join(each.symbol for each in many[:2])}" for name, many in same.items() if many[0].package]
    read = [name for name, many in same.items() if not many[0].package]
    return "\n".join([*lines, *([f"also in {', '.join(read)}"] if read else [])])


def _of(record: Record) -> str:
    """How the check was made, and its input where it is the same for all: a distribution, put on the record's scale."""
    how = f" ({record.case.check.how})" if record.case.check.how else ""
    if record.case.check.x or record.case.check.probabilities:
        return how
    if record.case.check.p:
        p = f"p = {record.case.check.p}"
    else:
        p = "p = sigmoid(2), y = 1" if record.is_binary else "p = softmax([2, 0, -1]), y = 0"
    return f"{how} for {p}" if record.case.role in conventions.OUTPUT else f"{how} for {p}, passed as {record.scale}"


def _how_checked(record: Record) -> str:
    if record.not_run:
        return f"read in {record.case.source}; not run: {record.not_run}"
    return f"run with {record.package} {', '.join(record.versions)}; {record.case.source}"


def _row(label: str, text: str) -> str:
    lines = [
        line
        for part in text.split("\n")
        for line in textwrap.wrap(
            part, WIDTH - 13, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False
        )
    ]
    return "\n".join(f"  {label if number == 0 else '':<11}{line}" for number, line in enumerate(lines))
