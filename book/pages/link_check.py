"""What `make links` asks of the web beside the addresses in the book: the sources of the naming records, DOIs."""

from sphinx.application import Sphinx
from sphinx.builders.linkcheck import CheckExternalLinksBuilder, Hyperlink

from logitkit import conventions

PAGE = "chapters/names"
DOI = "https://doi.org/"


def add_records(app: Sphinx) -> None:
    """Add the sources of the records, which no page shows."""
    if isinstance(app.builder, CheckExternalLinksBuilder):
        for address in {record.case.source for record in conventions.table()}:
            if address.startswith("http"):  # others are a file at a version or commit
                app.builder.hyperlinks[address] = Hyperlink(address, PAGE, app.env.doc2path(PAGE), -1)


def ask_the_registry(app: Sphinx, address: str) -> str | None:
    """Ask the registry whether a DOI is known: the publishers that it leads to turn robots away."""
    return f"{DOI}api/handles/{address.removeprefix(DOI)}" if address.startswith(DOI) else None


def setup(app: Sphinx) -> None:
    app.connect("builder-inited", add_records)
    app.connect("linkcheck-process-uri", ask_the_registry)
