"""Search finds a symptom, a symbol and a term, on a host and in a folder."""

import pytest
from playwright.sync_api import Page

from .conftest import reader

# What a reader would type, and the page that answers; it has to be among the first three.
QUERIES = {
    "loss stuck at 1.46": "chapters/symptoms",
    "1.46": "chapters/symptoms",
    "loss is negative": "chapters/symptoms",
    "NaN": "chapters/floating-point",
    "double softmax": "chapters/traps",
    "from_logits": "chapters/names",
    "BCEWithLogitsLoss": "chapters/names",
    "logit_bias": "chapters/language-models",
    "cross_entropy": "chapters/api",
    "class_log_odds": "chapters/api",
    "logsumexp": "chapters/stable-softmax",
    "log-odds": "chapters/glossary",
    "temperature": "chapters/language-models",
    "temperature scaling": "chapters/calibration",
    "label smoothing": "chapters/fused-losses",
    "calibration": "chapters/calibration",
    "distillation": "chapters/distillation",
    "perplexity": "chapters/glossary",
    "threshold": "chapters/binary-multilabel",
    "Berkson": "chapters/history",
}


def results(page: Page, base: str, query: str) -> list[str]:
    """Return the pages that a search finds, in order, each once and without its ending."""
    page.goto(f"{base}/search.html?q={query}", wait_until="networkidle")
    page.locator("#search-results li a").first.wait_for()
    found = page.locator("#search-results li").evaluate_all("items => items.map(item => item.querySelector('a').href)")
    return list(dict.fromkeys(address.removeprefix(f"{base}/").partition(".html")[0] for address in found))


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
    page.locator("#search-results li a").first.wait_for()
