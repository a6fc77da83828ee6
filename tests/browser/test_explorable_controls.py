"""The controls of the explorables follow keys, mouse and finger, and are read out."""

from __future__ import annotations

import pytest

from .explorable_numbers import check
from .explorables import CHAPTERS, another_page, opened


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
