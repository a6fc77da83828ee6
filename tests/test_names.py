"""The list of names in the book: every record, an address for each, and a filter that shows what is asked for."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
from docutils import nodes

from book.pages import names
from book.shared import records
from book.site.math import NODE
from logitkit import conventions
from tests.gathered import by_framework

ROOT = Path(__file__).parents[1]
SCRIPT = ROOT / "book" / "pages" / "names.js"
RECORDS = conventions.table()
ANCHORS = names.anchors(RECORDS)


@pytest.fixture(scope="module")
def entries():
    """The entries as the script reads them from the page."""
    found = []
    for record, anchors in zip(RECORDS, ANCHORS, strict=True):
        text = " ".join([*anchors, records.entry(record).astext()])
        found.append({"anchors": anchors, "framework": record.framework, "scale": record.scale, "text": text})
    return found


def ask(expression, **given):
    """The value of an expression in the script without its last line, which starts it on a page."""
    functions, start, _ = SCRIPT.read_text("utf-8").partition("names.start(")
    assert start
    program = [
        functions,
        f"const {{ {', '.join(given)} }} = {json.dumps(given)};",
        f"process.stdout.write(JSON.stringify({expression}));",
    ]
    done = subprocess.run([NODE, "-"], input="\n".join(program), text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def filtered(entries, **query):
    found = ask("entries.filter((entry) => names.answers(entry, query))", entries=entries, query=query)
    return [entry["anchors"][0] for entry in found]


def test_every_entry_has_anchors_of_its_own_and_every_path_leads_to_one():
    every = [anchor for anchors in ANCHORS for anchor in anchors]
    assert len(set(every)) == len(every)
    paths = {path for each in conventions.callables() for path in each.paths if path.replace(".", "").isidentifier()}
    assert paths <= set(every)
    assert not any(set(anchor) & set(" ()\"'") for anchor in every)


@by_framework(RECORDS, "symbol")
def test_entry_says_what_its_record_says(record):
    facts = records.facts(record)
    assert all(facts.values())
    words = conventions.words_for(record.scale)
    assert facts.get("Returns", facts.get("Pass", "")).startswith(words)
    assert ("Returns" in facts) == record.returned
    assert facts["Trap"] == record.case.trap
    assert facts["Checked"].startswith("read, " if record.not_run else "run, ")
    assert all(version in facts["Checked"] for version in record.versions)
    check = record.case.check
    if check and isinstance(check.gives, float):
        assert float(facts["Right number"].partition(" ")[0]) == pytest.approx(check.gives, nan_ok=True)
    if check and check.how:
        assert check.how in facts["Right number"]
    if record.case.wrong:
        assert facts["Wrong number"].endswith(f"if you pass {record.case.wrong.passes}")


def test_entry_links_to_the_documentation_and_marks_code():
    (record,) = [each for each in RECORDS if each.symbol == "torch.nn.CrossEntropyLoss"]
    entry = records.entry(record, ("torch.nn.CrossEntropyLoss",))
    (link,) = entry.findall(nodes.reference)
    assert (link.astext(), link["refuri"]) == (record.symbol, record.case.docs)
    assert "input" in [code.astext() for code in entry.findall(nodes.literal)]
    assert "`" not in entry.astext()


@pytest.mark.parametrize("scale", conventions.SCALES)
def test_filter_by_scale_leaves_the_records_of_this_scale(entries, scale):
    assert len(filtered(entries, scale=scale)) == len(conventions.table(scale=scale))


def test_filter_by_framework_does_not_take_one_for_another_that_begins_alike(entries):
    assert len(filtered(entries, framework="R")) == len([each for each in RECORDS if each.framework == "R"])


def test_filter_by_words_finds_what_a_user_types_in_any_order(entries):
    for typed in ("functional.cross_entropy", "  Cross_Entropy\ttorch "):
        assert "torch.nn.functional.cross_entropy" in filtered(entries, find=typed), typed
    assert "torch.nn.CrossEntropyLoss" in filtered(entries, find="cross_entropy")
    assert set(filtered(entries, find="cross_entropy torch")) < set(filtered(entries, find="cross_entropy"))
    assert filtered(entries, find="cross_entropy nowhere-to-be-found") == []


def test_filters_combine_and_an_empty_one_leaves_everything(entries):
    found = filtered(entries, find="cross", framework="PyTorch", scale="log-odds")
    assert "torch.nn.functional.binary_cross_entropy_with_logits" in found
    assert all(anchor.startswith("torch") for anchor in found)
    assert len(filtered(entries, find="", framework="", scale="")) == len(RECORDS)


def test_address_of_an_entry_shows_it_among_its_neighbors(entries):
    around = ask('names.around(entries, "torch.nn.CrossEntropyLoss")', entries=entries)
    assert "torch.nn.CrossEntropyLoss" in [entry["anchors"][0] for entry in around]
    assert 3 <= len(around) <= 5
    assert ask('names.around(entries, "nothing")', entries=entries) is None


def test_status_says_how_many_match_and_how_many_are_shown():
    said = "names.said(shown, matching, all)"
    assert ask(said, shown=20, matching=35, all=300) == "35 of 300 functions, of which the first 20 are shown."
    assert ask(said, shown=300, matching=300, all=300) == "All 300 functions."


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


def test_page_is_read_again_when_there_is_a_new_file_of_records():
    known = {"all": {*map(str, records.FILES), "other"}, "some": {*map(str, records.FILES[1:])}, "none": {"other"}}
    env = SimpleNamespace(dependencies=known)
    assert names.pages_without_new_records(None, env, set(), set(), set()) == ["some"]
