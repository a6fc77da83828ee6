"""What is wrong with a PDF of the book: what LaTeX's log tells, and what the finished file shows."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pypdf
from docutils import nodes
from sphinx.environment import BuildEnvironment

from book.paper.latex import remove_code_for_screens

# Points that a line may be too wide and a page too full: less than the gap between two columns of a table, and a third
# of the way to the page number.
TOLERATED = {"hbox": 4.0, "vbox": 10.0}

# What is wrong, and how the log says it. The log has one message a line, since __main__.py sets max_print_line.
MESSAGES = {
    "LaTeX stopped": r"^(?:! |\S+:\d+: )(?P<what>.+)",
    "a character that its font does not have": r"^Missing character: There is no (?P<what>.+)!$",
    "a reference to nothing": r"^\w+ Warning: (?P<what>(?:Hyper r|R|C)\w+ .+ undefined.*)",
    "a label given twice": r"^LaTeX Warning: (?P<what>Label .+ multiply defined.*)",
    "a font replaced by another": r"^LaTeX Font Warning: (?P<what>Font shape .+ undefined.*)",
}
OVERFULL = re.compile(r"^Overfull \\(?P<box>[hv]box) \((?P<points>[\d.]+)pt too (?:wide|high)\) (?P<where>.*)")
PAGE = re.compile(r"\[(\d+)")  # LaTeX writes it when a page is finished, perhaps amid other things

A4 = (595, 842)
EMBEDDED = {"/FontFile", "/FontFile2", "/FontFile3"}
KINDS = {"figure": "{page}:{name}", "table": "{page}:{name}", "displaymath": "equation:{page}:{name}"}


def log_problems(log: str) -> Iterator[str]:
    """Yield what is wrong according to LaTeX's log."""
    page = 1
    for line in log.splitlines():
        for name, pattern in MESSAGES.items():
            if found := re.match(pattern, line):
                yield f"page {page}: {name}: {found['what']}"
        if (found := OVERFULL.match(line)) and float(found["points"]) > TOLERATED[found["box"]]:
            kind = "a line too wide" if found["box"] == "hbox" else "a page too full"
            yield f"page {page}: {kind} by {found['points']} points {found['where']}"
        for number in PAGE.findall(line):
            page += int(number) == page


def number_problems(env: BuildEnvironment, aux: str) -> Iterator[str]:
    """Yield each figure, table and equation whose number is not that of the site."""
    labels = dict(re.findall(r"^\\newlabel\{(.+?)\}\{\{(.*?)\}", aux, re.MULTILINE))
    for page, kinds in env.toc_fignumbers.items():
        for kind, pattern in KINDS.items():
            for name, parts in kinds.get(kind, {}).items():
                on_site = ".".join(map(str, parts))
                label = pattern.format(page=page, name=name.removeprefix("equation-"))
                if label not in labels:
                    yield f"{label} has no number"
                elif labels[label] != on_site:
                    yield f"{label} is number {labels[label]}, on the site {on_site}"


def file_problems(reader: pypdf.PdfReader, chapters: Iterable[str], code: Iterable[str]) -> Iterator[str]:
    """Yield what is wrong with the file: chapters are the titles that it must have, code the blocks."""
    facts = reader.metadata or pypdf.DocumentInformation()
    if not (facts.title and facts.author and "/Lang" in reader.root_object):
        yield "the title, the author or the language is missing"
    if small := [n for n, page in enumerate(reader.pages, 1) if (*map(round, page.mediabox[2:]),) != A4]:
        yield f"page {small[0]}: not A4"
    bookmarks = {without_spaces(each.title) for each in flatten(reader.outline)}
    yield from (
        f"no bookmark for the chapter {title!r}" for title in chapters if without_spaces(title) not in bookmarks
    )
    yield from fonts_not_embedded(reader)
    yield from dead_links(reader)
    texts = [page.extract_text() for page in reader.pages]
    yield from stranded_headings(texts, bookmarks)
    text = without_spaces("".join(texts))
    for block in code:
        lines = [line for line in block.splitlines() if line.strip()]
        missing = [line for line in (lines[0], lines[-1]) if without_spaces(line) not in text]
        yield from (f"a line of code is cut or missing: {line}" for line in missing)


def stranded_headings(texts: Iterable[str], headings: Iterable[str]) -> Iterator[str]:
    """Yield the headings, and the labels of a list, that end a page."""
    headings = {*headings, "Parameters", "Returns", "Raises"}
    for number, text in enumerate(texts, 1):
        *_, last, _ = ["", "", *filter(None, map(str.strip, text.splitlines()))]  # the number of the page is below it
        if without_spaces(last) in headings:
            yield f"page {number}: ends with the heading {last!r}"


def misplaced_anchors(texts: list[str], aux: str) -> Iterator[str]:
    """Yield the entries of the API whose anchor is on another page than they are."""
    for name, page in re.findall(r"^\\newlabel\{chapters/api:(logitkit[\w.]+)\}\{\{.*?\}\{(\d+)\}", aux, re.MULTILINE):
        if name not in without_spaces(texts[int(page) - 1]):
            yield f"page {page}: the anchor of {name}, which is not there"


def repeated_index_entries(index: str) -> Iterator[str]:
    """Yield the entries that the index has twice."""
    entries = Counter(
        without_spaces(entry) for entry in re.findall(r"^  \\item (.+?)(?:, *\\hyper|,? *$)", index, re.MULTILINE)
    )
    yield from (f"the index has {entry} twice" for entry, times in entries.items() if times > 1)


def without_spaces(text: str) -> str:
    """Return text without white space, since lines break anywhere, and with quotes of one kind."""
    return re.sub(r"\s", "", text).translate(str.maketrans("‘’“”", "''\"\""))


def flatten(outline: list[Any]) -> Iterator[Any]:
    """Yield the bookmarks of all levels."""
    for each in outline:
        yield from flatten(each) if isinstance(each, list) else [each]


def fonts_not_embedded(reader: pypdf.PdfReader) -> Iterator[str]:
    """Yield the fonts that a reader's machine would have to have."""
    for number, page in enumerate(reader.pages, 1):
        for font in page.get("/Resources", {}).get("/Font", {}).values():
            described = font.get_object()
            described = described.get("/DescendantFonts", [described])[0].get_object()
            if not EMBEDDED & set(described.get("/FontDescriptor", {})):
                yield f"page {number}: the font {described.get('/BaseFont')} is not in the file"


def dead_links(reader: pypdf.PdfReader) -> Iterator[str]:
    """Yield the links that lead nowhere."""
    names = reader.named_destinations
    for number, page in enumerate(reader.pages, 1):
        for each in page.get("/Annots", ()):
            link = each.get_object()
            action = link.get("/A", {})
            target = action.get("/URI", link.get("/Dest", action.get("/D")))
            if "/URI" not in action and target not in names:
                yield f"page {number}: a link to {target}, which is not there"
            elif "/URI" in action and not re.match(r"https?://\S+$|mailto:", target):
                yield f"page {number}: a link to {target}, which is no address"


def long_code_blocks(doctrees: Iterable[nodes.document]) -> Iterator[str]:
    """Yield the code, and the outputs, that could be cut: all of ten lines and more that are printed."""
    for doctree in doctrees:
        remove_code_for_screens(doctree)
        for block in doctree.findall(nodes.literal_block):
            if block.astext().count("\n") >= 9:
                yield block.astext()


def problems(book: Path, env: BuildEnvironment) -> Iterator[str]:
    """Yield all that is wrong with what LaTeX has made, the files of one name with different endings."""
    yield from log_problems(book.with_suffix(".log").read_text("utf-8", "replace"))
    if (file := book.with_suffix(".pdf")).exists():
        aux, index = (book.with_suffix(suffix).read_text("utf-8") for suffix in (".aux", ".ind"))
        yield from number_problems(env, aux)
        yield from repeated_index_entries(index)
        chapters = [
            page for page in env.external_site_map if page not in (env.external_site_map.root.docname, "genindex")
        ]
        titles = [env.titles[page].astext() for page in chapters]
        reader = pypdf.PdfReader(file)
        yield from misplaced_anchors([page.extract_text() for page in reader.pages], aux)
        yield from file_problems(reader, titles, long_code_blocks(map(env.get_doctree, chapters)))
