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

UNREAD = (nodes.math, nodes.math_block, nodes.raw, nodes.comment, nodes.title)


def setup(app: Sphinx) -> None:
    """Connect the functions below to the moments of the build that they are for."""
    app.connect("builder-inited", leave_out_sphinx_search)
    app.connect("html-page-context", note_places)
    app.connect("html-collect-pages", lambda app: [("search", {"title": "Search"}, "search.html")])
    app.connect("build-finished", write_index)


def leave_out_sphinx_search(app: Sphinx) -> None:
    """Write no index and no page for the search of Sphinx."""
    if app.builder.format == "html":
        app.builder.search = False  # type: ignore[attr-defined]


class Place:
    """A section, an entry of the reference or a term: its name, its anchor, its text, the index entries in it."""

    def __init__(self, name: str, anchor: str) -> None:
        self.name, self.anchor = name, anchor
        self.words: list[str] = []
        self.entries: dict[str, None] = {}

    def as_list(self) -> list[Any]:
        """Return what the script reads."""
        return [self.name, self.anchor, " ".join(" ".join(self.words).split()), list(self.entries)]


def note_places(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Keep the places of a page beside its doctree, for builds that do not write it anew."""
    if doctree:
        text = json.dumps([place.as_list() for place in list(places(doctree, Place("", "")))], ensure_ascii=False)
        noted(app, pagename).write_text(text, "utf-8")


def noted(app: Sphinx, pagename: str) -> Path:
    """Return the file that keeps the places of a page."""
    return Path(app.doctreedir, f"{pagename}.places.json")


def places(node: nodes.Node, place: Place) -> Iterator[Place]:
    """Yield the places within a node, each before those within it, and give ``place`` what is not in them."""
    for child in node.children:
        name = next(iter(child.children), None)
        if isinstance(child, nodes.section) and isinstance(name, nodes.title):
            yield (within := Place(name.astext(), child["ids"][0]))
            yield from places(child, within)
        elif isinstance(child, addnodes.desc | nodes.definition_list_item) and name is not None and name["ids"]:
            yield (within := Place(name.get("fullname") or name.astext(), name["ids"][0]))
            yield from places(child, within)
        elif isinstance(child, addnodes.index):
            for kind, value, *_ in child["entries"]:
                place.entries[", ".join(split_index_msg(kind, value))] = None
        elif isinstance(child, nodes.Text):
            place.words.append(child.astext())
        elif not isinstance(child, UNREAD):
            yield from places(child, place)


def write_index(app: Sphinx, error: Exception | None) -> None:
    """Write the places of all pages."""
    if error or app.builder.name != "html":
        return
    pages = [
        [
            app.builder.get_target_uri(name),
            app.env.titles[name].astext(),
            json.loads(noted(app, name).read_text("utf-8")),
        ]
        for name in sorted(app.env.found_docs)
    ]
    text = json.dumps(pages, ensure_ascii=False, separators=(",", ":"))
    Path(app.outdir, "search-index.js").write_text(f"const searchIndex = {text};\n", "utf-8")
