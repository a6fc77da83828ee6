"""Write each chapter as a notebook that runs anywhere: plain Markdown, links to the book's pages, nothing to set up.

The stored chapters are full of roles and directives, which only the book's build understands. The portable ones are
made of what the build has resolved, so that every number and every link reads as it does on the page.
"""

import ast
import json
import re
import shutil
import sys
from collections.abc import Iterator
from itertools import chain, groupby, repeat
from pathlib import Path
from typing import Any

import nbformat
from bs4 import BeautifulSoup, Tag
from docutils import nodes
from nbformat.v4 import new_code_cell, new_markdown_cell
from sphinx.application import Sphinx
from sphinx.errors import ExtensionError

from book.notebooks.markdown import PageConverter, folded
from book.shared import origin
from book.site import head

PACKAGES = {"sklearn": "scikit-learn"}  # where a package is not called as its module
REFERENCE = re.compile(r"\{?\{ref\}\}?`([^`]+)`")  # in a table that code prints, also as an f-string has it
FOLDED = {"jupyter": {"source_hidden": True, "outputs_hidden": True}}

INSTALL = """\
# Install what this notebook imports, if it is missing.
import importlib.util
import subprocess
import sys

packages = {{
    {packages},
}}
missing = [package for module, package in packages.items() if importlib.util.find_spec(module) is None]
if missing:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", *missing], check=True)
    importlib.invalidate_caches()"""

FETCH = """

# Fetch the data that it reads, if it does not lie beside it.
from pathlib import Path
from urllib.request import urlretrieve

for name in {files}:
    if not Path(name).exists():
        Path(name).parent.mkdir(exist_ok=True)
        urlretrieve(f"{address}/{{name}}", name)"""


def setup(app: Sphinx) -> None:
    app.connect("html-page-context", write_portable_notebook, priority=950)  # what site.head says of the page is needed


def write_portable_notebook(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.document | None
) -> None:
    """Write the notebook of a chapter, and the data that it reads, into the site's folder of notebooks."""
    if "notebook" not in context["page"]:
        return
    path = Path(app.env.doc2path(pagename))
    notebook = nbformat.read(path, as_version=4)
    folder = Path(app.outdir, head.NOTEBOOKS)
    folder.mkdir(exist_ok=True)
    code = syntax(notebook)
    files = data_files(code, path.parent)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path.parent / file, folder / file)
    page = context["page"]
    title = (
        f"# {page['title']}\n\n"
        f"From the book [{app.config.project}]({app.config.html_baseurl}), made with {page['version']}. "
        f"The same chapter [as a page]({page['url']}).\n\n"
        f"© {app.config.copyright} {app.config.author}. Text and figures: CC BY 4.0. Code: MIT."
    )
    notebook.cells = [
        new_markdown_cell(title, id="title"),
        new_code_cell(install(app, imported(code), files), id="install"),
        *Chapter(notebook, page["url"]).cells(context["body"]),
    ]
    notebook.metadata = {name: notebook.metadata[name] for name in ("kernelspec", "language_info")}
    nbformat.write(notebook, folder / path.name)


def install(app: Sphinx, modules: list[str], files: list[str]) -> str:
    """Return the code that makes a machine ready for a notebook, and needs no network on one that is."""
    revision = origin.version(app.config).revision
    refs = "tags" if revision.startswith("v") else "heads"
    repository = origin.repository(app.config)
    archive = {"logitkit": f"{repository}/archive/refs/{refs}/{revision}.zip"}
    packages = (f'"{module}": "{(archive | PACKAGES).get(module, module)}"' for module in modules)
    code = INSTALL.format(packages=",\n    ".join(packages))
    if files:
        raw = repository.replace("https://github.com", "https://raw.githubusercontent.com")
        code += FETCH.format(files=json.dumps(files), address=f"{raw}/{revision}/chapters")
    return code


def syntax(notebook: nbformat.NotebookNode) -> list[ast.AST]:
    """Return everything that the code of a notebook consists of."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    return list(ast.walk(ast.parse(code)))


def imported(code: list[ast.AST]) -> list[str]:
    """Return the modules that code imports and that Python and a kernel do not bring."""
    names = {alias.name for node in code if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in code if isinstance(node, ast.ImportFrom)}
    return sorted({name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"IPython"})


def data_files(code: list[ast.AST], folder: Path) -> list[str]:
    """Return the files beside the chapters that code names."""
    constants = {node.value for node in code if isinstance(node, ast.Constant)}
    names = {value for value in constants if isinstance(value, str) and Path(value).suffix and len(value) < 100}
    return sorted(name for name in names if (folder / name).is_file())


class Chapter:
    """The text of a page and the stored code of its notebook, in the order of the page."""

    def __init__(self, notebook: nbformat.NotebookNode, url: str) -> None:
        self.code = (cell for cell in notebook.cells if cell.cell_type == "code")
        self.converter = PageConverter(url)

    def cells(self, body: str) -> list[nbformat.NotebookNode]:
        """Return the cells of the portable notebook: a cell of text for each heading and after each cell of code."""
        cells: list[nbformat.NotebookNode] = []
        page = BeautifulSoup(body, "html.parser")
        for formula in page.find_all(class_="katex"):
            formula.string = formula.find("annotation").get_text()  # its source, which KaTeX keeps beside it
        for piece in self.flow(page):
            if not isinstance(piece, str):
                cells.append(piece)
            elif cells and cells[-1].cell_type == "markdown" and not piece.startswith("#"):
                cells[-1].source += f"\n\n{piece}"
            else:
                cells.append(new_markdown_cell(piece, id=f"text-{len(cells)}"))
        if any(self.code):
            raise ExtensionError("a cell of code is not shown on the page, so its notebook would not run")
        return cells

    def flow(self, parent: Tag) -> Iterator[str | nbformat.NotebookNode]:
        """Return the pieces of a section, Markdown as strings, code as the cells that are stored."""
        for element in parent.find_all(True, recursive=False):
            kinds = element.get("class", ())
            if element.name == "section":
                yield from self.flow(element)
            elif "solution" in kinds:
                yield from self.solution(element)
            elif "cell" in kinds:
                yield self.stored(next(self.code))
                yield from map(self.caption, element.find_all("figcaption"))
            elif element.name != "h1" and (text := self.converter.text(element)):
                yield text

    def stored(self, cell: nbformat.NotebookNode) -> nbformat.NotebookNode:
        """Return a stored cell with its outputs, without what only the book's build reads."""
        text = REFERENCE.sub(rf"[\1]({self.converter.url}#\1)", json.dumps(cell))
        return nbformat.from_dict(json.loads(text) | {"metadata": {}})

    def caption(self, caption: Tag) -> str:
        """Return the caption of a figure with its number, as the text refers to it."""
        number, words = caption.find(class_="caption-number"), caption.find(class_="caption-text")
        return f"*{number.get_text().strip()}* {self.converter.text(words)}"

    def solution(self, solution: Tag) -> Iterator[str | nbformat.NotebookNode]:
        """Return a solution folded away: text in a details element, code in cells that JupyterLab shows folded."""
        title = solution.summary.extract().get_text()
        summaries = chain([title], repeat(f"{title}, continued"))
        for is_text, pieces in groupby(self.flow(solution), lambda piece: isinstance(piece, str)):
            if is_text:
                yield folded(next(summaries), "\n\n".join(pieces))
            else:
                yield from (nbformat.from_dict(cell | {"metadata": FOLDED}) for cell in pieces)
