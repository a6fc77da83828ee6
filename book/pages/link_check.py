"""What `make links` asks of the web: every address in the book, every source of a naming record, every DOI."""

from typing import Any

from sphinx.application import Sphinx
from sphinx.builders.linkcheck import CheckExternalLinksBuilder, Hyperlink

from logitkit import conventions

PAGE = "chapters/names"
DOI = "https://doi.org/"


def add_records(app: Sphinx) -> None:
    """Add the records, since their table is written as HTML, in which the link check does not look."""
    if isinstance(app.builder, CheckExternalLinksBuilder):
        for record in conventions.table():
            for address in (record.case.docs, record.case.source):
                if address.startswith("http"):  # others are a file at a version or commit
                    app.builder.hyperlinks[address] = Hyperlink(address, PAGE, app.env.doc2path(PAGE), -1)


def ask_the_registry(app: Sphinx, address: str) -> str | None:
    """Ask the registry whether a DOI is known: the publishers that it leads to turn robots away."""
    return f"{DOI}api/handles/{address.removeprefix(DOI)}" if address.startswith(DOI) else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Register the events."""
    app.connect("builder-inited", add_records)
    app.connect("linkcheck-process-uri", ask_the_registry)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
