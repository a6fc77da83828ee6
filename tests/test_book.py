"""The book as a reader gets it: built clean, complete, alone in the world, and with outputs that were really run."""

import ast
import functools
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
import zipfile
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import parse_qs, unquote, urldefrag, urlsplit
from xml.etree import ElementTree

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from nbclient import NotebookClient
from PIL import Image, ImageFont

import logitkit
import logitkit.torch
from book.notebooks.run import normalise_metadata, normalise_source
from book.shared import origin
from book.shared.node import NODE
from book.site import archive, assets
from logitkit import conventions

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
TOC = [
    chapter["file"] for part in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"] for chapter in part["chapters"]
]
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
REPOSITORY = CONFIG["repository"]["url"]
SITE = "https://logitkit.github.io/logitkit/"
TEX = re.compile(r"\$\$|\\\(|\\\[|\\[a-zA-Z]+\{|\\(?:frac|log|sum|ell|operatorname|begin)\b")


@pytest.fixture(scope="module")
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


def chapters(pages):
    return {path: page for path, page in pages.items() if path.parent.name == "chapters"}


def listed(site):
    """Return the pages of the table of contents, and the front page, by their names."""
    folder, pages = site
    return {name: pages[folder / f"{name}.html"] for name in ("index", *TOC)}


def text_outside_code(element):
    """Return what a reader sees of an element, without code and without rendered mathematics."""
    if element.name in {"pre", "code", "script", "style"} or "katex" in element.get("class", ()):
        return ""
    return " ".join(each if isinstance(each, str) else text_outside_code(each) for each in element.children)


def test_every_chapter_is_in_the_table_of_contents_and_built(site):
    _, pages = site
    files = {f"chapters/{path.stem}" for path in (ROOT / "chapters").iterdir() if path.suffix in {".md", ".ipynb"}}
    assert files | {"genindex"} == {*TOC}  # Sphinx writes the index itself
    assert files == {f"chapters/{path.stem}" for path in chapters(pages)}


def test_no_page_loads_anything_from_another_host(site):
    folder, pages = site
    loaded = []
    for path, page in pages.items():
        for element in page.select(
            "script[src], img[src], iframe[src], source[src], video[src], audio[src], embed[src]"
        ):
            loaded.append((path, element["src"]))
        for element in page.select("link[href]:not([rel~=canonical])"):
            loaded.append((path, element["href"]))
        for element in page.select("object[data]"):
            loaded.append((path, element["data"]))
        inline = " ".join(e.get_text() for e in page.select("script:not([src]):not([type*=json]), style"))
        loaded += [(path, address) for address in re.findall(r"""["'(](https?://[^"')\s]+)""", inline)]
    for path in folder.rglob("*.css"):
        text = path.read_text("utf-8")
        loaded += [(path, address) for address in re.findall(r"url\(\s*[\"']?([^\"')]+)", text)]
        loaded += [(path, address) for address in re.findall(r"@import\s+[\"']([^\"']+)", text)]
    for path in folder.rglob("*.svg"):
        loaded += [(path, address) for address in re.findall(r"""href=["']([^"']+)""", path.read_text("utf-8"))]
    assert loaded
    assert [each for each in loaded if urlsplit(each[1]).scheme not in {"", "data"} or urlsplit(each[1]).netloc] == []


def test_every_internal_link_and_every_asset_exists(site):
    _, pages = site
    ids = {path: {element["id"] for element in page.select("[id]")} for path, page in pages.items()}
    broken = []
    for path, page in pages.items():
        for element in page.select("a[href], link[href], img[src], script[src]"):
            address = element.get("href") or element.get("src")
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            file, anchor = urldefrag(unquote(address))
            target = (path.parent / file.split("?")[0]).resolve() if file else path
            if not target.exists() or (anchor and target.suffix == ".html" and anchor not in ids[target]):
                broken.append((path.name, address))
    assert broken == []


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
    assert [(name, each.get_text()) for name, each in formulas if not each.select(".katex")] == []
    assert [(path.name, each.get_text()) for path, page in pages.items() for each in page.select(".katex-error")] == []
    raw = [
        (path.name, match[0])
        for path, page in chapters(pages).items()
        for match in TEX.finditer(text_outside_code(page.find("article")))
    ]
    assert raw == []


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
    tools = {name: [link["href"] for link in page.select(".notebook-menu a")] for name, page in listed(site).items()}
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


def test_every_page_says_which_version_it_is_of(site):
    tagged = f"v{logitkit.__version__}" in origin.git("tag", "--points-at", "HEAD").split()
    for path, page in site[1].items():
        words = page.select_one("footer .version").get_text()
        assert words.startswith(f"logitkit {logitkit.__version__}"), path.name
        assert ("development" in words) != tagged, path.name


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
    assert page.select("link[rel=stylesheet], script, img") == []  # it stands alone
    links = {element.get("href") or element.get("action") for element in page.select("a, form")}
    assert all(link.startswith(SITE) for link in links)
    wanted = {f"{SITE}{name}.html" for name in ("search", *TOC)} | {SITE}
    assert links == wanted


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


def test_source_without_its_git_has_no_dates_and_claims_no_release(tmp_path, monkeypatch):
    folder = tmp_path / "unpacked"
    folder.mkdir()
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)  # of somebody else
    monkeypatch.setattr(origin, "ROOT", folder)
    origin.git.cache_clear()
    config = SimpleNamespace(html_theme_options={"repository_url": REPOSITORY, "repository_branch": "main"})
    assert origin.last_updated({folder / "a.md"}) == ""
    assert origin.version(config) == (f"logitkit {logitkit.__version__}, development build", "main")
    monkeypatch.undo()
    origin.git.cache_clear()


def test_dates_and_releases_come_from_git_and_not_from_a_shallow_copy(tmp_path, monkeypatch):
    source, shallow = tmp_path / "source", tmp_path / "shallow"

    def git(*arguments):
        day = {"GIT_AUTHOR_DATE": "2020-01-02T12:00Z", "GIT_COMMITTER_DATE": "2020-01-02T12:00Z"}
        who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
        subprocess.run(["git", *who, *arguments], check=True, capture_output=True, env=os.environ | day)

    git("init", source)
    (source / "a.md").touch()
    git("-C", source, "add", "a.md")
    git("-C", source, "commit", "--message", "first")
    git("-C", source, "tag", f"v{logitkit.__version__}")
    git("-C", source, "commit", "--allow-empty", "--message", "second")
    git("clone", "--depth=1", "--branch", f"v{logitkit.__version__}", source.as_uri(), shallow)
    git("-C", shallow, "fetch", "--depth=1")
    config = SimpleNamespace(html_theme_options={"repository_url": REPOSITORY, "repository_branch": "main"})
    for folder, day, revision in ((source, "2020-01-02", "main"), (shallow, "", f"v{logitkit.__version__}")):
        monkeypatch.setattr(origin, "ROOT", folder)
        origin.git.cache_clear()
        assert origin.last_updated({folder / "a.md"}) == day
        words, built = origin.version(config)
        assert (built, "development build of " in words) == (revision, revision == "main")
    monkeypatch.undo()
    origin.git.cache_clear()


def test_archive_is_the_whole_book_and_the_same_whenever_it_is_packed(site, tmp_path):
    folder, pages = site
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    archive.pack(folder, first)
    archive.pack(folder, second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as packed:
        names = set(packed.namelist())
    assert {"index.html", "search.html", "searchindex.js"} <= names
    assert {path.relative_to(folder).as_posix() for path in pages} <= names
    for path, page in pages.items():
        for element in page.select("a[href], link[href]:not([rel=canonical]), img[src], script[src]"):
            address = urldefrag(unquote(element.get("href") or element.get("src")))[0].split("?")[0]
            if address and not urlsplit(address).scheme:
                assert not address.startswith("/"), (path.name, address)
                target = (path.parent / address).resolve().relative_to(folder).as_posix()
                assert target in names, (path.name, address)


def test_every_public_function_has_an_entry_that_names_the_chapters_using_it(site):
    folder, pages = site
    api = pages[folder / "chapters" / "api.html"]
    for name in logitkit.__all__:
        entry = api.find(id=f"logitkit.{name}")
        assert entry is not None, name
        links = {link["href"] for link in entry.find_next_sibling("dd").select("p > a.reference.internal")}
        for path in NOTEBOOKS:
            cells = nbformat.read(path, as_version=4).cells
            if any(f"lk.{name}(" in cell.source for cell in cells):
                assert f"{path.stem}.html" in links, (name, path.stem)


def test_sources_are_in_the_order_of_letters_whatever_their_accents_and_braces(site):
    entries = [entry.get_text() for entry in listed(site)["chapters/bibliography"].select(".citation p")]
    authors = [
        "Lewis Carroll",
        "Axel Börsch-Supan",
        "IEEE",
        "Jochen Bröcker",
        "Hugging Face",
        "Dhiraj Kalamkar",
        "OpenAI",
    ]
    found = sorted(authors, key=lambda author: next(n for n, entry in enumerate(entries) if entry.startswith(author)))
    assert [author.split()[-1] for author in found] == [
        *("Börsch-Supan", "Bröcker", "Carroll", "Face", "IEEE", "Kalamkar", "OpenAI")
    ]


def test_no_two_sources_are_cited_by_the_same_words(site):
    _, pages = site
    sources = {}
    for page in chapters(pages).values():
        for citation in page.select(".bibtex-citation a[href^='bibliography.html#']"):
            words = citation.get_text()
            if "," not in words:  # the author is before the link
                words = citation.parent.get_text()
            sources.setdefault(words, set()).add(citation["href"])
    assert len(sources) > 50
    assert not {words: found for words, found in sources.items() if len(found) > 1}


def test_table_of_names_is_whole_and_its_script_is_loaded_on_its_page_only(site):
    folder, pages = site
    page = pages[folder / "chapters" / "names.html"]
    links = {(link.get_text(), link["href"]) for link in page.select("table.names tbody th > a")}
    assert links == {(record.symbol, record.docs) for record in conventions.table()}
    assert page.select(".sd-tab-set .sd-tab-content pre")
    with_script = [path.stem for path, page in pages.items() if page.select('script[src*="names.js"]')]
    assert with_script == ["names"]


def loaded_with(folder, path, page):
    """Return the files that a browser loads with a page: styles, scripts, images, and all fonts of its formulas."""
    addresses = [element["href"] for element in page.select("link[rel=stylesheet]")]
    addresses += [element["src"] for element in page.select("script[src], img[src]")]
    files = [(path.parent / address.partition("?")[0]).resolve() for address in addresses]
    if page.select(".katex"):
        styles = "".join(file.read_text("utf-8") for file in files if file.suffix == ".css")
        files += [folder / "_static" / font for font in re.findall(r"url\(([^)]+\.woff2)\)", styles)]
    return files


def test_page_loads_one_style_sheet_one_script_and_little_else(site):
    _, pages = site
    for path, page in pages.items():
        styles, scripts = page.select("link[rel=stylesheet]"), page.select("script[src]")
        assert [Path(each["href"]).name for each in styles][:1] == ["bundle.css"], path.name
        assert [Path(each["src"]).name for each in scripts][:1] == ["bundle.js"], path.name
        assert len(styles) <= 2, (path.name, styles)  # one of its own, such as that of an explorable
        assert len(scripts) <= 5, (path.name, scripts)  # an explorable has three
        # Those of an explorable stand behind it, and hold up nothing that comes before.
        assert page.select("head script[src]:not([defer])") == [], path.name


def test_page_with_all_it_loads_is_light(site):
    """As static hosts send it, text compressed: within two seconds on a phone's slow line."""
    folder, pages = site
    packed = {}
    for path, page in pages.items():
        for file in [path, *loaded_with(folder, path, page)]:
            content = file.read_bytes()
            packed.setdefault(file, len(content if file.suffix == ".woff2" else gzip.compress(content)))
    assert packed[folder / "_static" / "bundle.css"] < 20_000
    assert packed[folder / "_static" / "bundle.js"] < 6_000
    totals = {
        path: packed[path] + sum(packed[file] for file in loaded_with(folder, path, page))
        for path, page in pages.items()
        if path.stem != "search"
    }  # which loads the index of all words
    assert {path.stem: total for path, total in totals.items() if total > 290_000} == {}


def test_output_holds_nothing_that_no_page_reaches(site):
    """The theme brings 5 MB of icons, source maps and translations, and the archive of the book should not."""
    folder, _ = site
    text = "".join(
        path.read_text("utf-8")
        for kind in ("*.html", "*.css", "*.js")
        for path in folder.rglob(kind)
        if "_sources" not in path.parts
    )
    files = {path.name for path in (folder / "_static").rglob("*") if path.is_file()} - {"licences.txt"}
    assert {name for name in files if name not in text} == set()
    licences = (folder / "_static" / "licences.txt").read_text("utf-8")
    assert "Permission is hereby granted" in licences
    assert "Redistribution and use in source and binary forms" in licences


def test_joined_style_sheet_keeps_the_classes_that_pages_and_scripts_use(site):
    folder, pages = site
    joined = (folder / "_static" / "bundle.css").read_text("utf-8")
    scripts = "".join(path.read_text("utf-8") for path in (folder / "_static").glob("*.js"))
    used = {name for page in pages.values() for element in page.select("[class]") for name in element["class"]}
    used |= set(re.findall(r"[\w-]+", scripts))
    for path in (ROOT / "book" / "theme" / "static").glob("*.css"):
        named = set(re.findall(r"\.([a-z][\w-]*)(?=[^{};]*\{)", path.read_text("utf-8")))
        assert {name for name in named & used if not re.search(rf"\.{name}(?![\w-])", joined)} == set(), path.name


@pytest.mark.parametrize(
    ("rule", "dropped"),
    [
        (".unused {color: red}", [".unused"]),
        # It has a use, but PurgeCSS does not see it; the rule for the table of symptoms was once lost so.
        (":has(> #symptoms) :is(table, td) {color: red}", [":has(> #symptoms) :is(table, td)"]),
        (".used :has(> #symptoms) :is(table, td) {color: red}", []),
    ],
)
def test_rule_of_our_own_style_that_would_be_dropped_stops_the_build(tmp_path, rule, dropped):
    page = tmp_path / "page.html"
    page.write_text('<main class="used"><div><p id="symptoms"><table><td></table></div></main>')
    request = {"others": ".theirs {color: red}", "own": rule, "pages": [str(page)], "scripts": []}
    bundle = [NODE, assets.BUNDLE]
    done = subprocess.run(bundle, input=json.dumps(request), capture_output=True, text=True, check=False)
    assert (done.returncode != 0) == bool(dropped), done.stderr
    assert all(each in done.stderr for each in dropped)
    assert ("red" in done.stdout) == (not dropped)


def test_dark_style_follows_the_system_without_a_script(site):
    folder, pages = site
    assert {page.html["data-theme"] for page in pages.values()} == {"auto"}
    joined = (folder / "_static" / "bundle.css").read_text("utf-8")
    assert re.search(r"@media ?\(prefers-color-scheme: ?dark\) ?\{html\[data-theme=auto\]", joined)


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
        assert len(page.select("h1")) == 1, path.name
        assert len(page.select("main")) == 1, path.name
        names = [nav.get("aria-label") or nav.get("aria-labelledby") for nav in page.select("nav")]
        assert None not in names, path.name
        assert len(set(names)) == len(names), (path.name, names)
        assert [each for each in page.select(".katex") if not each.select("math")] == [], path.name
        assert [th for th in page.select("th") if not th.get_text(strip=True)] == [], path.name
        assert page.select("[role^=doc-biblioentry]") == [], path.name
        assert page.select("[role=heading]") == [], path.name  # of the contents, in front of the page's own
        assert [each for each in page.select(".headerlink") if each.get("tabindex") != "-1"] == [], path.name
        assert [th for th in page.select("tbody th") if th.get("scope") != "row"] == [], path.name
        assert len(page.select("meta[name=viewport]")) == 1, path.name


def test_index_sorts_numbers_by_size(site):
    folder, pages = site
    links = pages[folder / "genindex.html"].select("#Symbols + table td > ul > li > a:first-child")
    numbers = [float(link.get_text()) for link in links if re.fullmatch(r"[\d.]+", link.get_text())]
    assert len(numbers) > 10
    assert numbers == sorted(numbers)


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


def test_page_that_is_written_anew_is_the_same_and_changes_no_other(built, tmp_path):
    """A build that starts from an earlier one's files, as most do."""
    again = tmp_path / "_build" / "html"
    for name in ("html", ".doctrees"):
        shutil.copytree(built.with_name(name), again.with_name(name))
    (again / "chapters/traps.html").unlink()
    command = [
        Path(sys.executable).with_name("jupyter-book"),
        "build",
        "-n",
        "--quiet",
        "--path-output",
        tmp_path,
        ROOT,
    ]
    subprocess.run(command, check=True, capture_output=True)
    first, second = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (built, again)
    )
    assert first.keys() == second.keys()
    assert [path for path in first if first[path] != second[path]] == []


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestPortableNotebook:
    """The notebook that a reader downloads."""

    @pytest.fixture
    def portable(self, site, path):
        return nbformat.read(site[0] / "notebooks" / path.name, as_version=4)

    def test_has_the_code_and_the_outputs_of_the_chapter(self, portable, path):
        stored = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        install, *code = [cell for cell in portable.cells if cell.cell_type == "code"]
        assert install.id == "install"
        assert len(code) == len(stored)
        for ours, theirs in zip(code, stored, strict=True):
            assert ours.execution_count == theirs.execution_count
            if "{ref}" not in f"{theirs.outputs}":
                assert (ours.source, ours.outputs) == (theirs.source, theirs.outputs)

    def test_has_nothing_that_only_the_build_understands(self, portable):
        nbformat.validate(portable)
        roles = re.compile(r"\{(ref|term|doc|eq|numref|func|class|math|cite:[tp]|prf:ref)\}`")
        for cell in portable.cells:
            assert not {"mystnb", "tags"} & set(cell.metadata)
            assert not roles.search(f"{cell.source}{cell.get('outputs', '')}"), cell.source
            if cell.cell_type == "markdown":
                assert not re.search(r"^\s*(:::|`{3,}\{|\([\w-]+\)=$|\+\+\+|% )", cell.source, re.MULTILINE), (
                    cell.source
                )
                summaries = re.findall("<summary>(.*)</summary>", cell.source)
                assert not any(TEX.search(summary) or "$" in summary for summary in summaries)
                assert cell.source.count("$$") % 2 == 0

    def test_says_where_it_comes_from(self, portable, path):
        title = portable.cells[0].source
        assert title.startswith("# ")
        for words in (f"{SITE}chapters/{path.stem}.html", f"logitkit {logitkit.__version__}", "CC BY 4.0", "MIT"):
            assert words in title

    def test_links_lead_to_pages_that_exist(self, site, portable):
        folder, pages = site
        ids = {page: {element["id"] for element in parsed.select("[id]")} for page, parsed in pages.items()}
        text = "\n".join(cell.source for cell in portable.cells if cell.cell_type == "markdown")
        links = re.findall(r"\]\(([^)\s]+)\)", text)
        assert links
        for link in links:
            address, anchor = urldefrag(link)
            assert urlsplit(address).scheme == "https", link
            if address.startswith(SITE):
                page = folder / (address.removeprefix(SITE) or "index.html")
                assert page in pages, link
                assert not anchor or unquote(anchor) in ids[page], link

    def test_installs_what_it_imports(self, portable):
        code = [cell.source for cell in portable.cells if cell.cell_type == "code"]
        packages = ast.literal_eval(re.search(r"^packages = (\{.*?\})", code[0], re.DOTALL | re.MULTILINE)[1])
        assert packages["logitkit"].startswith(f"{REPOSITORY}/archive/refs/")
        imports = {
            match[1] for source in code[1:] for match in re.finditer(r"^(?:import|from) (\w+)", source, re.MULTILINE)
        }
        assert imports - sys.stdlib_module_names - {"IPython"} == set(packages)
        if "plotting" in "".join(code):
            assert "matplotlib" in packages


@pytest.mark.parametrize("name", ["language-models", "traps"])
def test_portable_notebook_runs_alone_and_gives_what_it_shows(site, tmp_path, monkeypatch, name):
    """Also from a folder without the chapter's data, which it fetches, and without installing anything."""
    folder, _ = site
    notebook = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
    shown = [cell.get("outputs") for cell in notebook.cells]
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder / "notebooks")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        install = notebook.cells[1]
        ours = f"http://127.0.0.1:{server.server_port}"
        install.source = re.sub(
            r"https://raw\.githubusercontent\.com/logitkit/logitkit/[^/]+/chapters", ours, install.source
        )
        resources = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources=resources, coalesce_streams=True
        ).execute()
        server.shutdown()
    for cell, before in zip(notebook.cells, shown, strict=True):
        for output in cell.get("outputs", []):
            output.pop("execution_count", None)
        for output in before or []:
            output.pop("execution_count", None)
        assert cell.get("outputs") == before, cell.source


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_was_run_from_top_to_bottom(self, path):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert cells
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))

    def test_stores_only_what_is_compared(self, path):
        """A comparison passes over PNG; what is on stderr is a warning or an error that nobody should meet."""
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error", cell.source
                assert output.get("name") != "stderr", cell.source
                assert not {"image/png", "image/jpeg"} & set(output.get("data", {})), cell.source

    def test_skips_and_loosens_no_comparison(self, path):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not {"raises-exception", "skip-execution"} & set(cell.metadata.get("tags", []))
            assert not any(tag.startswith("nbval") for tag in cell.metadata.get("tags", []))
            assert not re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)", cell.source)

    def test_is_stored_as_make_notebooks_stores_it(self, path):
        notebook = nbformat.read(path, as_version=4)
        normalise_source(notebook)
        normalise_metadata(notebook)
        assert nbformat.writes(notebook) + "\n" == path.read_text("utf-8"), (
            f"run make notebooks NB=chapters/{path.name}"
        )
