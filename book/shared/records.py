"""The records of logitkit.conventions in the words in which the book shows them."""

import math
from collections import Counter
from pathlib import Path

import logitkit as lk
from logitkit import conventions
from logitkit.conventions import Check, Record

FOLDER = Path(conventions.__file__).parent
FILES = (FOLDER / "results.json", *sorted((FOLDER / "records").glob("*.toml")))

# What a row has, in its order: the name by which pages/names.js sorts, and the heading.
COLUMNS = {
    "framework": "Framework",
    "function": "Function",
    "argument": "Argument",
    "holds": "Must hold",
    "applies": "Applies itself",
    "target": "Target",
    "reduction": "Reduction",
    "right": "Right number",
    "wrong": "Wrong number",
    "checked": "Checked",
    "trap": "Trap",
}

AGREED_LOG_ODDS = 2.0  # of a yes, on which the records of binary losses agree


def best_covered_first(records: list[Record]) -> list[Record]:
    """Return the records framework by framework, that with the most records first."""
    counts = Counter(record.framework for record in conventions.table())
    return sorted(records, key=lambda record: -counts[record.framework])


def facts(record: Record) -> dict[str, str]:
    """Return what each column says of a record, with code in backticks."""
    return {
        "framework": record.framework,
        "function": record.symbol,
        "argument": record.argument,
        "holds": record.scale,
        "applies": record.case.applies + (", fused" if record.fused else ""),
        "target": record.case.target or "",
        "reduction": record.reduction or "",
        "right": _outcome(record, record.case.check),
        "wrong": f"{record.case.wrong.passes}: {_outcome(record, record.case.wrong)}" if record.case.wrong else "",
        "checked": f"{'read' if record.not_run else 'run'}, {', '.join(record.versions)}",
        "trap": record.case.trap,
    }


def parts(text: str) -> list[tuple[bool, str]]:
    """Return the parts of a text, each with whether it stood in backticks."""
    return [(place % 2 == 1, part) for place, part in enumerate(text.split("`")) if part]


def _outcome(record: Record, check: Check) -> str:
    """Return what came of a call, and in parentheses how it was made and for which prediction, if not as usual."""
    said = [check.how] if check.how else []
    p = check.p or record.case.check.p
    if p and not math.isclose(p[-1], lk.expit(AGREED_LOG_ODDS), rel_tol=1e-5):
        said.append(f"for p = {p[1] if len(p) == 2 else p}")
    return f"{check.outcome} ({', '.join(said)})" if said else check.outcome
