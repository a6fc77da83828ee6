"""What a page says of itself and of its site: descriptions, previews, versions, redirects, the site map."""

import json
import tomllib
from types import SimpleNamespace
from urllib.parse import parse_qs, urldefrag, urlsplit
from xml.etree import ElementTree

import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from PIL import Image, ImageFont

import logitkit
import logitkit.torch
from book.shared import origin
from book.site import head
from tests.book.common import CONFIG, NOTEBOOKS, REPOSITORY, ROOT, SITE, TEX, TOC, listed


def test_page_titles_and_descriptions_are_plain_words(site):
    """A browser's tab and a search engine's result show text, not mathematics."""
    _, pages = site
    for path, page in pages.items():
        (description,) = page.select("meta[name=description]")
        assert len(description["content"]) > 20, path.name
        for text in (page.title.get_text(), description["content"]):
            assert not TEX.search(text), (path.name, text)
        assert page.select("h1 .katex") == [], path.name
    titles = [page.title.get_text() for page in listed(site).values()]
    assert len(set(titles)) == len(titles)


def test_every_page_describes_itself_in_the_length_that_a_search_result_shows(site):
    descriptions = {name: page.select_one("meta[name=description]")["content"] for name, page in listed(site).items()}
    assert {name: text for name, text in descriptions.items() if not 50 <= len(text) <= 160} == {}
    assert [text for text in descriptions.values() if text[-1] not in ".?" or "…" in text] == []
    assert len(set(descriptions.values())) == len(descriptions)


def test_every_page_has_one_address_and_a_preview(site):
    folder, _ = site
    for name, page in listed(site).items():
        properties = {tag["property"]: tag["content"] for tag in page.select("meta[property]")}
        (canonical,) = page.select("link[rel=canonical]")
        assert canonical["href"] == properties["og:url"] == SITE + ("" if name == "index" else f"{name}.html")
        assert properties["og:description"] == page.select_one("meta[name=description]")["content"]
        assert page.title.get_text().endswith(CONFIG["title"])
        assert properties["og:title"] in page.title.get_text()
        data = json.loads(page.select_one("script[type='application/ld+json']").get_text())
        assert data["url"] == canonical["href"]
        assert data.get("headline", data.get("name")) == properties["og:title"] != ""
        card = folder / properties["og:image"].removeprefix(SITE)
        with Image.open(card) as image:
            assert image.size == (1200, 630)
        assert 5_000 < card.stat().st_size < 60_000
    for path, page in site[1].items():
        if path.name == "search.html" or "_modules" in path.parts:
            assert page.select("meta[name=robots][content=noindex]")
            assert not page.select("link[rel=canonical]")


def test_titles_are_in_the_letters_of_the_cards_font(site):
    """Pillow draws an empty box for a letter that its font does not have."""
    font = ImageFont.load_default(40)
    missing = bytes(font.getmask("\N{OBJECT REPLACEMENT CHARACTER}"))
    for name, page in listed(site).items():
        title = page.select_one("meta[property='og:title']")["content"]
        assert [letter for letter in title if bytes(font.getmask(letter)) == missing] == [], name


def test_every_chapter_can_be_run_changed_and_discussed(site):
    folder, _ = site
    tools = {name: [link["href"] for link in page.select(".page-tools a")] for name, page in listed(site).items()}
    assert {name for name, links in tools.items() if links} == {f"chapters/{path.stem}" for path in NOTEBOOKS}
    for path in NOTEBOOKS:
        download, colab, binder = tools[f"chapters/{path.stem}"]
        assert (folder / "chapters" / download).resolve() == folder / "notebooks" / path.name
        assert colab.endswith(f"/logitkit/logitkit/blob/notebooks/{path.name}")
        assert binder.endswith(f"urlpath=lab/tree/chapters/{path.name}")
    for name, page in listed(site).items():
        if name == "genindex":  # it has no text
            continue
        edit, issue = [link["href"] for link in page.select(".page-source a")]
        prefix = f"{REPOSITORY}/edit/{CONFIG['repository']['branch']}/"
        assert edit.startswith(f"{prefix}{name}.")
        assert (ROOT / edit.removeprefix(prefix)).is_file()
        assert issue.startswith(f"{REPOSITORY}/issues/new?")
        assert parse_qs(urlsplit(issue).query)["page"] == [page.select_one("link[rel=canonical]")["href"]]


def test_every_page_says_which_version_it_is_of_and_by_whom(site):
    tagged = f"v{logitkit.__version__}" in origin.git("tag", "--points-at", "HEAD").split()
    for path, page in site[1].items():
        words = page.select_one("footer .version").get_text()
        assert words.startswith(f"logitkit {logitkit.__version__}"), path.name
        assert ("development" in words) != tagged, path.name
        assert CONFIG["author"].removeprefix("The ") in page.footer.get_text(), path.name


def test_every_page_is_written_anew_when_a_title_has_changed_or_a_source_has_another_place():
    parts = [SimpleNamespace(caption="A part", items=["one", "two"])]
    titles = {name: nodes.title("", name) for name in ("index", "one", "two")}
    site_map = SimpleNamespace(root=SimpleNamespace(subtrees=parts))
    cite = SimpleNamespace(citations=[SimpleNamespace(key="bliss1935", citation_id="id1")])
    env = SimpleNamespace(
        external_site_map=site_map,
        titles=titles,
        toc_secnumbers={},
        found_docs=set(titles),
        get_domain={"cite": cite}.__getitem__,
    )
    app = SimpleNamespace(env=env, config=SimpleNamespace(root_doc="index"))
    assert head.also_written(app, env) == {"index", "one", "two"}
    assert head.also_written(app, env) == ["index"]
    titles["two"] = nodes.title("", "three")
    assert head.also_written(app, env) == {"index", "one", "two"}
    cite.citations[0].citation_id = "id2"
    assert head.also_written(app, env) == {"index", "one", "two"}
    assert head.also_written(app, env) == ["index"]


def test_repository_has_one_address():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["urls"]["Repository"] == REPOSITORY
    assert project["urls"]["Documentation"] == SITE
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["repository-code"], citation["url"]) == (REPOSITORY, SITE)
    assert citation["version"] == logitkit.__version__


def test_search_engines_are_told_of_every_page(site):
    folder, _ = site
    urls = ElementTree.parse(folder / "sitemap.xml").getroot()
    places = {url.findtext("{*}loc") for url in urls}
    assert places == {page.select_one("link[rel=canonical]")["href"] for page in listed(site).values()}
    days = [url.findtext("{*}lastmod") for url in urls]
    shown = [each["datetime"] for page in listed(site).values() for each in page.select(".page-source time")]
    assert set(shown) <= {*days}
    assert f"Sitemap: {SITE}sitemap.xml" in (folder / "robots.txt").read_text()
    assert (folder / ".nojekyll").exists()  # or GitHub would leave out _static


def test_page_of_what_is_not_found_leads_on_from_any_depth(site):
    folder, _ = site
    page = BeautifulSoup((folder / "404.html").read_bytes(), "lxml")
    (base,) = page.select("base")
    assert SITE.endswith(base["href"])
    addressed = page.select("[href], [src], [action]")
    assert addressed.index(base) == 0  # it holds for what follows
    addresses = {each.get("href") or each.get("src") or each["action"] for each in addressed[1:]}
    files = {urldefrag(address)[0].partition("?")[0] for address in addresses if not urlsplit(address).scheme}
    assert [file for file in files if not (folder / file).is_file()] == []
    assert {f"{name}.html" for name in ("index", "search", *TOC)} <= files


@pytest.mark.parametrize(("old", "new"), CONFIG["sphinx"]["config"]["redirects"].items())
def test_moved_page_leads_to_where_it_is_now(site, old, new):
    folder, _ = site
    path = folder / f"{old}.html"
    page = BeautifulSoup(path.read_bytes(), "lxml")
    target = page.select_one("meta[http-equiv=refresh]")["content"].split("url=")[1]
    assert (path.parent / target).resolve() == folder / f"{new}.html"
    assert f'"{target}"' in page.script.get_text()
    assert page.select_one("body a")["href"] == target
    expected = listed(site)[new].select_one("link[rel=canonical]")["href"]
    assert page.select_one("link[rel=canonical]")["href"] == expected
