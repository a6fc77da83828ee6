"""Every entry of the API ends with links to the chapters that use the function."""

import re
import sys
from collections.abc import Collection
from typing import Any

import nbformat
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.environment import BuildEnvironment
from sphinx.ext.autodoc.mock import MockFinder

USE = re.compile(r"\b(lk|lt|logitkit\.torch|logitkit)\.(\w+)")
SHORT = {"lk": "logitkit", "lt": "logitkit.torch"}


def setup(app: Sphinx) -> None:
    app.connect("config-inited", mock_always)
    app.connect("env-get-outdated", read_again)
    app.connect("autodoc-process-docstring", add_uses, priority=900)  # after numpydoc, which orders the sections


def mock_always(app: Sphinx, config: Config) -> None:
    """Mock what autodoc mocks for the whole build: viewcode imports the modules too, and would import PyTorch."""
    sys.meta_path.insert(0, MockFinder(config.autodoc_mock_imports))


def read_again(app: Sphinx, env: BuildEnvironment, *changes: set[str]) -> Collection[str]:
    """Read the reference again when some page has come to use other functions."""
    before = getattr(env, "uses_of_functions", None)
    uses = env.uses_of_functions = {page: functions_in(env.doc2path(page)) for page in app.config.external_site_map}
    return {entry.docname for entry in env.get_domain("py").objects.values()} if uses != before else ()


def add_uses(app: Sphinx, what: str, name: str, obj: Any, options: Any, lines: list[str]) -> None:
    """Add the links to a docstring."""
    links = [f":doc:`/{page}`" for page, functions in app.env.uses_of_functions.items() if name in functions]
    lines += ["", f"Used in: {', '.join(links)}."] if links else []


def functions_in(path: str) -> set[str]:
    """Return the full names of the functions that the text and the code of a notebook use."""
    cells = nbformat.read(path, as_version=4).cells if path.endswith(".ipynb") else []
    found = (use for cell in cells for use in USE.findall(cell.source))
    return {f"{SHORT.get(module, module)}.{function}" for module, function in found}
