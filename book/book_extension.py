"""What the book needs of Sphinx and cannot say in _config.yml."""

import json
import re
import socket
import subprocess
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import names
import policies
from assets import KATEX, NODE
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.util.docutils import SphinxDirective
from sphinxcontrib import katex


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions below to the moments of the build that they are for."""
    katex.NODEJS_BINARY = str(NODE)
    katex.KaTeXServer.start_server_process = start_renderer
    katex.STARTUP_TIMEOUT = katex.RENDER_TIMEOUT = 60.0  # five seconds are too few to start Node on a busy machine
    app.add_directive("names-table", NamesTable)
    app.add_directive("names-tabs", NamesTabs)
    app.add_directive("policies", Policies)
    app.connect("config-inited", configure)
    app.connect("env-check-consistency", forget_pages_that_are_not_built)
    app.connect("autodoc-process-docstring", name_the_chapters_that_use_it, priority=900)  # after numpydoc
    app.connect("html-page-context", add_the_filter_of_names)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def configure(app: Sphinx, config: Config) -> None:
    """Set what depends on where things are installed, and undo what Jupyter Book adds unasked."""
    # The style sheet fits one version of KaTeX only, so the renderer comes from the same package.
    config.katex_js_path = str(KATEX / "dist" / "katex.min.js")
    # Jupyter Book declares Thebe twice in every page, a console error, even though it is switched off.
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if not each.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [each for each in app.registry.css_files if "thebe" not in each[0]]


def forget_pages_that_are_not_built(app: Sphinx, env: BuildEnvironment) -> None:
    """Take out of the inventory the lists of modules and theorems, which Sphinx names there though they are off."""
    standard = env.get_domain("std")
    for labels in (standard.labels, standard.anonlabels):
        for name in [name for name, (docname, *_) in labels.items() if docname not in {*env.found_docs, "search"}]:
            del labels[name]


def start_renderer(folder: Path, timeout: float) -> tuple[subprocess.Popen[bytes], socket.socket]:
    """Start KaTeX and connect to it by a Unix socket.

    The extension's own way ends the build if it connects in the moment in which the socket exists but does not accept.
    Over a port it tries again, but there each formula waits 40 ms for an acknowledgement that TCP delays.
    """
    address = folder / "katex.sock"
    command = katex.KaTeXServer.build_command(socket=address)
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder)
    connection = socket.socket(socket.AF_UNIX)
    end = monotonic() + timeout
    while connection.connect_ex(str(address)):
        if monotonic() > end:
            raise katex.KaTeXServer.timeout_error(timeout)
        sleep(0.001)
    return process, connection


def name_the_chapters_that_use_it(
    app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]
) -> None:
    """End the entry of a function with links to the chapters whose text or code uses it."""
    module, _, function = name.rpartition(".")
    spellings = {"logitkit": "lk|logitkit", "logitkit.torch": r"lt|logitkit\.torch"}.get(module)
    if spellings is None:  # a method
        return
    pattern = re.compile(rf"\b(?:{spellings})\.{function}\b")
    chapters = []
    for docname in app.env.external_site_map:  # in the order of the table of contents
        path = Path(app.env.doc2path(docname))
        if path.suffix == ".ipynb":
            app.env.note_dependency(str(path))
            cells = json.loads(path.read_text("utf-8"))["cells"]
            if any(pattern.search("".join(cell["source"])) for cell in cells):
                chapters.append(docname)
    if chapters:
        lines += ["", "Used in: " + ", ".join(f":doc:`/{docname}`" for docname in chapters) + "."]


def add_the_filter_of_names(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Load the script of the table of names on its page only."""
    if '<table class="names"' in context.get("body", ""):
        app.add_js_file("names.js", loading_method="defer")


class NamesTable(SphinxDirective):
    """All records of logitkit.conventions."""

    def run(self) -> list[nodes.Node]:
        """Return the table as HTML, since docutils knows neither forms nor the scope of a heading."""
        note_names(self)
        table = nodes.raw("", names.table(names.conventions.table()), format="html")
        return [nodes.container("", table)]  # the places of index entries need an element that can bear them


class NamesTabs(SphinxDirective):
    """One loss, such as ``multiclass loss``, on the same numbers in each framework: the call and what it gave."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return a set of tabs."""
        note_names(self)
        return self.parse_text_to_nodes(names.tabs(self.arguments[0]))


def note_names(directive: SphinxDirective) -> None:
    """Make the page depend on the records and on what came of them."""
    for path in names.FILES:
        directive.env.note_dependency(str(path))


class Policies(SphinxDirective):
    """The cases of one section of the table of policies: what each library is asked, what it gives, and why."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        """Return a table: for each case a row with its name and reason, and below it a row for each library."""
        self.env.note_dependency(str(policies.PATH))
        _, cases = policies.read(policies.PATH.read_text("utf-8"))
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (4, 12, 11)), cols=3)
        group += nodes.thead("", self.row(*map(nodes.Text, ("Library", "Call", "Result"))))
        body = nodes.tbody()
        for case in cases:
            if case.section == self.arguments[0]:
                heading = nodes.entry(
                    "", nodes.paragraph("", "", nodes.strong("", case.name), nodes.Text(f": {case.why}"))
                )
                heading["morecols"] = 2
                body += nodes.row("", heading, classes=["case"])
                ours = case.answers["logitkit"]
                for library, answer in case.answers.items():
                    differs = [] if answer.agrees_with(ours) else [nodes.Text("≠ ")]
                    body += self.row(
                        nodes.Text(library), nodes.literal("", answer.call), *differs, nodes.literal("", answer.result)
                    )
        if not body.children:
            raise self.error(f"no section {self.arguments[0]!r} in {policies.PATH.name}")
        group += body
        return [nodes.table("", group, classes=["policies"])]

    @staticmethod
    def row(library: nodes.Node, call: nodes.Node, *result: nodes.Node) -> nodes.row:
        """Return a row of three cells."""
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in ([library], [call], result)))
