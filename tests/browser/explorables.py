"""An explorable on an open page, moved and read."""

from __future__ import annotations

from contextlib import contextmanager

import numpy as np

from .audit import audit

CHAPTERS = {
    "log-odds-scales": "log-odds",
    "free-constant": "one-idea",
    "softmax-twice": "traps",
    "stable-loss": "fused-losses",
    "base-rate": "binary-multilabel",
}
BOX = ".explorable:has(#explorable-{})"
OUTPUTS = """box => [...box.querySelectorAll("output[data-name]")].map(
    (output) => [output.dataset.name, output.dataset.value, output.textContent])"""
PUT = """(box, values) => Object.entries(values).forEach(([name, value]) => {
    const control = box.querySelector(`[name=${name}]`);
    control.value = value;
    control.dispatchEvent(new Event("input", { bubbles: true }));
})"""
PUT_ALL = """(box, shares) => box.querySelectorAll("input").forEach((control, i) => {
    control.value = Number(control.min) + shares[i] * (control.max - control.min);
    control.dispatchEvent(new Event("input", { bubbles: true }));
})"""


class Box:
    """One explorable on an open page."""

    def __init__(self, page, name):
        self.page, self.name = page, name
        self.root = page.locator(BOX.format(name))
        self.figure = self.root.locator("svg")

    def control(self, name):
        return self.root.locator(f"[name={name}]")

    def numbers(self):
        """All that is shown, in full, by name."""
        shown = self.root.evaluate(OUTPUTS)
        assert shown
        for name, value, text in shown:
            assert value, name
            assert text.strip(), name
            assert "NaN" not in text + value, (name, text)
            assert "undefined" not in text + value, (name, text)
        return {name: float(value) for name, value, _ in shown}

    def value(self, name):
        return float(self.control(name).input_value())

    def set(self, **values):
        """Set controls as an input event does, and return the numbers: a quick way to many of them."""
        self.root.evaluate(PUT, {name: str(value) for name, value in values.items()})
        return self.numbers()

    def everywhere(self):
        """Put the controls to random positions, the ends among them, again and again."""
        for shares in np.random.default_rng(1).uniform(-0.15, 1.15, size=(12, self.root.locator("input").count())):
            self.root.evaluate(PUT_ALL, np.clip(shares, 0, 1).tolist())
            yield

    def press(self, name, *keys):
        self.control(name).focus()
        for key in keys:
            self.page.keyboard.press(key)
        return self.numbers()


def address(site, name):
    return f"{site}/chapters/{CHAPTERS[name]}.html"


def opened(page, site, name):
    page.goto(address(site, name))
    audit(page, "layOut")
    box = Box(page, name)
    box.root.scroll_into_view_if_needed()
    return box


@contextmanager
def another_page(page, **options):
    """A page with other settings: the theme, a phone, no scripts."""
    context = page.context.browser.new_context(**options)
    try:
        yield context.new_page()
    finally:
        context.close()
