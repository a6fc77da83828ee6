"""Mathematics: KaTeX renders the new formulas of a build in one call of Node, and the pages hold what it wrote."""

import json
import subprocess
import zlib
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.environment.collectors import EnvironmentCollector
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.fileutil import copy_asset
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

from book.shared.node import KATEX, NODE

RENDERER = Path(__file__).with_name("math.mjs")


def setup(app: Sphinx) -> dict[str, int]:
    """Add the renderer. The environment keeps what was rendered until KaTeX changes."""
    app.add_html_math_renderer("katex", (visit_math, None), (visit_math_block, None))
    app.add_env_collector(Formulas)
    app.connect("builder-inited", copy_style)
    app.connect("env-updated", render)
    version = zlib.crc32((KATEX / "package.json").read_bytes())
    return {"env_version": version}


def key(node: nodes.Element) -> tuple[str, bool]:
    """Return what a formula is rendered from: its TeX, and whether it stands on lines of its own."""
    return node.astext(), isinstance(node, nodes.math_block)


class Formulas(EnvironmentCollector):
    """The formulas of each page that was read."""

    def clear_doc(self, app: Sphinx, env: BuildEnvironment, docname: str) -> None:
        """Forget the formulas of a page."""
        self.of(env).pop(docname, None)

    def process_doc(self, app: Sphinx, doctree: nodes.document) -> None:
        """Note the formulas of a page."""
        found = (node for kind in (nodes.math, nodes.math_block) for node in doctree.findall(kind))
        self.of(app.env)[app.env.docname] = set(map(key, found))

    @staticmethod
    def of(env: BuildEnvironment) -> dict[str, set[tuple[str, bool]]]:
        """Return the formulas by page, as the environment keeps them."""
        return vars(env).setdefault("formulas", {})


def render(app: Sphinx, env: BuildEnvironment) -> None:
    """Render what is new among the formulas; one that KaTeX cannot read is a warning at its page."""
    rendered = vars(env).setdefault("rendered_formulas", {})
    wanted = {formula: docname for docname, formulas in Formulas.of(env).items() for formula in formulas}
    new = sorted(wanted.keys() - rendered.keys())
    if app.builder.format != "html" or not new:
        return
    done = subprocess.run([NODE, RENDERER], input=json.dumps(new), capture_output=True, check=True, encoding="utf-8")
    for formula, answer in zip(new, json.loads(done.stdout), strict=True):
        if "error" in answer:
            logging.getLogger(__name__).warning("%s", answer["error"], location=wanted[formula])
        rendered[formula] = answer["html"]


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body += [
        self.starttag(node, "span", "", CLASS="math"),
        self.builder.env.rendered_formulas[key(node)],
        "</span>",
    ]
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, with its number."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body += [self.builder.env.rendered_formulas[key(node)], "</div>"]
    raise nodes.SkipNode


def copy_style(app: Sphinx) -> None:
    """Put KaTeX's style sheet and fonts, of the format that every browser reads, beside the pages."""
    if app.builder.format == "html":
        folder = Path(app.outdir, "_static", "katex")
        copy_asset(KATEX / "dist" / "katex.min.css", folder)
        copy_asset(KATEX / "LICENSE", folder)
        for font in (KATEX / "dist" / "fonts").glob("*.woff2"):
            copy_asset(font, folder / "fonts")
        app.add_css_file("katex/katex.min.css")
