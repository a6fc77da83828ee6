"""Every entry of the API ends with links to the chapters that use the function."""

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

SPELLINGS = {"logitkit": r"lk|logitkit", "logitkit.torch": r"lt|logitkit\.torch"}


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the function below to autodoc."""
    app.connect("autodoc-process-docstring", add_used_in, priority=900)  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_used_in(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Add the links to a docstring, in the order of the table of contents; methods have none."""
    module, _, function = name.rpartition(".")
    if module not in SPELLINGS:
        return
    use = re.compile(rf"\b(?:{SPELLINGS[module]})\.{function}\b")
    chapters = []
    for docname in app.env.external_site_map:
        path = Path(app.env.doc2path(docname))
        if path.suffix == ".ipynb":
            app.env.note_dependency(str(path))
            if use.search(source(path, path.stat().st_mtime_ns)):
                chapters.append(f":doc:`/{docname}`")
    if chapters:
        lines += ["", f"Used in: {', '.join(chapters)}."]


@cache
def source(path: Path, _modified: int) -> str:
    """Return the text and the code of a notebook."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n".join("".join(cell["source"]) for cell in cells)
