"""The web site around the text of the pages."""

import gc
from pathlib import Path

from sphinx.application import Sphinx

THEME = Path(__file__).parents[1] / "theme"


def setup(app: Sphinx) -> None:
    gc.disable()  # a build frees little, and looking for it took four fifths of the time in which stored pages are read
    for module in ("math", "translator", "head", "search"):
        app.setup_extension(f"book.site.{module}")
    app.add_html_theme("logits", str(THEME))
    app.add_js_file("page.js")  # before those of single pages, which use what it defines
