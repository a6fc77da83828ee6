"""What the build adds to the text: API entries, the bibliography, the table of names, the index."""

import re

import nbformat

import logitkit
import logitkit.torch
from logitkit import conventions
from tests.book.common import NOTEBOOKS, chapters, listed


def test_every_public_function_has_an_entry_that_names_the_chapters_using_it(site):
    folder, pages = site
    api = pages[folder / "chapters" / "api.html"]
    cells = {path.stem: nbformat.read(path, as_version=4).cells for path in NOTEBOOKS}
    for name in logitkit.__all__:
        entry = api.find(id=f"logitkit.{name}")
        assert entry is not None, name
        links = {link["href"] for link in entry.find_next_sibling("dd").select("p > a.reference.internal")}
        for chapter in cells:
            if any(f"lk.{name}(" in cell.source for cell in cells[chapter]):
                assert f"{chapter}.html" in links, (name, chapter)


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


def test_list_of_names_is_whole_and_its_script_is_loaded_on_its_page_only(site):
    folder, pages = site
    page = pages[folder / "chapters" / "names.html"]
    links = {(link.get_text(), link["href"]) for link in page.select("dl.names > div > dt > a.external")}
    assert links == {(record.symbol, record.case.docs) for record in conventions.table()}
    assert page.find(id="torch.nn.CrossEntropyLoss").name == "dt"
    assert page.select(".sd-tab-set .sd-tab-content pre")
    with_script = [path.stem for path, page in pages.items() if page.select('script[src*="names.js"]')]
    assert with_script == ["names"]


def test_index_sorts_numbers_by_size(site):
    folder, pages = site
    links = pages[folder / "genindex.html"].select("#Symbols + .genindextable td > ul > li > a:first-child")
    numbers = [float(link.get_text()) for link in links if re.fullmatch(r"[\d.]+", link.get_text())]
    assert len(numbers) > 10
    assert numbers == sorted(numbers)
