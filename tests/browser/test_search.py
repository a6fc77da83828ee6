"""Search finds a symptom, a symbol and a term, on a host and in a folder."""

import pytest
from playwright.sync_api import Page

from .conftest import reader

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
