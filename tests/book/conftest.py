"""The pages of the built book, parsed."""

import pytest
from bs4 import BeautifulSoup

from tests.book.common import CONFIG


@pytest.fixture(scope="session")
def site(built):
    """Return the parsed pages by their path."""
    folder = built
    pages = {path: BeautifulSoup(path.read_bytes(), "lxml") for path in sorted(folder.rglob("*.html"))}
    # The theme's macros are left among the static files; the page of what is not found and those of what has moved
    # stand alone.
    alone = {"404.html", *(f"{old}.html" for old in CONFIG["sphinx"]["config"]["redirects"])}
    pages = {
        path: page
        for path, page in pages.items()
        if "_static" not in path.parts and path.relative_to(folder).as_posix() not in alone
    }
    assert pages
    return folder, pages


@pytest.fixture(scope="session")
def anchors(site):
    """Return the ids on each page by its path."""
    return {path: {element["id"] for element in page.find_all(id=True)} for path, page in site[1].items()}
