"""What a page loads besides itself, and how much that weighs."""

import gzip
import re
from pathlib import Path


def loaded_with(folder, path, page):
    """Return the files of the site that come with a page: styles, scripts, figures, and the fonts of its formulas."""
    addresses = [element["href"] for element in page.select("link[rel=stylesheet], link[rel=icon]")]
    addresses += [element["src"] for element in page.select("script[src], img[src]")]
    files = [(path.parent / address.partition("?")[0]).resolve() for address in addresses]
    if page.select_one(".katex"):
        files += sorted((folder / "_static" / "katex" / "fonts").glob("KaTeX_Ma[it]*-[RI]*.woff2"))
    return files


def test_page_loads_the_theme_and_what_its_own_directives_ask_for(site):
    _, pages = site
    ours = {"logits.css", "katex.min.css", "explorables.css", "names.css", "checker.css"}
    for path, page in pages.items():
        styles = [Path(each["href"].partition("?")[0]).name for each in page.select("link[rel=stylesheet]")]
        assert "logits.css" in styles, path.name
        assert set(styles) <= ours, path.name
        assert ("katex.min.css" in styles) == bool(page.select_one(".katex")), path.name
        assert len(page.select("script[src]")) <= 5, path.name  # an explorable has three
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
    assert packed[folder / "_static" / "logits.css"] < 9_000
    assert packed[folder / "_static" / "page.js"] < 4_000
    totals = {
        path: packed[path] + sum(packed[file] for file in loaded_with(folder, path, page))
        for path, page in pages.items()
        if path.stem != "search"
    }  # which loads the words of all pages
    assert {path.stem: total for path, total in totals.items() if total > 290_000} == {}


def test_dark_style_follows_the_system_without_a_script(site):
    folder, pages = site
    assert not [path for path, page in pages.items() if page.html.has_attr("data-theme")]
    style = (folder / "_static" / "logits.css").read_text("utf-8")
    assert re.search(r":root \{\s+color-scheme: light dark;", style)
    chosen = re.findall(r"(\S*data-theme\S*) \{ color-scheme", style)
    assert chosen == ['[data-theme="light"]', '[data-theme="dark"]']
    for token in re.findall(r"(?m)^  --(?:page|surface|ink|muted|rule|link): (.*);", style):
        assert token.startswith("light-dark("), token
