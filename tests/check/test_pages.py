"""The page of each code: its wrong example is found, its right one is not, and both run."""

from __future__ import annotations

import pytest

from logitkit.check import check_text
from logitkit.check.explain import TITLES, example
from logitkit.cli import main


@pytest.mark.parametrize("code", TITLES)
def test_wrong_example_is_found_and_right_one_is_not(code: str) -> None:
    for heading, expected in (("Wrong", {code}), ("Right", set())):
        text = example(code, heading)
        assert text.count("\n") >= 3
        assert {one.code for one in check_text("a.py", {"a.py": text}.get).findings} == expected


@pytest.mark.parametrize("heading", ["Wrong", "Right"])
@pytest.mark.parametrize("code", [code for code in TITLES if "keras" not in example(code, "Wrong")])
def test_example_runs(code: str, heading: str) -> None:
    exec(example(code, heading), {})


@pytest.mark.parametrize("code", TITLES)
def test_explain_prints_the_page_without_marks(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "--explain", code.lower()]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith(f"{code}: {TITLES[code]}\n")
    assert "](" not in printed
    assert "```" not in printed
    assert all(f"    {line}" in printed for line in example(code, "Wrong").splitlines() if line)
