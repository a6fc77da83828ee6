"""The directive of the edge cases."""

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
            raise self.error(f"no section {self.arguments[0]!r} in {edge_cases.PATH.name}")
        group += body
        return [nodes.table("", group, classes=["edge-cases"])]

    @staticmethod
    def row(library: nodes.Node, call: nodes.Node, *result: nodes.Node) -> nodes.row:
        """Return a row of three cells."""
        return nodes.row("", *(nodes.entry("", nodes.paragraph("", "", *cell)) for cell in ([library], [call], result)))
