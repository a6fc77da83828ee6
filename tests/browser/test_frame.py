"""The frame's buttons, lists and menus do what they say, and are out of the way when they have done it."""

import re

import pytest

from .conftest import reader
from .test_reading import PHONE, copied, theme


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_first_press_of_the_theme_button_changes_what_is_seen(browser, site, scheme):
    other = {"light": "dark", "dark": "light"}
    with reader(browser, site, PHONE, color_scheme=scheme) as page:
        page.goto(f"{site}/index.html")
        button = page.locator("#theme-switch")
        seen, pictures = [], []
        for _ in range(3):
            button.click()
            seen.append(theme(page))
            pictures.append(button.screenshot())
        assert seen == [other[scheme], scheme, scheme]
        assert page.locator("html").get_attribute("data-theme") == "auto"
        assert len(set(pictures)) == 3  # a phone, too, says which it is


@pytest.mark.parametrize("name", ["Contents", "On this page"])
@pytest.mark.parametrize("key", ["Tab", "Shift+Tab"])
def test_list_never_hides_what_has_the_focus(browser, site, name, key):
    with reader(browser, site, PHONE, reduced_motion="reduce") as page:
        page.goto(f"{site}/chapters/one-idea.html")
        button = page.get_by_role("button", name=name)
        button.press("Enter")
        popover = page.locator(f"#{button.get_attribute('popovertarget')}")
        popover.wait_for()
        for _ in range(popover.locator("a, button, input").count() + 2):
            page.keyboard.press(key)
            if not popover.locator(":focus").count():
                break
        else:
            pytest.fail("the keyboard does not leave the list")
        assert not popover.is_visible()
        assert page.locator(":focus").count() == 1 or key == "Tab"  # the end of the page


@pytest.mark.parametrize("name", ["Contents", "On this page"])
def test_button_of_a_list_opens_and_closes_it(browser, site, name):
    with reader(browser, site, PHONE, reduced_motion="reduce") as page:
        page.goto(f"{site}/chapters/one-idea.html")
        button = page.get_by_role("button", name=name)
        popover = page.locator(f"#{button.get_attribute('popovertarget')}")
        button.click()
        popover.wait_for()
        popover.get_by_role("button", name="Close").click()
        popover.wait_for(state="hidden")
        button.click()
        popover.wait_for()


def test_copied_commands_are_what_a_shell_takes(browser, site):
    sessions = copied(browser, f"{site}/index.html", site, ".highlight-console button.copy")
    assert sessions
    for session in sessions:
        assert "make" in session or "pip" in session
        assert not re.search(r"(?m)^\$", session)


def test_copy_buttons_say_what_they_copy(page, site):
    page.goto(f"{site}/chapters/one-idea.html")
    page.locator("button.copy").first.wait_for(state="attached")
    names = page.locator("button.copy").evaluate_all("buttons => buttons.map((button) => button.ariaLabel)")
    assert all(name and name.startswith("Copy code: ") for name in names)
    assert len(set(names)) > len(names) / 2
