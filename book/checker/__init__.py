"""The page on which readers check their own code: a form, and the checker itself, run by the reader's browser.

``{checker}`` writes the form. Pyodide, a Python for browsers, comes from npm and lies beside the pages with the
checker's own source, packed; a worker loads both when the reader presses the button. Nothing that's typed leaves the
browser.
"""

from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from sphinx.util.fileutil import copy_asset_file

import logitkit
from book import shared
from book.shared.packing import pack
from logitkit.check.explain import TITLES, example

FOLDER = Path(__file__).parent
PACKAGE = Path(logitkit.__file__).parent
PYODIDE = FOLDER.parent / "node_modules" / "pyodide"
RUNTIME = ("pyodide.mjs", "pyodide.asm.mjs", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")
EXAMPLES = ("LK101", "LK103", "LK107", "LK108", "LK110")


def setup(app: Sphinx) -> None:
    app.add_directive("checker", Checker)
    app.connect("builder-inited", copy_files)


def copy_files(app: Sphinx) -> None:
    """Put the page's scripts, the checker and Pyodide beside the pages."""
    if app.builder.format != "html":
        return
    static = Path(app.outdir, "_static", FOLDER.name)
    runtime = static / "runtime"
    runtime.mkdir(parents=True, exist_ok=True)
    for name in ("checker.js", "checker.css", "worker.mjs"):
        copy_asset_file(FOLDER / name, static)
    for name in RUNTIME:
        copy_asset_file(PYODIDE / name, runtime)
    pack(runtime / "logitkit.zip", sources())


def sources() -> dict[str, Path]:
    """Return what the checker needs of the package, and the report that the page shows, by their names for Python."""
    rooms = [PACKAGE / "__init__.py", *PACKAGE.glob("check/**/*"), *PACKAGE.glob("conventions/**/*")]
    ours = {
        path.relative_to(PACKAGE.parent).as_posix(): path for path in rooms if path.suffix in (".py", ".md", ".toml")
    }
    return {**ours, "report.py": FOLDER / "report.py"}


class Checker(SphinxDirective):
    """The form. What's inside the directive is shown where no script runs."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        shared.load(self.env, "checker/checker.css", "checker/checker.js")
        self.env.note_dependency(str(FOLDER / "form.html"))
        options = "".join(
            f'<option value="{escape(example(code, "Wrong"))}">{code}: {escape(TITLES[code])}</option>'
            for code in EXAMPLES
        )
        form = (FOLDER / "form.html").read_text("utf-8").replace("{examples}", options)
        still = nodes.container("", *self.parse_content_to_nodes(), classes=["checker-still"])
        return [nodes.container("", nodes.raw("", form, format="html"), still, classes=["checker"])]
