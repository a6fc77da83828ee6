"""What the tests of the built book share."""

import re
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "chapters").glob("*.ipynb"))
_CHAPTERS = [
    chapter for part in yaml.safe_load((ROOT / "_toc.yml").read_text())["parts"] for chapter in part["chapters"]
]
TOC = [chapter["file"] for chapter in _CHAPTERS]
BELOW = [section["file"] for chapter in _CHAPTERS for section in chapter.get("sections", [])]  # not in the sidebar
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text())
REPOSITORY = CONFIG["repository"]["url"]
SITE = "https://logitkit.github.io/logitkit/"
TEX = re.compile(r"\$\$|\\\(|\\\[|\\[a-zA-Z]+\{|\\(?:frac|log|sum|ell|operatorname|begin)\b")


def chapters(pages):
    return {path: page for path, page in pages.items() if path.parent.name == "chapters"}


def listed(site):
    """Return the pages of the table of contents, and the front page, by their names."""
    folder, pages = site
    return {name: pages[folder / f"{name}.html"] for name in ("index", *TOC, *BELOW)}


def text_outside_code(element):
    """Return what a reader sees of an element, without code and without rendered mathematics."""
    if element.name in {"pre", "code", "script", "style"} or "katex" in element.get("class", ()):
        return ""
    return " ".join(each if isinstance(each, str) else text_outside_code(each) for each in element.children)
