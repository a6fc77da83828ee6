"""The table of names in the book: every record with its link, and a filter that shows what is asked for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

from book.pages import names
from book.shared.node import NODE
from logitkit import conventions

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "book" / "pages" / "names.js"
RECORDS = conventions.table()


@pytest.fixture(scope="module")
def page():
    return BeautifulSoup(names.table(RECORDS), "lxml")


@pytest.fixture(scope="module")
def rows(page):
    """The rows as the script reads them from the page."""
    columns = [heading["data-column"] for heading in page.select("thead th")]
    found = []
    for row in page.select("tbody tr"):
        texts = [cell.get_text() for cell in row.find_all(["th", "td"])]
        text = " ".join([*texts, row["data-also"]])
        found.append({"cells": dict(zip(columns, texts, strict=True)), "text": text})
    return found


def ask(expression, **given):
    """The value of an expression in the script, whose own start waits for a page that never comes."""
    program = [
        "const document = { addEventListener() {} };",
        SCRIPT.read_text("utf-8"),
        f"const {{ {', '.join(given)} }} = {json.dumps(given)};",
        f"process.stdout.write(JSON.stringify({expression}));",
    ]
    done = subprocess.run([NODE, "-"], input="\n".join(program), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def symbols(rows):
    return sorted((row["cells"]["framework"], row["cells"]["function"]) for row in rows)


def bare(text):
    """A text without the backticks that mark its code."""
    return text.replace("`", "")


def names_of(records):
    return sorted((record.framework, record.symbol) for record in records)


def filtered(rows, **query):
    return ask("rows.filter((row) => names.answers(row, query))", rows=rows, query=query)


def test_every_record_is_in_the_table_once(rows):
    assert symbols(rows) == names_of(RECORDS)


def test_every_symbol_links_to_its_documentation(page):
    links = {(link.get_text(), link["href"]) for link in page.select("tbody th[scope=row] > a")}
    assert links == {(record.symbol, record.case.docs) for record in RECORDS}


def test_every_row_says_what_its_record_says(rows):
    cells = {(row["cells"]["framework"], row["cells"]["function"]): row["cells"] for row in rows}
    for record in RECORDS:
        row = cells[record.framework, record.symbol]
        assert row["argument"] == record.argument
        assert row["holds"] == record.scale
        assert row["applies"] == bare(record.case.applies) + (", fused" if record.fused else "")
        assert row["target"] == bare(record.case.target or "")
        assert row["reduction"] == bare(record.reduction or "")
        assert row["trap"] == bare(record.case.trap)
        assert row["checked"].startswith("read, " if record.not_run else "run, ")
        assert all(version in row["checked"] for version in record.versions)
        if isinstance(record.case.check.gives, float):
            assert float(row["right"].partition(" ")[0]) == pytest.approx(record.case.check.gives, nan_ok=True)
        if record.case.check.how:
            assert f"({bare(record.case.check.how)}" in row["right"]
        if record.case.wrong:
            assert row["wrong"].startswith(f"{record.case.wrong.passes}: ")
        if record.case.wrong and isinstance(record.case.wrong.raises, str):
            assert row["wrong"].endswith(record.case.wrong.raises)


def test_code_of_a_trap_is_code_on_the_page(page):
    (trap,) = [
        row.find("td", {"data-label": "Trap"})
        for row in page.select("tbody tr")
        if row.find("th").get_text() == "vw --loss_function logistic --link logistic"
    ]
    assert [code.get_text() for code in trap.find_all("code")] == ["--link logistic", "--link glf1"]


def test_number_of_another_prediction_than_the_agreed_one_says_which(rows):
    cells = {row["cells"]["function"]: row["cells"] for row in rows}
    assert cells["flax.nnx.metrics.Accuracy(threshold=)"]["right"].endswith("for p = 0.425557)")
    assert cells["VGAM::multilogitlink"]["right"] == "[0.916291, 0.405465] (for p = [0.5, 0.3, 0.2])"
    assert cells["cntk.losses.binary_cross_entropy"]["wrong"] == "log-odds: 0.90272 (for p = 0.6)"
    assert cells["base_score (binary:logistic)"]["right"] == "2.0 (the log-odds that is then predicted)"


def test_table_can_be_read_without_the_script_and_without_sight(page):
    assert page.select_one("form.names").has_attr("hidden")
    assert page.select("table.names [hidden]") == []
    assert page.select_one("table.names > caption").get_text()
    headings = page.select("thead th[scope=col]")
    assert [heading.get_text() for heading in headings] == list(names.COLUMNS.values())
    for row in page.select("tbody tr"):
        assert [cell["data-label"] for cell in row.find_all(["th", "td"])] == list(names.COLUMNS.values())
    fields = page.select("form.names :is(input, select)")
    assert fields
    assert all(field.find_parent("label").get_text(strip=True) for field in fields)
    assert page.select_one("form.names [role=status]") is not None


@pytest.mark.parametrize("holds", conventions.SCALES)
def test_filter_by_scale_leaves_the_records_of_this_scale(rows, holds):
    assert symbols(filtered(rows, scale=holds)) == names_of(conventions.table(scale=holds))


def test_filter_by_framework_does_not_take_one_for_another_that_begins_alike(rows):
    assert symbols(filtered(rows, framework="R")) == names_of([each for each in RECORDS if each.framework == "R"])


def test_filter_by_words_finds_what_a_user_types_in_any_order(rows):
    for typed in ("F.cross_entropy", "  Cross_Entropy\ttorch "):
        assert ("PyTorch", "torch.nn.functional.cross_entropy") in symbols(filtered(rows, find=typed)), typed
    assert ("PyTorch", "torch.nn.CrossEntropyLoss") in symbols(filtered(rows, find="cross_entropy"))
    both, one = symbols(filtered(rows, find="logitraw base_score")), symbols(filtered(rows, find="base_score"))
    assert ("XGBoost", "base_score (binary:logitraw)") in both
    assert set(both) < set(one)
    assert filtered(rows, find="cross_entropy nowhere-to-be-found") == []


def test_filters_combine_and_an_empty_one_leaves_everything(rows):
    found = filtered(rows, find="cross", framework="PyTorch", scale="log-odds")
    assert ("PyTorch", "torch.nn.functional.binary_cross_entropy_with_logits") in symbols(found)
    assert {(row["cells"]["framework"], row["cells"]["holds"]) for row in found} == {("PyTorch", "log-odds")}
    assert len(filtered(rows, find="", framework="", scale="")) == len(filtered(rows)) == len(RECORDS)


def test_headings_sort_up_and_down_with_empty_cells_last(rows):
    up = [row["cells"]["reduction"] for row in ask('names.sorted(rows, "reduction")', rows=rows)]
    down = [row["cells"]["reduction"] for row in ask('names.sorted(rows, "-reduction")', rows=rows)]
    said = [reduction for reduction in up if reduction]
    assert up == said + [""] * (len(up) - len(said))
    assert down[: len(said)] == said[::-1]
    assert said != [row["cells"]["reduction"] for row in rows if row["cells"]["reduction"]]
    assert len({*said}) > 2


def test_heading_pressed_again_turns_the_order_round_and_then_gives_it_up():
    orders = ask('["holds", "-holds", "", "framework"].map((order) => names.next("holds", order))')
    assert orders == ["-holds", "", "holds", "holds"]


def test_status_says_how_many_match_and_how_many_are_shown():
    said = "names.said(shown, matching, all, heading, order)"
    assert ask(said, shown=20, matching=35, all=300, heading="", order="") == (
        "35 of 300 functions, of which the first 20 are shown."
    )
    assert ask(said, shown=3, matching=3, all=300, heading="Must hold", order="-holds") == (
        "3 of 300 functions, sorted by must hold, descending."
    )


def test_script_is_small_enough_to_be_read():
    assert len(SCRIPT.read_bytes()) <= 6000


@pytest.mark.parametrize("role", ["multiclass loss", "binary loss"])
def test_tabs_show_the_recorded_run_of_one_loss_a_framework(role):
    found = names.outcomes(role)
    frameworks = [outcome.record.framework for outcome in found]
    assert {"PyTorch", "Keras 3", "TensorFlow", "Optax", "scikit-learn"} <= set(frameworks)
    assert len(set(frameworks)) == len(frameworks)
    text = names.tabs(role)
    for outcome in found:
        assert float(outcome.right) == pytest.approx(0.169846 if role == "multiclass loss" else 0.126928, abs=1e-5)
        assert f"{{tab-item}} {outcome.record.framework}\n" in text
        assert outcome.record.case.check.call in text
        assert outcome.versions
