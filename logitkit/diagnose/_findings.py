"""What a diagnosis finds, and its text."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from dataclasses import dataclass

WIDTH = 88
LIKELY, POSSIBLE = 0.02, 0.1  # shares of random numbers that match as well


@dataclass(frozen=True)
class Finding:
    """One thing that a number, a log or an array could be.

    Attributes
    ----------
    title : str
        What it is.
    evidence : str
        What was seen, with the formula and its value.
    coincidence : float or None
        How likely it is that arbitrary data would match as well; None where that can't be put into a number.
    confirm : str
        A line of Python that is true if the finding is right; `outputs` is what the loss receives.
    fix : str
        What to do about it.
    page : str
        Where the book derives it.
    classes : int, optional
        For how many classes.
    value : float, optional
        The value that is matched.
    """

    title: str
    evidence: str
    coincidence: float | None
    confirm: str = ""
    fix: str = ""
    page: str = ""
    classes: int | None = None
    value: float | None = None

    @property
    def verdict(self) -> str:
        """The coincidence in words: likely, possible or weak; "fits" where it has no number."""
        if self.coincidence is None:
            return "fits"
        if self.coincidence <= LIKELY:
            return "likely"
        return "possible" if self.coincidence <= POSSIBLE else "weak"


@dataclass(frozen=True)
class Diagnosis:
    """What was looked at, what it could be, the most convincing first, and remarks such as what is ruled out."""

    subject: str
    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, subject: str, findings: Iterable[Finding], notes: Iterable[str] = ()) -> Diagnosis:
        """The most convincing first; what has no number comes after what's likely."""
        ranked = sorted(findings, key=lambda each: LIKELY if each.coincidence is None else each.coincidence)
        return cls(subject, tuple(ranked), tuple(notes))

    def __bool__(self) -> bool:
        return bool(self.findings)

    def __str__(self) -> str:
        return _text(self)


def _text(diagnosis: Diagnosis) -> str:
    """The findings, numbered, then the notes; says so when there are none."""
    lines = [diagnosis.subject[:1].upper() + diagnosis.subject[1:]]
    if not diagnosis.findings:
        lines += ["", "Nothing that we know matches."]
    for number, finding in enumerate(diagnosis.findings, 1):
        lines += ["", f"{number}. {finding.title}", *_rows(finding)]
    for note in diagnosis.notes:
        lines += ["", *textwrap.wrap(note, WIDTH)]
    return "\n".join(lines)


def _odds(finding: Finding) -> str:
    """The verdict, and how likely a match by accident is, as "1 in n"."""
    if finding.coincidence is None:
        return finding.verdict
    if finding.coincidence < 1e-6:
        return f"{finding.verdict}: an accidental match is out of the question"
    return f"{finding.verdict}: about 1 in {max(1, round(1 / finding.coincidence)):,} would match as well by accident"


def _rows(finding: Finding) -> list[str]:
    rows = {
        "Because": finding.evidence,
        "Verdict": _odds(finding),
        "Confirm": finding.confirm,
        "Fix": finding.fix,
        "Read": finding.page,
    }
    lines = []
    for label, text in rows.items():
        if text:
            first, *rest = textwrap.wrap(text, WIDTH - 12, break_long_words=False, break_on_hyphens=False)
            lines += [f"   {label:9}{first}", *(f"{'':12}{line}" for line in rest)]
    return lines
