"""The pages of the built book, parsed."""

import gc
import re

import lxml.html
import pytest
from bs4 import BeautifulSoup

from tests.book.common import CONFIG

HIGHLIGHTED = re.compile(rb'<span class="[a-z][a-z0-9]?">([^<]*)</span>')


def parsed(path):
    """Return a page without the colors of its code and without what's drawn of its formulas.

    These are most of its elements, and no test asks for them: a formula is beside it in MathML.
    """
    page = lxml.html.fromstring(HIGHLIGHTED.sub(rb"\1", path.read_bytes()))
    for drawn in page.iterfind(".//span[@class='katex-html']"):
        del drawn[:]
    return BeautifulSoup(lxml.html.tostring(page), "lxml")


@pytest.fixture(scope="session")
def site(built):
    """Return the parsed pages by their path."""
    folder = built
    # The theme's macros are left among the static files; the page of what is not found and those of what has moved
    # stand alone.
    alone = {"404.html", *(f"{old}.html" for old in CONFIG["sphinx"]["config"]["redirects"])}
    gc.disable()  # looking for garbage among so many elements takes a quarter of the time, and there is none
    pages = {
        path: parsed(path)
        for path in sorted(folder.rglob("*.html"))
        if "_static" not in path.parts and path.relative_to(folder).as_posix() not in alone
    }
    gc.freeze()  # nor later
    gc.enable()
    assert pages
    return folder, pages


@pytest.fixture(scope="session")
def anchors(site):
    """Return the ids on each page by its path."""
    return {path: {element["id"] for element in page.find_all(id=True)} for path, page in site[1].items()}
