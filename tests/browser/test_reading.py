"""Reading without scripts, from a folder, by keyboard, on a phone; and what the buttons do."""

from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page

from .audit import audit
from .conftest import reader

CHAPTERS = Path(__file__).parents[2] / "chapters"
KINDS = ["index", "chapters/one-idea", "chapters/names", "chapters/api", "chapters/symptoms"]
PHONE = 360


def test_page_reads_without_scripts(browser, site, path):
    """Text, solutions, figures and formulas are there, and a way on."""
    for width in (PHONE, 1400):
        with reader(browser, site, width, java_script_enabled=False) as page:
            page.goto(f"{site}/{path}")
            audit(page, "open")
            found = audit(page, "hidden") + audit(page, "images") + audit(page, "math") + audit(page, "overflow")
            assert not found, "\n".join(found)
            assert page.locator("a:visible[href$='.html']").count() >= 1


def test_page_opens_from_a_folder(browser, folder, path):
    with reader(browser, folder.as_uri()) as page:
        page.goto(f"{folder.as_uri()}/{path}", wait_until="networkidle")
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
    stops: list[dict] = []
    while True:
        page.keyboard.press("Tab")
        stop = page.evaluate(f"() => {{ {FOCUSED} }}")
        if stop is None or (stops and stop["place"] == stops[0]["place"]):
            return stops
        assert not (stops and stop["place"] == stops[-1]["place"]), f"Tab does not leave {stop['name']}"
        stops.append(stop)
        assert len(stops) < 3000


FOCUSED = """
const element = document.activeElement;
if (element === document.body) return null;
const around = [element, element.parentElement, ...(element.labels ?? [])];
const look = () => around.map((each) => {
  const { outlineStyle, outlineWidth, outlineColor, boxShadow, borderColor } = getComputedStyle(each);
  const outline = outlineStyle === "none" ? "none" : `${outlineStyle} ${outlineWidth} ${outlineColor}`;
  return [outline, boxShadow, borderColor];
}).join();
const box = around.map((each) => each.getBoundingClientRect()).find(({ width, height }) => width > 1 && height > 1);
const seen = box && box.right > 0 && box.bottom > 0 && box.left < innerWidth && box.top < innerHeight
  && around.some((each) => each.checkVisibility({ opacityProperty: true, visibilityProperty: true }));
const focused = look();
element.blur();
const rest = look();
element.focus({ preventScroll: true });
return {
  place: [...document.querySelectorAll("*")].indexOf(element),
  name: `${element.outerHTML.slice(0, 120)}`,
  text: (element.ariaLabel ?? element.textContent ?? "").trim(),
  marked: focused !== rest,
  seen: Boolean(seen),
  area: ["#pst-skip-link", "search", ".bd-sidebar-primary nav, nav.bd-docs-nav", "article"].findIndex(
    (each) => each === "search" ? /search/i.test(element.className + element.type) : element.closest(each)),
};
"""


@pytest.mark.parametrize("kind", KINDS)
def test_keyboard_reaches_everything_in_order_and_shows_where_it_is(browser, site, kind):
    with reader(browser, site, reduced_motion="reduce") as page:
        page.goto(f"{site}/{kind}.html", wait_until="networkidle")
        stops = tab_stops(page)
        areas = [stop["area"] for stop in stops]
        firsts = [areas.index(area) if area in areas else None for area in range(4)]
        assert firsts[0] == 0, stops[0]  # the link that skips to the text
        assert None not in firsts, firsts
        assert firsts == sorted(firsts)  # then search, the contents, the text
        unmarked = [stop["name"] for stop in stops if not stop["marked"]]
        assert not unmarked, "\n".join(unmarked)
        unseen = [stop["name"] for stop in stops if not stop["seen"]]
        assert not unseen, "\n".join(unseen)


def test_skip_link_leads_past_the_navigation(page, site):
    page.goto(f"{site}/chapters/one-idea.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("Boolean(document.activeElement.closest('main'))")


def test_switch_of_the_theme_cycles_and_is_remembered(browser, site):
    with reader(browser, site, color_scheme="light") as page:
        page.goto(f"{site}/chapters/one-idea.html")
        seen = []
        for _ in range(3):
            page.locator(".theme-switch-button:visible").press("Enter")
            seen.append(
                tuple(page.evaluate("[document.documentElement.dataset.mode, document.documentElement.dataset.theme]"))
            )
        assert set(seen) == {("auto", "light"), ("light", "light"), ("dark", "dark")}
        while page.locator("html").get_attribute("data-mode") != "dark":
            page.locator(".theme-switch-button:visible").press("Enter")
        page.goto(f"{site}/chapters/names.html")
        assert audit(page, "theme", "dark") == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contents_open_and_close_by_keyboard_on_a_phone(browser, site, scheme):
    with reader(browser, site, PHONE, color_scheme=scheme, reduced_motion="reduce") as page:
        page.goto(f"{site}/chapters/one-idea.html")
        link = page.locator("a[href$='symptoms.html']:visible").first
        assert not link.is_visible()
        page.locator("button.primary-toggle:visible").focus()
        page.keyboard.press("Enter")
        link.wait_for(state="visible")
        assert audit(page, "axe") == []
        assert audit(page, "overflow") == []
        page.keyboard.press("Tab")
        assert page.evaluate("Boolean(document.activeElement.closest('dialog, .bd-sidebar-primary'))")
        page.keyboard.press("Escape")
        link.wait_for(state="hidden")
        assert page.evaluate("document.activeElement.matches('.primary-toggle')")


@pytest.mark.parametrize("notebook", sorted(CHAPTERS.glob("*.ipynb")), ids=lambda path: path.stem)
def test_copy_buttons_copy_exactly_the_code(browser, site, notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    hidden = {"remove-cell", "remove-input"}
    code = [
        each.source for each in cells if each.cell_type == "code" and not hidden & set(each.metadata.get("tags", []))
    ]
    assert code
    with reader(browser, site, permissions=["clipboard-read", "clipboard-write"]) as page:
        page.goto(f"{site}/chapters/{notebook.stem}.html", wait_until="networkidle")
        copied = page.evaluate("""async () => {
          const copied = [];
          for (const button of document.querySelectorAll(".cell_input button.copybtn")) {
            await navigator.clipboard.writeText("nothing was copied");
            button.click();
            copied.push(await navigator.clipboard.readText());
          }
          return copied;
        }""")
        assert [each.rstrip() for each in copied] == code


# What a reader would type, and the page that answers; it has to be among the first three.
QUERIES = {
    "loss stuck at 1.46": "chapters/symptoms",
    "from_logits": "chapters/names",
    "BCEWithLogitsLoss": "chapters/names",
    "log-odds": "chapters/log-odds",
    "temperature": "chapters/calibration",
    "double softmax": "chapters/traps",
    "NaN": "chapters/symptoms",
    "logsumexp": "chapters/stable-softmax",
    "calibration": "chapters/calibration",
    "distillation": "chapters/distillation",
    "cross_entropy": "chapters/api",
    "Berkson": "chapters/history",
    "label smoothing": "chapters/glossary",
    "perplexity": "chapters/language-models",
}


def results(page: Page, base: str, query: str) -> list[str]:
    page.goto(f"{base}/search.html?q={query}", wait_until="networkidle")
    page.wait_for_selector("#search-results p.search-summary:not(:empty)")
    page.wait_for_function("document.querySelectorAll('#search-results li').length > 0")
    found = page.locator("#search-results li").evaluate_all(
        "(items) => items.map((item) => item.querySelector('a').href)"
    )
    pages = [address.removeprefix(f"{base}/").partition(".html")[0] for address in found]
    return list(dict.fromkeys(pages))


@pytest.mark.parametrize("query", QUERIES)
def test_search_finds(page, site, query):
    found = results(page, site, query)
    assert QUERIES[query] in found[:3], found[:8]


def test_search_works_from_a_folder(browser, folder):
    with reader(browser, folder.as_uri()) as page:
        assert "chapters/names" in results(page, folder.as_uri(), "from_logits")


def test_search_opens_and_answers_by_keyboard(page, site):
    page.goto(f"{site}/chapters/one-idea.html")
    page.keyboard.press("Control+k")
    page.keyboard.type("from_logits")
    page.keyboard.press("Enter")
    page.wait_for_url("**/search.html?q=from_logits*")
    page.wait_for_selector("#search-results li a")
