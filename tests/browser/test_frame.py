"""The frame's buttons, lists and menus do what they say, and are out of the way when they have done it."""

import re

import pytest

from .conftest import reader
from .test_reading import PHONE, copied


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_first_press_of_the_theme_button_changes_what_is_seen(browser, site, scheme):
    other = {"light": "dark", "dark": "light"}
    with reader(browser, site, PHONE, color_scheme=scheme) as page:
        page.goto(f"{site}/index.html")
        button = page.locator("#theme-switch")
        seen, pictures = [], []
        for _ in range(3):
            button.click()
            seen.append(page.locator("html").get_attribute("data-theme"))
            pictures.append(button.screenshot())
        assert seen == [other[scheme], scheme, scheme]
        assert page.locator("html").get_attribute("data-choice") == "auto"
        assert len(set(pictures)) == 3  # on a phone, where no word says which it is


def test_icon_of_the_theme_is_the_chosen_one_on_the_next_page(browser, site):
    with reader(browser, site, PHONE, color_scheme="light") as page:
        page.goto(f"{site}/index.html")
        button = page.locator("#theme-switch")
        drawn = [button.locator("svg").inner_html()]
        for _ in range(2):
            button.click()
            drawn.append(button.locator("svg").inner_html())
            page.reload()
            assert button.locator("svg").inner_html() == drawn[-1]
        assert len(set(drawn)) == 3


class TestMenu:
    @pytest.fixture
    def menu(self, page, site):
        page.goto(f"{site}/chapters/one-idea.html")
        menu = page.locator("details.notebook-menu")
        menu.locator("summary").press("Enter")
        page.keyboard.press("Tab")
        assert menu.locator("li :focus").count() == 1
        return menu

    def test_closes_on_escape_and_gives_the_focus_back(self, page, menu):
        page.keyboard.press("Escape")
        assert menu.get_attribute("open") is None
        assert menu.locator("summary:focus").count() == 1

    def test_closes_on_a_click_elsewhere(self, page, menu):
        page.locator("h1").click()
        assert menu.get_attribute("open") is None

    def test_closes_when_the_focus_leaves(self, page, menu):
        for _ in range(2):
            page.keyboard.press("Tab")
        assert menu.get_attribute("open") is not None
        page.keyboard.press("Tab")
        assert menu.get_attribute("open") is None

    def test_opens_and_closes_by_its_own_button(self, menu):
        menu.locator("summary").click()
        assert menu.get_attribute("open") is None
        menu.locator("summary").click()
        assert menu.get_attribute("open") is not None


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
