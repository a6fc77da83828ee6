"""What each code means: the pages in `pages/`, which the book shows and ``--explain`` prints."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

__all__ = ["BOOK", "TITLES", "example", "explain", "url"]

BOOK = "https://logitkit.github.io/logitkit/chapters/check"
_PAGES = {path.stem: path for path in sorted(Path(__file__).with_name("pages").glob("LK*.md"))}


@cache
def _page(code: str) -> str:
    return _PAGES[code].read_text("utf-8")


TITLES = {code: _page(code).partition("\n")[0].partition(": ")[2] for code in _PAGES}


def url(code: str) -> str:
    """The book's page about a code."""
    return f"{BOOK}/{code.lower()}.html"


def example(code: str, heading: str) -> str:
    """The program under a heading of a code's page, which is "Wrong" or "Right"."""
    _, _, rest = _page(code).partition(f"## {heading}\n")
    return rest.partition("```python\n")[2].partition("```")[0]


def explain(code: str) -> str:
    """A code's page as plain text."""
    text = re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", _page(code))
    lines, in_code = [], False
    for line in text.splitlines():
        if line.startswith("```"):
            in_code = not in_code
        else:
            lines.append(f"    {line}" if in_code and line else line.lstrip("# ") if not in_code else line)
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)) + f"\n\n{url(code)}"
