"""The book as a reader gets it: built clean, complete, alone in the world, and with outputs that were really run."""

import gzip
import re
import shutil
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup

import logitkit
import logitkit.torch
from logitkit import conventions

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
TOC = [
    chapter["file"] for part in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"] for chapter in part["chapters"]
]
TEX = re.compile(r"\$\$|\\\(|\\\[|\\[a-zA-Z]+\{|\\(?:frac|log|sum|ell|operatorname|begin)\b")

sys.path.insert(0, str(ROOT / "book"))
from run_notebooks import normalise_metadata, normalise_source  # noqa: E402


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Build from nothing, since a cached build does not repeat the warnings of earlier ones."""
    folder = tmp_path_factory.mktemp("book")
    command = [Path(sys.executable).with_name("jupyter-book"), "build", "-W", "-n", "--keep-going", "--quiet"]
    done = subprocess.run(
        [*command, "--path-output", folder, ROOT],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    return done, folder / "_build" / "html"


@pytest.fixture(scope="module")
def site(build):
    """Return the parsed pages by their path."""
    done, folder = build
    pages = {path: BeautifulSoup(path.read_bytes(), "lxml") for path in sorted(folder.rglob("*.html"))}
    # The theme's macros are left among the static files, and the front page only forwards to the first chapter.
    pages = {path: page for path, page in pages.items() if "_static" not in path.parts and path.parent != folder}
    assert pages, done.stdout
    return folder, pages


def chapters(pages):
    return {path: page for path, page in pages.items() if path.parent.name == "chapters"}


def text_outside_code(page):
    """Return what a reader sees in the article, without code and without rendered mathematics."""
    article = BeautifulSoup(str(page.find("article")), "lxml")
    for element in article.select("pre, code, script, style, .katex"):
        element.decompose()
    return article.get_text(" ")


def test_book_builds_without_a_warning(build):
    done, _ = build
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout, done.stdout


def test_every_chapter_is_in_the_table_of_contents_and_built(site):
    _, pages = site
    files = {f"chapters/{path.stem}" for path in (ROOT / "chapters").iterdir() if path.suffix in {".md", ".ipynb"}}
    assert files | {"genindex"} == {*TOC, "chapters/index"}  # Sphinx writes the index itself
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
        inline = " ".join(element.get_text() for element in page.select("script:not([src]), style"))
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
    folder, pages = site
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
            if target == folder / "index.html":
                continue
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
        for match in TEX.finditer(text_outside_code(page))
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
    titles = [page.title.get_text() for page in chapters(pages).values()]
    assert len(set(titles)) == len(titles)


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
        assert len(scripts) <= 4, (path.name, scripts)
        assert [each["src"] for each in scripts if not each.has_attr("defer")] == [], path.name


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
    for path in (ROOT / "book" / "static").glob("*.css"):
        named = set(re.findall(r"\.([a-z][\w-]*)(?=[^{};]*\{)", path.read_text("utf-8")))
        assert {name for name in named & used if not re.search(rf"\.{name}(?![\w-])", joined)} == set(), path.name


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


def test_second_build_gives_what_the_first_gave(build, site, tmp_path):
    _, folder = build
    copy = tmp_path / "_build"
    shutil.copytree(folder.parent, copy)
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
        {path.relative_to(html): path.read_bytes() for path in html.rglob("*") if path.is_file()}
        for html in (folder, copy / "html")
    )
    assert first.keys() == second.keys()
    assert [path for path in first if first[path] != second[path]] == []


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
