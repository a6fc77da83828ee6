"""The book as LaTeX: its parts, and a form for paper of what is made for a screen. logits.sty says how it looks."""

import ast
import re
from collections.abc import Callable
from itertools import groupby, pairwise
from typing import Any

from docutils import nodes
from sphinx.addnodes import index, start_of_file, tabular_col_spec
from sphinx.application import Sphinx
from sphinx.builders.latex.nodes import thebibliography
from sphinx.config import Config
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective
from sphinx.util.texescape import escape
from sphinx.writers.latex import LaTeXTranslator
from sphinx_exercise import nodes as exercises
from sphinx_proof import nodes as proofs

import logitkit
from book.shared import origin, records
from logitkit import conventions

ROWS_OF_A_SHORT_TABLE = 12
CHARACTERS_OF_A_LINE = 80
CHARACTERS_OF_A_COLUMN = 45
CHARACTERS_BETWEEN_COLUMNS = 3
LINES_OF_A_SHORT_BLOCK = 10
FIRST_LINES_OF_A_LONG_BLOCK = 5
LINES_OF_A_SHORT_OUTPUT = 6
LINES_OF_AN_ANNOUNCEMENT = 3
THEOREMS = (*proofs.NODE_TYPES.values(), proofs.unenumerable_node)
BOXES = {  # the environments of logits.sty
    "theorem": THEOREMS,
    "proof": [proofs.proof_node],
    "exercise": [exercises.exercise_node, exercises.exercise_enumerable_node],
    "solution": [exercises.solution_node],
}


def setup(app: Sphinx) -> None:
    app.connect("config-inited", configure)
    app.connect("builder-inited", prepare)
    app.set_translator("latex", PaperTranslator)
    for transform in (ArrangeParts, FitTables, KeepCodeTogether):
        app.add_post_transform(transform)
    for kind, boxed in BOXES.items():
        for node in boxed:
            app.add_node(node, override=True, latex=box(kind))
    to_exercise = exercises.exercise_latex_number_reference
    app.add_node(to_exercise, override=True, latex=(visit_exercise_reference, lambda *_: None))


def configure(app: Sphinx, config: Config) -> None:
    """Set what follows from other settings; the rest is in _config.yml."""
    title, _, subtitle = config.project.partition(": ")
    facts = {
        "booktitle": title,
        "booksubtitle": subtitle[0].upper() + subtitle[1:],
        "bookversion": logitkit.__version__,
        "bookaddress": origin.repository(config),
    }
    preamble = [*(rf"\newcommand{{\{name}}}{{{fact}}}" for name, fact in facts.items()), r"\usepackage{logits}"]
    config.latex_elements["preamble"] = "\n".join(preamble)
    config.latex_documents = [(config.root_doc, "logits.tex", config.project, config.author, "manual")]


def prepare(app: Sphinx) -> None:
    """Load what only a build for paper has."""
    if app.builder.name == "latex":
        app.setup_extension("sphinxcontrib.rsvgconverter")
        app.add_directive("names-table", NamesList, override=True)


def box(kind: str) -> tuple[Callable[[LaTeXTranslator, Any], None], Callable[[LaTeXTranslator, Any], None]]:
    """Return the functions that open and close an environment of logits.sty, whose argument is the node's title."""

    def visit(translator: LaTeXTranslator, node: Any) -> None:
        if kind == "theorem":  # numbered as on the site
            numbers = translator.builder.env.toc_fignumbers[translator.curfilestack[-1]].get(node["countertype"], {})
            number = ".".join(map(str, numbers.get(node["label"], ())))
            node[0].insert(0, nodes.Text(f"{node['realtype'].title()} {number}".strip()))
        elif kind == "proof":  # without its second box
            node[:] = node[0].children
            first = node.next_node(nodes.Text)
            word, _, rest = first.partition(" ")
            first.parent.replace(first, [nodes.emphasis(word, word), nodes.Text(f" {rest}")])
        translator.no_latex_floats += 1  # a figure stays in its solution
        # Some references to exercises have a form of their own.
        label = rf"\label{{exercise:{node['label']}}}" if kind == "exercise" else ""
        translator.body.append("\n" + rf"\bookanchor{{{translator.hypertarget_to(node)}{label}}}\begin{{book{kind}}}")

    def depart(translator: LaTeXTranslator, node: Any) -> None:
        translator.no_latex_floats -= 1
        translator.body.append(f"\\end{{book{kind}}}\n")

    return visit, depart


def visit_exercise_reference(translator: "PaperTranslator", node: Any) -> None:
    """Write a reference to an exercise, with its page."""
    label = f"exercise:{node['refid']}"
    reference = rf"\hyperref[{label}]{{{translator.encode(node.astext())}}}{page_reference(label, node)}"
    translator.body.append(reference)
    raise nodes.SkipNode


def page_reference(label: str, node: nodes.Node) -> str:
    """Return the page of a label, to follow a reference to it: in parentheses, unless it's in some already."""
    place = node.parent.index(node)
    parts = node.parent[:place], node.parent[place + 1 :]
    before, after = ("".join(each.astext() for each in part) for part in parts)
    if before.rfind("(") <= before.rfind(")"):
        return rf"\bookpage{{{label}}}{{ (}}{{)}}"
    return rf"\bookpage{{{label}}}{{, }}{{{'' if after[:1] in set(',.;:)') else ','}}}"


def sort_key(text: str) -> str:
    """Return the sort key of an index entry: numbers so that makeindex compares them, words without LaTeX."""
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return f"{float(text) * 10_000:.0f}"
    return text.replace(r"\sphinxhyphen{}", "-").replace(r"\_", "_")


class PaperTranslator(LaTeXTranslator):
    """Sphinx's translator, with page numbers after references, an index in order, and rows that stay together."""

    def hypertarget(self, id: str, withdoc: bool = True, anchor: bool = True) -> str:
        """Return an anchor that stays with the text after it, even where that starts a page."""
        label = super().hypertarget(id, withdoc, anchor=False)
        return rf"\bookanchor{{{label}}}" if anchor else label

    def depart_reference(self, node: nodes.Element) -> None:
        """Add the page number to a reference to a chapter or a heading."""
        super().depart_reference(node)
        kinds = node[0].get("classes", []) if node.children and isinstance(node[0], nodes.inline) else []
        if not {"doc", "std-ref"}.isdisjoint(kinds) and not self.in_title:
            page, _, target = node.get("refuri", f"%{self.curfilestack[-1]}#{node.get('refid')}")[1:].partition("#")
            self.body.append(page_reference(self.idescape(f"{page}:{target or ':doc'}"), node))

    def visit_index(self, node: nodes.Element) -> None:
        """Give the entries their sort keys; Sphinx, which writes them here, has no interface for that."""
        start = len(self.body)
        try:
            super().visit_index(node)
        finally:  # it skips what is in the node
            for place, entry in enumerate(self.body[start:], start):
                self.body[place] = re.sub(r"(?<=[{!])[^!]+?(?=@\\spxentry)", lambda key: sort_key(key[0]), entry)

    def depart_row(self, node: nodes.Element) -> None:
        """Allow no page break within an edge case, after a table's first row or before its last."""
        start, rows = len(self.body), node.parent.children
        super().depart_row(node)
        place = rows.index(node)
        if "edge-cases" in node.parent.parent.parent["classes"]:
            together = place + 1 < len(rows) and "case" not in rows[place + 1]["classes"]
        else:
            together = len(rows) > 2 and place in {0, len(rows) - 2}
        if together:
            self.body[start] = "\\\\*\n"


class ForPaper(SphinxPostTransform):
    """What changes the document for LaTeX only, after everything that looks for a page by its position."""

    formats = ("latex",)
    default_priority = 800


class ArrangeParts(ForPaper):
    """Turn the pages into a book: the front page a chapter, the parts of _toc.yml, the bibliography in its place."""

    def run(self, **_: Any) -> None:
        root = next(self.document.findall(nodes.section))
        wrappers = [child for child in root.children if "toctree-wrapper" in child.get("classes", ())]
        title, *overview = root.children[: root.index(wrappers[0])]
        start = nodes.section("", nodes.title("", "Start here"), *overview, ids=root["ids"])
        root[:] = [title, latex(r"\bookunnumbered"), start, latex(r"\booknumbered")]
        for part, wrapper in zip(self.config.external_site_map.root.subtrees, wrappers, strict=True):
            if not part.numbered:
                root += latex(r"\bookunnumbered")
            root += [latex(rf"\bookpart{{{part.caption}}}"), wrapper]
        for page in list(self.document.findall(start_of_file)):
            if page["docname"] == "genindex":  # LaTeX makes one of its own
                page.parent.remove(page)
            if page["docname"] == "chapters/bibliography":
                sources = next(self.document.findall(thebibliography))
                sources.parent.remove(sources)
                page.next_node(nodes.section).append(sources)


class FitTables(ForPaper):
    """Let long tables continue on the next page, and fit wide ones to the width of the page."""

    def run(self, **_: Any) -> None:
        for halves in list(self.document.findall(tabular_col_spec)):  # which autosummary wants for its columns
            halves.parent.remove(halves)
        for table in list(self.document.findall(nodes.table)):
            rows = [[cell for cell in row if not cell.get("morecols")] for row in table.findall(nodes.row)]
            columns = zip(*filter(None, rows), strict=True)
            widths = [max(len(cell.astext()) for cell in column) for column in columns]
            if sum(widths) > CHARACTERS_OF_A_LINE:
                table["classes"].append("colwidths-given")
                if "edge-cases" not in table["classes"]:  # which has widths of its own
                    for column, width in zip(table.findall(nodes.colspec), widths, strict=True):
                        column["colwidth"] = min(width, CHARACTERS_OF_A_COLUMN) + CHARACTERS_BETWEEN_COLUMNS
            if len(rows) > ROWS_OF_A_SHORT_TABLE:
                table["classes"].append("longtable")
                if not table.next_node(nodes.title):  # LaTeX would count it
                    table.replace_self(nodes.container("", table.deepcopy(), classes=["uncounted"]))


def remove_code_for_screens(document: nodes.document) -> None:
    """Take the code out of cells that only draw a figure, or only check what other cells compute."""
    for cell in list(document.findall(nodes.container)):
        if cell.get("nb_element") == "cell_code":
            code, *outputs = cell.children
            if all(isinstance(each, nodes.figure) for each in outputs[0]) if outputs else only_asserts(code.astext()):
                cell.remove(code)


def only_asserts(code: str) -> bool:
    """Return whether each statement of a cell is an assertion, or a loop with one."""
    return all(
        isinstance(each, ast.Assert | ast.For) and any(isinstance(part, ast.Assert) for part in ast.walk(each))
        for each in ast.parse(code).body
    )


class KeepCodeTogether(ForPaper):
    """Keep short code on one page, with the line that announces it and a few lines of its output."""

    def run(self, **_: Any) -> None:
        remove_code_for_screens(self.document)
        for target in reversed(list(self.document.findall(nodes.target))):
            if isinstance(target.next_node(ascend=True), nodes.section):
                target.parent.remove(target)  # a section has all its labels, and would be given them twice
        for block, following in pairwise(list(self.document.findall(nodes.literal_block))):
            lines, next_lines = (each.astext().count("\n") + 1 for each in (block, following))
            if lines > LINES_OF_A_SHORT_BLOCK:
                lines = FIRST_LINES_OF_A_LONG_BLOCK
            elif "output" in following["classes"] and next_lines <= LINES_OF_A_SHORT_OUTPUT:
                lines += next_lines + 1
            first, above = self.announcement(block)
            first.parent.insert(first.parent.index(first), latex(rf"\bookneeds{{{lines + above}}}"))

    @staticmethod
    def announcement(block: nodes.Element) -> tuple[nodes.Element, int]:
        """Return where the heading and the sentence before a block start, and how many lines they take."""
        first, lines = block, 0
        while not isinstance(first.parent, start_of_file | nodes.document):
            place = first.parent.index(first)
            before = first.parent[place - 1] if place else None
            sentence = isinstance(before, nodes.paragraph) and before.astext().endswith(":")
            if before is None or isinstance(before, nodes.title):
                first = first.parent
            elif sentence or isinstance(before, nodes.rubric | nodes.Invisible):
                first = before
            else:
                break
            lines += LINES_OF_AN_ANNOUNCEMENT * (sentence or isinstance(before, nodes.title | nodes.rubric))
        return first, lines


def latex(text: str) -> nodes.raw:
    """Return LaTeX as a node."""
    return nodes.raw("", f"{text}\n", format="latex")


class NamesList(SphinxDirective):
    """All records of logitkit.conventions, one under the other: by framework, with pages to find them."""

    def run(self) -> list[nodes.Node]:
        ordered = sorted(conventions.table(), key=lambda record: record.framework.lower())
        contents, found = [], nodes.container(classes=["names"])
        for number, (framework, group) in enumerate(groupby(ordered, key=lambda record: record.framework)):
            name, label = escape(framework), f"names:{number}"
            contents.append(rf"\bookframeworkpage{{{name}}}{{{label}}}")
            found += latex(rf"\bookframework{{{name}}}{{{label}}}")
            found += index(entries=[("single", f"{framework}; its functions", label, "", None)])
            found += nodes.rubric("", framework)
            found += nodes.definition_list("", *map(records.entry, group))
        return [latex("\n".join([r"\begin{bookframeworks}", *contents, r"\end{bookframeworks}"])), found]
