"""``logitkit diagnose``: from the words of a command line to a printed diagnosis."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from logitkit.diagnose import Diagnosis, diagnose, diagnose_log, losses_of, read_log


def add_diagnose(commands: Any) -> None:
    """Add the command to a parser's commands."""
    parser = commands.add_parser(
        "diagnose", help="say why a loss is stuck where it is, or on which scale an array is", description=run.__doc__
    )
    parser.add_argument("what", metavar="WHAT", help="a loss, a log, a folder of event files, a .npy file, or -")
    parser.add_argument("--classes", type=int, metavar="C", help="the number of classes; without it the usual ones")
    parser.add_argument("--positive-rate", type=float, metavar="P", help="the share of the positive class, of two")
    parser.add_argument("--shares", metavar="Q,Q,...", help="the shares of all classes")
    parser.add_argument("--column", metavar="NAME", help='the column of a log; all with "loss" in their names without')
    parser.add_argument("--format", choices=("text", "json"), default="text")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Compare a loss, or the plateau of a log, with the values at which mistakes make a loss stop."""
    try:
        diagnoses = list(_diagnoses(options))
    except (OSError, ValueError) as error:
        reason = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) else str(error)
        print(f"logitkit diagnose: {reason}", file=sys.stderr)
        return 2
    if options.format == "json":
        print(json.dumps([_plain(each) for each in diagnoses], indent=2, allow_nan=False))
    else:
        print("\n\n".join(map(str, diagnoses)))
    return 0 if any(diagnoses) else 1


def _diagnoses(options: argparse.Namespace) -> Iterator[Diagnosis]:
    shares = [float(word) for word in options.shares.split(",")] if options.shares else None
    known = {"classes": options.classes, "positive_rate": options.positive_rate, "shares": shares}
    try:
        loss = float(options.what)
    except ValueError:
        if options.what.endswith(".npy"):
            import numpy as np

            yield diagnose(np.load(options.what, allow_pickle=False))
            return
        for name, losses in losses_of(read_log(options.what), options.column).items():
            yield diagnose_log(losses, name=name, **known)
    else:
        yield diagnose(loss, **known)


def _plain(diagnosis: Diagnosis) -> dict[str, Any]:
    findings = [{**asdict(each), "verdict": each.verdict} for each in diagnosis.findings]
    return {"subject": diagnosis.subject, "findings": findings, "notes": list(diagnosis.notes)}
