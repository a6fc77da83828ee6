"""The form on the page of symptoms says what logitkit.diagnose says."""

from __future__ import annotations

import json
import random

import pytest
from playwright.sync_api import Page, expect

from logitkit.diagnose import diagnose

KNOWN = ("1.4615", "2.3026", "0.6931", "100", "16.118", "0", "-0.3", "-4", "0.3133", "5.91", "18.42", "1e-3")


@pytest.fixture
def form(page: Page, site: str):
    page.goto(f"{site}/chapters/symptoms.html")
    return page.locator("form.diagnose")


def test_form_and_package_agree(form) -> None:
    draw = random.Random(0)
    cases = [(loss, classes) for loss in KNOWN for classes in (None, 2, 10, 1000)]
    cases += [(f"{draw.uniform(0.05, 12):.4f}", draw.choice([None, 2, 7, 10, 333])) for _ in range(200)]
    script = """cases => {
        const facts = JSON.parse(document.querySelector("form.diagnose script").textContent);
        return cases.map(([loss, classes]) => diagnosis.matches(loss, classes, facts)
            .map(({ cause, coincidence }) => [facts.causes[cause].title, coincidence ?? -1]));
    }"""
    shown = form.page.evaluate(script, json.loads(json.dumps(cases)))
    for (loss, classes), found in zip(cases, shown, strict=True):
        expected = [
            [each.title, -1 if each.coincidence is None else each.coincidence]
            for each in diagnose(float(loss), classes=classes).findings
        ]
        assert [title for title, _ in found] == [title for title, _ in expected], (loss, classes)
        assert [each for _, each in found] == pytest.approx([each for _, each in expected], rel=1e-9), (loss, classes)


def test_reader_types_and_is_led_to_the_trap(form) -> None:
    form.get_by_label("Loss").fill("1.4615")
    form.get_by_label("Number of classes").fill("10")
    first = form.locator("li").first
    expect(first).to_contain_text("probabilities into a loss that applies softmax: 1.4612 for 10 classes")
    assert first.get_by_role("link").get_attribute("href") == "traps.html#traps-softmax-twice"
    form.get_by_label("Loss").fill("1.9")
    expect(form.get_by_role("status")).to_have_text("Nothing we know of matches better than by accident.")
    form.get_by_label("Number of classes").fill("one")
    expect(form.get_by_role("status")).to_contain_text("whole number of at least 2")
    form.get_by_label("Loss").fill("many")
    expect(form.get_by_role("status")).to_have_text("That's not a number.")
