"""The book is whole: every chapter, every link, no other host, the same again; and so is its archive."""

import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from book.site import archive
from tests.book.common import ROOT, TOC, chapters


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


def test_every_internal_link_and_every_asset_exists(site, anchors):
    _, pages = site
    broken = []
    for path, page in pages.items():
        for element in page.select("a[href], link[href], img[src], script[src]"):
            address = element.get("href") or element.get("src")
            parts = urlsplit(address)
            if parts.scheme or parts.netloc:
                continue
            file, anchor = urldefrag(unquote(address))
            target = (path.parent / file.split("?")[0]).resolve() if file else path
            if not target.exists() or (anchor and target.suffix == ".html" and anchor not in anchors[target]):
                broken.append((path.name, address))
    assert broken == []


def test_archive_is_the_whole_book_and_the_same_whenever_it_is_packed(site, tmp_path):
    folder, pages = site
    first, second = tmp_path / "first.zip", tmp_path / "second.zip"
    archive.pack_site(folder, first)
    archive.pack_site(folder, second)
    assert first.read_bytes() == second.read_bytes()
    with zipfile.ZipFile(first) as packed:
        names = set(packed.namelist())
    assert {"index.html", "search.html", "search-index.js"} <= names
    assert {path.relative_to(folder).as_posix() for path in pages} <= names
    for path, page in pages.items():
        for element in page.select("a[href], link[href]:not([rel=canonical]), img[src], script[src]"):
            address = urldefrag(unquote(element.get("href") or element.get("src")))[0].split("?")[0]
            if address and not urlsplit(address).scheme:
                assert not address.startswith("/"), (path.name, address)
                target = (path.parent / address).resolve().relative_to(folder).as_posix()
                assert target in names, (path.name, address)


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
        {
            # A page says of which commit it is, and the others may be older.
            path.relative_to(folder): re.sub(rb"development build of \w+", b"", path.read_bytes())
            for path in folder.rglob("*")
            if path.is_file()
        }
        for folder in (built, again)
    )
    assert first.keys() == second.keys()
    assert [path for path in first if first[path] != second[path]] == []
