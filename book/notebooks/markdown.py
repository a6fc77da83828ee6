"""Turn the text of a page into Markdown as any notebook program shows it.

Theorems and admonitions become a bold title and text, not block quotes, in which JupyterLab breaks displayed formulas.
"""

import re
from html import escape
from urllib.parse import urljoin

from bs4 import Tag
from markdownify import MarkdownConverter

SPECIAL = re.compile(r"[\\`*$\[\]<>]|(?<![^\W_])_|_(?![^\W_])")  # an underscore within a word is only itself
ONLY_THERE = "*This part works on [the book's page]({}) only.*"


class PageConverter(MarkdownConverter):
    """Markdownify with formulas as TeX and what notebooks have in place of the book's own elements.

    Parameters
    ----------
    url
        Address of the published page, to which links lead.
    """

    def __init__(self, url: str) -> None:
        super().__init__(heading_style="ATX", bullets="-", code_language_callback=language)
        self.url = url

    def text(self, element: Tag) -> str:
        """Return the Markdown of an element."""
        return self.convert_soup(element).strip()

    def escape(self, text: str, parent_tags: set[str]) -> str:
        text = SPECIAL.sub(r"\\\g<0>", text)
        return text.replace("|", r"\|") if "td" in parent_tags else text

    def convert_a(self, link: Tag, text: str, parent_tags: set[str]) -> str:
        return "" if "headerlink" in link.get("class", ()) else f"[{text}]({urljoin(self.url, link['href'])})"

    def convert_code(self, code: Tag, text: str, parent_tags: set[str]) -> str:
        text = super().convert_code(code, text, parent_tags)
        return text.replace("|", r"\|") if "td" in parent_tags else text

    def convert_span(self, span: Tag, text: str, parent_tags: set[str]) -> str:
        if "math" not in span.get("class", ()):
            return text
        tex = " ".join(span.get_text().split())
        if "td" in parent_tags:  # a bar would end the cell
            tex = tex.replace(r"\|", r"\Vert ").replace("|", r"\vert ")
        return f"${tex}$"

    def convert_div(self, div: Tag, text: str, parent_tags: set[str]) -> str:
        kinds = div.get("class", ())
        if "math" in kinds:
            number = div.find(class_="eqno")
            tag = f"\n\\tag{{{number.next_element.strip('()')}}}" if number else ""
            tex = re.sub(r"\n\s*\n", "\n", div.find(class_="katex").get_text().strip())
            return f"\n\n$$\n{tex}{tag}\n$$\n\n"
        if "proof" in kinds and not div.find(class_="admonition-title"):
            text = text.strip().replace("Proof.", "*Proof.*", 1)
            text += "\n\n∎" if text.endswith("$$") else " ∎"
        return super().convert_div(div, text, parent_tags)

    def convert_p(self, paragraph: Tag, text: str, parent_tags: set[str]) -> str:
        title = "admonition-title" in paragraph.get("class", ())
        return super().convert_p(paragraph, f"**{' '.join(text.split())}**" if title else text, parent_tags)

    def convert_label(self, label: Tag, text: str, parent_tags: set[str]) -> str:
        return f"\n\n**{text.strip()}**\n\n" if "sd-tab-label" in label.get("class", ()) else ""

    def convert_dt(self, term: Tag, text: str, parent_tags: set[str]) -> str:
        in_fields = "field-list" in term.parent.get("class", ())
        return f"\n- **{text.strip()}:** " if in_fields else f"\n\n**{text.strip()}**\n\n"

    def convert_dd(self, definition: Tag, text: str, parent_tags: set[str]) -> str:
        return text.strip() if "field-list" in definition.parent.get("class", ()) else f"\n\n{text.strip()}\n\n"

    def convert_summary(self, summary: Tag, text: str, parent_tags: set[str]) -> str:
        return ""

    def convert_details(self, details: Tag, text: str, parent_tags: set[str]) -> str:
        return f"\n\n{folded(details.summary.get_text().strip(), text.strip())}\n\n"

    def convert_form(self, form: Tag, text: str, parent_tags: set[str]) -> str:
        anchor = form.find_parent(id=True)["id"]
        return f"\n\n{ONLY_THERE.format(f'{self.url}#{anchor}')}\n\n"


def language(code: Tag) -> str:
    """Return the language of a block of code."""
    return code.find_parent(class_="notranslate")["class"][0].removeprefix("highlight-")


def folded(summary: str, text: str) -> str:
    """Return a text that is folded away."""
    return f"<details>\n<summary>{escape(summary, quote=False)}</summary>\n\n{text}\n\n</details>"
