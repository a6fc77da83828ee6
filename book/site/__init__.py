"""The web site around the text of the pages."""

from pathlib import Path

from sphinx.application import Sphinx

THEME = Path(__file__).parents[1] / "theme"


def setup(app: Sphinx) -> dict[str, bool]:
    """Load the modules that write it, and offer the theme under the name that _config.yml has for it."""
    for module in ("math", "translator", "head", "search"):
        app.setup_extension(f"book.site.{module}")
    app.add_html_theme("logits", str(THEME))
    app.add_js_file("page.js")
    return {"parallel_read_safe": True, "parallel_write_safe": True}
