"""Turn resolved nodes of a page into Markdown as any notebook program shows it.

Theorems and admonitions become a bold title and text, not block quotes, in which JupyterLab breaks displayed formulas.
A node that is not known here raises an error: nothing is left out silently.
"""

import re
from html import escape
from textwrap import indent
from urllib.parse import urljoin

from docutils import nodes
from sphinx.errors import ExtensionError

SPECIAL = re.compile(r"[\\`*$\[\]<>]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is only itself


class MarkdownWriter:
    """Writes the nodes of one page.

    Parameters
    ----------
    url
        Address of the published page, to which links lead.
    numbers
        The numbers on it by kind and id, as Sphinx stores them: ``{"theorem": {"thm-a": (5, 1)}}``.
    """

    def __init__(self, url: str, numbers: dict[str, dict[str, tuple[int, ...]]]) -> None:
        self.url = url
        self.numbers = numbers
        self.in_table = False

    def number(self, kind: str, node: nodes.Element) -> str:
        """Return the number that the page shows for a figure, an equation, a theorem or an exercise."""
        return ".".join(map(str, self.numbers[kind][node["ids"][0]]))

    def write(self, node: nodes.Node) -> str:
        """Return the Markdown of a node, looked up by the name of its class or of a class above it."""
        for kind in type(node).__mro__:
            if method := getattr(self, f"_{kind.__name__}", None):
                return method(node)
        raise ExtensionError(f"{type(node).__name__} has no counterpart in Markdown yet: {node.astext()[:80]!r}")

    def inline(self, node: nodes.Element) -> str:
        """Return the children of a node on one line."""
        return "".join(map(self.write, node.children)).strip()

    def blocks(self, children: list[nodes.Node]) -> str:
        """Return nodes as paragraphs."""
        return "\n\n".join(filter(None, map(self.write, children)))

    def _inline(self, node: nodes.Element) -> str:
        return "".join(map(self.write, node.children))

    def _blocks(self, node: nodes.Element) -> str:
        return self.blocks(node.children)

    def _nothing(self, node: nodes.Node) -> str:
        return ""

    # Within a line

    def _Text(self, node: nodes.Text) -> str:  # noqa: N802
        text = SPECIAL.sub(r"\\\g<0>", node.astext().replace("\n", " "))
        return text.replace("|", r"\|") if self.in_table else text

    def _emphasis(self, node: nodes.emphasis) -> str:
        return f"*{self.inline(node)}*"

    def _strong(self, node: nodes.Element) -> str:
        return f"**{self.inline(node)}**"

    _term = _sd_tab_label = _strong

    def _literal(self, node: nodes.literal) -> str:
        text = node.astext().replace("\n", " ")
        ticks = "`" * (1 + max(map(len, re.findall("`+", text)), default=0))
        text = f" {text} " if text.startswith("`") or text.endswith("`") else text
        return ticks + (text.replace("|", r"\|") if self.in_table else text) + ticks

    def _math(self, node: nodes.math) -> str:
        tex = " ".join(node.astext().split())
        if self.in_table:  # a bar would end the cell
            tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        return f"${tex}$"

    def _reference(self, node: nodes.reference) -> str:
        target = node.get("refuri") or f"#{node['refid']}"
        return f"[{self.inline(node)}]({urljoin(self.url, target)})"

    _target = _index = _comment = _meta = _sd_tab_input = _nothing

    # Blocks

    _paragraph = inline
    _definition_list = _definition_list_item = _definition = _container = _blocks
    _section = _blocks  # of a theorem's or an exercise's text

    def _math_block(self, node: nodes.math_block) -> str:
        tex = re.sub(r"\n\s*\n", "\n", node.astext().strip())
        tag = f"\n\\tag{{{self.number('displaymath', node)}}}" if node.get("number") else ""
        return f"$$\n{tex}{tag}\n$$"

    def _literal_block(self, node: nodes.literal_block) -> str:
        return f"```{node.get('language', '')}\n{node.astext().rstrip()}\n```"

    def _field_list(self, node: nodes.field_list) -> str:
        return "\n".join(f"- **{name.astext()}:** {self.inline(body)}" for name, body in node.children)

    def _bullet_list(self, node: nodes.bullet_list) -> str:
        return "\n".join(self.item("- ", item) for item in node.children)

    def _enumerated_list(self, node: nodes.enumerated_list) -> str:
        return "\n".join(self.item(f"{n}. ", item) for n, item in enumerate(node.children, node.get("start", 1)))

    def item(self, mark: str, node: nodes.list_item) -> str:
        """Return one item of a list, what follows its first line indented below it."""
        return mark + indent(self.blocks(node.children), " " * len(mark)).lstrip()

    def _table(self, node: nodes.table) -> str:
        self.in_table = True
        rows = [["<br>".join(map(self.write, entry.children)) for entry in row] for row in node.findall(nodes.row)]
        self.in_table = False
        if not node.next_node(nodes.thead):
            rows.insert(0, [""] * len(rows[0]))
        rows.insert(1, ["---"] * len(rows[0]))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)

    def _admonition(self, node: nodes.admonition) -> str:
        title, *rest = node.children
        return f"**{self.inline(title)}**\n\n{self.blocks(rest)}"

    def _theorem_node(self, node: nodes.Element) -> str:
        kind = node.get("countertype") or "exercise"
        title, *rest = node.children
        name = f"{node.get('realtype', kind).title()} {self.number(kind, node)} {self.inline(title)}"
        return f"**{name.strip()}**\n\n{self.blocks(rest)}"

    _proposition_node = _corollary_node = _exercise_enumerable_node = _theorem_node

    def _proof_node(self, node: nodes.Element) -> str:
        text = self.blocks(node.children).replace("Proof.", "*Proof.*", 1)
        return text + ("\n\n∎" if text.endswith("$$") else " ∎")

    def _dropdown_main(self, node: nodes.Element) -> str:
        title, *rest = node.children
        words = "".join(child.astext() for child in title.children if not isinstance(child, nodes.raw))
        return self.details(words, self.blocks(rest))

    def details(self, summary: str, text: str) -> str:
        """Return a text that is folded away."""
        return f"<details>\n<summary>{escape(summary, quote=False)}</summary>\n\n{text}\n\n</details>"

    def _raw(self, node: nodes.raw) -> str:
        if not re.sub(r"<[^>]+>", "", node.astext()).strip():  # a frame for what follows, or a script
            return ""
        anchor = next(iter(node["ids"] or node.parent["ids"]), "")
        return f"*This part works on [the book's page]({self.url}{anchor and '#'}{anchor}) only.*"
