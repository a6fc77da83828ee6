"""The table of edge cases, chapters/edge-cases.toml, as the book shows it and the tests run it."""

import tomllib
from pathlib import Path
from typing import NamedTuple

PATH = Path(__file__).parents[2] / "chapters" / "edge-cases.toml"
LIBRARIES = ("logitkit", "exact", "logitkit.torch", "SciPy", "PyTorch", "JAX")  # in the order in which they are shown


class Answer(NamedTuple):
    """What one library gives for a call: an expression for the value, or an error with its message."""

    call: str
    result: str

    @property
    def is_error(self) -> bool:
        """Whether the call is refused."""
        return self.result.split(":")[0].endswith("Error")

    def agrees_with(self, other: "Answer") -> bool:
        """Whether both say the same: one value, or no."""
        return self.result == other.result or (self.is_error and other.is_error)


class Case(NamedTuple):
    """One row of the table."""

    section: str
    name: str
    why: str
    answers: dict[str, Answer]


def read(text: str) -> tuple[dict[str, dict[str, str]], list[Case]]:
    """Return the versions that were asked, by library and package, and the rows."""
    document = tomllib.loads(text)
    return document["versions"], [case(title, row) for title, rows in document["sections"].items() for row in rows]


def case(section: str, row: dict[str, str]) -> Case:
    """Return a row of a section; what is not a row is an error."""
    name, why = row.pop("case", ""), row.pop("why", "")
    if not (name and why and "logitkit" in row and set(row) <= set(LIBRARIES)):
        raise ValueError(f"{section}: not a case, a reason and lines for logitkit and other libraries: {name}, {row}")
    parts = {library: row[library].split(" → ") for library in LIBRARIES if library in row}
    if any(len(part) != 2 or not all(part) for part in parts.values()):
        raise ValueError(f"{section}, {name}: a line is not of the form call → result: {row}")
    return Case(section, name, why, {library: Answer(*part) for library, part in parts.items()})
