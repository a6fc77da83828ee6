"""Every page, on a light phone and a dark desktop; one page of each kind also the other way round and on a tablet."""

from typing import NamedTuple

import pytest
from playwright.sync_api import Browser

from .audit import audit
from .conftest import watch
from .test_reading import KINDS

PHONE, TABLET, DESKTOP = 360, 768, 1400
# The theme decides on colors alone, the width on the rest. A page's own content is all there at any width, so that each
# theme needs one visit; what surrounds it differs with the width, and is the same on every page of a kind.
EVERY_PAGE = [("light", PHONE), ("dark", DESKTOP)]
EVERY_KIND = [("dark", PHONE), ("light", TABLET), ("light", DESKTOP)]
PAPER = 718  # A4 with margins of a centimetre, in CSS pixels
PROMISES = {
    "errors": "nothing fails and no other host is asked",
    "theme": "the page is light or dark as the reader wants",
    "overflow": "the page does not scroll sideways",
    "cut": "no text is cut off",
    "axe": "axe finds no barrier",
    "images": "every image is shown and described",
    "math": "every formula is rendered, for eyes and for ears",
    "structure": "the page has one heading, a title and a language",
    "paper": "nothing is cut off on paper, and no light text is left on it",
    "motion": "nothing moves for a reader who asked for rest",
}
REQUESTS = 25
KILOBYTES = 250  # as they travel, compressed, to a reader who has seen no other page
KILOBYTES_OF_THE_SEARCH = 400  # which loads the words of all pages


class Visit(NamedTuple):
    """What one visit to a page found wrong, by the name of the audit, and the bytes of each file that it fetched."""

    name: str
    wrong: dict[str, list[str]]
    fetched: dict[str, int]


def visit(browser: Browser, site: str, path: str, theme: str, width: int) -> Visit:
    """Load the page with an empty cache, as a reader with that screen and theme would, and audit it."""
    fetched: dict[str, int] = {}
    with browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme) as context:
        page = context.new_page()
        wrong = {"errors": watch(page, site)}
        page.on("requestfinished", lambda request: fetched.update({request.url: request.sizes()["responseBodySize"]}))
        page.goto(f"{site}/{path}")
        wrong["theme"] = audit(page, "theme", theme)
        audit(page, "open")
        wrong |= {name: audit(page, name) for name in ("overflow", "cut", "axe")}
        if (theme, width) == EVERY_PAGE[0]:  # neither decides what these find
            wrong |= {name: audit(page, name) for name in ("images", "math", "structure")}
            page.emulate_media(reduced_motion="reduce")
            wrong["motion"] = audit(page, "motion")
        if width == DESKTOP:
            page.emulate_media(media="print")
            page.set_viewport_size({"width": PAPER, "height": 1000})
            wrong["paper"] = audit(page, "overflow") + audit(page, "cut", True) + audit(page, "theme", "light")
    return Visit(f"{theme} {width}", wrong, fetched)


def findings(visits: list[Visit], name: str) -> str:
    """Return what an audit found, each finding once, with the visits that it was found on."""
    found: dict[str, dict[str, None]] = {}
    for each in visits:
        for finding in each.wrong.get(name, ()):
            found.setdefault(finding, {})[each.name] = None
    return "\n".join(f"{finding}  [{', '.join(names)}]" for finding, names in found.items())


def test_page(browser, site, path, subtests):
    screens = EVERY_PAGE + EVERY_KIND * (path.removesuffix(".html") in KINDS)
    visits = [visit(browser, site, path, theme, width) for theme, width in screens]
    for name, promise in PROMISES.items():
        with subtests.test(promise):
            if found := findings(visits, name):
                pytest.fail(found, pytrace=False)
    with subtests.test("the page is light to fetch"):
        heaviest = max((each.fetched for each in visits), key=lambda fetched: sum(fetched.values()))
        sizes = sorted(((size, url.removeprefix(site)) for url, size in heaviest.items()), reverse=True)
        assert sizes
        assert len(sizes) <= REQUESTS, sizes
        most = KILOBYTES_OF_THE_SEARCH if path == "search.html" else KILOBYTES
        assert sum(size for size, _ in sizes) <= most * 1000, sizes
