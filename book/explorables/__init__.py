"""The directive of the explorables: a box whose text says what is to be seen, and on the web a figure that moves.

::

    :::{explorable} softmax-twice The loss that a second softmax cannot pass
    - What to try, and what it shows: a list that also stands without scripts, and in print.
    :::

The first word names the script beside this file, the others are the title. A page loads these scripts only where it has
a box, and right in the box: the figure is there before the rest of the page, which so never moves.
"""

import zlib
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book import shared
from book.shared import origin

FOLDER = Path(__file__).parent


def setup(app: Sphinx) -> None:
    app.add_directive("explorable", Explorable)


class Explorable(SphinxDirective):
    """A figure to be moved, its title, and what to try."""

    required_arguments = 2
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        name, title = self.arguments
        if not (FOLDER / f"{name}.js").is_file():
            raise self.error(f"no explorable {name!r}: there is no {name}.js in {FOLDER.name}/")
        shared.load(self.env, "explorables.css")
        loaded = self.env.temp_data.setdefault("explorables", [])  # by the boxes above on the same page
        scripts = [script for script in ("numerics", "explorable", name) if script not in loaded]
        loaded += scripts
        anchor = f"explorable-{name}"
        address = f"{origin.site(self.config)}{self.env.docname}.html#{anchor}"
        words = "In a browser that runs scripts a figure can be moved at "
        still = nodes.paragraph("", words, classes=["explorable-still"])
        still += [nodes.reference("", address, refuri=address), nodes.Text(". What to do with it, and what it shows:")]
        return [
            nodes.container(
                "",
                nodes.paragraph("", "", nodes.strong("", title), classes=["explorable-title"], ids=[anchor]),
                nodes.raw("", "\n".join(map(self.tag, scripts)), format="html"),
                still,
                *self.parse_content_to_nodes(),
                classes=["explorable"],
            )
        ]

    def tag(self, script: str) -> str:
        """Return the element that loads a script, anew whenever it has changed."""
        path = FOLDER / f"{script}.js"
        self.env.note_dependency(str(path))
        root = "../" * self.env.docname.count("/")
        return f'<script src="{root}_static/{path.name}?v={zlib.crc32(path.read_bytes()):08x}"></script>'
