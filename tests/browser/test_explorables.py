"""The explorables, moved in a real browser: every number that they show is the one that logitkit or NumPy gives."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import logitkit as lk

from .audit import audit

SCRIPTS = Path(__file__).parents[2] / "book" / "explorables"
CHAPTERS = {
    "log-odds-scales": "log-odds",
    "free-constant": "one-idea",
    "softmax-twice": "traps",
    "stable-loss": "fused-losses",
    "base-rate": "binary-multilabel",
}
DECIBANS = 10 / np.log(10)
FORMATS = {"float16": np.float16, "float32": np.float32, "float64": np.float64}
SCRIPT = re.compile(rf"/_static/(numerics|explorable|{'|'.join(CHAPTERS)})\.js")
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
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OUTSIDE = """figure => {
    const box = figure.getBoundingClientRect();
    const marks = [...figure.querySelectorAll("text, circle")].map((mark) => [mark, mark.getBoundingClientRect()]);
    const inside = (at) => at.left >= box.left && at.right <= box.right && at.bottom <= box.bottom;
    return marks
        .filter(([, at]) => !inside(at) || at.top < box.top - 2) // above the letters there is air
        .map(([mark, at]) => `${mark.tagName} ${mark.textContent} ${at.left - box.left} ${at.right - box.right}`);
}"""
# What is drawn with a meaning, as text for a table: the name of each mark, and its stroke or fill with its opacity.
MARKS = """figure => [...figure.querySelectorAll(":not(text, .faint, .empty, .tint, .bar)")].map((mark) => {
    const style = getComputedStyle(mark);
    const stroked = style.fill === "none" || mark.matches(".hollow");
    const opacity = style.opacity * (stroked ? style.strokeOpacity : style.fillOpacity);
    return [mark.getAttribute("class"), stroked ? style.stroke : style.fill, opacity];
})"""
# The alignment, the place and the width of every cell of a table, and whether its text is wider, row by row.
CELLS = """table => [...table.rows].map((row) => [...row.cells].map((cell) => {
    const at = cell.getBoundingClientRect();
    const origin = table.getBoundingClientRect();
    const wide = cell.scrollWidth > cell.clientWidth;
    return [getComputedStyle(cell).textAlign, at.x - origin.x, at.y - origin.y, at.width, at.height, wide];
}))"""
COUNT_SHIFTS = """window.shifts = 0;
new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) window.shifts += entry.value;
}).observe({ type: "layout-shift", buffered: true });"""


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


# What the numbers of each explorable must be, from the positions of its controls.


def numbers_of_scales(log_odds, step):
    size = {"decibans": np.log(10), "nat": 1.0, "double": np.log(2)}[step]
    return {
        "log_odds": log_odds,
        "probability": lk.expit(log_odds),
        "odds": np.exp(log_odds),
        "decibans": log_odds * DECIBANS,
        "next_odds": np.exp(log_odds + size),
        "next_probability": lk.expit(log_odds + size),
    }


def numbers_of_softmax(logits, constant, temperature):
    raw = np.array(logits) / temperature + constant
    columns = {"raw": raw, "log_odds": lk.class_log_odds(raw), "prob": lk.softmax(raw)}
    positions = {"constant": constant, "temperature": temperature} | {f"logit_{i}": z for i, z in enumerate(logits)}
    return positions | {f"{name}_{i}": column[i] for name, column in columns.items() for i in range(3)}


def numbers_of_doubled_softmax(margin, count):
    logits = np.zeros(count)
    logits[0] = margin
    probs = lk.softmax(logits)
    loss, grad = lk.cross_entropy_value_and_grad(0, logits=logits)
    loss_twice, grad_twice = lk.cross_entropy_value_and_grad(0, logits=probs)
    # Along the first logit the probabilities change by p_0 (1 - p_0) and -p_0 p_j; their loss, by the chain rule.
    along = -probs[0] * probs
    along[0] = probs[0] * lk.expit(-lk.class_log_odds(logits)[0])
    return {
        "classes": count,
        "margin": margin,
        "loss": loss,
        "loss_twice": loss_twice,
        "slope": grad[0],
        "slope_twice": along @ grad_twice,
        "floor": lk.cross_entropy(0, logits=np.eye(count)[0]),
        "probability": probs[0],
    }


def rounded(function, value, dtype):
    """A function as exact as the format allows: in float64, then rounded. NumPy's own may be a unit off."""
    return dtype(function(np.float64(value)))


def numbers_of_programs(margin):
    """The three programs, each step in NumPy's arithmetic of the format."""
    found = {"margin": margin, "exact": lk.softplus(-margin)}
    for name, dtype in FORMATS.items():
        with np.errstate(divide="ignore", under="ignore", over="ignore"):
            z = np.array([margin, 0], dtype=dtype)
            assert z[0] == margin  # the format holds it
            shifted = z - z.max()
            exps = np.array([rounded(np.exp, each, dtype) for each in shifted])
            total = exps[0] + exps[1]
            tail = rounded(np.log1p, rounded(np.exp, -np.abs(z[0]), dtype), dtype)
            losses = {
                "two_calls": dtype(0) - rounded(np.log, exps[0] / total, dtype),
                "fused": rounded(np.log, total, dtype) - shifted[0],
                "log_odds": np.maximum(-z[0], dtype(0)) + tail,
            }
        for program, loss in losses.items():
            assert loss.dtype == dtype
            found[f"{program}_{name}"] = float(loss)
    return found


def numbers_of_base_rate(threshold, prior):
    """A model whose probability p has the density 2p among the yes and 2(1 - p) among the no."""
    p, base_rate = lk.expit(threshold), lk.expit(prior)
    below = lk.expit(-threshold)
    recall, false_alarm_rate = (1 + p) * below, below**2
    hits, false_alarms = base_rate * recall, lk.expit(-prior) * false_alarm_rate
    return {
        "threshold": threshold,
        "base_rate": base_rate,
        "recall": recall,
        "false_alarm_rate": false_alarm_rate,
        "precision": hits / (hits + false_alarms),
        "mistakes": 1000 * (base_rate * p**2 + false_alarms),
        "true_threshold": threshold + prior,
        "true_probability": lk.expit(threshold + prior),
    }


WALLS = (7.5, 7.75, 16.5, 17, 17.25, 17.5, 36, 37, 103.5, 104, 745, 746)  # both sides of where a loss turns to 0
COUNTS = [2, 3, 4, 5, 10, 20, 50, 100, 1000]

# By explorable: the numbers that its controls must give, as they stand.
EXPECTED: dict[str, Callable[[Box], dict[str, float]]] = {
    "log-odds-scales": lambda box: numbers_of_scales(box.numbers()["log_odds"], box.control("step").input_value()),
    "free-constant": lambda box: numbers_of_softmax(
        [box.value(f"logit_{i}") for i in range(3)], box.numbers()["constant"], box.value("temperature")
    ),
    "softmax-twice": lambda box: numbers_of_doubled_softmax(box.value("margin"), COUNTS[int(box.value("classes"))]),
    "stable-loss": lambda box: numbers_of_programs(box.value("margin")),
    "base-rate": lambda box: numbers_of_base_rate(box.value("threshold"), box.value("prior")),
}


def agree(shown, expected):
    assert shown.keys() == expected.keys()
    for name, value in expected.items():
        # Where a sum of logits nearly cancels, as in log-odds near 0, what counts is the size of its terms.
        assert_allclose(shown[name], value, rtol=1e-12, atol=4e-15, err_msg=name)


def check(box):
    agree(box.numbers(), EXPECTED[box.name](box))


class TestNumbers:
    def test_of_the_three_scales_are_logitkits(self, page, site):
        box = opened(page, site, "log-odds-scales")
        for step, log_odds in itertools.product(["decibans", "nat", "double"], [-7, -4.6, -0.1, 0, 0.1, 2.2, 7]):
            shown = box.set(step=step, log_odds=log_odds)
            agree(shown, numbers_of_scales(log_odds, step))
        for p in [0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.999]:
            shown = box.set(probability=p)
            assert_allclose(shown["log_odds"], lk.logit(p), rtol=1e-12)
            agree(shown, numbers_of_scales(shown["log_odds"], "double"))
        for power in [-3, -1.1, 0, 0.3, 3]:
            assert_allclose(box.set(odds=power)["odds"], 10**power, rtol=1e-12)

    def test_of_the_softmax_are_logitkits(self, page, site):
        box = opened(page, site, "free-constant")
        rows = [(2, 0, -1), (0, 0, 0), (4, -4, -4), (-4, 4, 4), (0.1, 0.2, 0.3), (4, 4, 4)]
        for logits, constant, temperature in itertools.product(rows, [-9, 0, 3.3, 9], [0.5, 1, 5]):
            positions = {f"logit_{i}": z for i, z in enumerate(logits)}
            shown = box.set(**positions, constant=constant, temperature=temperature)
            agree(shown, numbers_of_softmax(logits, constant, temperature))

    def test_of_the_doubled_softmax_are_logitkits(self, page, site):
        box = opened(page, site, "softmax-twice")
        for place, margin in itertools.product(range(len(COUNTS)), [-5, -0.1, 0, 0.1, 2.5, 8, 15]):
            shown = box.set(classes=place, margin=margin)
            agree(shown, numbers_of_doubled_softmax(margin, COUNTS[place]))
            assert shown["loss_twice"] > shown["floor"] or margin == 15

    @pytest.mark.parametrize("format", FORMATS)
    def test_of_the_rounded_losses_are_numpys(self, page, site, format):
        box = opened(page, site, "stable-loss")
        box.control("format").select_option(format)
        low, high, step = (float(box.control("margin").get_attribute(name)) for name in ("min", "max", "step"))
        margins = {*np.arange(low, high, 37 * step), high, 0, step, -step, *WALLS, *(-wall for wall in WALLS)}
        for margin in sorted(each for each in margins if low <= each <= high and each % step == 0):
            agree(box.set(margin=margin), numbers_of_programs(margin))

    @pytest.mark.parametrize("format", FORMATS)
    def test_of_the_log_odds_form_are_logitkits_to_two_units(self, page, site, format):
        box = opened(page, site, "stable-loss")
        box.control("format").select_option(format)
        low, high = (float(box.control("margin").get_attribute(name)) for name in ("min", "max"))
        spacing = np.finfo(FORMATS[format])
        for margin in np.round(np.linspace(low, high, 23)):
            shown = box.set(margin=margin)[f"log_odds_{format}"]
            exact = float(lk.cross_entropy(0, logits=np.array([margin, 0], dtype=FORMATS[format])))
            assert abs(shown - exact) <= max(2 * spacing.eps * exact, 2 * float(spacing.smallest_subnormal)), margin

    @pytest.mark.parametrize("format", FORMATS)
    def test_of_the_other_forms_are_zero_and_infinite_where_numpys_own_are(self, page, site, format):
        """With the exponential and the logarithm that NumPy has for the format, not the best there could be."""
        box = opened(page, site, "stable-loss")
        box.control("format").select_option(format)
        low, high, step = (float(box.control("margin").get_attribute(name)) for name in ("min", "max", "step"))
        for margin in np.arange(low, high, 11 * step):
            shown = box.set(margin=margin)
            z = np.array([margin, 0], dtype=FORMATS[format])
            with np.errstate(divide="ignore", under="ignore"):
                exps = np.exp(z - z.max())
                two_calls, fused = -np.log(exps[0] / exps.sum()), np.log(exps.sum()) - (z - z.max())[0]
            assert (shown[f"two_calls_{format}"] == 0) == (two_calls == 0), margin
            assert (shown[f"two_calls_{format}"] == np.inf) == (two_calls == np.inf), margin
            assert (shown[f"fused_{format}"] == 0) == (fused == 0), margin

    def test_of_float32_end_at_the_margins_that_the_text_names(self, page, site):
        box = opened(page, site, "stable-loss")
        shown = {margin: box.set(margin=margin) for margin in (-104, 17, 87, 103, 104)}
        assert shown[-104]["two_calls_float32"] == np.inf
        assert shown[-104]["fused_float32"] == shown[-104]["log_odds_float32"] == 104
        assert shown[17]["two_calls_float32"] == shown[17]["fused_float32"] == 0
        assert_allclose(shown[87]["log_odds_float32"], shown[87]["exact"], rtol=1e-6)
        assert shown[103]["log_odds_float32"] > 0
        assert shown[104]["log_odds_float32"] == 0

    def test_of_the_base_rate_are_logitkits(self, page, site):
        box = opened(page, site, "base-rate")
        for threshold, prior in itertools.product([-6, -2.2, 0, 0.1, 4.6, 6], [-5, -4.6, -0.1, 0, 2.2, 5]):
            agree(box.set(threshold=threshold, prior=prior), numbers_of_base_rate(threshold, prior))


class TestFormulas:
    """The scripts' numerics.js on a dense grid, beyond what a control can reach."""

    grid = np.concatenate([np.linspace(-50, 50, 1001), [-745.2, -708.4, 708.4, 1000.0, -1000.0, 1e-300, -1e-17]])

    def ask(self, page, site, function, values):
        page.goto(address(site, "log-odds-scales"))
        values = np.asarray(values, dtype=float).tolist()
        given = page.evaluate(f"values => values.map((each) => String(numerics.{function}(each)))", values)
        return np.array([[float(each) for each in row.split(",")] for row in given]).squeeze()

    @pytest.mark.parametrize("name", ["expit", "softplus"])
    def test_of_log_odds(self, page, site, name):
        assert_allclose(self.ask(page, site, name, self.grid), getattr(lk, name)(self.grid), rtol=1e-12, atol=0)

    def test_logit(self, page, site):
        probs = np.concatenate([np.linspace(0, 1, 1001), lk.expit(self.grid), [np.nextafter(0.5, 1)]])
        assert_allclose(self.ask(page, site, "logit", probs), lk.logit(probs), rtol=1e-12, atol=0)

    @pytest.mark.parametrize(
        ("name", "ours"), [("softmax", "softmax"), ("classLogOdds", "class_log_odds"), ("logsumexp", "logsumexp")]
    )
    @pytest.mark.parametrize("count", [2, 3, 4, 10])
    def test_of_logits(self, page, site, name, ours, count):
        rows = np.random.default_rng(count).normal(scale=20, size=(300, count)).round(1)
        rows[:3] = [[0], [700], [-700]]  # ties
        rows[3, 0] = 1000
        expected = np.array([getattr(lk, ours)(row) for row in rows])
        near_zero = 0 if ours == "softmax" else 4e-16 * np.abs(rows).max()  # where a sum of logits cancels
        assert_allclose(self.ask(page, site, name, rows), expected, rtol=1e-12, atol=near_zero)

    def test_rounding_to_float16_is_numpys_for_every_number_and_every_tie(self, page, site):
        page.goto(address(site, "stable-loss"))
        held = np.arange(2**15, dtype=np.uint16).view(np.float16).astype(float)
        held = held[np.isfinite(held)]
        ties = (held[1:] + held[:-1]) / 2
        large = [65519.99, 65520, 1e300, np.inf]
        values = np.concatenate([held, ties, np.nextafter(ties, 0), np.nextafter(ties, np.inf), large])
        values = np.concatenate([values, -values])
        # As one text, since each number of a list is wrapped and takes minutes in all.
        text = ",".join(map(repr, values.tolist())).replace("inf", "Infinity")
        given = page.evaluate("text => text.split(',').map(Number).map(numerics.rounding.float16).join()", text)
        with np.errstate(over="ignore"):
            expected = values.astype(np.float16).astype(float)
        assert np.array_equal(np.array(given.replace("Infinity", "inf").split(","), dtype=float), expected)


@pytest.mark.parametrize("name", CHAPTERS)
class TestControls:
    def test_every_one_has_a_name_that_is_read_out(self, page, site, name):
        box = opened(page, site, name)
        for control in box.root.locator("input, select, button").all():
            assert control.evaluate("e => e.labels?.length === 1 || e.textContent.trim().length > 3")
            if control.get_attribute("type") == "range":
                assert control.get_attribute("aria-valuetext")
        group = box.root.get_by_role("group")
        assert group.get_attribute("aria-labelledby") == f"explorable-{name}"
        assert len(box.root.get_by_role("img").get_attribute("aria-label").split()) > 8

    def test_every_range_follows_the_keys_to_both_ends(self, page, site, name):
        box = opened(page, site, name)
        for control in box.root.locator("input").all():
            label = control.get_attribute("name")
            for key, end in [("Home", "min"), ("End", "max")]:
                box.press(label, key)
                assert float(control.input_value()) == pytest.approx(float(control.get_attribute(end)))
                check(box)
            before = box.value(label)
            box.press(label, "ArrowLeft", "ArrowLeft", "PageDown")
            assert box.value(label) < before
            check(box)

    def test_every_choice_and_button_follows_the_keys(self, page, site, name):
        box = opened(page, site, name)
        for control in box.root.locator("select").all():
            label = control.get_attribute("name")
            for _ in range(control.locator("option").count()):
                before = control.input_value()
                box.press(label, "ArrowDown")
                check(box)
            box.press(label, "Home")
            assert control.input_value() != before or control.locator("option").count() == 1
        for control in box.root.locator("button").all():
            described = box.figure.get_attribute("aria-label")
            for other in box.root.locator("input").all():  # away from where the button leads
                box.press(other.get_attribute("name"), "ArrowRight", "ArrowRight", "ArrowRight")
            moved = box.figure.get_attribute("aria-label")
            assert moved != described
            control.focus()
            page.keyboard.press("Enter")
            assert box.figure.get_attribute("aria-label") != moved
            check(box)

    def test_figure_can_be_dragged_with_the_mouse(self, page, site, name):
        box = opened(page, site, name)
        box.figure.evaluate("figure => figure.scrollIntoView({ block: 'center' })")  # and not under the page's header
        area = box.figure.bounding_box()
        for share in (0.12, 0.25, 0.45, 0.6):  # every part that can be held lies on one of these heights
            y = area["y"] + share * area["height"]
            page.mouse.move(area["x"] + 0.3 * area["width"], y)
            page.mouse.down()
            here = box.numbers()
            check(box)
            page.mouse.move(area["x"] + 0.5 * area["width"], y, steps=4)
            there = box.numbers()
            check(box)
            assert here != there, share
            page.mouse.move(area["x"] + 3 * area["width"], y)  # outside, it stays at the end
            check(box)
            page.mouse.up()
            after = box.numbers()
            page.mouse.move(area["x"] + 0.2 * area["width"], y)
            assert box.numbers() == after  # let go

    def test_figure_can_be_dragged_with_a_finger_and_a_scroll_leaves_it_alone(self, page, site, name):
        with another_page(page, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True) as phone:
            box = opened(phone, site, name)
            phone.wait_for_load_state("networkidle")
            box.figure.evaluate("figure => figure.scrollIntoView({ block: 'center', behavior: 'instant' })")
            phone.wait_for_timeout(300)  # for a scroll to come to rest
            area = box.figure.bounding_box()
            y = area["y"] + 0.25 * area["height"]
            devtools = phone.context.new_cdp_session(phone)

            def finger(kind, x, y):
                points = [] if kind == "touchEnd" else [{"x": x, "y": y}]
                devtools.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

            before = box.numbers()
            finger("touchStart", area["x"] + 0.3 * area["width"], y)
            for step in range(1, 9):
                finger("touchMove", area["x"] + (0.3 + 0.04 * step) * area["width"], y)
            finger("touchEnd", 0, 0)
            dragged = box.numbers()
            assert dragged != before
            check(box)

            top = phone.evaluate("scrollY")
            finger("touchStart", area["x"] + 0.4 * area["width"], y)
            for step in range(1, 13):
                finger("touchMove", area["x"] + 0.4 * area["width"], y - 15 * step)
            finger("touchEnd", 0, 0)
            phone.wait_for_function("top => scrollY > top + 50", arg=top)
            assert box.numbers() == dragged

    def test_outcome_is_said_once_the_reader_pauses(self, page, site, name):
        box = opened(page, site, name)
        said = box.root.locator("output[aria-live=polite]")
        assert said.text_content() == ""
        assert box.root.locator("output:not([aria-live=off])").count() == 1
        first = box.root.locator("input").first.get_attribute("name")
        box.press(first, *["ArrowRight"] * 5)
        assert said.text_content() == ""
        page.wait_for_timeout(900)
        assert said.text_content() == box.figure.get_attribute("aria-label")


@pytest.mark.parametrize("name", CHAPTERS)
class TestPage:
    @pytest.mark.parametrize("scheme", ["light", "dark"])
    @pytest.mark.parametrize("width", [360, 768, 1400])
    def test_figure_fits_and_is_legible(self, page, site, name, width, scheme):
        with another_page(page, viewport={"width": width, "height": 900}, color_scheme=scheme) as other:
            box = opened(other, site, name)
            check(box)
            assert other.evaluate(OVERFLOW) == 0
            for end in ("Home", "End"):
                for control in box.root.locator("input").all():
                    box.press(control.get_attribute("name"), end)
                assert other.evaluate(OVERFLOW) == 0
                assert box.figure.evaluate(OUTSIDE) == []
            for _ in box.everywhere():
                assert box.figure.evaluate(OUTSIDE) == []
            inks = box.figure.evaluate("f => [...f.querySelectorAll('text')].map((t) => getComputedStyle(t).fill)")
            background = other.evaluate("getComputedStyle(document.body).backgroundColor")
            assert min(contrast(ink, background) for ink in inks) >= 4.5
            marks = box.figure.evaluate(MARKS)
            faint = [mark for mark, ink, opacity in marks if contrast(blend(ink, background, opacity), background) < 3]
            assert marks
            assert faint == []

    @pytest.mark.parametrize("width", [360, 1400])
    def test_numbers_of_a_table_stand_under_their_headings_and_stay_there(self, page, site, name, width):
        with another_page(page, viewport={"width": width, "height": 900}) as other:
            box = opened(other, site, name)
            for table in box.root.locator("table").all():
                first, *others = columns = list(zip(*table.evaluate(CELLS), strict=True))
                assert {cell[0] for cell in first} == {"left"}
                assert {cell[0] for column in others for cell in column} == {"right"}
                for _ in box.everywhere():
                    assert list(zip(*table.evaluate(CELLS), strict=True)) == columns
                assert not any(cell[-1] for column in columns for cell in column)

    def test_no_share_is_called_all_or_nothing(self, page, site, name):
        box = opened(page, site, name)
        shares = [text for _ in box.everywhere() for text in re.findall(r"[^\s]+\s*%", box.root.inner_text())]
        assert not {"100%", "100.00%", "100.0%", "0%", "0.0%", "0.00%"}.intersection(shares)

    def test_works_from_the_file_system_without_a_network(self, page, site, folder, name):
        with another_page(page, offline=True) as local:
            troubles = []
            local.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
            local.on("pageerror", lambda error: troubles.append(str(error)))
            box = opened(local, folder.as_uri(), name)
            box.press(box.root.locator("input").first.get_attribute("name"), "ArrowRight")
            check(box)
            assert troubles == []

    def test_without_scripts_the_text_says_it_and_no_control_is_left(self, page, site, name):
        with another_page(page, java_script_enabled=False) as still:
            still.goto(address(site, name))
            audit(still, "layOut")
            box = still.locator(BOX.format(name))
            assert box.locator("input, select, button, svg, output").count() == 0
            assert box.locator(".explorable-still").is_visible()
            assert 2 <= box.locator("li").count() <= 4
            assert len(box.inner_text().split()) > 60

    def test_in_print_the_text_stands_alone(self, page, site, name):
        box = opened(page, site, name)
        assert not box.root.locator(".explorable-still").is_visible()
        page.emulate_media(media="print")
        assert not box.figure.is_visible()
        assert box.root.locator(".explorable-still").is_visible()
        assert box.root.locator("li").first.is_visible()

    def test_page_moves_no_more_than_it_does_without_it(self, page, site, name):
        """The scripts run before the page below them is there. What still moves are images above, as in any chapter."""
        moved = {}
        for scripts in ("loaded", "lost"):
            with another_page(page, viewport={"width": 1400, "height": 900}) as other:
                if scripts == "lost":
                    other.route(SCRIPT, lambda route: route.abort())
                else:
                    other.route(SCRIPT, slowly)
                other.add_init_script(COUNT_SHIFTS)
                other.goto(f"{address(site, name)}#explorable-{name}")
                other.wait_for_timeout(300)
                moved[scripts] = other.evaluate("shifts")
                assert (other.locator(".explorable-live").count() == 1) == (scripts == "loaded")
        assert moved["loaded"] < moved["lost"] + 0.01


@pytest.mark.parametrize("width", [360, 1400])
def test_name_of_the_floor_never_lies_on_the_axis(page, site, width):
    with another_page(page, viewport={"width": width, "height": 900}) as other:
        box = opened(other, site, "softmax-twice")
        axis = box.figure.locator("line.axis").first
        for place in range(len(COUNTS)):
            box.set(classes=place)
            label = box.figure.get_by_text("floor").bounding_box()
            assert label["y"] + label["height"] <= axis.bounding_box()["y"], COUNTS[place]


def test_names_of_the_scales_lie_above_the_ladder(page, site):
    box = opened(page, site, "log-odds-scales")
    drawn = box.figure.evaluate("figure => [...figure.children].map((mark) => mark.getAttribute('class'))")
    names = [place for place, style in enumerate(drawn) if style == "title"]
    assert len(names) == 3
    assert min(names) > max(
        place for place, style in enumerate(drawn) if style in ("faint", "blue dashed", "blue thick")
    )


def test_odds_are_read_alike_whatever_was_moved(page, site):
    box = opened(page, site, "log-odds-scales")
    shown = box.root.locator("output[data-name=odds]")
    spoken = {-3: "1 to 1,000", -2: "1 to 100", 0: "1.00 to 1", 1: "10.0 to 1", 3: "1,000 to 1"}
    for power, words in spoken.items():
        box.set(odds=power)
        assert shown.inner_text() == words
        box.set(log_odds=round(power * np.log(10), 3))
        box.set(odds=power)
        assert shown.inner_text() == words
    box.set(probability=0.001)
    assert shown.inner_text() == "1 to 999"


def slowly(route):
    """Answer a request as a slow network does."""
    time.sleep(0.15)
    route.continue_()


def channels(color):
    """The red, green and blue of a color, from 0 to 1."""
    return np.array([float(each) for each in re.findall(r"[\d.]+", color)[:3]]) / 255


def blend(ink, background, opacity):
    """The color that is seen where an ink lets the background through."""
    seen = opacity * channels(ink) + (1 - opacity) * channels(background)
    return "rgb({}, {}, {})".format(*(255 * seen))


def contrast(ink, background):
    """The contrast of two opaque colors as the guidelines for web accessibility define it."""

    def luminance(color):
        parts = channels(color)
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return linear @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(ink), luminance(background)])
    return (high + 0.05) / (low + 0.05)


def test_scripts_are_small_and_loaded_only_where_they_are_used(folder):
    assert sum(path.stat().st_size for path in SCRIPTS.glob("*.js")) < 60_000
    scripts = re.compile(rb'<script src="\.\./_static/([a-z0-9-]+)\.js')
    loaded = {path.stem: scripts.findall(path.read_bytes()) for path in (folder / "chapters").glob("*.html")}
    expected = {chapter: [b"numerics", b"explorable", name.encode()] for name, chapter in CHAPTERS.items()}
    assert {chapter: names for chapter, names in loaded.items() if names} == expected
    styled = {path.stem for path in (folder / "chapters").glob("*.html") if b"explorables.css" in path.read_bytes()}
    assert styled == set(expected)


def test_every_script_belongs_to_a_page():
    assert {path.stem for path in SCRIPTS.glob("*.js")} == {"numerics", "explorable", *CHAPTERS}
