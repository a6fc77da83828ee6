"""The directive of the edge cases."""

from collections.abc import Iterator

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from book.shared import edge_cases


def setup(app: Sphinx) -> None:
    app.add_directive("edge-cases", EdgeCases)


class EdgeCases(SphinxDirective):
    """The cases of one section of the table of edge cases: what each library is asked, what it gives, and why."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(edge_cases.PATH))
        _, cases = edge_cases.read(edge_cases.PATH.read_text("utf-8"))
        shown = [row for case in cases if case.section == self.arguments[0] for row in rows(case)]
        if not shown:
            raise self.error(f"no section {self.arguments[0]!r} in {edge_cases.PATH.name}")
        head = nodes.thead("", row(*([nodes.Text(title)] for title in ("Library", "Call", "Result"))))
        columns = [nodes.colspec(colwidth=width) for width in (4, 12, 11)]
        group = nodes.tgroup("", *columns, head, nodes.tbody("", *shown), cols=3)
        return [nodes.table("", group, classes=["edge-cases"])]


def rows(case: edge_cases.Case) -> Iterator[nodes.row]:
    """Yield the name of a case and its reason, across all columns, and what each library says."""
    name = row([nodes.strong("", case.name), nodes.Text(f": {case.why}")])
    name["classes"], name[0]["morecols"] = ["case"], 2
    yield name
    for library, answer in case.answers.items():
        differs = [] if answer.agrees_with(case.answers["logitkit"]) else [nodes.Text("≠ ")]
        yield row([nodes.Text(library)], [nodes.literal("", answer.call)], [*differs, nodes.literal("", answer.result)])


def row(*cells: list[nodes.Node]) -> nodes.row:
    """Return a row of cells."""
    return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in cells))
