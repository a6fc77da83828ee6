"""Reading without scripts, from a folder, by keyboard, on a phone; and what the buttons do."""

import ast
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Browser, Page

from .audit import audit
from .conftest import reader

CHAPTERS = Path(__file__).parents[2] / "chapters"
KINDS = ["index", "chapters/one-idea", "chapters/names", "chapters/api", "chapters/symptoms"]
PHONE = 360


def test_page_reads_without_scripts(browser, site, path):
    """No text, solution, figure or formula needs a script to be shown, no button waits for one, and a link leads on."""
    with reader(browser, site, PHONE, java_script_enabled=False) as page:
        page.goto(f"{site}/{path}")
        audit(page, "open")
        hidden = audit(page, "hidden")
        found = audit(page, "images") + audit(page, "math") + audit(page, "overflow")
        assert not found, "\n".join(found)
        assert page.locator("a[href$='.html']:visible").count() > 0
        assert page.locator("form:visible, button:not([popovertarget]):visible").count() == 0
    if hidden:  # which is no fault if scripts don't show it either
        with reader(browser, site, PHONE) as page:
            page.goto(f"{site}/{path}")
            audit(page, "open")
            lost = {*hidden} - {*audit(page, "hidden")}
            assert not lost, "\n".join(lost)


def test_page_opens_from_a_folder(browser, folder, path):
    if path == "404.html":
        pytest.skip("a host's page: the archive for reading from a folder has none")
    with reader(browser, folder.as_uri()) as page:
        page.goto(f"{folder.as_uri()}/{path}")
        audit(page, "open")
        found = audit(page, "images") + audit(page, "math")
        assert not found, "\n".join(found)


def test_unknown_address_shows_the_page_for_it_with_a_way_back(browser, site):
    with browser.new_context() as context:  # the status is an error of the console
        page = context.new_page()
        assert page.goto(f"{site}/chapters/deep/missing.html").status == 404
        links = page.locator("main a:visible")
        assert links.count() > 0
        assert "404" in page.title() or "not" in page.title().lower()


def tab_stops(page: Page) -> list[dict]:
    """Return what Tab reaches, in order, until it leaves the page."""
    page.add_style_tag(content="* { transition: none !important }")  # or a mark is looked at before it is drawn
    stops: list[dict] = []
    while True:
        page.keyboard.press("Tab")
        stop = audit(page, "focus")
        if not stop or (stops and stop["place"] == stops[0]["place"]):
            return stops
        stops.append(stop)
        assert len({each["place"] for each in stops}) == len(stops), f"Tab does not leave {stop['name']}"


@pytest.mark.parametrize("kind", KINDS)
def test_keyboard_reaches_everything_in_order_and_shows_where_it_is(browser, site, kind):
    with reader(browser, site, reduced_motion="reduce") as page:
        page.goto(f"{site}/{kind}.html", wait_until="networkidle")
        stops = tab_stops(page)
    assert stops[0]["part"] == "skip"
    parts = dict.fromkeys(stop["part"] for stop in stops)
    assert [part for part in parts if part] == ["skip", "search", "contents", "article"]
    lost = [stop["name"] for stop in stops if not (stop["marked"] and stop["shown"])]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize(
    ("style", "lost"),
    [
        ("", []),
        ("button { outline: none }", ["button"]),
        ("button { opacity: 0 }", ["button"]),
        ("a { position: absolute; left: -999px }", ["a"]),
    ],
)
def test_lost_focus_is_found(page, style, lost):
    page.set_content(f"<style>{style}</style><a href='#'>a</a><button>button</button>")
    stops = tab_stops(page)
    assert len(stops) == 2
    assert [stop["name"].split('"')[1] for stop in stops if not (stop["marked"] and stop["shown"])] == lost


@pytest.mark.parametrize("trap", ["two", "one, two"])
def test_keyboard_trap_is_found(page, trap):
    page.set_content("<button>before</button><button class='one'>1</button><button class='two'>2</button>")
    page.evaluate(
        """trap => addEventListener("keydown", (event) => {
      const held = [...document.querySelectorAll(trap.replace(/(\\w+)/g, ".$1"))];
      const place = held.indexOf(document.activeElement);
      if (place < 0) return;
      event.preventDefault();
      held[(place + 1) % held.length].focus();
    })""",
        trap,
    )
    with pytest.raises(AssertionError, match="Tab does not leave"):
        tab_stops(page)


def test_text_that_only_scripts_show_is_found(page):
    page.set_content(
        "<article><p>seen</p><p hidden>one</p><details open><p style='display: none'>two</p></details></article>"
    )
    assert [finding.split('"')[1] for finding in audit(page, "hidden")] == ["one", "two"]


def test_skip_link_leads_past_the_navigation(page, site):
    page.goto(f"{site}/chapters/one-idea.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("Boolean(document.activeElement.closest('main'))")


def theme(page: Page) -> str:
    """Return which theme is seen."""
    return "dark" if audit(page, "theme", "light") else "light"


def test_switch_of_the_theme_cycles_and_is_remembered(browser, site):
    with reader(browser, site, color_scheme="light") as page:
        page.goto(f"{site}/chapters/one-idea.html")
        switch = page.get_by_role("button", name="Theme")
        themes = {}
        for _ in range(3):
            switch.press("Enter")
            themes[" ".join(switch.inner_text().split())] = theme(page)
        assert themes == {"Theme: dark": "dark", "Theme: light": "light", "Theme: auto": "light"}
        while "dark" not in switch.inner_text():
            switch.press("Enter")
        page.goto(f"{site}/chapters/names.html")
        assert audit(page, "theme", "dark") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contents_open_and_close_by_keyboard_on_a_phone(browser, site, scheme):
    with reader(browser, site, PHONE, color_scheme=scheme, reduced_motion="reduce") as page:
        page.goto(f"{site}/chapters/one-idea.html")
        contents = page.get_by_role("navigation", name="Contents of the book")
        assert not contents.is_visible()
        button = page.get_by_role("button", name="Contents")
        button.press("Enter")
        contents.wait_for(state="visible")
        assert audit(page, "axe") == []
        assert audit(page, "overflow") == []
        page.keyboard.press("Tab")
        assert contents.locator(":focus").count() == 1
        page.keyboard.press("Escape")
        contents.wait_for(state="hidden")
        assert button.evaluate("button => button === document.activeElement")


@pytest.mark.parametrize("name", ["symptoms", "what-are-logits", "log-odds", "fused-losses", "traps", "api"])
def test_tables_of_words_are_read_on_a_phone_without_scrolling_or_broken_names(browser, site, name):
    with reader(browser, site, PHONE) as page:
        page.goto(f"{site}/chapters/{name}.html")
        audit(page, "layOut")
        tables = page.locator("article table")
        assert tables.count() > 0
        for table in tables.all():
            assert table.evaluate("table => table.parentElement.scrollWidth <= table.parentElement.clientWidth")
        narrow = page.locator("td:has(code)").evaluate_all(
            "cells => cells.filter((cell) => cell.clientWidth < 150).map((cell) => cell.innerText)"
        )
        assert narrow == []


@pytest.mark.parametrize("name", ["stable-softmax", "binary-multilabel", "language-models"])
def test_number_of_a_formula_stands_beside_it_on_a_phone(browser, site, name):
    with reader(browser, site, PHONE) as page:
        page.goto(f"{site}/chapters/{name}.html")
        audit(page, "layOut")
        gaps = page.locator("div.math:has(> .eqno)").evaluate_all(
            """boxes => boxes.map((box) => box.querySelector(".eqno").getBoundingClientRect().left
              - box.querySelector(".katex").getBoundingClientRect().right)"""
        )
        assert gaps
        assert min(gaps) >= 0


def test_copy_button_hides_no_code_where_nothing_hovers(browser, site):
    with reader(browser, site, PHONE, has_touch=True, is_mobile=True) as page:
        page.goto(f"{site}/chapters/fused-losses.html")
        page.locator("button.copy").first.wait_for()
        audit(page, "layOut")
        hidden = page.locator("button.copy + pre").evaluate_all(
            """boxes => boxes.filter((box) => {
              const code = document.createRange();
              code.selectNodeContents(box);
              return code.getBoundingClientRect().top < box.previousElementSibling.getBoundingClientRect().bottom;
            }).length"""
        )
        assert hidden == 0


def test_address_of_a_name_opens_its_entry_among_its_neighbors(browser, site):
    with reader(browser, site, 1000) as page:
        page.goto(f"{site}/chapters/names.html#torch.nn.CrossEntropyLoss")
        term = page.locator('dt[id="torch.nn.CrossEntropyLoss"]')
        term.wait_for(state="visible")
        assert 3 <= page.locator("dl.names > div:visible").count() <= 5
        assert term.bounding_box()["y"] < 400


def test_paper_has_each_panel_under_its_label_and_says_how_much_of_a_table_it_shows(browser, site):
    with reader(browser, site, 718) as page:
        page.goto(f"{site}/chapters/names.html")
        audit(page, "layOut")
        page.emulate_media(media="print")
        order = page.locator(".sd-tab-set").first.evaluate(
            """set => [...set.children].filter((each) => each.localName !== "input")
              .map((each) => each.getBoundingClientRect().top)"""
        )
        assert order == sorted(set(order))
        assert page.locator("form.names [role=status]").is_visible()
        assert not page.locator("form.names input").is_visible()


# Presses the copy buttons that match a selector, and returns what was in the clipboard after each.
COPY = """async (selector) => {
  const copied = [];
  for (const button of document.querySelectorAll(selector)) {
    await navigator.clipboard.writeText("");
    button.click();
    let text = "";
    for (let tries = 0; !text && tries < 100; tries += 1) {
      await new Promise((done) => setTimeout(done, 5));
      text = await navigator.clipboard.readText();
    }
    copied.push(text);
  }
  return copied;
}"""


def copied(browser: Browser, address: str, site: str, selector: str) -> list[str]:
    """Return what the copy buttons that match a selector put into the clipboard."""
    with reader(browser, site, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(address)
        page.locator(selector).first.wait_for(state="attached")  # a script adds them once the page is there
        return page.evaluate(COPY, selector)


@pytest.mark.parametrize("notebook", sorted(CHAPTERS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_copy_buttons_copy_exactly_the_code(browser, site, notebook):
    cells = [cell for cell in nbformat.read(notebook, as_version=4).cells if cell.cell_type == "code"]
    shown = [cell.source for cell in cells if not {"remove-cell", "remove-input"} & {*cell.metadata.get("tags", [])}]
    assert shown
    assert copied(browser, f"{site}/chapters/{notebook.stem}.html", site, ".cell_input button.copy") == shown


def test_copied_examples_are_code_without_prompts(browser, site):
    examples = copied(browser, f"{site}/chapters/api.html", site, ".doctest button.copy")
    assert examples
    for example in examples:
        ast.parse(example)
