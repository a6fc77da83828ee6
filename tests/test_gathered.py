"""A test that tries many cases fails if any of them does, and names all that do."""

from __future__ import annotations

import pytest

from tests.gathered import each, try_all


def test_all_cases_are_tried_the_first_failure_is_raised_and_all_are_named() -> None:
    tried = []

    @each(x={"one": 1, "none": 0, "two": 2}, y=(0, 1))
    def divide(x: int, y: int) -> None:
        tried.append((x, y))
        assert x / y > 0

    with pytest.raises(ZeroDivisionError) as raised:
        divide()
    assert tried == [(1, 0), (1, 1), (0, 0), (0, 1), (2, 0), (2, 1)]
    first, *others = raised.value.__notes__[0].splitlines()
    assert first.startswith("4 of 6 cases fail")
    assert [line.split(": ")[:2] for line in others if line.startswith("  x=")] == [
        ["  x=one, y=0", "ZeroDivisionError"],
        ["  x=none, y=0", "ZeroDivisionError"],
        ["  x=none, y=1", "AssertionError"],
        ["  x=two, y=0", "ZeroDivisionError"],
    ]


def test_no_case_is_no_success() -> None:
    with pytest.raises(AssertionError, match="no case"):
        try_all([])
