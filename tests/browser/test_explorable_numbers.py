"""The explorables, moved in a real browser: every number that they show is the one that logitkit or NumPy gives."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose

import logitkit as lk

from .explorable_numbers import (
    COUNTS,
    FORMATS,
    agree,
    numbers_of_base_rate,
    numbers_of_doubled_softmax,
    numbers_of_programs,
    numbers_of_scales,
    numbers_of_softmax,
)
from .explorables import address, opened

WALLS = (7.5, 7.75, 16.5, 17, 17.25, 17.5, 36, 37, 103.5, 104, 745, 746)  # both sides of where a loss turns to 0


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
