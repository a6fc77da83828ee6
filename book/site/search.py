"""The index of the search: for each section its heading, its words and its index entries.

Sphinx's own index knows pages only, and has no text to quote from. This one is a script, since a page that was opened
from a folder may load no data; theme/static/search.js looks in it.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.util.index_entries import split_index_msg

# Code is quoted badly, and its names are in the text beside it.
UNREAD = (nodes.literal_block, nodes.doctest_block, nodes.math_block, nodes.raw, nodes.comment, nodes.title)


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", leave_out_sphinx_search)
    app.connect("html-page-context", note_places)
    app.connect("build-finished", write_index)


def leave_out_sphinx_search(app: Sphinx) -> None:
    """Write no index and no page for the search of Sphinx."""
    if app.builder.format == "html":
        app.builder.search = False  # type: ignore[attr-defined]


def note_places(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Keep the address, the title and the places of a page beside its doctree, for builds that do not write it anew."""
    if doctree:
        _, *found = places(doctree)  # without what is in no section
        page = [app.builder.get_target_uri(pagename), app.env.titles[pagename].astext(), found]
        noted(app, pagename).write_text(json.dumps(page, ensure_ascii=False, separators=(",", ":")), "utf-8")


def noted(app: Sphinx, pagename: str) -> Path:
    """Return the file that keeps the places of a page."""
    return Path(app.doctreedir, f"{pagename}.places.json")


def places(node: nodes.Element, name: str = "", anchor: str = "") -> Iterator[list[Any]]:
    """Yield the name, the anchor, the words and the index entries of a node, and of each place within it.

    A place is a section, an entry of the reference or a term; what is in it is not in those around it.
    """
    words, entries, within = [], {}, []

    def read(parent: nodes.Element) -> None:
        for child in parent.children:
            title = next(iter(child.children), None)
            if isinstance(child, nodes.section) and isinstance(title, nodes.title):
                within.extend(places(child, title.astext(), child["ids"][0]))
            elif isinstance(child, addnodes.desc | nodes.definition_list_item) and title is not None and title["ids"]:
                within.extend(places(child, title.get("fullname") or title.astext(), title["ids"][0]))
            elif isinstance(child, addnodes.index):
                entries.update((", ".join(split_index_msg(kind, text)), None) for kind, text, *_ in child["entries"])
            elif isinstance(child, nodes.Text):
                words.append(child.astext())
            elif isinstance(child, nodes.math):
                words.append("…")
            elif not isinstance(child, UNREAD):
                read(child)
                words.append("" if isinstance(child, nodes.Inline) else " ")

    read(node)
    yield [name, anchor, " ".join("".join(words).split()), list(entries)]
    yield from within


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Write the places of all pages."""
    if not error and app.builder.name == "html":
        pages = ",".join(noted(app, name).read_text("utf-8") for name in sorted(app.env.found_docs))
        Path(app.outdir, "search-index.js").write_text(f"const searchIndex = [{pages}];\n", "utf-8")
