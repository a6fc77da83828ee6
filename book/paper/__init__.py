"""The book on paper: one PDF, set with LaTeX and checked."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    """Load the module that writes the LaTeX."""
    app.setup_extension("book.paper.latex")
