"""The chapters as notebooks: run and stored, and written so that they run anywhere."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    """Load the module that writes the portable notebooks."""
    app.setup_extension("book.notebooks.portable")
