"""Doctrees to HTML: what Sphinx's writer and those of the extensions leave out, or write for other style sheets."""

import re
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from docutils import nodes
from myst_nb.sphinx_ import HideCodeCellNode
from sphinx.application import Sphinx
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.writers.html5 import HTML5Translator
from sphinx_exercise.nodes import solution_node

# What belongs on the line of the formula before it.
MARKS = re.compile(r"[.,;:!?)\]’”]+")
# Where long words may break: names and calls behind a mark, addresses behind a stroke.
IN_NAME = re.compile(r"(?<=[._(=])(?=\w)")
IN_ADDRESS = re.compile(r"(?<=/)(?=\w)")


def setup(app: Sphinx) -> None:
    for extension in ("sphinx_exercise", "sphinx_design", "myst_nb"):
        app.setup_extension(extension)
    app.set_translator("html", Translator)
    app.add_node(nodes.container, override=True, html=(visit_container, close("div")))
    app.add_node(solution_node, override=True, html=(visit_solution, close("details")))
    app.add_node(HideCodeCellNode, override=True, html=(visit_hidden_code, close("details")))
    app.add_post_transform(HoldPunctuation)
    app.add_post_transform(LabelCells)


class HoldPunctuation(SphinxPostTransform):
    """Keep what ends a sentence or a bracket on the line of the formula before it."""

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for formula in list(self.document.findall(nodes.math)):
            after = formula.next_node(descend=False, siblings=True)
            marks = MARKS.match(after) if isinstance(after, nodes.Text) else None
            if marks:
                after.parent.replace(after, nodes.Text(after[marks.end() :]))
                formula.replace_self(held := nodes.inline(classes=["nowrap"]))
                held += [formula, nodes.Text(marks[0])]


class LabelCells(SphinxPostTransform):
    """Give each cell of a table of three columns or more its column's heading: on a phone a row stands as a block.

    Tables of numbers, whose rows have headings, are left, and those with cells that span columns or headings that are
    formulas.
    """

    default_priority = 900
    formats = ("html",)

    def run(self, **kwargs: Any) -> None:
        for table in self.document.findall(nodes.table):
            head = next(table.findall(nodes.thead), None)
            labels = [] if head is None else head[0].children
            simple = not any(each.get("stub") for each in table.findall(nodes.colspec))
            simple &= not any("morecols" in each for each in table.findall(nodes.entry))
            if len(labels) > 2 and simple and not any(head.findall(nodes.math)):
                table["classes"].append("labeled")
                for row in next(table.findall(nodes.tbody)):
                    for cell, label in zip(row, labels, strict=True):
                        cell["label"] = label.astext()


class Translator(HTML5Translator):
    """Sphinx's writer of HTML5, with headings that can be linked to, tables read aloud, and images of known size."""

    in_table = 0
    images = 0

    def add_permalink_ref(self, node: nodes.Element, title: str) -> None:
        """Write a link that says where it leads."""
        if node["ids"]:
            self.body.append(f'<a class="headerlink" href="#{node["ids"][0]}" aria-label="{escape(title)}">#</a>')

    def visit_Text(self, node: nodes.Text) -> None:  # noqa: N802
        """Let names in tables and addresses break where a reader would break them."""
        address = isinstance(node.parent, nodes.reference) and node.startswith(("http://", "https://"))
        if self.protect_literal_text == 0 and (address or (self.in_table and isinstance(node.parent, nodes.literal))):
            parts = (IN_ADDRESS if address else IN_NAME).split(node.astext())
            self.body.append("<wbr>".join(map(self.encode, parts)))
        else:
            super().visit_Text(node)

    def visit_literal(self, node: nodes.literal) -> None:
        """Write code within a line without a box around each of its words."""
        self.body.append(self.starttag(node, "code", ""))

    def depart_literal(self, node: nodes.literal) -> None:
        self.body.append("</code>")

    def visit_definition_list_item(self, node: nodes.definition_list_item) -> None:
        """Put an entry of a list that has a class into a box, so that it is laid out, shown and hidden as one."""
        if node["classes"]:
            self.body.append(self.starttag(node, "div"))

    def depart_definition_list_item(self, node: nodes.definition_list_item) -> None:
        if node["classes"]:
            self.body.append("</div>\n")

    def visit_field(self, node: nodes.field) -> None:
        """Don't say whether a field is odd or even: no style asks."""

    def depart_field_name(self, node: nodes.field_name) -> None:
        """End a label without a colon, which no page shows."""
        self.body.append("</dt>\n")

    def visit_table(self, node: nodes.table) -> None:
        """Put a table into a box that scrolls where it is too wide."""
        self.in_table += 1
        self.body.append('<div class="table-box">\n')
        super().visit_table(node)

    def depart_table(self, node: nodes.table) -> None:
        super().depart_table(node)
        self.body.append("</div>\n")
        self.in_table -= 1

    def visit_entry(self, node: nodes.entry) -> None:
        """Say of a heading what it heads, and of a cell its label; a corner that heads nothing is a cell."""
        row = node.parent
        in_head = isinstance(row.parent, nodes.thead)
        heads = (in_head or row.parent.parent.stubs[row.column]) and node.astext().strip()
        attributes = {"scope": "col" if in_head else "row"} if heads else {}
        attributes |= {"data-label": node["label"]} if "label" in node else {}
        attributes |= {"colspan": node["morecols"] + 1} if "morecols" in node else {}
        row.column += 1 + node.get("morecols", 0)
        tag = "th" if heads else "td"
        self.body.append(self.starttag(node, tag, "", **attributes))
        self.context.append(f"</{tag}>\n")

    def visit_citation(self, node: nodes.citation) -> None:
        """Write an entry of the bibliography as one of a list: its other role is no longer one."""
        if not isinstance(node.previous_sibling(), nodes.citation):
            self.body.append('<div role="list">\n')
        self.body.append(self.starttag(node, "div", CLASS="citation", role="listitem"))

    def visit_label(self, node: nodes.label) -> None:
        """Leave out a source's number: sources are cited by author and year, and listed by author."""
        if isinstance(node.parent, nodes.citation):
            raise nodes.SkipNode
        super().visit_label(node)

    def visit_image(self, node: nodes.image) -> None:
        """Write a drawing with its size, so that nothing moves when it comes; those below the first come when near."""
        source = node["uri"]
        if source not in self.builder.images or not source.endswith(".svg") or "width" in node:
            super().visit_image(node)
            return
        box = ElementTree.parse(Path(self.builder.srcdir, source)).getroot().attrib["viewBox"].split()
        width, height = (round(float(points) * 96 / 72) for points in box[2:])  # pixels, as CSS has them
        attributes = {"alt": node.get("alt", ""), "width": width, "height": height, "decoding": "async"}
        attributes |= {"loading": "lazy"} if self.images else {}
        self.images += 1
        address = f"{self.builder.imgpath}/{self.builder.images[source]}"
        self.body.append(self.emptytag(node, "img", "\n", src=address, **attributes))


def visit_container(self: HTML5Translator, node: nodes.container) -> None:
    """Open a container; the buttons of one choice are a group."""
    attributes = {"role": "group", "aria-label": "Tabs"} if node.get("design_component") == "tab-set" else {}
    self.body.append(self.starttag(node, "div", **attributes))


def visit_solution(self: HTML5Translator, node: solution_node) -> None:
    """Open a solution, which hides itself without a script."""
    title, *content = node[0].deepcopy(), *node[1:]
    for link in list(title.findall(nodes.reference)):  # what is pressed may hold nothing else to press
        link.replace_self(link.children)
    node["classes"] = ["admonition", *(each for each in node["classes"] if each != "dropdown")]
    self.body.append(self.starttag(node, "details") + "<summary>")
    for child in (*title, nodes.raw("", "</summary>\n", format="html"), *content):
        child.walkabout(self)
    raise nodes.SkipChildren  # all of them are written


def visit_hidden_code(self: HTML5Translator, node: HideCodeCellNode) -> None:
    """Open what hides the code of a cell."""
    self.body.append(f'<details class="hidden-code">\n<summary>{escape(node["prompt_show"])}</summary>\n')


def close(tag: str) -> Callable[[HTML5Translator, nodes.Element], None]:
    """Return what closes an element."""
    return lambda self, node: self.body.append(f"</{tag}>\n")
