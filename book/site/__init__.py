"""The web site around the text of the pages."""

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Load the modules that write it."""
    for module in ("math", "assets", "head"):
        app.setup_extension(f"book.site.{module}")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
