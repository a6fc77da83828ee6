"""The table of edge cases, chapters/edge-cases.yml, as the book shows it and the tests run it."""

from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import yaml

PATH = Path(__file__).parents[2] / "chapters" / "edge-cases.yml"
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


class _Loader(yaml.SafeLoader):
    """YAML in which a key that is given twice is an error: the first would be dropped without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = Counter(self.construct_object(key) for key, _ in node.value)
        if twice := [key for key, n in keys.items() if n > 1]:
            raise ValueError(f"line {node.start_mark.line + 1}: {twice[0]} is given twice")
        return super().construct_mapping(node, deep)


def read(text: str) -> tuple[dict[str, dict[str, str]], list[Case]]:
    """Return the versions that were asked, by library and package, and the rows; what is not a row is an error."""
    document = yaml.load(text, _Loader)
    cases = []
    for section, rows in document["sections"].items():
        for row in rows:
            given = {key: value for key, value in row.items() if key not in ("case", "why")}
            parts = {library: str(line).split(" → ") for library, line in given.items()}
            if not (row.get("case") and row.get("why") and "logitkit" in given and set(given) <= set(LIBRARIES)):
                raise ValueError(f"{section}: not a case, a reason and lines for logitkit and other libraries: {row}")
            if any(len(part) != 2 or not all(part) for part in parts.values()):
                raise ValueError(f"{section}, {row['case']}: a line is not of the form call → result: {given}")
            answers = {library: Answer(*parts[library]) for library in LIBRARIES if library in parts}
            cases.append(Case(section, row["case"], row["why"], answers))
    return document["versions"], cases
