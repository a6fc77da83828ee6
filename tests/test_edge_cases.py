"""The page of edge cases says what happens: every row of its tables is run."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

import logitkit as lk

PAGE = Path(__file__).parents[1] / "chapters" / "edge-cases.md"
NAMES = {"np": np, "lk": lk, "inf": np.inf, "nan": np.nan}


class Row(NamedTuple):
    line: int
    call: str
    result: str

    @property
    def error(self) -> re.Match[str] | None:
        return re.fullmatch(r"(\w+Error): (.+)", self.result)


def read(page: str) -> list[Row]:
    """Return the rows of all tables; a line that only looks like a row is an error, not passed over."""
    rows, expected = [], "header"
    for number, line in enumerate(page.splitlines(), start=1):
        if "|" not in line:
            if expected == "ruler":
                raise ValueError(f"line {number}: a header without a table")
            expected = "header"
        elif expected == "header":
            if line != "| Call | Result | Why |":
                raise ValueError(f"line {number} is not the header of a table: {line}")
            expected = "ruler"
        elif expected == "ruler":
            if line != "|---|---|---|":
                raise ValueError(f"line {number} is not the ruler of a table: {line}")
            expected = "row"
        else:
            cells = re.fullmatch(r"\| `([^`|]+)` \| `([^`|]+)` \| ([^|]+) \|", line)
            if not cells:
                raise ValueError(f"line {number} is not a row of a table: {line}")
            rows.append(Row(number, cells[1], cells[2]))
    return rows


ROWS = read(PAGE.read_text(encoding="utf-8"))


def plain(value: Any) -> Any:
    """The value as Python numbers and lists, which are equal if they look the same: NaN, and the sign of zero."""
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def run(row: Row) -> str:
    """What the call gives, as the page would have it."""
    return repr(plain(eval(row.call, dict(NAMES))))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.call)
def test_page_says_what_happens(row: Row) -> None:
    if row.error:
        with pytest.raises((TypeError, ValueError)) as raised:
            run(row)
        assert type(raised.value).__name__ == row.error[1]
        shown = row.error[2].split("…")
        assert re.fullmatch(".+".join(map(re.escape, shown)), str(raised.value), re.DOTALL), str(raised.value)
    else:
        assert run(row) == repr(plain(eval(row.result, dict(NAMES))))


def test_every_function_has_its_edges_listed_once() -> None:
    calls = [row.call for row in ROWS]
    assert len(set(calls)) == len(calls)
    for name in lk.__all__:
        assert any(f"lk.{name}(" in call for call in calls), name


@pytest.mark.parametrize(
    "damaged",
    [
        "| Call | Result |\n|---|---|\n| `lk.expit(0)` | `0.5` |",
        "| Call | Result | Why |\n\nText.",
        "| Call | Result | Why |\n|---|---|---|\n| lk.expit(0) | `0.5` | half |",
        "| Call | Result | Why |\n|---|---|---|\n| `lk.expit(0)` | 0.5 | half |",
        "| Call | Result | Why |\n|---|---|---|\n| `lk.expit(0)` | `0.5` |  |",
        "| Call | Result | Why |\n|---|---|---|\n| `lk.expit(0)` | `0.5` | half",
        "| Call | Result | Why |\n|---|---|---|\n  | `lk.expit(0)` | `0.5` | half |",
    ],
)
def test_row_that_cannot_be_read_is_not_passed_over(damaged: str) -> None:
    with pytest.raises(ValueError, match="line"):
        read(damaged)


@pytest.mark.parametrize(
    ("call", "result"),
    [
        ("lk.expit(0)", "0.25"),
        ("lk.expit(inf)", "1"),
        ("lk.log_expit(inf)", "0.0"),
        ("lk.expit(2j)", "ValueError: x must hold …"),
        ("lk.logit(2)", "ValueError: p must lie in [0, 1], but p is 3.0; …"),
        ("lk.logit(2)", "ValueError: p must lie in [0, 1]"),
        ("lk.logit(1)", "ValueError: p must lie …"),
        ("lk.logit(2)", "inf"),
    ],
)
def test_row_that_is_wrong_is_noticed(call: str, result: str) -> None:
    # Failed and AssertionError are what pytest raises for a wrong result and an error that does not come.
    with pytest.raises((AssertionError, ValueError, pytest.fail.Exception)):
        test_page_says_what_happens(Row(1, call, result))
