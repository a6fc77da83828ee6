"""The entries of the API name the chapters that use a function."""

import json
import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the function below to autodoc."""
    app.connect("autodoc-process-docstring", add_used_in, priority=900)  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def add_used_in(app: Sphinx, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """End the entry of a function with links to the chapters whose text or code uses it."""
    module, _, function = name.rpartition(".")
    spellings = {"logitkit": "lk|logitkit", "logitkit.torch": r"lt|logitkit\.torch"}.get(module)
    if spellings is None:  # a method
        return
    pattern = re.compile(rf"\b(?:{spellings})\.{function}\b")
    chapters = []
    for docname in app.env.external_site_map:  # in the order of the table of contents
        path = Path(app.env.doc2path(docname))
        if path.suffix == ".ipynb":
            app.env.note_dependency(str(path))
            cells = json.loads(path.read_text("utf-8"))["cells"]
            if any(pattern.search("".join(cell["source"])) for cell in cells):
                chapters.append(docname)
    if chapters:
        lines += ["", "Used in: " + ", ".join(f":doc:`/{docname}`" for docname in chapters) + "."]
