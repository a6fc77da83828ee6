"""The chapters as notebooks: run and stored, and written so that they run anywhere."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Load the module that writes the portable notebooks."""
    app.setup_extension("book.notebooks.portable")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
