"""The chapter on claims: its table, its headings, its text and its cells give one verdict each."""

import re
from pathlib import Path

import nbformat
import pytest

CELLS = nbformat.read(Path(__file__).parent.parent / "chapters" / "claims.ipynb", as_version=4).cells
TEXT = "\n".join(cell.source for cell in CELLS if cell.cell_type == "markdown")
CODE = "\n".join(cell.source for cell in CELLS if cell.cell_type == "code")
VERDICTS = {"true", "true, with a condition", "false"}


@pytest.fixture(scope="module")
def table():
    """Return the rows of the summary: number, text, label, verdict."""
    rows = re.findall(r"^\| \{ref\}`(\d+)\. (.+) <claims-([a-z-]+)>` \| (.+) \| (.+) \|$", TEXT, flags=re.MULTILINE)
    assert len(rows) > 20
    assert {row[3] for row in rows} == VERDICTS
    assert all(row[4].strip() for row in rows), "a verdict without its condition is of no use"
    return [row[:4] for row in rows]


def test_claims_are_numbered_from_one_and_have_labels_of_their_own(table):
    assert [int(row[0]) for row in table] == list(range(1, len(table) + 1))
    assert len({row[2] for row in table}) == len(table)


def test_table_repeats_the_headings_and_verdicts_below_it(table):
    sections = re.findall(
        r"^\(claims-([a-z-]+)\)=\n### (\d+)\. (.+)\n\n(?:```\{index\}.*\n```\n\n)?\*\*(.+?)\.\*\*",
        TEXT,
        flags=re.MULTILINE,
    )
    below = [(number, text.replace("`", ""), label, verdict.lower()) for label, number, text, verdict in sections]
    assert below == table


def test_every_verdict_is_given_by_a_cell_that_asserts_something(table):
    given = re.findall(r'^verdicts\[(\d+)\] = "(.+)"$', CODE, flags=re.MULTILINE)
    assert given == [(row[0], row[3]) for row in table]
    deciding = [cell.source for cell in CELLS if re.search(r"^verdicts\[\d+\] = ", cell.source, flags=re.MULTILINE)]
    assert len(deciding) == len(table)
    assert [source for source in deciding if not re.search(r"^ *assert ", source, flags=re.MULTILINE)] == []
