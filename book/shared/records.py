"""The records of logitkit.conventions as the book shows them, on the web and on paper."""

import math
from collections import Counter
from pathlib import Path

from docutils import nodes

import logitkit as lk
from logitkit import conventions
from logitkit.conventions import Check, Record

FOLDER = Path(conventions.__file__).parent
FILES = (FOLDER / "results.json", *sorted((FOLDER / "records").glob("*.toml")))
AGREED_LOG_ODDS = 2.0  # of the positive class, on which the records of binary losses agree


def best_covered_first(records: list[Record]) -> list[Record]:
    """Return the records framework by framework, that with the most records first."""
    counts = Counter(record.framework for record in conventions.table())
    return sorted(records, key=lambda record: -counts[record.framework])


def facts(record: Record) -> dict[str, str]:
    """Return what there is to say of a record, by its label, with code in backticks."""
    case = record.case
    scale = conventions.words_for(record.scale)
    said = {
        "Returns" if record.returned else "Pass": scale if record.returned else f"{scale}, as `{record.argument}`",
        "Depends": f"on {record.depends}" if record.depends else "",
        "Applies": case.applies + (", fused" if record.fused else ""),
        "Target": case.target or "",
        "Reduction": record.reduction or "",
        "Right number": _outcome(record, case.check) if case.check else "",
        "Wrong number": f"{_outcome(record, case.wrong)}, if you pass {case.wrong.passes}" if case.wrong else "",
        "Trap": case.trap,
        "Checked": f"{'read' if record.not_run else 'run'}, {', '.join(record.versions)}",
    }
    return {label: text for label, text in said.items() if text}


def entry(record: Record, ids: tuple[str, ...] = ()) -> nodes.definition_list_item:
    """Return a record as a term, which links to its documentation, and what there is to say of it."""
    link = nodes.reference("", "", nodes.literal("", record.symbol), refuri=record.case.docs)
    framework = nodes.inline("", record.framework, classes=["framework"])
    # No paragraphs: the list is the longest page, and its elements are what a phone takes its time for.
    fields = [
        nodes.field("", nodes.field_name("", label), nodes.field_body("", *marked(text)))
        for label, text in facts(record).items()
    ]
    return nodes.definition_list_item(
        "",
        nodes.term("", "", link, nodes.Text(" "), framework, ids=list(ids)),
        nodes.definition("", nodes.field_list("", *fields)),
        classes=[f"scale-{record.scale}"],
    )


def marked(text: str) -> list[nodes.Node]:
    """Return text as nodes, with what stands in backticks as code."""
    parts = enumerate(text.split("`"))
    return [nodes.literal("", part) if place % 2 else nodes.Text(part) for place, part in parts if part]


def _outcome(record: Record, check: Check) -> str:
    """Return what a call gave, and in parentheses how it was made and for which prediction, if not as usual."""
    said = [check.how] if check.how else []
    p = check.p or (record.case.check and record.case.check.p)
    if p and not math.isclose(p[-1], lk.expit(AGREED_LOG_ODDS), rel_tol=1e-5):
        said.append(f"for p = {list(p) if len(p) != 2 else p[1]}")
    return f"{check.outcome} ({', '.join(said)})" if said else check.outcome
