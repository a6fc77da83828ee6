"""The stored notebooks and the ones that a reader downloads."""

import ast
import contextlib
import functools
import math
import re
import sys
import threading
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urldefrag, urlsplit

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient

import logitkit
import logitkit.torch
from book.notebooks.run import normalized, run
from tests.book.common import NOTEBOOKS, REPOSITORY, SITE, TEX

# Code, formulas, roles, addresses and the versions of packages and models.
PASSED_OVER = re.compile(
    r"```[^{].*?```|`[^`]*`|\$\$.*?\$\$|\$[^$]*\$|\{[a-z:]+\}|<[^>]*>|\]\([^)]*\)"
    r"|(?:PyTorch|TensorFlow|Keras|Optax|Transformers|SGLang|Gemini)(?: from)? \d+(?:\.\d+)*",
    re.DOTALL,
)
# What a reader can work out without a cell: where float32's exp overflows, twice its epsilon, the loss at Keras's clip,
# the largest loss of a doubled softmax of a thousand classes, odds of ten to one, and PyTorch's oldest release.
CONSTANTS = (
    math.log(np.finfo(np.float32).max),
    2e7 * np.finfo(np.float32).eps,
    -math.log(1e-7),
    math.log(999 + math.e) - 1,
    10 / 11,
    2.4,
)


def numbers_of(cell):
    """The numbers in a cell's source and in its output, a figure's labels included."""
    shown = [cell.source]
    for output in cell.outputs:
        shown.append(output.get("text", ""))
        for kind, value in output.get("data", {}).items():
            shown += re.findall(r"<!-- (.*?) -->", value) if kind == "image/svg+xml" else [value]
    for number in re.findall(r"\d[\d,_]*\.?\d*(?:e[+-]?\d+)?", " ".join(shown)):
        with contextlib.suppress(ValueError):
            yield float(number.replace(",", "").replace("_", ""))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestPortableNotebook:
    """The notebook that a reader downloads."""

    @pytest.fixture
    def portable(self, site, path):
        return nbformat.read(site[0] / "notebooks" / path.name, as_version=4)

    def test_has_the_code_and_the_outputs_of_the_chapter(self, portable, path):
        stored = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        install, *code = [cell for cell in portable.cells if cell.cell_type == "code"]
        assert install.id == "install"
        assert len(code) == len(stored)
        for ours, theirs in zip(code, stored, strict=True):
            assert ours.execution_count == theirs.execution_count
            if "{ref}" not in f"{theirs.outputs}":
                assert (ours.source, ours.outputs) == (theirs.source, theirs.outputs)

    def test_has_nothing_that_only_the_build_understands(self, portable):
        nbformat.validate(portable)
        roles = re.compile(r"\{(ref|term|doc|eq|numref|func|class|math|cite:[tp]|prf:ref)\}`")
        for cell in portable.cells:
            assert not {"mystnb", "tags"} & set(cell.metadata)
            assert not roles.search(f"{cell.source}{cell.get('outputs', '')}"), cell.source
            if cell.cell_type == "markdown":
                assert not re.search(r"^\s*(:::|`{3,}\{|\([\w-]+\)=$|\+\+\+|% )", cell.source, re.MULTILINE), (
                    cell.source
                )
                summaries = re.findall("<summary>(.*)</summary>", cell.source)
                assert not any(TEX.search(summary) or "$" in summary or "&lt;" in summary for summary in summaries)
                assert "***Proof" not in cell.source
                assert cell.source.count("$$") % 2 == 0

    def test_says_where_it_comes_from(self, portable, path):
        title = portable.cells[0].source
        assert title.startswith("# ")
        for words in (f"{SITE}chapters/{path.stem}.html", f"logitkit {logitkit.__version__}", "CC BY 4.0", "MIT"):
            assert words in title

    def test_links_lead_to_pages_that_exist(self, site, anchors, portable):
        folder, pages = site
        text = "\n".join(cell.source for cell in portable.cells if cell.cell_type == "markdown")
        links = re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]+`", "", text))
        assert links
        for link in links:
            address, anchor = urldefrag(link)
            assert urlsplit(address).scheme == "https", link
            if address.startswith(SITE):
                page = folder / (address.removeprefix(SITE) or "index.html")
                assert page in pages, link
                assert not anchor or unquote(anchor) in anchors[page], link

    def test_installs_what_it_imports(self, portable):
        code = [cell.source for cell in portable.cells if cell.cell_type == "code"]
        packages = ast.literal_eval(re.search(r"^packages = (\{.*?\})", code[0], re.DOTALL | re.MULTILINE)[1])
        assert packages["logitkit"].startswith(f"{REPOSITORY}/archive/refs/")
        imports = {
            match[1] for source in code[1:] for match in re.finditer(r"^(?:import|from) (\w+)", source, re.MULTILINE)
        }
        assert imports - sys.stdlib_module_names - {"IPython"} == set(packages)
        if "plotting" in "".join(code):
            assert "matplotlib" in packages


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fused-losses", "one-idea"])  # quick ones, with data and without
def test_portable_notebook_runs_alone_and_gives_what_it_shows(site, tmp_path, monkeypatch, name):
    """Also from a folder without the chapter's data, which it fetches, and without installing anything."""
    folder, _ = site
    notebook = nbformat.read(folder / "notebooks" / f"{name}.ipynb", as_version=4)
    shown = [cell.get("outputs") for cell in notebook.cells]
    handler = functools.partial(SimpleHTTPRequestHandler, directory=folder / "notebooks")
    monkeypatch.setattr(SimpleHTTPRequestHandler, "log_message", lambda *_: None)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        install = notebook.cells[1]
        ours = f"http://127.0.0.1:{server.server_port}"
        install.source = re.sub(
            r"https://raw\.githubusercontent\.com/logitkit/logitkit/[^/]+/chapters", ours, install.source
        )
        resources = {"metadata": {"path": str(tmp_path)}}
        NotebookClient(
            notebook, timeout=120, kernel_name="python3", resources=resources, coalesce_streams=True
        ).execute()
        server.shutdown()
    for cell, before in zip(notebook.cells, shown, strict=True):
        for output in cell.get("outputs", []):
            output.pop("execution_count", None)
        for output in before or []:
            output.pop("execution_count", None)
        assert cell.get("outputs") == before, cell.source


def test_outputs_of_a_run_are_stored(tmp_path):
    cell = nbformat.v4.new_code_cell("print(6 * 7)", outputs=[nbformat.v4.new_output("stream", text="41\n")])
    path = tmp_path / "chapter.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), path)
    run(path)
    assert [output.text for output in nbformat.read(path, as_version=4).cells[0].outputs] == ["42\n"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
class TestNotebook:
    def test_was_run_from_top_to_bottom(self, path):
        cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
        assert cells
        assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))

    def test_stores_only_what_is_compared(self, path):
        """A comparison passes over PNG; what is on stderr is a warning or an error that nobody should meet."""
        for cell in nbformat.read(path, as_version=4).cells:
            for output in cell.get("outputs", []):
                assert output.output_type != "error", cell.source
                assert output.get("name") != "stderr", cell.source
                assert not {"image/png", "image/jpeg"} & set(output.get("data", {})), cell.source

    def test_skips_and_loosens_no_comparison(self, path):
        for cell in nbformat.read(path, as_version=4).cells:
            assert not {"raises-exception", "skip-execution"} & set(cell.metadata.get("tags", []))
            assert not any(tag.startswith("nbval") for tag in cell.metadata.get("tags", []))
            assert not re.search(r"#\s*(NBVAL|PYTEST_VALIDATE)", cell.source)

    def test_takes_its_numbers_from_its_cells(self, path):
        """A decimal number in the text stands, to its digits, in a cell or in what a cell shows, or is one of a few."""
        cells = nbformat.read(path, as_version=4).cells
        known = {*CONSTANTS, *(value for cell in cells if cell.cell_type == "code" for value in numbers_of(cell))}
        text = "\n".join(PASSED_OVER.sub(" ", cell.source) for cell in cells if cell.cell_type == "markdown")
        for number in re.findall(r"(?<![\w.\-/])\d[\d,]*\.\d+(?![\w.])", text):
            digits = len(number.partition(".")[2])
            value = float(number.replace(",", ""))
            assert any(
                value in (round(each, digits), round(100 * each, digits), round(1 - each, digits)) for each in known
            ), f"no cell gives {number}"

    def test_is_stored_as_make_notebooks_stores_it(self, path):
        notebook = normalized(nbformat.read(path, as_version=4))
        assert nbformat.writes(notebook) + "\n" == path.read_text("utf-8"), (
            f"run make notebooks NB=chapters/{path.name}"
        )
