"""The chapters as notebooks: run and stored, and written so that they run anywhere."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    app.setup_extension("book.notebooks.portable")
