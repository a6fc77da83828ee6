"""What the checker says: a place, a code, the value's way to it, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from logitkit.check.explain import url
from logitkit.check.values import Place, Step

__all__ = ["Edit", "Finding", "Fix"]


@dataclass(frozen=True)
class Edit:
    """One replacement in a file."""

    place: Place
    text: str


@dataclass(frozen=True)
class Fix:
    """A change that mends the code. It's safe if it can't change anything else."""

    title: str
    edits: tuple[Edit, ...]
    safe: bool


@dataclass(frozen=True)
class Finding:
    """One mistake."""

    code: str
    place: Place
    message: str
    tell: str  # the number on the screen that gives it away
    steps: tuple[Step, ...]
    fix: Fix | None = None
    level: str = "error"  # error, or note for what's only style
    cell: int = 0

    @property
    def url(self) -> str:
        """The page about the code."""
        return url(self.code)

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "path": self.place.path,
            "line": self.place.line,
            "column": self.place.column,
            "end_line": self.place.end_line,
            "end_column": self.place.end_column,
            **({"cell": self.cell} if self.cell else {}),
            "code": self.code,
            "level": self.level,
            "message": self.message,
            "tell": self.tell,
            "origin": [
                {"path": s.place.path, "line": s.place.line, "column": s.place.column, "what": s.what}
                for s in self.steps
                if s.what
            ],
            "fix": self.fix
            and {
                "title": self.fix.title,
                "safe": self.fix.safe,
                "edits": [
                    {
                        "path": e.place.path,
                        "line": e.place.line,
                        "column": e.place.column,
                        "end_line": e.place.end_line,
                        "end_column": e.place.end_column,
                        "text": e.text,
                    }
                    for e in self.fix.edits
                ],
            },
            "url": self.url,
        }
