"""What a page loads: one style sheet, one script, and little else."""

import gzip
import json
import re
import subprocess
from pathlib import Path

import pytest

from book.shared.node import NODE
from book.site import assets
from tests.book.common import ROOT


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
