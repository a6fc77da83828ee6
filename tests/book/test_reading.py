"""What a reader sees and hears: images, formulas, folded solutions, landmarks."""

import re

from tests.book.common import TEX, TOC, chapters, text_outside_code


def test_every_image_says_what_it_shows(site):
    _, pages = site
    images = [(path.name, image) for path, page in chapters(pages).items() for image in page.select("article img")]
    assert images
    poor = [(name, image.get("alt")) for name, image in images if len(image.get("alt", "").split()) < 6]
    assert poor == []
    assert [image["alt"] for _, image in images if "/" in image["alt"].split()[0] or ".svg" in image["alt"]] == []


def test_every_formula_is_rendered(site):
    _, pages = site
    formulas = [(path.name, each) for path, page in pages.items() for each in page.select(".math")]
    assert formulas
    assert [(name, each.get_text()) for name, each in formulas if not each.find(class_="katex")] == []
    assert [(path.name, each.get_text()) for path, page in pages.items() for each in page.select(".katex-error")] == []
    raw = [
        (path.name, match[0])
        for path, page in chapters(pages).items()
        for match in TEX.finditer(text_outside_code(page.find("article")))
    ]
    assert raw == []


def test_contents_and_solutions_are_reached_without_a_script(site):
    _, pages = site
    solutions = 0
    for path, page in pages.items():
        assert page.select_one("header button[popovertarget=site-contents]"), path.name
        assert len(page.select("nav#site-contents[popover] a")) >= len(TOC), path.name
        assert page.select(".dropdown, .toggle") == [], path.name  # hidden by a script of an extension
        solutions += len(page.select("details.solution > summary"))
    assert solutions > 20


def test_every_image_has_its_size_so_that_nothing_moves_when_it_comes(site):
    _, pages = site
    images = [(path.name, image) for path, page in pages.items() for image in page.select("article img")]
    assert [(name, image["src"]) for name, image in images if not (image.get("width") and image.get("height"))] == []


def test_page_is_sensible_when_read_aloud(site):
    _, pages = site
    for path, page in pages.items():
        assert len(page.find_all("h1")) == 1, path.name
        assert len(page.find_all("main")) == 1, path.name
        names = [nav.get("aria-label") or nav.get("aria-labelledby") for nav in page.find_all("nav")]
        assert None not in names, path.name
        assert len(set(names)) == len(names), (path.name, names)
        assert [each for each in page.find_all(class_="katex") if not each.find("math")] == [], path.name
        assert [th for th in page.find_all("th") if not th.get_text(strip=True)] == [], path.name
        assert page.find_all(role=re.compile("^doc-biblioentry")) == [], path.name
        assert page.find_all(role="heading") == [], path.name  # of the contents, in front of the page's own
        assert [each for each in page.find_all(class_="headerlink") if not each.get("aria-label")] == [], path.name
        assert [th for th in page.select("tbody th") if th.get("scope") != "row"] == [], path.name
        assert len(page.find_all("meta", attrs={"name": "viewport"})) == 1, path.name


def test_mark_behind_a_formula_stays_on_its_line(site):
    _, pages = site
    followed = [
        each
        for page in pages.values()
        for each in page.select("article span.math")
        if re.match(r"[.,;:!?)]", str(each.next_sibling))
    ]
    assert len(followed) > 100
    assert [each.get_text() for each in followed if "nowrap" not in each.parent.get("class", [])] == []
