"""Every address in the built site leads somewhere, and no two pages look alike from outside."""

import re
import zlib
from collections import Counter
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlsplit

import pytest
from lxml import etree, html
from sphinx.util.inventory import InventoryFile

from .conftest import pages
from .server import PREFIX

HERE = f"https://site.invalid{PREFIX}/"  # where the site is taken to be: a link that begins with "/" needs a host
ADDRESSES = """//@href | //@src | //@poster | //@data | //@action | //@formaction | //@*[local-name()='xlink:href']
| //meta[@property='og:url' or @property='og:image' or @name='twitter:image']/@content"""


class Site:
    """The files of a built site."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        static = folder / "_static"  # the theme leaves its templates there
        files = sorted(file for file in folder.rglob("*.html") if static not in file.parents)
        self.pages = {file.relative_to(folder).as_posix(): html.parse(file).getroot() for file in files}
        self.anchors = {path: {"", "top", *page.xpath("//@id | //a/@name")} for path, page in self.pages.items()}
        self.public = next(iter(self.pages["index.html"].xpath("//link[@rel='canonical']/@href")), HERE)

    def lacks(self, base: str, address: str) -> bool:
        """Return whether an address that is named in the file ``base`` is on this site's host and leads nowhere."""
        url, anchor = urldefrag(urljoin(HERE + base, address.strip()))
        url = url.replace(self.public, HERE)  # also where it is written with the host that it will have
        if not url.startswith(HERE):
            return urlsplit(url).netloc == urlsplit(HERE).netloc  # beside the site
        path = unquote(urlsplit(url).path).removeprefix(f"{PREFIX}/") or "index.html"
        if path in self.pages and not anchor.startswith(":~:"):  # which quotes the text that it leads to
            return unquote(anchor) not in self.anchors[path]
        return not (self.folder / path).is_file()

    def named(self) -> list[tuple[str, str]]:
        """Return every address, with the file that names it."""
        found = [(path, address) for path, page in self.pages.items() for address in in_page(page)]
        for file in sorted(self.folder.rglob("*.css")):
            found += [(file.relative_to(self.folder).as_posix(), each) for each in in_css(file.read_text("utf-8"))]
        for file in sorted(self.folder.glob("sitemap*.xml")):
            found += [(file.name, each.text) for each in etree.parse(file).iter("{*}loc")]
        for file in self.folder.glob("robots.txt"):
            found += [(file.name, each) for each in re.findall(r"(?m)^Sitemap: (.+)$", file.read_text("utf-8"))]
        with (self.folder / "objects.inv").open("rb") as stream:
            inventory = InventoryFile.load(stream, "", lambda _, uri: uri)
        found += [("objects.inv", uri) for objects in inventory.values() for _, _, uri, _ in objects.values()]
        return list(dict.fromkeys(found))


def in_page(page: html.HtmlElement) -> list[str]:
    """Return the addresses in a page."""
    found = page.xpath(ADDRESSES)
    found += [part.split()[0] for srcset in page.xpath("//@srcset") for part in srcset.split(",")]
    found += [
        content.partition("url=")[2] for content in page.xpath("//meta[@http-equiv]/@content") if "url=" in content
    ]
    return found + [address for css in page.xpath("//style/text() | //@style") for address in in_css(css)]


def in_css(css: str) -> list[str]:
    """Return the addresses in a style sheet, without those of a font's older formats, which no browser asks for."""
    found = re.findall(r"(?:url\(\s*|@import\s+)[\"']?([^\"')]+)", css)
    return [each for each in found if re.sub(r"\.(?:woff|ttf)$", ".woff2", each) not in {*found} - {each}]


@pytest.fixture(scope="module")
def built(folder):
    return Site(folder)


def test_every_link_and_file_and_anchor_is_there(built):
    addresses = built.named()
    assert len(addresses) > len(built.pages)
    lost = [f"{base}: {address}" for base, address in addresses if built.lacks(base, address)]
    assert not lost, "\n".join(lost)


def test_no_two_pages_have_the_same_title_or_description(built, folder):
    for xpath in ("//head/title/text()", "//meta[@name='description']/@content"):
        found = {path: built.pages[path].xpath(xpath) for path in pages(folder)}
        assert {path: texts for path, texts in found.items() if [bool(text.strip()) for text in texts] != [True]} == {}
        counts = Counter(texts[0] for texts in found.values())
        assert [(path, texts) for path, texts in found.items() if counts[texts[0]] > 1] == []


def test_no_two_figures_have_the_same_alt_text(built):
    files: dict[str, set[str]] = {}
    for path, page in built.pages.items():
        for image in page.xpath("//article//img[@alt]"):
            files.setdefault(image.get("alt"), set()).add(urljoin(path, image.get("src")))
    assert files
    assert {alt: names for alt, names in files.items() if len(names) > 1} == {}


@pytest.mark.parametrize(
    "address",
    [
        "missing.html",
        "missing.png",
        "#missing",
        "page.html#missing",
        "../page.html",
        "/page.html",
        f"{PREFIX}/missing.html",
        "https://public.example/book/missing.html",
        "page.html?q=1#missing",
    ],
)
def test_lost_address_is_found(tmp_path, address):
    site = small_site(tmp_path, f'<a href="{address}">a</a>')
    assert [each for each in site.named() if site.lacks(*each)] == [("index.html", address)]


def test_addresses_that_lead_somewhere_are_not_called_lost(tmp_path):
    here = ["", "#", "page.html", "page.html#there", "page.html?q=1#there", f"{PREFIX}/page.html", "data:,"]
    elsewhere = ["mailto:a@example.org", "https://example.org/missing", "https://public.example/book/page.html#there"]
    good = here + elsewhere
    site = small_site(tmp_path, "".join(f'<a href="{address}">a</a>' for address in good))
    assert len(site.named()) > len(good)
    assert [each for each in site.named() if site.lacks(*each)] == []


@pytest.mark.parametrize(
    "content",
    [
        '<img srcset="page.html 1x, missing.png 2x">',
        '<meta http-equiv="refresh" content="0; url=missing.html">',
        '<meta property="og:image" content="https://public.example/book/missing.png">',
        '<style>p { background: url("missing.png") }</style>',
        "<style>@import 'missing.css';</style>",
        '<p style="background: url(missing.png)">',
        '<form action="missing.html">',
        '<svg><use xlink:href="missing.svg"/></svg>',
    ],
)
def test_lost_address_is_found_wherever_it_stands(tmp_path, content):
    site = small_site(tmp_path, content)
    assert [base for base, address in site.named() if site.lacks(base, address)] == ["index.html"]


def inventory(line):
    head = ("Sphinx inventory version 2", "Project: a", "Version: 1", "The remainder is compressed using zlib.")
    return "".join(f"# {line}\n" for line in head).encode() + zlib.compress(f"{line}\n".encode())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("objects.inv", inventory("missing std:label -1 missing.html Missing")),
        ("a.css", "@font-face { src: url(missing.woff2) }"),
        (
            "sitemap.xml",
            "<urlset xmlns='urn:x'><url><loc>https://public.example/book/missing.html</loc></url></urlset>",
        ),
        ("robots.txt", "User-agent: *\nSitemap: https://public.example/book/sitemap.xml\n"),
    ],
)
def test_lost_address_is_found_beside_the_pages(tmp_path, name, content):
    site = small_site(tmp_path, "")
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert [base for base, address in site.named() if site.lacks(base, address)] == [name]


def small_site(folder, content):
    head = '<link rel="canonical" href="https://public.example/book/">'
    (folder / "index.html").write_text(f"<html><head>{head}</head><body>{content}</body></html>")
    (folder / "page.html").write_text('<p id="there">')
    (folder / "objects.inv").write_bytes(inventory("there std:label -1 page.html#there There"))
    return Site(folder)
