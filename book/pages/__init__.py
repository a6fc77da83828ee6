"""What the text of the pages needs that Sphinx does not have: directives, the bibliography, the link check."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    for module in ("names", "diagnose", "edge_cases", "api", "bibliography", "link_check"):
        app.setup_extension(f"book.pages.{module}")
