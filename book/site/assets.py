"""What a page loads besides itself: one style sheet with the rules in use, one script, the fonts of the mathematics.

The theme and the extensions bring thirteen style sheets, fifteen scripts and a font of icons to every page, 1.1 MB in
all, of which a reader uses a tenth. The page's frame is a template of our own (theme/templates/layout.html) and needs
none of the theme's scripts: menus are <details>, side bars are popovers. What is left is joined here, after all pages
are written, because only then is it known which rules and files they use.
"""

import json
import re
import subprocess
from collections.abc import Iterable
from html import escape, unescape
from importlib.metadata import distribution
from itertools import count
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import depart_solution_node, solution_node, visit_solution_node

from book.shared.node import KATEX, NODE

BUNDLE = Path(__file__).with_name("bundle.mjs")

# What is joined, in the order of the cascade: the foundation, what the extensions draw, and then the book's own.
OTHERS = (
    "basic.css",
    "styles/pydata-sphinx-theme.css",
    "pygments.css",
    "styles/sphinx-book-theme.css",
    "mystnb.*.css",
    "proof.css",
    "exercise.css",
    "sphinx-design.min.css",
    "katex/katex.min.css",
)
OWN = ("frame.css", "text.css", "tables.css", "print.css")
STYLES = (*OTHERS, *OWN)
SCRIPTS = ("documentation_options.js", "doctools.js", "sphinx_highlight.js", "page.js")
# What nothing needs any more: page.js copies code, and <details> hides solutions without a script.
REPLACED = {
    "styles/theme.css",
    "copybutton.css",
    "togglebutton.css",
    "clipboard.min.js",
    "copybutton.js",
    "togglebutton.js",
    "scripts/sphinx-book-theme.js",
}
TABS = "design-tabs.js"
# The corner of a table whose rows have headings, which heads nothing.
EMPTY_HEADING = re.compile(r"<th[^>]*>(?:<p></p>)?</th>")

# What the writers give, and what a reader needs: a heading's link to itself is no stop on the way of a keyboard, nor
# read aloud with the heading; entries of a bibliography are those of a list; buttons of one choice are a group.
MENDED = {
    'class="headerlink"': 'class="headerlink" aria-hidden="true" tabindex="-1"',
    'role="doc-biblioentry"': 'role="listitem"',
    'class="sd-tab-set': 'role="group" aria-label="Tabs" class="sd-tab-set',
    'class="stub"': 'class="stub" scope="row"',
}
# Where long words may break: names and calls in tables behind a mark, addresses behind a stroke.
TABLE = re.compile(r"<table.*?</table>", re.DOTALL)
IN_NAME = re.compile(r"(?<=[._(=])(?=[A-Za-z&][^<>]*</span>)")
HEADING = re.compile(r'<th class="head[^"]*">(?:<p>(.*?)</p>)?</th>')
ROW = re.compile(r"<tr.*?</tr>", re.DOTALL)
CELL = re.compile(r"<td(?=[ >])")
SHOWN_ADDRESS = re.compile(r"(?<=>)https?://[^<]+(?=</a>)")
# What belongs on the line of the formula before it.
MARKS = re.compile(r"[.,;:!?)\]’”]+")

# Whose work is in the joined files; their licences ask that their notices come along.
AUTHORS = (
    "Sphinx",
    "pydata-sphinx-theme",
    "sphinx-book-theme",
    "myst-nb",
    "sphinx-proof",
    "sphinx-exercise",
    "sphinx-design",
    "Pygments",
)


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the functions below to the moments of the build that they are for."""
    app.setup_extension("sphinx_exercise")
    app.add_node(solution_node, override=True, html=(visit_solution, depart_solution))
    app.add_post_transform(HoldPunctuation)
    app.connect("config-inited", leave_out_thebe)
    app.connect("env-check-consistency", forget_pages_that_are_not_built)
    app.connect("env-updated", always_finish)
    app.connect("html-page-context", load_little, priority=950)  # after all that add a style or a script
    app.connect("html-page-context", mend_body, priority=950)
    app.connect("build-finished", join, priority=900)  # after the theme has set the colours of code
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def leave_out_thebe(app: Sphinx, config: Config) -> None:
    """Undo what Jupyter Book adds unasked: Thebe twice in every page, a console error, even though it is off."""
    for listeners in app.events.listeners.values():
        listeners[:] = [each for each in listeners if not each.handler.__module__.startswith("sphinx_thebe")]
    app.registry.css_files[:] = [each for each in app.registry.css_files if "thebe" not in each[0]]


def forget_pages_that_are_not_built(app: Sphinx, env: BuildEnvironment) -> None:
    """Take out of the inventory the lists of modules and theorems, which Sphinx names there though they are off."""
    standard = env.get_domain("std")
    for labels in (standard.labels, standard.anonlabels):
        for name in [name for name, (docname, *_) in labels.items() if docname not in {*env.found_docs, "search"}]:
            del labels[name]


def always_finish(app: Sphinx, env: BuildEnvironment) -> list[str]:
    """Write one page anew in every build: Sphinx copies no changed style or script when it has no page to write."""
    return [app.config.root_doc]


class HoldPunctuation(SphinxPostTransform):
    """Keep what ends a sentence or a bracket on the line of the formula before it."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        """Put a formula and the marks behind it into an element that breaks within the formula only."""
        for formula in list(self.document.findall(nodes.math)):
            after = formula.next_node(descend=False, siblings=True)
            marks = MARKS.match(after) if isinstance(after, nodes.Text) else None
            if marks:
                after.parent.replace(after, nodes.Text(after[marks.end() :]))
                formula.replace_self(held := nodes.inline(classes=["nowrap"]))
                held += [formula, nodes.Text(marks[0])]


def load_little(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Leave to the template only what a page has beyond the joined style sheet and script, and hold up no page."""
    tabs = {TABS} if "sd-tab-set" not in context.get("body", "") else set()
    context["css_files"] = [each for each in context["css_files"] if not _among(each.filename, {*STYLES, *REPLACED})]
    context["script_files"] = [
        each for each in context["script_files"] if not _among(each.filename, {*SCRIPTS, *REPLACED, *tabs})
    ]
    for script in context["script_files"]:
        script.attributes.setdefault("defer", "defer")


def _among(filename: Any, names: set[str]) -> bool:
    """Whether a file is one of those named; scripts within the page have no file, and all serve what is replaced."""
    path = Path(str(filename).partition("?")[0])
    return not filename or any(path.match(f"_static/{name}") for name in names)


def mend_body(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Say what the writers of HTML leave out, or say in a way that is no longer right."""
    if "body" not in context:
        return
    body = context["body"]
    for given, needed in MENDED.items():
        body = body.replace(given, needed)
    body = TABLE.sub(lambda table: IN_NAME.sub("<wbr>", _labelled(table[0])), body)
    body = EMPTY_HEADING.sub("<td></td>", body)
    body = SHOWN_ADDRESS.sub(lambda address: re.sub(r"(?<=/)(?=\w)", "<wbr>", address[0]), body)
    images = count()
    context["body"] = re.sub(r'<img [^>]*src="([^"]+\.svg)"', lambda tag: _sized(app, tag, next(images)), body)


def _labelled(table: str) -> str:
    """Give the cells of a table of three columns or more its headings: on a phone a row stands as a block of lines.

    Tables of numbers, whose rows have headings, are left, and those with cells that span columns or headings that are
    formulas.
    """
    given = HEADING.findall(table)
    if len(given) < 3 or "katex" in "".join(given) or 'class="stub"' in table or "colspan" in table:
        return table
    headings = [escape(unescape(re.sub("<[^>]+>", "", each))) for each in given]

    def label(row: re.Match[str]) -> str:
        names = iter(headings)
        return CELL.sub(lambda cell: f'{cell[0]} data-label="{next(names)}"', row[0])

    return ROW.sub(label, table).replace('class="', 'class="labelled ', 1)


def _sized(app: Sphinx, tag: re.Match[str], before: int) -> str:
    """Give an image its size, so that nothing moves when it comes; those below the first come when they are near."""
    sources = {Path(file).name: source for source, file in app.builder.images.items()}
    source = sources.get(Path(tag[1]).name)
    if source is None or "width=" in tag[0]:
        return tag[0]
    width, height = svg_size(Path(app.srcdir, source))
    lazy = ' loading="lazy"' if before else ""
    return f'{tag[0]} width="{width}" height="{height}" decoding="async"{lazy}'


def svg_size(path: Path) -> tuple[int, int]:
    """Return the width and height of a drawing in pixels, which CSS has 96 of to an inch of 72 points."""
    _, _, width, height = map(float, ElementTree.parse(path).getroot().attrib["viewBox"].split())
    return round(width * 96 / 72), round(height * 96 / 72)


def visit_solution(self: HTML5Translator, node: solution_node) -> None:
    """Open a solution; one that hides itself does so without a script."""
    if "dropdown" not in node["classes"]:
        visit_solution_node(self, node)
        return
    classes = " ".join(["admonition", *(each for each in node["classes"] if each != "dropdown")])
    self.body.append(f'<details class="{classes}" id="{escape(node["ids"][0])}">\n<summary class="admonition-title">')
    title = node[0].deepcopy()
    for link in list(title.findall(nodes.reference)):  # what is pressed may hold nothing else to press
        link.replace_self(link.children)
    for child in title:
        child.walkabout(self)
    self.body.append("</summary>\n")
    for child in node[1:]:
        child.walkabout(self)
    raise nodes.SkipChildren  # all of them are written


def depart_solution(self: HTML5Translator, node: solution_node) -> None:
    """Close a solution."""
    if "dropdown" in node["classes"]:
        self.body.append("</details>\n")
    else:
        depart_solution_node(self, node)


def join(app: Sphinx, error: Exception | None) -> None:
    """Write the one style sheet and the one script, with their licences, and leave out what no page reaches."""
    if error is not None or app.builder.format != "html":
        return
    static = Path(app.outdir, "_static")
    pages = sorted(path for path in Path(app.outdir).rglob("*.html") if static not in path.parents)
    script = "\n".join((static / name).read_text("utf-8") for name in SCRIPTS)
    alone = sorted(path for path in static.glob("*.js") if path.name not in {*SCRIPTS, *REPLACED, "bundle.js"})
    (static / "bundle.js").write_text(script, "utf-8")
    request = {
        "others": _styles(OTHERS, static),
        "own": _styles(OWN, static),
        "pages": [str(path) for path in pages],
        "scripts": [str(path) for path in (static / "bundle.js", *alone)],
    }
    done = subprocess.run([NODE, BUNDLE], input=json.dumps(request), capture_output=True, text=True, encoding="utf-8")
    if done.returncode:
        raise RuntimeError(f"the style sheets could not be joined:\n{done.stderr[:500]}")
    (static / "bundle.css").write_text(f"/* Parts by others: see licences.txt */\n{done.stdout}", "utf-8")
    (static / "licences.txt").write_text("\n\n".join(map(_licence, AUTHORS)) + "\n\n" + _katex_licence(), "utf-8")
    remove_unreached(static, pages)


def _styles(names: Iterable[str], static: Path) -> str:
    """Return style sheets one behind the other."""
    return "\n".join(_style(path, static) for name in names for path in sorted(static.glob(name)))


def _style(path: Path, static: Path) -> str:
    """Return a style sheet with the addresses in it as seen from the folder of the joined one."""
    folder = path.parent.relative_to(static).as_posix()
    text = path.read_text("utf-8").replace('@charset "UTF-8";', "")
    return text if folder == "." else re.sub(r"url\((?![\"']?(?:data:|#))([\"']?)", rf"url(\1{folder}/", text)


def _licence(name: str) -> str:
    """Return the licence that a package was installed with."""
    (file,) = (each for each in distribution(name).files or () if each.name.upper().startswith("LICENSE"))
    return f"{name}\n{'=' * len(name)}\n\n{file.read_text('utf-8').strip()}"


def _katex_licence() -> str:
    return f"KaTeX\n=====\n\n{(KATEX / 'LICENSE').read_text('utf-8').strip()}\n"


def remove_unreached(static: Path, pages: list[Path]) -> None:
    """Remove what was joined, and the files whose name occurs in no page, nor in a style or script that is reached."""
    for name in {*STYLES, *SCRIPTS, *REPLACED}:
        for path in static.glob(name):
            path.unlink()
    files = {path for path in static.rglob("*") if path.is_file()}
    reached: set[Path] = {static / "licences.txt"}
    unread = list(pages)
    while unread:
        names = set(re.findall(r"[\w.@-]+\.\w+", "\n".join(path.read_text("utf-8") for path in unread)))
        found = {path for path in files - reached if path.name in names}
        unread = [path for path in found if path.suffix in {".css", ".js"}]
        reached |= found
    for path in files - reached:
        path.unlink()
    for folder in sorted((path for path in static.rglob("*") if path.is_dir()), reverse=True):
        if not any(folder.iterdir()):
            folder.rmdir()
